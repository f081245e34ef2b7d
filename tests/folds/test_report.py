"""Mirrors curate/folds/report/: exact counts, the same bytes for any cut, and a page that is safe to open."""

import gzip
import json
import random
import re
import subprocess
import sys
import unicodedata
from base64 import b64encode
from collections import Counter, defaultdict
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.fold import Position
from curate.folds.report import Report
from curate.folds.report.counters import SCHEMA
from curate.folds.report.groups import Axis, Group, Sums, groups_of
from curate.folds.report.page import compact, host, percent, plain
from curate.folds.report.words import n_words
from curate.sites import host_of, site_of
from tests.folds.drive import run_fold
from tests.helpers import batch_of, shared_data

Doc = dict[str, Any]
COLUMNS = ("url", "language", "source", "text", "n_tokens", "n_chars", "text_bytes", "outcome", "step", "reason")
STEPS = ("url_filter", "language", "quality", "dedup")


def doc(url: str | None, text: str | None = None, **more: Any) -> Doc:
    return dict.fromkeys(COLUMNS) | {"url": url, "text": text, "language": "en", "source": "web"} | more


def lost(url: str | None, step: str, reason: str, n_chars: int = 100, **more: Any) -> Doc:
    outcome = "quarantined" if reason == "error" else "dropped"
    return doc(url, None, outcome=outcome, step=step, reason=reason, n_chars=n_chars, text_bytes=n_chars) | more


def batch(docs: list[Doc], names: tuple[str, ...] = COLUMNS) -> pa.RecordBatch:
    made = batch_of(**{name: [d[name] for d in docs] for name in names if name != "n_tokens"})
    if "n_tokens" in names:
        made = made.append_column("n_tokens", pa.array([d["n_tokens"] for d in docs], pa.int64()))
    return made


def test_how_often_rules_fired_is_shown() -> None:
    counts = {"quality": {"docs": 2, "broken": {"min_words": 1, "<b>": 0}, "first": {"min_words": 1, "<b>": 0}}}
    report, page = files_of([[batch([doc("https://a.example/", "text")])]], rules=counts, steps=("quality",))
    assert json.loads(report)["rules"] == counts
    shown = page.decode()
    assert "<td>1</td><td>50.0 %</td><td>1</td>" in shown
    assert "<bdi>&lt;b&gt;</bdi></td><td>never</td>" in shown
    without = files_of([[batch([doc("https://a.example/", "text")])]])[1].decode()
    assert "<h3>Rules</h3>" not in without


def files_of(shards: list[list[pa.RecordBatch]], n_parts: int = 3, **parameters: Any) -> tuple[bytes, bytes]:
    with TemporaryDirectory() as folder:
        out = run_fold(Report(**parameters), shards, Path(folder), n_parts)
        assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json"]
        return (out / "report.json").read_bytes(), (out / "report.html").read_bytes()


def report_of(docs: list[Doc], **parameters: Any) -> Any:
    return json.loads(files_of([[batch(docs)]], **parameters)[0])


