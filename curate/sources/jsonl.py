"""Reads JSON lines, plain, gzip or zstd: `text`, `id` and `metadata` a line, as datatrove and dolma write them."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from curate.schema import TEXT_SCHEMA
from curate.source import Slice, Tally, doc_id
from curate.sources.dates import timestamp_of
from curate.sources.streams import BrokenStreamError, count_bad

MAX_BATCH_DOCS = 64
MAX_BATCH_BYTES = 16 << 20
MAX_LINE_BYTES = 64 << 20
_PLAIN_STEP_BYTES = 1 << 20
_GZIP_STEP_BYTES = 16 << 10  # inflates to 16.5 MB or less
_ZSTD_STEP_BYTES = 2 << 10  # inflates to 64 MB or less
_DOC_ID = re.compile(r"[0-9a-f]{32}")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Jsonl:
    """JSON lines. A plain file may be cut anywhere: a line belongs to the piece in which it starts.

    Every line is counted once: `doc`; `no_text` (no string under `text`); `bad_line` (no JSON object, or over
    64 MiB: also a bad span); blank lines are padding. `repaired_utf8` says how many of the docs had bytes or
    escapes that are no Unicode text, which became U+FFFD. Bytes of a line that reaches beyond its piece count as
    ok in the next one. In compressed files a bad line's span has the offset in the inflated stream and 0 bytes.
    A doc with a 32-hex `doc_id`, top level or in `metadata`, keeps it, and its source, WARC file and offset.
    """

    kind = "jsonl"
    version = 1
    schema = TEXT_SCHEMA
    uses: tuple[str, ...] = ("zstandard",)

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`."""
        start = head.lstrip(b"\xef\xbb\xbf\r\n\t ")
        return start.startswith(b"{") or (bool(start) and name.endswith((".jsonl", ".ndjson")))

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of this slice's batches: that of every file of this kind."""
        return self.schema

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return pieces of `shard_bytes` for a plain file, the whole file for a compressed one."""
        with open(path, "rb") as file:
            if file.read(4).startswith((_GZIP, _ZSTD)):
                return [(0, size_bytes)]
        return [(at, min(at + shard_bytes, size_bytes)) for at in range(0, size_bytes, shard_bytes)]

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one batch, one line, one step of the decompressor."""
        rows: list[dict[str, Any]] = []
        n_bytes = 0
        with open(piece.path, "rb") as file:
            for line in _lines(file, piece, tally):
                row = _row(line, piece, tally)
                if row is None:
                    continue
                if rows and n_bytes + len(line.data) > MAX_BATCH_BYTES:
                    yield pa.RecordBatch.from_pylist(rows, TEXT_SCHEMA)
                    rows, n_bytes = [], 0
                rows.append(row)
                n_bytes += len(line.data)
                if len(rows) == MAX_BATCH_DOCS:
                    yield pa.RecordBatch.from_pylist(rows, TEXT_SCHEMA)
                    rows, n_bytes = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, TEXT_SCHEMA)


class _Line(NamedTuple):
    offset_bytes: int
    data: bytes  # without the line's end; empty where it was too long
    n_bytes: int  # that this piece accounts for


def _lines(file: BinaryIO, piece: Slice, tally: Tally) -> Iterator[_Line]:
    """Yield the lines of a piece that are not blank; count the bytes that are in none of them."""
    head = file.read(4)
    file.seek(0)
    if not head.startswith((_GZIP, _ZSTD)):
        yield from _plain_lines(file, piece, tally)
        return
    yield from _split(_inflated(file, tally, gzip=head.startswith(_GZIP)), piece.size_bytes, tally)


def _split(chunks: Iterator[bytes], size_bytes: int, tally: Tally) -> Iterator[_Line]:
    """Yield the lines in a stream of chunks, with offsets in the stream. What damage cut off is no line."""
    at = 0
    parts: list[bytes] = []  # of the line that is not at its end yet
    length = 0
    try:
        for chunk in chunks:
            for i, piece in enumerate(chunk.split(b"\n")):
                if i > 0:  # an end of line stands before
                    yield from _closed(at, parts, length)
                    at, parts, length = at + length + 1, [], 0
                length += len(piece)
                if length <= MAX_LINE_BYTES:
                    parts.append(piece)
                else:
                    parts.clear()
    except BrokenStreamError as error:
        done = tally.bytes_ok + tally.bytes_padding
        count_bad(tally, done, size_bytes - done, str(error))
        return
    yield from _closed(at, parts, length)


