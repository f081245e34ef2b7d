"""Reads WARC files, plain or compressed: HTML pages become docs, every other record is counted by its kind."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from curate.schema import HTML_SCHEMA
from curate.source import Slice, Tally
from curate.sources import http
from curate.sources.batches import WholeFiles
from curate.sources.dates import timestamp_of
from curate.sources.digests import DigestError, check_digests
from curate.sources.files import open_input
from curate.sources.framing import Record, Records
from curate.sources.pages import Page, Pages, not_html, page_of
from curate.sources.streams import count_bad
from curate.sources.warc_format import KINDS, WarcFormat

PAGE_KINDS = ("response", "resource")
TRUNCATED = frozenset({"length", "time", "disconnect", "unspecified"})  # WARC 1.1, 5.13


class Warc(WholeFiles):
    """WARC 0.17 to 1.1: responses with status 200 and resources, both with an HTML type.

    Compressed by gzip, zstd (with its dictionary, as iipc's warc-zstd 1.0 has it) or lz4: one member a record, one
    for all, or cut anywhere.

    Every record is counted once under one kind. Docs: `response`, `resource`. Others: their WARC type;
    `dns`, `not_http`; `status:404`; `mime:image`, `mime:none` …; `undecodable_http`; `decompress_ratio` (a
    bomb); `too_large` (a block or a decoded payload over 64 MiB); `segment` (the first part of a record whose rest
    is in `continuation`s: part of a page is not a page); `unknown_type`. Kinds come from closed sets, so that no
    file can invent many. A payload that starts like a PDF or an image is counted as that.

    With `check_digests`, blocks and payloads are compared with the digests in their headers. Where one differs, the
    record's bytes are bad and its kind is `digest_mismatch`; a digest by an unknown algorithm is counted as
    `digest_unknown`, in addition to the record's kind.
    """

    kind = "warc"
    version = 5
    schema = HTML_SCHEMA
    uses: tuple[str, ...] = ("brotli", "isal", "lz4", "zstandard")

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`."""
        return WarcFormat(()).starts(head.lstrip(b"\x00\r\n")) and not name.endswith(".wet")

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one batch and one record."""
        pages = Pages(piece)
        for record in records_of(piece, tally, PAGE_KINDS):
            kind, page = _page(record)
            tally.records[kind] += 1
            if page is None:
                continue
            if pages.is_full(len(page.html)):
                yield pages.take()
            fields = record.fields
            fetched_at = timestamp_of(fields.get("warc-date", ""))
            pages.add(record.offset_bytes, url_of(record), fetched_at, truncated_of(record), page)
        if len(pages):
            yield pages.take()


def records_of(piece: Slice, tally: Tally, wanted: tuple[str, ...]) -> Iterator[Record]:
    """Yield the records of a WARC or WET file, those of `wanted` kinds with fields and block.

    With `piece.check_digests`, records that do not have the digests they name are counted as damage.
    """
    form = WarcFormat((*KINDS,) if piece.check_digests else wanted)
    with open_input(piece) as file:
        for record in Records(file, piece.size_bytes, tally, form):
            if piece.check_digests and record.block is not None:
                try:
                    n_unknown = check_digests(record.kind, record.fields, record.block)
                except DigestError as error:
                    tally.records["digest_mismatch"] += 1
                    tally.bytes_ok -= record.span[1]
                    count_bad(tally, *record.span, str(error))
                    continue
                if n_unknown:
                    tally.records["digest_unknown"] += 1
            yield record


def url_of(record: Record) -> str:
    """Return the target URI of a WARC record, without the brackets that some crawlers put around it."""
    return record.fields.get("warc-target-uri", "").strip("<> \t\r")


def truncated_of(record: Record) -> str | None:
    """Return why the crawler cut the record: one of WARC's reasons, `other` for any else, None where it did not."""
    reason = record.fields.get("warc-truncated", "").strip().lower()
    return (reason if reason in TRUNCATED else "other") if reason else None


def _page(record: Record) -> tuple[str, Page | None]:
    """Return the kind of a record and, if it is one, the page it holds."""
    if record.too_large:
        return "too_large", None
    if record.kind not in PAGE_KINDS or record.block is None:
        return record.kind, None
    if record.fields.get("warc-segment-number"):
        return "segment", None
    content_type = record.fields.get("content-type", "")
    if record.kind == "response":
        return page_of(record.block, content_type)
    mime = http.mime_of(content_type)
    if mime not in http.HTML_MIMES:
        return not_html(mime), None
    return "resource", Page(record.block, http.charset_of(content_type), {})
