"""Mirrors curate/sources/arc.py."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sources import sniff
from curate.sources.arc import Arc
from tests.helpers import shared_data
from tests.sources.build import PAGE, arc_file_record, arc_record, http_response, packed, read, read_bytes, whole

LAYOUTS = ("plain", "members", "one member")


def _page(number: int, **options) -> bytes:
    body = PAGE.format(f"number {number}")
    return arc_record(http_response(body), **{"url": f"https://example.org/{number}", **options})


def _numbers(table) -> list[int]:
    return [int(url.rsplit("/", 1)[1]) for url in table["url"].to_pylist()]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("version", [1, 2])
def test_every_record_is_a_doc_or_counted_by_kind(tmp_path: Path, layout: str, version: int) -> None:
    records = [
        arc_file_record(version),
        _page(1, version=version),
        arc_record(
            b"20080430204825\nwww.archive.org.\t589\tIN\tA\t1.2.3.4\n",
            url="dns:www.archive.org",
            content_type="text/dns",
        ),
        arc_record(http_response(PAGE, status="404 Not Found"), version=version),
        arc_record(http_response(b"\x89PNG", content_type="image/png"), content_type="image/png"),
        arc_record(b"<html>HTTP/0.9 had no header</html>", version=version),
        arc_record(http_response(PAGE), url="https://example.org/with some spaces/2", address="2001:db8::1"),
        arc_record(http_response(PAGE), url="https://example.org/3", address="-", date="-", content_type=""),
    ]
    table, tally = read_bytes(tmp_path, packed(records, layout), "a.arc", "arc")
    assert tally.records == {"filedesc": 1, "response": 3, "dns": 1, "status:404": 1, "mime:image": 1, "not_http": 1}
    assert tally.bytes_bad == 0
    assert _numbers(table) == [1, 2, 3]
    assert table["url"][1].as_py() == "https://example.org/with some spaces/2"
    assert table["http_charset"].to_pylist() == ["utf-8"] * 3
    assert table["fetched_at"][0].as_py().isoformat() == "2024-05-06T07:08:09+00:00"
    assert table["fetched_at"][2].as_py() is None
    assert table["truncated"].null_count == 3


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [-5, "abc", "", 30, 100, 5_000, 10**7, "9" * 25])
def test_a_lying_length_costs_only_its_record(tmp_path: Path, length: str | int, layout: str) -> None:
    records = [arc_file_record(), _page(1), _page(999, length=length), _page(2), _page(3)]
    table, tally = read_bytes(tmp_path, packed(records, layout), "a.arc", "arc")
    assert _numbers(table) == [1, 2, 3]
    assert len(tally.bad_spans) == 1


def test_a_record_that_broke_off_leaves_the_next_one_readable(tmp_path: Path) -> None:
    data = arc_file_record() + _page(1) + _page(2)[:-50] + _page(3) + b"\xff\xfe garbage " + _page(4)[:-9]
    table, tally = read_bytes(tmp_path, data, "a.arc", "arc")
    assert _numbers(table) == [1, 3]
    assert len(tally.bad_spans) == 3


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.lists(
        st.binary(max_size=300) | st.just(b"\n\nhttp://a/ 1.2.3.4 20080101000000 text/html 5\nabcde\n"), max_size=6
    ),
    layout=st.sampled_from(LAYOUTS),
)
def test_any_payload_comes_back_unchanged(blocks: list[bytes], layout: str, tmp_path_factory) -> None:
    blocks = [b"<p>" + block for block in blocks]
    records = [arc_record(http_response(block), url=f"u:{n}") for n, block in enumerate(blocks)]
    table, tally = read_bytes(
        tmp_path_factory.mktemp("arc"), packed([arc_file_record(), *records], layout), "a.arc", "arc"
    )
    assert table["html"].to_pylist() == blocks
    assert tally.bytes_bad == 0


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "hostile",
    [
        b"http://a/ 1.2.3.4 20080101000000 text/html 60000000\n" * 7_000,
        b" 1.2.3.4 20080101000000" * 17_000,
        b"http:" * 70_000,
        b"http://a/ " * 35_000,
        b"filedesc://a 1.2.3.4 20080101000000 text/plain 0\n\n" * 7_000,
        b"a:b - - - 1\n" * 17_000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_hostile_files_end_soon(tmp_path: Path, hostile: bytes) -> None:
    for data in (hostile, gzip.compress(hostile)):
        table, _ = read_bytes(tmp_path, data, "a.arc", "arc")
        assert table.num_rows == 0


def test_real_files_are_told_from_others_and_read() -> None:
    counts = {"example.arc": 1, "example.arc.gz": 1, "test-arc-1.0-dashed-fields.arc": 1}
    counts["archivesunleashed_aut__example.arc.gz"] = 94
    for name, n_docs in counts.items():
        path = shared_data("warc", name)
        assert sniff(str(path)) == "arc"
        assert read(whole(path, "arc"))[0].num_rows == n_docs, name


def test_other_text_is_no_arc() -> None:
    for head in (b"WARC/1.0\r\n", b"http://example.org/ is a page\n", b"{}\n", b"", b"a: b 1.2.3.4\n"):
        assert not Arc().sniff("a.arc", head)
    assert Arc().sniff("a", b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 1300\n")
    assert Arc().sniff("a", b"http://a/b c 1.2.3.4 20080101000000 text/html 5\nabcde\n")


@pytest.mark.parametrize("garbage", [b"l", b"lorem", b"\x00\x00\x00tp"])
def test_letters_in_front_of_a_url_are_damage_and_not_part_of_it(tmp_path: Path, garbage: bytes) -> None:
    table, tally = read_bytes(tmp_path, arc_file_record() + _page(0) + garbage + _page(1) + _page(2), "a.arc", "arc")
    assert table["url"].to_pylist() == [f"https://example.org/{number}" for number in range(3)]
    assert tally.bytes_bad == len(garbage.lstrip(b"\x00"))


def test_a_record_whose_scheme_lost_its_first_letters_is_damage(tmp_path: Path) -> None:
    """Zeros alone pass for padding: what they leave of the line must not pass for a record."""
    data = arc_file_record() + _page(0)
    for n_zeros in (2, 4, 7):
        table, tally = read_bytes(tmp_path, bytes(n_zeros) + data[n_zeros:], "a.arc", "arc")
        assert _numbers(table) == [0]
        assert tally.records == {"response": 1}
        assert tally.bytes_bad == len(arc_file_record()) - n_zeros