class Page(HTMLParser):
    """What a browser would make of the page: its elements, attributes and text."""

    VOID = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_counts_by_hand() -> None:
    docs = [
        doc("https://www.bbc.co.uk/a", "one two three"),
        doc("https://news.bbc.co.uk/b", "four"),
        doc("https://example.com/", "don't stop", language="fr"),
        doc(None, "no host here"),
        lost("https://example.com/x", "quality", "too_few_words", n_chars=7, language="fr"),
        lost("https://example.org/y", "quality", "error", n_chars=5),
        lost("https://example.org/z", "url_filter", "blocked_domain", n_chars=0, language=None),
    ]
    report = report_of(docs, steps=STEPS)
    assert report["unit"] == "words"
    assert {name: sums["docs"] for name, sums in report["totals"].items()} == {
        "in": 7,
        "kept": 4,
        "dropped": 2,
        "quarantined": 1,
    }
    assert report["totals"]["kept"] == {"docs": 4, "words": 9, "chars": 39, "bytes": 39}
    walk = [
        (s["step"], s["reached"]["docs"], s["dropped"]["docs"], s["quarantined"]["docs"], s["left"]["docs"])
        for s in report["steps"]
    ]
    assert walk == [
        ("url_filter", 7, 1, 0, 6),
        ("language", 6, 0, 0, 6),
        ("quality", 6, 1, 1, 4),
        ("dedup", 4, 0, 0, 4),
    ]
    assert report["steps"][2]["reached"]["chars"] == 39 + 7 + 5
    reasons = [(r["reason"], r["docs"], r["docs_share_of_reached"]) for r in report["steps"][2]["reasons"]]
    assert reasons == [("error", 1, 0.166667), ("too_few_words", 1, 0.166667)]

    site = report["composition"]["site"]
    assert [(row["key"], row["docs"], row["words"]) for row in site["by_words"]] == [
        ("bbc.co.uk", 2, 4),
        ("example.com", 1, 2),
    ]
    assert (site["n_keys"], site["n_keys_seen"]) == (2, 3)  # example.org lost all it had
    assert (site["known"]["docs"], site["unknown"]["docs"]) == (3, 1)
    assert site["concentration"]["words"] == {
        "top_1_share": 0.666667, "top_10_share": 1.0, "top_25_share": 1.0,
        "hhi": round((4 * 4 + 2 * 2) / 36, 8), "effective_number": 1.8,
    }  # fmt: skip
    assert [row["key"] for row in report["composition"]["host"]["by_words"]] == [
        "www.bbc.co.uk",
        "example.com",
        "news.bbc.co.uk",
    ]
    assert [row["key"] for row in report["composition"]["suffix"]["by_words"]] == ["co.uk", "com"]
    assert [row["key"] for row in report["composition"]["tld"]["by_words"]] == ["uk", "com"]
    french = next(row for row in report["impact"]["language"]["rows"] if row["key"] == "fr")
    assert (french["steps"]["quality"]["lost_docs_share"], french["kept_docs_share"]) == (0.5, 0.5)
    assert report["impact"]["language"]["unknown"]["steps"]["url_filter"]["lost_docs"] == 1


def test_tokens_are_the_unit_where_a_step_wrote_them() -> None:
    docs = [
        doc("http://a.com", "one two", n_tokens=10),
        doc("http://b.com", "one two three"),
        lost("http://c.com", "quality", "short"),
    ]
    report = report_of(docs)
    assert report["unit"] == "tokens"
    assert report["totals"]["kept"]["tokens"] == 10
    assert report["kept_docs_without_unit"] == 1
    assert report["lengths"]["tokens"] == [{"bin": 4, "from": 8, "to": 15, "kept_docs": 1, "kept_tokens": 10}]
    assert [(b["from"], b["kept_docs"], b["lost_docs"]) for b in report["lengths"]["chars"]] == [
        (4, 1, 0),
        (8, 1, 0),
        (64, 0, 1),
    ]


def test_without_text_there_are_docs_and_the_page_says_that_nothing_counted_words() -> None:
    report = json.loads(files_of([[batch([doc("http://a.com")], ("url",))]])[0])
    assert report["totals"]["kept"] == {"docs": 1, "words": 0, "chars": 0, "bytes": 0}
    assert report["kept_docs_without_unit"] == 1
    assert report["composition"]["site"]["by_docs"][0]["words_share"] is None


@pytest.mark.parametrize("shards", [[], [[]], [[batch([])]], [[batch([], ("url",))], []]])
def test_empty_corpus(shards: list[list[pa.RecordBatch]]) -> None:
    data, html = files_of(shards, steps=STEPS)
    report = json.loads(data)
    assert report["totals"]["in"]["docs"] == 0
    assert report["composition"]["site"]["concentration"]["docs"]["hhi"] is None
    assert b"The corpus is empty" in html
    Page(html)


def test_sketch_has_one_schema() -> None:
    full = batch([doc("http://a.com", "x"), lost(None, "quality", "short")])
    for each in (full, full.slice(0, 0), batch([doc(None)], ("url",)), batch([], ("url",))):
        rows = Report().sketch(each, Position(0, 0, 7))
        assert rows.schema == SCHEMA
        assert set(rows["part"].to_pylist()) <= set(range(7))


def test_all_docs_lost() -> None:
    data, html = files_of([[batch([lost("http://a.com", "quality", "short")] * 40)]], steps=STEPS)
    assert json.loads(data)["totals"]["kept"]["docs"] == 0
    assert b"No doc was kept" in html
    Page(html)


def test_steps_beside_the_known_ones_come_last_and_the_order_is_said_to_be_unknown() -> None:
    docs = [lost("http://a.com", step, "x") for step in ("zeta", "quality", "alpha")]
    report = report_of(docs, steps=STEPS)
    assert [step["step"] for step in report["steps"]] == [*STEPS, "alpha", "zeta"]
    assert not report["steps_in_order"]
    assert report_of(docs[1:2], steps=STEPS)["steps_in_order"]


