"""Reads JSON lines, plain, gzip or zstd: `text`, `id` and `metadata` a line, as datatrove and dolma write them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, NoReturn, cast

import pyarrow as pa

from curate.schema import TEXT_SCHEMA
from curate.source import Slice, Tally, doc_id
from curate.sources.batches import batched
from curate.sources.dates import timestamp_of
from curate.sources.files import open_input
from curate.sources.lines import MAX_LINE_BYTES, Line, piece_lines, stream_lines
from curate.sources.streams import count_bad
from curate.sources.unpacked import is_packed, unpacked

_DOC_ID = re.compile(r"[0-9a-f]{32}")


class Jsonl:
    """JSON lines. A plain file may be cut anywhere: a line belongs to the piece in which it starts.

    Every line is counted once: `doc`; `no_text` (no string under `text`); `bad_line` (no JSON object, a key given
    twice, NaN or Infinity, over 64 MiB: also a bad span); `cut_line` (compressed data breaks off in it); blank lines
    are padding. `repaired_utf8` says how many of the docs had bytes or escapes that are no Unicode text, which became
    U+FFFD. In compressed files a bad line's span has the offset in the inflated stream and 0 bytes. A doc with a
    32-hex `doc_id`, top level or in `metadata`, keeps it, and its source, WARC file and offset. `text_column` and
    `url_column` of the source say what the two keys are called. Differs from datatrove's reader, which stops at the
    first byte that is no UTF-8, and takes the last of two equal keys.
    """

    kind = "jsonl"
    version = 2
    schema = TEXT_SCHEMA
    uses: tuple[str, ...] = ("isal", "zstandard")

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`."""
        start = head.lstrip(b"\xef\xbb\xbf\r\n\t ")
        is_text = bool(start) and not head.startswith((b"\xff\xfe", b"\xfe\xff"))
        return start.startswith(b"{") or (is_text and name.endswith((".jsonl", ".ndjson")))

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of this slice's batches: that of every file of this kind."""
        return self.schema

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return pieces of `shard_bytes` for a plain file, the whole file for a compressed one."""
        if size_bytes <= shard_bytes:
            return [(0, size_bytes)]
        with open_input(path) as file:
            if is_packed(file):
                return [(0, size_bytes)]
        return [(at, min(at + shard_bytes, size_bytes)) for at in range(0, size_bytes, shard_bytes)]

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one batch, one line, one step of the decompressor."""
        with open_input(piece) as file:
            yield from batched(_rows(file, piece, tally), TEXT_SCHEMA)


def _rows(file: BinaryIO, piece: Slice, tally: Tally) -> Iterator[tuple[dict[str, Any], int]]:
    for line, n_counted in _lines(file, piece, tally):
        row = _row(line, n_counted, piece, tally)
        if row is not None:
            yield row, len(line.data)


def _lines(file: BinaryIO, piece: Slice, tally: Tally) -> Iterator[tuple[Line, int]]:
    """Yield the lines that start in a piece and are not blank, with the bytes of each that count here if it is bad.

    All bytes of the piece are counted: ok, or padding, or bad for the rest of a bad line of the piece before.
    """
    if is_packed(file):
        for line in stream_lines(unpacked(file, tally), piece.size_bytes, tally):
            if line.too_long or line.data.strip():
                yield line, 0
        return
    buffered = io.BufferedReader(cast("io.RawIOBase", file), 1 << 20)
    for line in piece_lines(cast("BinaryIO", buffered), piece):
        n_bytes = min(line.offset_bytes + line.size_bytes, piece.end) - max(line.offset_bytes, piece.start)
        if not line.too_long and not line.data.strip():
            tally.bytes_padding += n_bytes
            continue
        tally.bytes_ok += n_bytes
        if line.offset_bytes >= piece.start:
            yield line, n_bytes
        elif (cause := _fault(line)) is not None:  # the piece before counts the line, this one its own bytes
            tally.bytes_ok -= n_bytes
            count_bad(tally, piece.start, n_bytes, cause)


def _fault(line: Line) -> str | None:
    """Return why a line is no JSON object; None if it is one."""
    try:
        _parsed(line)
    except (ValueError, RecursionError) as error:
        return _cause(error, line)
    return None


def _row(line: Line, n_counted: int, piece: Slice, tally: Tally) -> dict[str, Any] | None:
    """Return the doc on a line, or None; count the line by its kind."""
    try:
        found, repaired = _parsed(line)
    except (ValueError, RecursionError) as error:
        tally.records["bad_line"] += 1
        tally.bytes_ok -= n_counted
        count_bad(tally, line.offset_bytes, n_counted, _cause(error, line))
        return None
    return row_of(found, line.offset_bytes, piece, tally, repaired=repaired)


def row_of(
    found: dict[str, Any], offset_bytes: int, piece: Slice, tally: Tally, *, repaired: bool = False
) -> dict[str, Any] | None:
    """Return the doc that an object holds, or None if it has no text; count it."""
    text = found.get(piece.text_column or "text")
    if not isinstance(text, str):
        tally.records["no_text"] += 1
        return None
    fields = _fields(found, piece.url_column or "url")
    row = {"source": piece.source, "warc_file": piece.name, "offset_bytes": offset_bytes, **fields}
    row.setdefault("doc_id", doc_id(piece.name, offset_bytes))
    row["text"] = text
    for name, value in row.items():
        if isinstance(value, str) and not _is_unicode(value):
            row[name], repaired = _unicode(value), True
    tally.records["doc"] += 1
    if repaired:
        tally.records["repaired_utf8"] += 1
    return row


def _cause(error: Exception, line: Line) -> str:
    said = "it nests too deep" if isinstance(error, RecursionError) else str(error).partition(": line 1 ")[0][:100]
    if said == "Extra data":
        returns = line.data.strip().count(b"\r")
        said = "lines end with CR alone" if returns else "more than one value on a line"
    return f"not a line of JSON: {said}"


def _parsed(line: Line) -> tuple[dict[str, Any], bool]:
    if line.too_long:
        raise ValueError(f"a line is longer than {MAX_LINE_BYTES} bytes")
    repaired = False
    try:
        text = line.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text, repaired = line.data.decode("utf-8-sig", "replace"), True
    found = _DECODER.decode(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found, repaired


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:40]!r} is given twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)


def _fields(found: dict[str, Any], url_key: str) -> dict[str, Any]:
    """Return the columns a line gives besides its text: from the top level, else from `metadata`."""
    metadata = found.get("metadata")
    given: dict[str, Any] = dict(metadata) if isinstance(metadata, dict) else {}
    given |= {name: value for name, value in found.items() if value is not None}
    row: dict[str, Any] = {}
    if isinstance(given.get(url_key), str):
        row["url"] = given[url_key]
    if isinstance(found.get("id"), str | int) and not isinstance(found["id"], bool):
        row["id"] = str(found["id"])
    row["fetched_at"] = _date(given.get("fetched_at", given.get("date")))
    if isinstance(given.get("doc_id"), str) and _DOC_ID.fullmatch(given["doc_id"]):
        row["doc_id"] = given["doc_id"]
        row |= {name: given[name] for name in ("source", "warc_file") if isinstance(given.get(name), str)}
        if isinstance(offset := given.get("offset_bytes"), int) and 0 <= offset < 1 << 63:
            row["offset_bytes"] = offset
    return row


def _date(value: object) -> datetime | None:
    return timestamp_of(value) if isinstance(value, str) else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unicode(text: str) -> str:
    """Return the text with lone surrogates replaced by U+FFFD, and pairs of them joined."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
