"""Reads WET files: the plain text that a crawl made of its pages, one doc a conversion record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curate.schema import TEXT_SCHEMA, TRUNCATED
from curate.source import Slice, Tally, doc_id
from curate.sources import http
from curate.sources.batches import WholeFiles, batched
from curate.sources.dates import timestamp_of
from curate.sources.framing import Record
from curate.sources.pages import not_html
from curate.sources.warc import records_of, truncated_of, url_of
from curate.sources.warc_format import WarcFormat

SCHEMA = pa.schema([*TEXT_SCHEMA, TRUNCATED, pa.field("declared_language", pa.string())])


class Wet(WholeFiles):
    """WARC files of `conversion` records with a text type, as Common Crawl publishes them; compressed as WARC files.

    Every record is counted once, under its WARC type; a conversion to another type as `mime:…`, one over 64 MiB as
    `too_large`. Text is read as UTF-8; what is none becomes U+FFFD. `id` is the record's own; `declared_language`
    the first language of WARC-Identified-Content-Language, as it stands there (ISO 639-3 in Common Crawl's files).
    `check_digests` does what it does for `Warc`.
    """

    kind = "wet"
    version = 2
    schema = SCHEMA
    uses: tuple[str, ...] = ("isal", "lz4", "zstandard")

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`. Without the name, by a conversion record in the file's head."""
        start = head.lstrip(b"\x00\r\n")
        return WarcFormat(()).starts(start) and (name.endswith(".wet") or b"\nwarc-type: conversion" in start.lower())

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one batch and one record."""
        return batched(_rows(piece, tally), SCHEMA)


def _rows(piece: Slice, tally: Tally) -> Iterator[tuple[dict[str, Any], int]]:
    for record in records_of(piece, tally, ("conversion",)):
        kind = _kind(record)
        tally.records[kind] += 1
        if kind == "conversion" and record.block is not None:
            yield _row(piece, record, record.block), len(record.block)


def _kind(record: Record) -> str:
    if record.too_large:
        return "too_large"
    if record.kind == "conversion":
        mime = http.mime_of(record.fields.get("content-type", "text/plain"))
        if not mime.startswith("text/"):
            return not_html(mime)
    return record.kind


def _row(piece: Slice, record: Record, block: memoryview) -> dict[str, Any]:
    fields = record.fields
    language = fields.get("warc-identified-content-language", "").partition(",")[0].strip().lower()
    return {
        "doc_id": doc_id(piece.name, record.offset_bytes),
        "url": url_of(record) or None,
        "source": piece.source,
        "warc_file": piece.name,
        "offset_bytes": record.offset_bytes,
        "fetched_at": timestamp_of(fields.get("warc-date", "")),
        "id": fields.get("warc-record-id", "").strip("<> \t") or None,
        "text": str(block, "utf-8", "replace"),
        "truncated": truncated_of(record),
        "declared_language": language or None,
    }
