"""Mirrors curate/stages/extract.py; the laws of all stages run in tests/laws."""

from __future__ import annotations

import re
import time
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.apply import check_verdict
from curate.errors import InputError
from curate.extractors import EXTRACTORS
from curate.stages.extract import REASONS, WRITES, Extract
from tests.helpers import batch_of, shared_data
from tests.laws.specs import made
from tests.sources.build import read, whole

ARTICLE = "Ångström wrote a long sentence about spectra, and nobody ever read it to its end. "
BODY = f"<nav>Home | About</nav><article><p>{ARTICLE * 5}</p></article>"
HTML = f"<html><head><title>t</title></head><body>{BODY}</body></html>"
ENGINES = EXTRACTORS
NATIVE = ("resiliparse", "trafilatura")


def _batch(pages: list[bytes | None], charsets: list[str | None] | None = None) -> pa.RecordBatch:
    n = len(pages)
    return batch_of(html=pages, http_charset=charsets or [None] * n, http_headers=[None] * n, url=[None] * n)


def _one(page: bytes | None, charset: str | None = None, **parameters) -> tuple[str, str | None]:
    verdict = Extract(**parameters)(_batch([page], [charset]))
    return verdict.columns["text"][0].as_py(), verdict.drop_reason[0].as_py()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_text_of_a_page_comes_out(engine: str) -> None:
    text, reason = _one(HTML.encode("cp1252"), "iso-8859-1", extractor=engine)
    assert reason is None
    assert text == (ARTICLE * 5).strip()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "page", [None, b"", b"   ", b"<html></html>", b"<script>var x = 1</script>", b"\x00", b"\xff\xfe"]
)
def test_pages_without_text_are_dropped(engine: str, page: bytes | None) -> None:
    text, reason = _one(page, extractor=engine)
    assert (text, reason) == ("", "no_text" if page else "no_html")


def test_an_empty_batch_works() -> None:
    verdict = Extract()(_batch([]))
    assert verdict.columns["text"].type == verdict.drop_reason.type == pa.string()
    assert len(verdict.columns["text"]) == 0
    assert {name: column.type for name, column in verdict.columns.items()} == WRITES


@pytest.mark.parametrize("engine", NATIVE)
def test_the_caps_themselves_are_kept(engine: str) -> None:
    page = HTML.encode()
    assert _one(page, extractor=engine, max_html_bytes=len(page))[1] is None
    assert _one(page, extractor=engine, max_html_bytes=len(page) - 1) == ("", "html_too_large")
    deep = HTML.replace("<article>", "<article>" + "<div>" * 20).encode()  # html, head and title may nest too
    assert _one(deep, extractor=engine, max_depth=26)[1] is None
    assert _one(deep, extractor=engine, max_depth=25) == ("", "html_too_deep")
    wide = HTML.replace("<p>", "<p " + " ".join(f"a{i}=1" for i in range(50)) + ">").encode()
    assert _one(wide, extractor=engine, max_attributes=50)[1] is None
    assert _one(wide, extractor=engine, max_attributes=49) == ("", "too_many_attributes")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"<div>" * 40_000, "html_too_deep"),
        (b"<div>" * 40_000 + b"</div>" * 40_000, "html_too_deep"),
        (b"<DIV\n>x</b>" * 40_000, "html_too_deep"),  # end tags of others close nothing
        (b"<span><b></span>" * 40_000, "html_too_deep"),
        (b"<p " + b"a " * 100_000 + b">", "too_many_attributes"),
        (b"<p " + b"a=\"x\" b='y'\n" * 50_000 + b">", "too_many_attributes"),
        (b"<x" + b"/a" * 100_000 + b">", "too_many_attributes"),
        ("<div>".encode("utf-16") * 40_000, "html_too_deep"),
        (b"x" * (10 << 20) + b"y", "html_too_large"),
    ],
)
def test_pages_that_would_hold_the_parser_are_dropped_at_once(page: bytes, reason: str) -> None:
    for engine in NATIVE:
        started = time.process_time()
        assert _one(page, extractor=engine) == ("", reason)
        assert time.process_time() - started < 5


def test_unclosed_list_items_and_cells_are_not_depth() -> None:
    page = b"<ul>" + b"<li>an item" * 3000 + b"</ul><table>" + b"<tr><td>1<td>2<br>" * 3000 + b"</table>"
    assert _one(page, extractor="resiliparse")[1] is None


