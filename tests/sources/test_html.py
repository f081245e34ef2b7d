"""Mirrors curate/sources/html.py."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from curate.schema import HTML_SCHEMA
from curate.source import doc_id
from curate.sources import html
from tests.sources.build import read_bytes

PAGE = "<!doctype html><html><head><title>caf\xe9</title></head><body><p>x</p></body></html>".encode("latin-1")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_a_file_is_a_doc_with_its_bytes_as_they_are(tmp_path: Path, pack) -> None:
    data = pack(PAGE)
    table, tally = read_bytes(tmp_path, data, "page.html", "html")
    assert table.schema == HTML_SCHEMA
    (row,) = table.to_pylist()
    assert row["html"] == PAGE
    assert (row["doc_id"], row["warc_file"], row["offset_bytes"]) == (doc_id("page.html", 0), "page.html", 0)
    assert row["source"] == "web"
    assert [row[name] for name in ("url", "fetched_at", "truncated", "http_charset")] == [None] * 4
    assert (tally.records, tally.bytes_ok) == ({"page": 1}, len(data))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_page_that_breaks_off_is_kept_up_to_there_and_says_so(tmp_path: Path, pack) -> None:
    long = PAGE + b"".join(b"<p>%d</p>" % n**9 for n in range(3000))
    data = pack(long)
    table, tally = read_bytes(tmp_path, data[: len(data) // 2], "page.html", "html")
    (row,) = table.to_pylist()
    assert long.startswith(row["html"])
    assert row["truncated"] == "damaged"
    assert [span.cause for span in tally.bad_spans] == ["the file ends inside compressed data"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_page_over_the_cap_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack) -> None:
    monkeypatch.setattr(html, "MAX_PAGE_BYTES", 1000)
    table, tally = read_bytes(tmp_path, pack(PAGE + b"<p>" * 1000), "page.html", "html")
    assert (table.num_rows, tally.records) == (0, {"too_large": 1})
