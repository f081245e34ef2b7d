"""Mirrors curate/stages/extract.py; the laws of all stages run in tests/laws."""

from __future__ import annotations

import re
import time
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.stages.extract import REASONS, Extract
from tests.helpers import batch_of, shared_data
from tests.sources.build import read, whole

ARTICLE = "Ångström wrote a long sentence about spectra, and nobody ever read it to its end. "
BODY = f"<nav>Home | About</nav><article><p>{ARTICLE * 5}</p></article>"
HTML = f"<html><head><title>t</title></head><body>{BODY}</body></html>"
ENGINES = ("resiliparse", "trafilatura")


def _batch(pages: list[bytes | None], charsets: list[str | None] | None = None) -> pa.RecordBatch:
    return batch_of(html=pages, http_charset=charsets or [None] * len(pages))


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


def test_the_caps_themselves_are_kept() -> None:
    page = HTML.encode()
    assert _one(page, max_html_bytes=len(page))[1] is None
    assert _one(page, max_html_bytes=len(page) - 1) == ("", "html_too_large")
    deep = b"<div>" * 50 + b"text of the page" + b"</div>" * 50
    assert _one(deep, max_depth=50)[1] is None
    assert _one(deep, max_depth=49) == ("", "html_too_deep")
    wide = b"<p " + b" ".join(b"a%d=1" % i for i in range(50)) + b">text of the page</p>"
    assert _one(wide, max_attributes=50)[1] is None
    assert _one(wide, max_attributes=49) == ("", "too_many_attributes")


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
    started = time.process_time()
    assert _one(page) == ("", reason)
    assert time.process_time() - started < 5


def test_unclosed_list_items_and_cells_are_not_depth() -> None:
    page = b"<ul>" + b"<li>an item" * 3000 + b"</ul><table>" + b"<tr><td>1<td>2<br>" * 3000 + b"</table>"
    assert _one(page)[1] is None


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
    "parameters", [{"extractor": "jusText"}, {"max_depth": 0}, {"max_html_bytes": -1}, {"max_attributes": 0}]
)
def test_wrong_parameters_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(parameters))):
        Extract(**parameters)  # type: ignore[arg-type]


def test_real_pages_are_extracted_alike_in_any_batch() -> None:
    path = shared_data("warc", "iana.warc.gz")
    table, _ = read(whole(path))
    batch = table.combine_chunks().to_batches()[0]
    together = Extract()(batch)
    assert together.drop_reason.null_count == table.num_rows == 16
    apart = [Extract()(batch.slice(i, 1)).columns["text"][0] for i in range(batch.num_rows)]
    assert together.columns["text"].to_pylist() == [text.as_py() for text in apart]


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
