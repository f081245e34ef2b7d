"""What a crawl's record holds of a web page, and the batches that such pages make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

import pyarrow as pa

from curate.schema import HTML_SCHEMA
from curate.source import Slice, doc_id
from curate.sources import http
from curate.sources.batches import MAX_BATCH_BYTES, MAX_BATCH_DOCS

MIME_FAMILIES = frozenset({"application", "audio", "font", "image", "message", "model", "multipart", "text", "video"})


class Page(NamedTuple):
    """What a record holds of a web page."""

    html: bytes | memoryview
    charset: str | None  # of the Content-Type header
    headers: Mapping[str, str]  # see `http.kept_headers`


def page_of(block: bytes | memoryview, content_type: str) -> tuple[str, Page | None]:
    """Return the kind of a record whose block should be an HTTP response, and the page, if it is one."""
    response = http.parse_response(block)
    if response is None:
        return ("dns" if http.mime_of(content_type) == "text/dns" else "not_http"), None
    if response.status != 200:
        return f"status:{response.status}", None
    mime = response.mime
    if mime and mime not in http.HTML_MIMES:
        return not_html(mime), None
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
    if not mime and not http.looks_like_html(html):
        return "mime:none", None
    return "response", Page(html, response.charset, http.kept_headers(response))


def not_html(mime: str) -> str:
    """Return the kind under which a payload of this type is counted."""
    family = mime.partition("/")[0]
    return f"mime:{family if family in MIME_FAMILIES else 'other' if mime else 'none'}"


class Pages:
    """Collects pages into batches of HTML_SCHEMA."""

    def __init__(self, piece: Slice) -> None:
        self._piece = piece
        self._columns: dict[str, list[Any]] = {name: [] for name in HTML_SCHEMA.names}
        self._n_bytes = 0

    def is_full(self, n_more: int) -> bool:
        """Say whether a page of `n_more` bytes belongs in the next batch."""
        n_docs = len(self._columns["url"])
        return n_docs >= MAX_BATCH_DOCS or (n_docs > 0 and self._n_bytes + n_more > MAX_BATCH_BYTES)

    def add(self, offset: int, url: str, fetched_at: datetime | None, truncated: str | None, page: Page) -> None:
        """Add a page."""
        row = (doc_id(self._piece.name, offset), url or None, self._piece.source, self._piece.name, offset, fetched_at)
        rest = (truncated, _kept(page.html), page.charset, list(page.headers.items()))
        for column, value in zip(self._columns.values(), (*row, *rest), strict=True):
            column.append(value)
        self._n_bytes += len(page.html)

    def take(self) -> pa.RecordBatch:
        """Return what was collected and begin anew."""
        html = self._columns.pop("html")
        columns = {name: pa.array(values, HTML_SCHEMA.field(name).type) for name, values in self._columns.items()}
        columns["html"] = _binary(html)
        self._columns = {name: [] for name in HTML_SCHEMA.names}
        self._n_bytes = 0
        return pa.RecordBatch.from_arrays([columns[name] for name in HTML_SCHEMA.names], schema=HTML_SCHEMA)

    def __len__(self) -> int:
        return len(self._columns["url"])


def _kept(html: bytes | memoryview) -> bytes | memoryview:
    """Return what may wait for its batch: a small view would keep all that it is cut from in memory."""
    if isinstance(html, memoryview) and 2 * len(html) < memoryview(html.obj).nbytes:
        return bytes(html)
    return html


def _binary(values: list[bytes | memoryview]) -> pa.Array:
    """Return a binary array by copying each value once (`pa.array` copies twice)."""
    offsets = pa.array(accumulate(map(len, values), initial=0), pa.int32())
    return pa.Array.from_buffers(pa.binary(), len(values), [None, offsets.buffers()[1], pa.py_buffer(b"".join(values))])