def _closed(at: int, parts: list[bytes], length: int) -> Iterator[_Line]:
    line = b"".join(parts) if length <= MAX_LINE_BYTES else b""
    if line.strip() or length > MAX_LINE_BYTES:
        yield _Line(at, line, 0)


def _plain_lines(file: BinaryIO, piece: Slice, tally: Tally) -> Iterator[_Line]:
    at = piece.start
    if at > 0:  # the end of a line that started before belongs to the piece before
        file.seek(at - 1)
        while (data := file.readline(_PLAIN_STEP_BYTES)) and not data.endswith(b"\n"):
            pass
        at = file.tell()
        tally.bytes_ok += min(at, piece.end) - piece.start
    while at < piece.end and (data := file.readline(MAX_LINE_BYTES)):
        start, too_long = at, False
        at += len(data)
        while not data.endswith(b"\n") and (more := file.readline(MAX_LINE_BYTES)):
            data, too_long = more, True
            at += len(more)
        n_bytes = min(at, piece.end) - start
        if too_long or data.strip():
            tally.bytes_ok += n_bytes
            yield _Line(start, b"" if too_long else data, n_bytes)
        else:
            tally.bytes_padding += n_bytes


def _inflated(file: BinaryIO, tally: Tally, *, gzip: bool) -> Iterator[bytes]:
    """Yield the inflated bytes of a file and count those they were made from; BrokenStreamError at damage."""
    import zstandard

    def inflater() -> Any:
        return zlib.decompressobj(31) if gzip else zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()

    current = inflater()
    while data := file.read(_GZIP_STEP_BYTES if gzip else _ZSTD_STEP_BYTES):
        while data:
            if current.eof:
                if not data.strip(b"\x00"):
                    tally.bytes_padding += len(data)
                    break
                current = inflater()
            try:
                inflated = current.decompress(data)
            except (zlib.error, zstandard.ZstdError) as error:
                raise BrokenStreamError(f"compressed data cannot be inflated: {error}") from error
            tally.bytes_ok += len(data) - len(current.unused_data)
            data = current.unused_data
            if inflated:
                yield inflated
    if not current.eof:
        raise BrokenStreamError("the file ends inside compressed data")


def _row(line: _Line, piece: Slice, tally: Tally) -> dict[str, Any] | None:
    """Return the doc on a line, or None; count the line by its kind."""
    try:
        if not line.data:
            raise ValueError(f"a line is longer than {MAX_LINE_BYTES} bytes")
        found, repaired = _parsed(line.data)
    except (ValueError, RecursionError) as error:
        tally.records["bad_line"] += 1
        tally.bytes_ok -= line.n_bytes
        count_bad(tally, line.offset_bytes, line.n_bytes, f"not a line of JSON: {_cause(error)}")
        return None
    text = found.get("text")
    if not isinstance(text, str):
        tally.records["no_text"] += 1
        return None
    row = {"source": piece.source, "warc_file": piece.name, "offset_bytes": line.offset_bytes, **_fields(found)}
    row.setdefault("doc_id", doc_id(piece.name, line.offset_bytes))
    row["text"] = text
    for name, value in row.items():
        if isinstance(value, str) and not _is_unicode(value):
            row[name], repaired = _unicode(value), True
    tally.records["doc"] += 1
    if repaired:
        tally.records["repaired_utf8"] += 1
    return row


def _cause(error: Exception) -> str:
    return "it nests too deep" if isinstance(error, RecursionError) else str(error).partition(": line 1 ")[0][:100]


def _parsed(data: bytes) -> tuple[dict[str, Any], bool]:
    repaired = False
    try:
        line = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        line, repaired = data.decode("utf-8-sig", "replace"), True
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found, repaired


def _fields(found: dict[str, Any]) -> dict[str, Any]:
    """Return the columns a line gives besides its text: from the top level, else from `metadata`."""
    metadata = found.get("metadata")
    given: dict[str, Any] = dict(metadata) if isinstance(metadata, dict) else {}
    given |= {name: value for name, value in found.items() if value is not None}
    row: dict[str, Any] = {}
    if isinstance(given.get("url"), str):
        row["url"] = given["url"]
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