hosts = st.sampled_from(["a.com", "b.com", "www.b.com", "c.co.uk", "d.github.io", "127.0.0.1", "e.xn--fiqs8s"])
urls = hosts.map(lambda h: f"http://{h}/p") | st.sampled_from([None, "", "mailto:x@y.z", "http://a..b/"])
texts = st.text(max_size=40) | st.sampled_from(["", "日本語 text", "x" * 3000])
languages = st.sampled_from(["en", "fr", "zh", "", None])
kept_docs = st.builds(doc, urls, texts | st.none(), language=languages, n_tokens=st.none() | st.integers(0, 10**7))
steps = st.sampled_from([*STEPS, "other"])
reasons = st.sampled_from(["short", "error", "dup"])
lost_docs = st.builds(lost, urls, steps, reasons, st.integers(0, 10**7), language=languages)
corpora = st.lists(kept_docs | lost_docs, max_size=40)


@settings(max_examples=25, deadline=None)
@given(corpora, st.randoms(use_true_random=False), st.integers(1, 5), st.integers(1, 9))
def test_same_bytes_for_any_cut_of_batches_shards_and_parts(
    docs: list[Doc], rng: random.Random, n_shards: int, n_parts: int
) -> None:
    parameters = {"steps": STEPS, "top": 2, "min_docs": 2}
    whole = files_of([[batch(docs)]], 1, **parameters)
    docs = rng.sample(docs, len(docs))
    shards: list[list[pa.RecordBatch]] = [[] for _ in range(n_shards)]
    while docs:
        n = rng.randint(1, 7)
        shards[rng.randrange(n_shards)].append(batch(docs[:n]))
        docs = docs[n:]
    assert files_of(shards, n_parts, **parameters) == whole


@settings(max_examples=25, deadline=None)
@given(corpora)
def test_conservation_and_agreement_with_a_plain_count(docs: list[Doc]) -> None:
    report = report_of(docs, steps=STEPS, top=250, min_docs=1)
    totals = report["totals"]
    assert totals["in"]["docs"] == len(docs)
    for name in ("docs", "chars", "bytes"):
        assert totals["in"][name] == sum(totals[part][name] for part in ("kept", "dropped", "quarantined"))
    for step, below in zip(report["steps"], [*report["steps"][1:], None], strict=True):
        assert step["reached"]["docs"] == step["dropped"]["docs"] + step["quarantined"]["docs"] + step["left"]["docs"]
        assert step["left"] == (
            below["reached"] if below else {n: totals["kept"][n] for n in ("docs", "chars", "bytes")}
        )
        assert sum(r["docs"] for r in step["reasons"]) == step["dropped"]["docs"] + step["quarantined"]["docs"]

    by_site, by_language = Counter[str](), defaultdict[str, Counter[str]](Counter)
    for each in docs:
        if each["step"] is None and (name := host_of(each["url"])):
            by_site[site_of(name)] += 1
        if each["language"]:
            by_language[each["language"]][each["step"] or "kept"] += 1
    assert {row["key"]: row["docs"] for row in report["composition"]["site"]["by_docs"]} == by_site
    if by_site:
        hhi = sum(n * n for n in by_site.values()) / by_site.total() ** 2
        assert report["composition"]["site"]["concentration"]["docs"]["hhi"] == pytest.approx(hhi, abs=1e-8)
    for row in report["impact"]["language"]["rows"]:
        found = {step: cell["lost_docs"] for step, cell in row["steps"].items() if cell["lost_docs"]}
        assert found | ({"kept": row["kept_docs"]} if row["kept_docs"] else {}) == by_language[row["key"]]


def test_top_lists_are_exact_with_more_sites_than_are_held() -> None:
    rng = random.Random(7)
    sizes = {f"site{i}.com": rng.randint(1, 40) for i in range(1500)}
    docs = [doc(f"http://{name}/", "x", n_tokens=rng.randint(0, 9)) for name, n in sizes.items() for _ in range(n)]
    rng.shuffle(docs)
    report = json.loads(files_of([[batch(docs)]], 2, top=30)[0])["composition"]["site"]
    tokens = Counter[str]()
    for each in docs:
        tokens[each["url"][7:-1]] += each["n_tokens"]
    expected = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:30]
    assert [(row["key"], row["docs"]) for row in report["by_docs"]] == expected
    assert [(row["key"], row["tokens"]) for row in report["by_tokens"]] == sorted(
        tokens.items(), key=lambda i: (-i[1], i[0])
    )[:30]
    assert report["concentration"]["tokens"]["hhi"] == round(
        sum(n * n for n in tokens.values()) / tokens.total() ** 2, 8
    )