def test_each_page_stands_alone_in_both_engines() -> None:
    """trafilatura's own deduplication would drop the text of a page it has seen before."""
    for engine in ENGINES:
        stage = Extract(extractor=engine)
        texts = stage(_batch([HTML.encode()] * 5)).columns["text"].to_pylist()
        assert texts == [texts[0]] * 5
        assert texts[0]


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from([None, "utf-8", "utf-16", "gbk", "shift_jis", "latin1", "nonsense", "iso-2022-jp"]),
)
def test_any_bytes_give_valid_text_or_a_reason(page: bytes, charset: str | None) -> None:
    for html in (page, b"<p>" + page, page * 20):
        text, reason = _one(html, charset)
        assert text.encode("utf-8").decode("utf-8") == text
        assert (reason is None) == bool(text)
        assert reason is None or reason in REASONS


@pytest.mark.parametrize(
    "parameters",
    [
        {"extractor": "jusText"},
        {"keep": "most"},
        {"keep": "precision", "extractor": "resiliparse"},
        {"format": "html"},
        {"format": "markdown", "extractor": "resiliparse"},
        {"comments": "hide"},
        {"timeout_s": 0},
        {"timeout_s": 61},
        {"timeout_s": float("nan")},
        {"max_memory_bytes": 1 << 20},
        {"max_depth": 0},
        {"max_html_bytes": -1},
        {"max_attributes": 0},
        {"max_bad_chars_frac": -0.1},
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(parameters))):
        Extract(**parameters)  # type: ignore[arg-type]


def test_an_error_about_a_setting_names_what_the_engine_has() -> None:
    with pytest.raises(InputError, match=r"allowed with extractor resiliparse: recall, balanced$"):
        Extract(extractor="resiliparse", keep="precision")


@pytest.mark.parametrize("engine", ENGINES)
def test_real_pages_are_extracted_alike_in_any_batch(engine: str) -> None:
    path = shared_data("warc", "iana.warc.gz")
    table, _ = read(whole(path))
    batch = table.combine_chunks().to_batches()[0]
    together = Extract(extractor=engine)(batch)
    assert together.drop_reason.null_count >= 15
    assert table.num_rows == 16
    apart = [Extract(extractor=engine)(batch.slice(i, 1)) for i in range(batch.num_rows)]
    for name in WRITES:
        assert together.columns[name].to_pylist() == [one.columns[name][0].as_py() for one in apart]


COMMENTS = f"""<html><head><title>t</title></head><body><nav><a href=/>Home</a> <a href=/x>About</a></nav>
<article><h1>Spectra</h1><p>{ARTICLE * 4}</p><ul><li>{ARTICLE}</li><li>second {ARTICLE}</li></ul>
<table><tr><td>row one</td><td>1.5</td></tr><tr><td>row two</td><td>2.5</td></tr></table></article>
<div id="comments" class="comments"><h3>Comments</h3><div><p>A reader says: {ARTICLE * 3}</p></div></div>
</body></html>""".encode()


@pytest.mark.parametrize("engine", NATIVE)
def test_readers_comments_are_dropped_or_kept(engine: str) -> None:
    assert "reader says" not in _one(COMMENTS, extractor=engine)[0]
    assert "reader says" in _one(COMMENTS, extractor=engine, comments="keep")[0]


def test_what_is_kept_in_doubt_grows_with_the_setting() -> None:
    for engine in ENGINES:
        texts = {keep: _one(COMMENTS, extractor=engine, keep=keep)[0] for keep in ("balanced", "recall")}
        assert len(texts["recall"]) >= len(texts["balanced"]) > 100
    assert "About" in _one(COMMENTS, extractor="resiliparse", keep="recall")[0]


@pytest.mark.parametrize("engine", ["curate", "trafilatura"])
def test_markdown_has_headings_and_items(engine: str) -> None:
    lines = _one(COMMENTS, extractor=engine, format="markdown")[0].splitlines()
    assert any(line.startswith("# Spectra") for line in lines)
    assert any(line.startswith("- ") for line in lines)


def test_rows_of_tables_and_lines_of_code_are_kept() -> None:
    code = "<pre>def f():\n    return 1\n</pre>"
    html = COMMENTS.decode().replace("<table>", f"{code}<p>{ARTICLE * 2}</p><table>").encode()
    text, markdown = _one(html)[0], _one(html, format="markdown")[0]
    assert "def f():\n    return 1\n" in text
    assert "row one\t1.5\nrow two\t2.5" in text
    assert "```\ndef f():\n    return 1\n```" in markdown
    assert "| row one | 1.5 |" in markdown


