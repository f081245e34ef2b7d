"""Mirrors curate/stages/url_filter.py."""

import gzip
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.models import load_url_words
from curate.stages.url_filter import UrlFilter
from tests.helpers import batch_of, shared_data


def reasons(*urls: str | None, **parameters: object) -> list[str | None]:
    verdict = UrlFilter(**parameters)(batch_of(url=list(urls)))  # type: ignore[arg-type]
    assert verdict.columns == {}
    assert verdict.drop_reason is not None
    found: list[str | None] = verdict.drop_reason.to_pylist()
    return found


def listed(folder: Path, text: str, name: str = "list.txt") -> tuple[Path, ...]:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return (path,)


@pytest.mark.parametrize(
    "url",
    [
        "https://www.essex.ac.uk/sussex-and-middlesex",
        "https://scunthorpe.example/penistone/cockermouth",
        "https://linux-videos.org/max-hamster",
        "https://example.com/when-taiwan-votes/second-hand-jobs/essex-camp",
        "https://olive-jasmine.com/required-tube/pornic-plage",
        "https://arxiv.org/xxx",
        "http://xxx.lanl.gov/abs/9901001",
        "https://health.example/sex-education/breast-cancer",
        "https://news.example/gay-lesbian-transgender-pride-marriage",
        "https://shop.example/dickens/cocktail/analysis/assassin/therapist",
        "https://cars.example/ford-escort-1998",
        "",
    ],
)
def test_innocent_urls_stay(url: str) -> None:
    assert reasons(url) == [None]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://www.porn-hub.example/", "strict_word"),
        ("https://a.example/Free/TEENPORN.html", "strict_word"),
        ("https://a.example/teen%2Dporn", "strict_word"),
        ("https://a.example/gallery/hentai-12", "hard_word"),
        ("https://a.example/x?q=xvideos", "hard_word"),
        ("https://naked-teens.example/", "soft_words"),
        ("https://a.example/sexy/webcam_1", "soft_words"),
    ],
)
def test_words_by_kind(url: str, reason: str) -> None:
    assert reasons(url) == [reason]


def test_soft_words_are_counted_once_each_and_against_the_limit() -> None:
    assert reasons("https://a.example/sex/sex/sex") == [None]
    assert reasons("https://a.example/sex-webcam-nude", min_soft_words=4) == [None]
    assert reasons("https://a.example/sex-webcam-nude", min_soft_words=3) == ["soft_words"]


def test_null_url_and_empty_batch() -> None:
    assert reasons(None) == [None]
    verdict = UrlFilter()(batch_of(url=[]))
    assert verdict.drop_reason is not None
    assert verdict.drop_reason.type == pa.string()


def test_what_is_no_web_page() -> None:
    bad = ["not a url", "javascript:alert(1)//" + "a" * 3000, "data:text/html,<b>x</b>", "urn:uuid:1", "dns:a.com",
           "ftp://a.com/", "mailto:a@b.com", "http://", "http://a b.com/", "index.html", "http://[::1/"]  # fmt: skip
    odd = ["<http://a.com/x y>", " HTTP://A.com ", "//a.com/x", "a.com/x", "a.co.uk:8080", "http:\\\\a.com\\b",
           "https://u:p@xn--bcher-kva.example:99999/%zz", "http://a.com/" + "x" * 2_000_000]  # fmt: skip
    assert reasons(*bad) == ["bad_url"] * len(bad)
    assert reasons(*odd) == [None] * len(odd)


def test_curated_hosts_are_dropped_on_demand() -> None:
    urls = ["https://en.m.wikipedia.org/wiki/X", "http://arxiv.org/abs/1", "https://math.stackexchange.com/q/1",
            "https://pages.github.io/", "https://notarxiv.org/", "https://nih.gov/"]  # fmt: skip
    assert reasons(*urls) == [None] * 6
    assert reasons(*urls, exclude_curated=True) == ["curated_host"] * 3 + [None] * 3