def test_hardest_hit_recovers_planted_disparity() -> None:
    # The rates of C4's blocklist (Dodge et al. 2021, section 5.3): 42 % of one group against 6.2 % of the other.
    docs = [lost("http://a.com", "quality", "word", language="aa") for _ in range(420)]
    docs += [doc("http://a.com", "x", language="aa") for _ in range(580)]
    docs += [lost("http://b.com", "quality", "word", language="bb") for _ in range(62)]
    docs += [doc("http://b.com", "x", language="bb") for _ in range(938)]
    docs += [lost("http://c.com", "quality", "word", language="few") for _ in range(29)]
    hits = report_of(docs, steps=STEPS)["impact"]["language"]["hardest_hit"]["quality"]
    assert [hit["key"] for hit in hits] == ["aa"]  # "few" has under 30 docs, "bb" lost less than the others
    assert hits[0]["lost_share"] == 0.42
    assert hits[0]["keep_ratio"] == round(0.58 / (938 / 1029), 6)
    assert hits[0]["below_four_fifths"]


def test_rows_added_up_in_runs_give_the_same_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [batch([doc(f"http://s{i % 7}.com", "x y", language=None)] * 2) for i in range(49)]
    tables = [Report().sketch(each, Position(0, 2 * i, 1)) for i, each in enumerate(made)]
    batches = [rows for table in tables for rows in table.combine_chunks().to_batches()]
    whole = list(groups_of(batches))
    monkeypatch.setattr("curate.folds.report.groups.ROWS_HELD", 5)
    assert list(groups_of(batches)) == whole
    assert ("site", Group("s6.com", Sums(docs=14, tokens=0, words=28, chars=42, bytes=42))) in whole


def test_an_axis_survives_its_file() -> None:
    axis = Axis(10)
    axis.add(Group("a", Sums(1, 2**62, 3, 4, 5), {"s": Sums(docs=2)}))
    axis.add(Group("", Sums(9)))
    assert Axis.from_json(json.loads(json.dumps(axis.to_json()))) == axis
    assert axis.squares.tokens == 2**124


def plain_words(text: str) -> int:
    """The definition of a word, as a loop."""
    n, i = 0, 0

    def wide(char: str) -> bool:
        return (
            re.match(
                r"CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH-|HIRAGANA LETTER|KATAKANA LETTER", unicodedata.name(char, "")
            )
            is not None
        )

    def part(char: str) -> bool:
        return unicodedata.category(char)[0] in "LMN" and not wide(char)

    while i < len(text):
        if wide(text[i]):
            n, i = n + 1, i + 1
        elif part(text[i]):
            n += 1
            while i < len(text) and (part(text[i]) or (text[i] in "'’" and i + 1 < len(text) and part(text[i + 1]))):
                i += 1
        else:
            i += 1
    return n


@given(
    st.lists(st.sampled_from([*"ab1é'’ .-\n日語ひカ", "e\u0301", "привет", "한국", "ไทย"]), max_size=30).map("".join)
)
def test_words_agree_with_their_plain_definition(text: str) -> None:
    assert n_words(text) == plain_words(text)


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>x</script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u202c",
    "a\x00b\x1b[31m",
    "]]><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "\u200b\ufeff",
    "'onmouseover='x",
    "x" * 1_000_000,
]
TAGS = """html head meta title style body svg defs pattern line a header h1 p strong nav ul li main dl div dt dd h2 h3
figure figcaption text rect tspan table caption thead tbody tfoot tr th td bdi details summary g span footer code"""


def test_hostile_strings_are_only_text() -> None:
    docs = []
    for i, evil in enumerate(HOSTILE):
        docs += [doc(f"http://{evil}.com/", evil, language=evil, source=evil)] * 2
        docs += [doc(f"http://ok{i}.com/{evil}", evil, language=evil, source=evil)] * 3
        docs += [lost(f"http://ok{i}.com/{evil}", f"step{i}", evil, language=evil, source=evil)] * 31
        docs += [lost(f"http://ok{i}.com/", evil, "reason", language=evil)]
    data, html = files_of([[batch(docs)]], steps=(HOSTILE[0], "quality"), min_docs=1)
    data.decode("ascii")
    page = Page(html)
    assert set(page.tags) <= set(TAGS.split())
    assert not [
        a
        for a in page.attributes
        if a[1].startswith("on") or a[1] in ("src", "style") or (a[1] == "href" and a[2][0] != "#")
    ]
    shown = "".join(page.words)
    assert "<script>alert(1)</script>" in shown
    assert "49{%" not in shown
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
    assert "\\u202egnp.exe" in shown
    assert len(html) < 2_000_000