def test_what_a_page_says_of_itself_stands_in_columns() -> None:
    head = (
        "<title>A title</title><meta name=author content='Jo Doe'><meta name=robots content=noai>"
        "<meta property=article:published_time content=2024-05-06T07:08:09Z>"
        "<link rel=canonical href=/canonical><link rel=license href=https://creativecommons.org/licenses/by-sa/4.0/>"
    )
    html = f"<html lang=de><head>{head}</head><body>{BODY}<footer>© 2024 Jo Doe</footer></body></html>".encode("cp1252")
    batch = batch_of(
        html=[html, None, html],
        http_charset=["windows-1252", None, None],
        http_headers=[[("tdm-reservation", "1"), ("x-robots-tag", "noindex")], None, []],
        url=["https://site.example/a", None, None],
    )
    for engine in ENGINES:
        step = made("extract", {"extractor": engine})
        verdict = step.spec(batch)
        check_verdict(step, batch, verdict)
        row = {name: column.to_pylist() for name, column in verdict.columns.items()}
        assert row["title"] == ["A title", None, "A title"]
        assert row["author"][0] == "Jo Doe"
        assert row["published"][0] == "2024-05-06"
        assert row["canonical_url"][0] == "https://site.example/canonical"
        assert row["declared_language"][0] == "de"
        assert row["robots"] == ["noai,noindex", None, "noai"]
        assert row["tdm_reservation"] == [True, None, None]
        assert row["license"][0] == "cc-by-sa-4.0"
        assert "2024 Jo Doe" in row["copyright"][0]
        assert row["charset"][:2] == ["windows-1252", None]
        assert row["n_bad_chars"][:2] == [0, None]
        assert row["text"][0] == (ARTICLE * 5).strip()


@pytest.mark.parametrize("engine", ENGINES)
def test_text_that_could_not_be_decoded_is_named(engine: str) -> None:
    sentence = (
        "Lorem ipsum dolor sit amet consetetur sadipscing elitr sed diam nonumy eirmod tempor invidunt ut labore. "
    )

    def page(n_bad: int) -> bytes:
        text = (sentence * 10).encode()
        head = b"<html><head><meta charset=utf-8></head><body><article><p>"
        return head + b"caf\xff " * n_bad + text[5 * n_bad :] + b"</p></article></body></html>"

    valid = f"<!-- {'é' * 9999} -->".encode()  # so that the page is taken for the UTF-8 that it says it is
    assert _one(valid + page(10), "utf-8", extractor=engine)[1] is None
    garbled = sentence.encode().replace(b"i", b"\xfe").replace(b"or", b"\xff\xfe")
    bad = valid + page(0).replace(sentence.encode(), garbled)
    stage = Extract(extractor=engine)
    verdict = stage(_batch([bad], ["utf-8"]))
    assert verdict.drop_reason.to_pylist() == ["undecodable"]
    signals = {name: column[0].as_py() for name, column in verdict.columns.items()}
    assert signals["n_bad_chars"] > 100
    assert str(signals["n_bad_chars"]) in stage.explain("undecodable", signals)


def test_only_native_extractors_are_explained_by_their_limits() -> None:
    stage = Extract(extractor="trafilatura", timeout_s=3)
    assert stage.explain("extractor_timeout", {}) == "trafilatura took longer than 3 s"
    assert "2,147,483,648 bytes" in stage.explain("extractor_crash", {})
    assert stage.explain("no_text", {}) == ""


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "min_f1"), [("resiliparse", 0.75), ("trafilatura", 0.80)])
def test_main_text_of_real_pages_is_near_what_people_marked(engine: str, min_f1: float) -> None:
    """Mean word F1 against hand-made main text; every eighth page of one file that has one."""
    import gzip
    import json

    with gzip.open(shared_data("pages", "web-dev.gold.jsonl.gz"), "rt") as file:
        gold = {line["id"]: line["text"] for line in map(json.loads, file) if line["kind"] == "text"}
    with gzip.open(shared_data("pages", "web-dev.index.jsonl.gz"), "rt") as file:
        at = {(line["warc"], line["offset"]): line["id"] for line in map(json.loads, file) if line["id"] in gold}
    path = shared_data("pages", "web-dev-01.warc.gz")
    table, _ = read(whole(path))
    marked = [at.get((path.name, offset)) for offset in table["offset_bytes"].to_pylist()]
    rows = [row for row, one in enumerate(marked) if one is not None][::8]
    assert len(rows) > 50
    texts = Extract(extractor=engine)(table.take(rows).combine_chunks().to_batches()[0]).columns["text"].to_pylist()
    scores = [_f1(text, gold[marked[row]]) for text, row in zip(texts, rows, strict=True)]  # type: ignore[index]
    assert sum(scores) / len(scores) > min_f1


def _f1(found: str, expected: str) -> float:
    a, b = (Counter(re.findall(r"\w+", text.lower())) for text in (found, expected))
    common = (a & b).total()
    return 2 * common / (a.total() + b.total()) if common else 0.0
