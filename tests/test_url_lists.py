"""Mirrors curate/url_lists.py: a packed set is a set, and what a list names does not depend on how it is written."""

import gzip
import zlib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.sites import host_of, is_ip
from curate.url_lists import PackedSet, UrlSet, domains_above, load_url_set
from curate.urls import split_url
from tests.helpers import shared_data

WORDS = st.lists(st.binary(max_size=4), max_size=60)


@given(WORDS, WORDS, st.integers(1, 9))
def test_a_packed_set_answers_as_a_set_does(entries: list[bytes], keys: list[bytes], n: int) -> None:
    packed = PackedSet([entries[i : i + n] for i in range(0, len(entries), n)])
    assert packed.found(keys) == [key in set(entries) for key in keys]
    assert len(packed) == len(entries)


def test_equal_crcs_are_told_apart() -> None:
    first, second = b"plumless", b"buckeroo"  # a known collision of CRC-32
    assert zlib.crc32(first) == zlib.crc32(second)
    assert PackedSet([[first]]).found([first, second]) == [True, False]
    assert PackedSet([[second, b"x", first]]).found([first, second, b"y"]) == [True, True, False]


def test_domains_above() -> None:
    assert domains_above("a.b.com") == [b"a.b.com", b"b.com", b"com"]
    assert domains_above("10.0.0.1") == [b"10.0.0.1"]
    assert domains_above("[::1]") == [b"[::1]"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.lists(st.text("ab/?=.", min_size=1, max_size=6), min_size=1, max_size=5),
    rest=st.text("ab/?=.", max_size=9),
)
def test_beginnings_end_at_a_boundary(tmp_path: Path, paths: list[str], rest: str) -> None:
    (tmp_path / "list").write_text("".join(f"a.com/{path}\n" for path in paths))
    found = UrlSet([tmp_path / "list"]).match([f"http://a.com/{rest}"], ["a.com"])
    url = split_url(f"http://a.com/{rest}")
    parsed = [split_url(f"http://a.com/{path}") for path in paths]
    assert url is not None
    listed = [p.rest for p in parsed if p is not None]
    if "/" in listed:
        assert found == ["domain"]
        return
    expected = any(
        url.rest.startswith(b) and (b[-1] in "/?=" or url.rest[len(b) :][:1] in ("", "/", "?")) for b in listed
    )
    assert found == ["url" if expected else None]


def test_many_domains_are_found_and_others_are_not(tmp_path: Path) -> None:
    n = 300_000
    (tmp_path / "many.gz").write_bytes(gzip.compress("".join(f"www.site{i}.example\n" for i in range(n)).encode(), 1))
    held = load_url_set((tmp_path / "many.gz",))
    assert len(held) == n
    hosts = [f"a.site{i}.example" for i in range(0, n, 1000)] + ["site.example", f"site{n}.example", None]
    assert held.match([f"http://{h}/" for h in hosts], hosts) == ["domain"] * 300 + [None] * 3


def test_every_domain_of_real_lists_is_found(tmp_path: Path) -> None:
    with gzip.open(shared_data("urls", "ut1-domains.tsv.gz"), "rt", encoding="utf-8") as lines:
        named = {line.rstrip("\n").split("\t")[1].lstrip(".") for line in lines}
    domains = sorted({host.removeprefix("www.") for name in named if (host := host_of(f"http://{name}"))})
    (tmp_path / "half").write_text("".join(f"{d}\n" for d in domains[::2]))
    held = UrlSet([tmp_path / "half"])
    hosts = [d if is_ip(d) else f"x.{d}" for d in domains]
    found = held.match(hosts, hosts)
    assert found[::2] == ["domain"] * len(domains[::2])
    inside = set(domains[::2])
    above = [any(".".join(d.split(".")[i:]) in inside for i in range(d.count(".") + 1)) for d in domains[1::2]]
    assert [f is not None for f in found[1::2]] == above