def test_the_allow_list_wins_over_lists_and_words_but_makes_no_web_page(tmp_path: Path) -> None:
    allow = listed(tmp_path, "good.bad.com\nbad.com/fine\nporn.example\narxiv.org\n", "allow.txt")
    block = listed(tmp_path, "bad.com\n")
    urls = ["http://good.bad.com/", "http://www.bad.com/fine/x", "http://porn.example/teenporn", "http://arxiv.org/",
            "http://bad.com/finer", "mailto:x@bad.com"]  # fmt: skip
    found = reasons(*urls, blocklist=block, allowlist=allow, exclude_curated=True)
    assert found == [None] * 4 + ["blocked_domain", "bad_url"]


def test_blocked_domains_with_all_below_them(tmp_path: Path) -> None:
    paths = listed(
        tmp_path, "# comment\nbad.com\nwww.worse.co.uk\nhost.mixed.org # why\n93.184.216.34\nbücher.example\n"
    )
    blocked = ["http://bad.com", "https://WWW.Bad.com:8080/x", "http://a.b.bad.com/", "http://worse.co.uk/y",
               "http://user@host.mixed.org/", "http://93.184.216.34/x", "http://xn--bcher-kva.example/"]  # fmt: skip
    free = [
        "http://notbad.com",
        "http://bad.com.evil.net",
        "http://mixed.org",
        "http://co.uk",
        "http://x.org/?u=bad.com",
    ]
    assert reasons(*blocked, blocklist=paths) == ["blocked_domain"] * len(blocked)
    assert reasons(*free, blocklist=paths) == [None] * len(free)


def test_blocked_urls_up_to_a_boundary(tmp_path: Path) -> None:
    paths = listed(tmp_path, "shared.org/~bad\nhttps://www.blog.net/user/7/\n")
    blocked = ["http://shared.org/~bad", "http://www.shared.org/~bad/page?x", "http://blog.net/user/7/post"]
    free = ["http://shared.org/~badminton", "http://shared.org/", "http://blog.net/user/77", "http://a.shared.org/~bad"]
    assert reasons(*blocked, blocklist=paths) == ["blocked_url"] * len(blocked)
    assert reasons(*free, blocklist=paths) == [None] * len(free)


def test_hosts_format_and_tables(tmp_path: Path) -> None:
    paths = listed(tmp_path, "127.0.0.1 localhost\n0.0.0.0 ads.com track.com # two\n\ngambling\tcasino.net\n! note\n")
    urls = ["http://ads.com", "http://track.com", "http://casino.net", "http://gambling.com"]
    assert reasons(*urls, blocklist=paths) == ["blocked_domain"] * 3 + [None]


def test_every_spelling_of_a_url_finds_its_entry(tmp_path: Path) -> None:
    text = "a.com/%7euser/b\u00fccher/\nxn--bcher-kva.example\n*.star.com\n||ads.org^\n.dot.net\r\n"
    paths = listed(tmp_path, text)
    urls = ["http://WWW.a.com:80/x/../~user/b%c3%bccher/1?q#f", "<http://a.com/%7Euser/b\u00fccher/>",
            "https://u:p@B\u00dcCHER.example/", "http://a.star.com", "http://star.com", "https://ads.org.",
            "http://dot.net"]  # fmt: skip
    assert reasons(*urls[:2], blocklist=paths) == ["blocked_url"] * 2
    assert reasons(*urls[2:], blocklist=paths) == ["blocked_domain"] * 5


