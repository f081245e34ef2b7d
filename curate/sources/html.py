"""Reads saved pages: an HTML file, plain, gzip or zstd, is one doc."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from curate.schema import HTML_SCHEMA
from curate.source import Slice, Tally, doc_id
from curate.sources.batches import WholeFiles
from curate.sources.files import open_input
from curate.sources.streams import BrokenStreamError, count_bad
from curate.sources.unpacked import unpacked

MAX_PAGE_BYTES = 64 << 20  # as for a WARC's payload
_STARTS = re.compile(
    rb"(?:<!--.{0,2000}?-->|<\?xml[^>]{0,200}>|\s)*<(?:!doctype\s+html|html|head|body|title|meta|link|style|script|"
    rb"div|table|p|h1|a|span|article|main|center|font|b|br)[\s/>]",
    re.IGNORECASE | re.DOTALL,
)
_OTHER = (".warc", ".arc", ".wet", ".wat", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".xml", ".svg")


class Html(WholeFiles):
    """Pages saved as files. The name of the file makes the `doc_id`, with offset 0; `url` and `fetched_at` are null.

    Each file is counted once: `page`, or `too_large` (over 64 MiB). A compressed file that is damaged gives the
    part before the damage, marked `truncated: damaged`, and a bad span. A file named as an archive or table that
    begins like HTML is none: mostly a server's error page.
    """

    kind = "html"
    version = 1
    schema = HTML_SCHEMA
    uses: tuple[str, ...] = ("isal", "zstandard")

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`."""
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            head = head[: len(head) & ~1].decode("utf-16", "replace").encode("ascii", "replace")
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        named = name.endswith((".html", ".htm", ".xhtml")) and start.startswith(b"<") and b"\x00" not in head
        return named or (not name.endswith(_OTHER) and _STARTS.match(start) is not None)

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: the page."""
        with open_input(piece) as file:
            page, damage = _page(file, piece, tally)
        if page is None:
            tally.records["too_large"] += 1
            return
        tally.records["page"] += 1
        row = {
            "doc_id": doc_id(piece.name, 0),
            "source": piece.source,
            "warc_file": piece.name,
            "offset_bytes": 0,
            "truncated": "damaged" if damage else None,
            "html": page,
        }
        yield pa.RecordBatch.from_pylist([row], HTML_SCHEMA)


def _page(file: BinaryIO, piece: Slice, tally: Tally) -> tuple[bytes | None, bool]:
    """Return the page, None if it is too large, and whether it ends in damage; count every byte of the file."""
    parts: list[bytes] = []
    n_bytes = 0
    try:
        for part in unpacked(file, tally):
            n_bytes += len(part)
            if n_bytes > MAX_PAGE_BYTES:
                parts.clear()
            else:
                parts.append(part)
    except BrokenStreamError as error:
        done = tally.bytes_ok + tally.bytes_padding
        count_bad(tally, done, piece.size_bytes - done, str(error))
        return (None if n_bytes > MAX_PAGE_BYTES else b"".join(parts)), True
    return (None if n_bytes > MAX_PAGE_BYTES else b"".join(parts)), False
