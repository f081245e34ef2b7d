"""Reads WARC files, plain or gzip: HTML pages become docs, every other record is counted by its kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from curate.schema import HTML_SCHEMA
from curate.source import Slice, Tally, doc_id
from curate.sources import http
from curate.sources.dates import timestamp_of
from curate.sources.framing import Headers, Record, Records
from curate.sources.streams import RECORD_START

MAX_BATCH_DOCS = 64
MAX_BATCH_BYTES = 16 << 20  # of html; one doc may be larger

TYPES = frozenset({"warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"})
MIME_FAMILIES = frozenset({"application", "audio", "font", "image", "message", "model", "multipart", "text", "video"})


class Page(NamedTuple):
    """What a record holds of a web page."""

    html: bytes
    charset: str | None  # of the Content-Type header
    headers: dict[str, str]  # see `http.kept_headers`


class Warc:
    """WARC 0.17 to 1.1: responses with status 200 and resources, both with an HTML type.

    Every record is counted once under one kind. Docs: `response`, `resource`. Others: their WARC type;
    `dns`, `not_http`; `status:404`; `mime:image`, `mime:none` …; `undecodable_http`; `decompress_ratio` (a
    bomb); `too_large` (a block or a decoded payload over 64 MiB); `unknown_type`. Kinds come from closed sets,
    so that no file can invent many. A payload that starts like a PDF or an image is counted as that.
    """

    kind = "warc"
    version = 3
    schema = HTML_SCHEMA
    uses: tuple[str, ...] = ("brotli", "isal", "zstandard")

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`."""
        return RECORD_START.match(head.lstrip(b"\x00\r\n")) is not None

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of this slice's batches: that of every file of this kind."""
        return self.schema

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return the whole file: a WARC is never cut."""
        return [(0, size_bytes)]

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one batch and one record."""
        rows: list[dict[str, Any]] = []
        n_bytes = 0
        with open(piece.path, "rb", buffering=0) as file:
            for record in Records(file, piece.size_bytes, tally, _is_wanted):
                kind, page = _page(record)
                tally.records[kind] += 1
                if page is None:
                    continue
                if rows and n_bytes + len(page.html) > MAX_BATCH_BYTES:
                    yield pa.RecordBatch.from_pylist(rows, HTML_SCHEMA)
                    rows, n_bytes = [], 0
                rows.append(_row(piece, record, page))
                n_bytes += len(page.html)
                if len(rows) == MAX_BATCH_DOCS:
                    yield pa.RecordBatch.from_pylist(rows, HTML_SCHEMA)
                    rows, n_bytes = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, HTML_SCHEMA)


def _is_wanted(headers: Headers) -> bool:
    return headers.get("warc-type", "").lower() in ("response", "resource")


def _row(piece: Slice, record: Record, page: Page) -> dict[str, Any]:
    url = record.headers.get("warc-target-uri", "").strip("<> \t\r")
    return {
        "doc_id": doc_id(piece.name, record.offset_bytes),
        "url": url or None,
        "source": piece.source,
        "warc_file": piece.name,
        "offset_bytes": record.offset_bytes,
        "fetched_at": timestamp_of(record.headers.get("warc-date", "")),
        "truncated": record.headers.get("warc-truncated", "").strip().lower() or None,
        "html": page.html,
        "http_charset": page.charset,
        "http_headers": page.headers,
    }


def _page(record: Record) -> tuple[str, Page | None]:
    """Return the kind of a record and, if it is one, the page it holds."""
    kind = record.headers.get("warc-type", "").lower()
    if kind not in TYPES:
        return "unknown_type", None
    if record.too_large:
        return "too_large", None
    if record.block is None:
        return kind, None
    content_type = record.headers.get("content-type", "")
    if kind == "resource":
        mime = http.mime_of(content_type)
        if mime not in http.HTML_MIMES:
            return _not_html(mime), None
        return kind, Page(record.block, http.charset_of(content_type), {})
    response = http.parse_response(record.block)
    if response is None:
        return ("dns" if http.mime_of(content_type) == "text/dns" else "not_http"), None
    return _response_page(response)


def _response_page(response: http.Response) -> tuple[str, Page | None]:
    if response.status != 200:
        return f"status:{response.status}", None
    if response.mime and response.mime not in http.HTML_MIMES:
        return _not_html(response.mime), None
    try:
        html = http.payload_of(response)
    except http.UndecodableError:
        return "undecodable_http", None
    except http.TooLargeError:
        return "too_large", None
    except http.DecompressRatioError:
        return "decompress_ratio", None
    if family := http.sniffed_family(html):  # a PDF or an image, whatever its header says
        return f"mime:{family}", None
    if not response.mime and not http.looks_like_html(html):
        return "mime:none", None
    return "response", Page(html, response.charset, http.kept_headers(response))


def _not_html(mime: str) -> str:
    family = mime.partition("/")[0]
    return f"mime:{family if family in MIME_FAMILIES else 'other' if mime else 'none'}"