def test_page_needs_no_network_and_no_script() -> None:
    docs = [doc(f"http://s{i}.com", "some text", language="en") for i in range(60)] + [
        lost("http://s1.com", "quality", "short")
    ] * 40
    _, html = files_of([[batch(docs)]], steps=STEPS)
    page = Page(html)
    policy = next(value for tag, name, value in page.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert not re.search("unsafe|script-src|http", policy)
    style = re.search(rb"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    assert b64encode(sha256(style[1]).digest()).decode() in policy
    assert not re.search(rb"url\(|@import", style[1])
    for tag in ("svg", "table"):
        assert page.tags[tag] > 3
    labelled = sum(tag == "svg" and name == "aria-label" for tag, name, _ in page.attributes)
    assert labelled == page.tags["svg"] - 1  # all but the hidden one that holds the pattern
    assert page.tags["caption"] == page.tags["table"]
    targets = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for _, name, value in page.attributes if name == "href"} <= targets


def test_conservation_line_on_the_page() -> None:
    docs = (
        [doc("http://a.com", "x")] * 5
        + [lost("http://a.com", "quality", "short")] * 3
        + [lost("http://a.com", "dedup", "error")]
    )
    _, html = files_of([[batch(docs)]], steps=STEPS)
    assert "9 docs in = 5 kept + 3 dropped + 1 quarantined." in "".join(Page(html).words)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_meets_wcag(scheme: str) -> None:
    css = (files("curate.folds.report") / "page.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", "".join(blocks[: 1 if scheme == "light" else 2])))
    text = [(ink, paper) for ink in ("ink", "soft", "flag") for paper in ("page", "panel")]
    text += [("heat-ink", f"h{i}") for i in range(1, 9)] + [
        ("on-dark", "b1"),
        ("on-light", "b2"),
        ("on-dark", "b3"),
        ("ink", "b4"),
    ]
    shapes = [(shape, "page") for shape in ("unit", "docs-edge", "kept", "lost")]
    for pairs, least in ((text, 4.5), (shapes, 3.0)):
        for one, other in pairs:
            low, high = sorted((luminance(colours[one]), luminance(colours[other])))
            assert (high + 0.05) / (low + 0.05) >= least, (one, other)


@given(st.text(max_size=300))
def test_plain_text_is_short_and_visible(text: str) -> None:
    shown = plain(text)
    assert 0 < len(shown) <= 60
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Co", "Cn", "Cs")]


def test_labels() -> None:
    assert host("аpple.com") == "аpple.com (xn--pple-43d.com)"  # a Cyrillic а
    assert [percent(s) for s in (None, 0.0, 0.0004, 0.12345, 0.9996, 1.0)] == [
        "–",
        "0.0 %",
        "<0.1 %",
        "12.3 %",
        ">99.9 %",
        "100.0 %",
    ]
    assert [compact(n) for n in (0, 999, 1000, 12_345, 999_999, 1_234_567, 156 * 10**9)] == [
        "0",
        "999",
        "1 k",
        "12.3 k",
        "999 k",
        "1.23 M",
        "156 B",
    ]


@pytest.mark.parametrize("parameters", [{"top": 0}, {"top": 251}, {"min_docs": 0}])
def test_bad_parameters_are_refused(parameters: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(parameters))):
        Report(**parameters)