def test_folders_of_categories(tmp_path: Path) -> None:
    folder = tmp_path / "blacklists"
    for name, text in (("adult/domains", "x.com\n"), ("adult/urls", "y.com/x\n"), ("press/domains", "news.com\n")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "malware").mkdir()
    (folder / "malware" / "domains.gz").write_bytes(gzip.compress(b"virus.com\n"))
    (folder / "README").write_text("not a list")
    urls = ["http://x.com", "http://y.com/x/1", "http://news.com", "http://virus.com"]
    found = reasons(*urls, blocklist=(folder,), categories=("adult", "malware"))
    assert found == ["blocked_domain", "blocked_url", None, "blocked_domain"]
    assert reasons(*urls, blocklist=(folder / "press",)) == [None, None, "blocked_domain", None]
    both = (folder / "press", *listed(tmp_path, "x.com\n"))
    assert reasons(*urls, blocklist=both) == ["blocked_domain", None, "blocked_domain", None]
    with pytest.raises(InputError, match="has 3 categories, name some as `categories`: adult, malware, press"):
        reasons("http://x.com", blocklist=(folder,))
    with pytest.raises(InputError, match=r"no category 'adlut'.*did you mean 'adult'"):
        reasons("http://x.com", blocklist=(folder,), categories=("adlut",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="without files called domains or urls"):
        reasons("http://x.com", blocklist=(tmp_path / "empty",))


def test_wrong_files_and_parameters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a file or folder"):
        reasons("http://a.com", blocklist=(tmp_path / "none",))
    with pytest.raises(InputError, match="names nothing"):
        reasons("http://a.com", blocklist=listed(tmp_path, "# empty\n"))
    with pytest.raises(InputError, match=r"list\.txt:1"):
        reasons("http://a.com", words=listed(tmp_path, "loose\n[hard]\nx\n")[0])
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a.com\n" * 1000)[:-9])
    with pytest.raises(InputError, match="cannot be read"):
        reasons("http://a.com", blocklist=(tmp_path / "cut.gz",))
    (tmp_path / "latin").write_bytes(b"b\xfccher.de\n")
    with pytest.raises(InputError, match="is not UTF-8"):
        reasons("http://a.com", blocklist=(tmp_path / "latin",))
    with pytest.raises(InputError, match="min_soft_words"):
        UrlFilter(min_soft_words=0)
    with pytest.raises(InputError, match="categories pick from a blocklist"):
        UrlFilter(categories=("adult",))


def test_words_of_your_own(tmp_path: Path) -> None:
    paths = listed(tmp_path, "[hard]\ncasino\n[soft]\nbet bonus\n")
    urls = ["http://a.com/casino", "http://a.com/bet-bonus", "http://a.com/porn"]
    assert reasons(*urls, words=paths[0]) == ["hard_word", "soft_words", None]


@given(st.lists(st.none() | st.text() | st.from_regex(r"https?://[a-z.]{1,9}/[a-z%0-9-]{0,9}", fullmatch=True)))
def test_any_url_is_answered_whatever_the_batch(urls: list[str | None]) -> None:
    assert reasons(*urls) == [reason for url in urls for reason in reasons(url)]


def test_word_lists_are_plain_and_disjoint() -> None:
    words = load_url_words(None)
    assert all(word.isalnum() for kind in words.values() for word in kind)
    assert words["hard"].isdisjoint(words["soft"])


def test_much_used_and_press_sites_are_not_lost_by_words() -> None:
    with gzip.open(shared_data("urls", "opendns-top-domains.txt.gz"), "rt", encoding="utf-8") as lines:
        top = [line.strip() for line in lines]
    with gzip.open(shared_data("urls", "ut1-domains.tsv.gz"), "rt", encoding="utf-8") as lines:
        table = [line.rstrip("\n").split("\t") for line in lines]
    press = [domain for category, domain in table if category in ("press", "bank", "cooking", "translation")]
    lost = [d for d, r in zip(press, reasons(*(f"http://{d}/" for d in press)), strict=True) if r]
    assert lost == []
    dropped = {d for d, r in zip(top, reasons(*(f"http://{d}/" for d in top)), strict=True) if r}
    others = {
        "bangbros.com",
        "brazzers.com",
        "brazzersnetwork.com",
        "xvideos.com",
        "xhamster.com",
        "redtube.com",
        "xnxx.com",
        "livejasmin.com",
        "chaturbate.com",
        "youjizz.com",
    }
    assert {domain for domain in dropped if "porn" not in domain} == others
    assert len(dropped) == 18


def test_ut1_domains_as_a_block_list(tmp_path: Path) -> None:
    table = shared_data("urls", "ut1-domains.tsv.gz")
    with gzip.open(table, "rt", encoding="utf-8") as lines:
        gambling = [line.rstrip("\n").split("\t")[1] for line in lines if line.startswith("gambling\t")][:2000]
    paths = listed(tmp_path, "\n".join(gambling))
    found = reasons(*(f"https://www.{d}/x" for d in gambling), "https://www.bbc.co.uk/", blocklist=paths)
    assert found[-1] is None
    assert found[:-1].count("blocked_domain") == len(gambling)


def test_hostile_url_costs_linear_time() -> None:
    began = time.perf_counter()
    reasons("http://" + "a-" * 200_000, "http://" + "pornpor" * 50_000, "http://" + "%70" * 100_000)
    assert time.perf_counter() - began < 60