def test_importing_the_fold_loads_nothing_heavy() -> None:
    heavy = "{'jinja2', 'numba', 'torch', 'datatrove', 'duckdb'}"
    code = f"import sys, curate.folds.report; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_real_urls_agree_with_a_plain_count() -> None:
    index = gzip.decompress(shared_data("pages", "web-dev.index.jsonl.gz").read_bytes()).decode().splitlines()
    found = [json.loads(line) for line in index]
    docs = [doc(row["url"], None, language=row["lang"], n_tokens=row["bytes"]) for row in found]
    shards = [[batch(docs[i : i + 64]) for i in range(start, 5475, 256)] for start in (0, 64, 128, 192)]
    report = json.loads(files_of(shards, 5)[0])
    tokens, sites, languages = Counter[str](), Counter[str](), Counter[str]()
    for row in found:
        site = site_of(host_of(row["url"]) or "")
        tokens[site] += row["bytes"]
        sites[site] += 1
        languages.update([row["lang"]] if row["lang"] else [])
    assert report["totals"]["kept"]["tokens"] == tokens.total()
    assert report["composition"]["site"]["n_keys"] == len(sites)
    assert [(row["key"], row["tokens"], row["docs"]) for row in report["composition"]["site"]["by_tokens"]] == [
        (site, n, sites[site]) for site, n in sorted(tokens.items(), key=lambda item: (-item[1], item[0]))[:25]
    ]
    assert {row["key"]: row["docs"] for row in report["composition"]["language"]["by_docs"]} == dict(
        sorted(languages.items(), key=lambda item: (-item[1], item[0]))[:25]
    )


def test_tags_of_kept_docs_are_counted_by_step_and_reason(tmp_path: Path) -> None:
    columns = {
        "url": ["http://a.example/", "http://b.example/", "http://c.example/"],
        "text": ["one two", "three", "four five six"],
        "step": [None, None, "dedup"],
        "reason": [None, None, "near_duplicate"],
        "toxicity_reason": ["toxic_vocabulary", None, "toxic_vocabulary"],
    }
    batch = pa.RecordBatch.from_pydict({name: pa.array(values, pa.string()) for name, values in columns.items()})
    out = run_fold(Report(), [[batch]], tmp_path)
    report = json.loads((out / "report.json").read_text())
    assert [(row["step"], row["reason"], row["docs"], row["words"]) for row in report["tagged"]] == [
        ("toxicity", "toxic_vocabulary", 1, 2)  # the third doc was dropped: its tag is no longer of a kept doc
    ]
    assert "Tagged, and kept" in (out / "report.html").read_text()


def declares(robots: str | None, reserved: bool | None, license: str | None, **more: Any) -> Doc:
    return (
        doc("https://example.com/", "two words") | {"robots": robots, "reserved": reserved, "license": license} | more
    )


def declaring(docs: list[Doc]) -> pa.RecordBatch:
    made = batch(docs)
    made = made.append_column("robots", pa.array([d["robots"] for d in docs], pa.string()))
    made = made.append_column("tdm_reservation", pa.array([d["reserved"] for d in docs], pa.bool_()))
    return made.append_column("license", pa.array([d["license"] for d in docs], pa.string()))


def test_consent_and_licences_counted_by_hand() -> None:
    docs = [
        declares("index,noai,noindex", None, "cc-by-4.0"),
        declares("ccbot:noai", True, "cc-by-sa-3.0-de", text="one two three four"),  # said to one crawler only
        declares("noai", False, "cc-by-nc-4.0"),
        declares(None, None, None),
        declares("noai", True, "cc-by-4.0", outcome="dropped", step="consent", reason="noai", text=None, n_chars=9),
    ]
    shards = [[declaring(docs[:2])], [declaring(docs[2:]), batch([doc("https://old.example/", "no such columns")])]]
    said = json.loads(files_of(shards, top=2)[0])["consent"]
    robots, licenses = (
        [(r["key"], r["docs"], r["words"], r["docs_share"]) for r in said[n]] for n in ("robots", "license")
    )
    assert robots == [("noai", 2, 4, 0.5), ("noindex", 1, 2, 0.25)]
    assert licenses == [("cc-by-4.0", 1, 2, 0.25), ("cc-by-nc-4.0", 1, 2, 0.25)]
    assert [(r["key"], r["docs"]) for r in said["tdm_reservation"]] == [("reserved", 1)]
    assert [(r["key"], r["docs"], r["words_share"]) for r in said["open_license"]] == [("open", 2, 0.6)]
    assert (said["docs"], said["words"]) == (4, 10)


def test_a_corpus_without_declarations_says_so() -> None:
    report, page = files_of([[batch([doc("https://example.com/", "text")])]])
    assert json.loads(report)["consent"] is None
    assert b"No kept doc has what" in page
    page = files_of([[declaring([declares(None, None, "<script>")])]])[1]
    assert b"licence: <bdi>&lt;script&gt;</bdi>" in page
    assert b"robots: none" in page


def test_columns_of_another_type_are_no_declarations() -> None:
    made = batch([doc("https://example.com/", "text")]).append_column("license", pa.array([["mit"]]))
    assert json.loads(files_of([[made]])[0])["consent"] is None
