"""The bytes of a file as they are or decompressed, and the spans of it that are damaged."""

from __future__ import annotations

from contextlib import suppress
from typing import BinaryIO

from curate.source import BadSpan, Tally
from curate.sources import gzip, lz4, recovery, zstd
from curate.sources.formats import BrokenRecordError, Format
from curate.sources.members import BrokenStreamError, Codec, MemberStream, read_full

__all__ = ["BrokenStreamError", "PlainStream", "count_bad", "head_of", "open_stream", "read_full"]

PLAIN_STEP_BYTES = 1 << 20
HEAD_BYTES = 4096  # that `head_of` gives at most
MAX_BAD_SPANS = 1000  # kept of one slice; what follows is added to the last of them
LAYOUT_BYTES = 1 << 20  # in which plain records are looked for where the first bytes do not say
MAX_TRIED_RECORDS = 100  # that are not whole
START_BYTES = 1024  # in which a first record shows text, if it is stored as it is


def count_bad(tally: Tally, offset_bytes: int, n_bytes: int, cause: str) -> None:
    """Count a damaged span; spans side by side, and those over MAX_BAD_SPANS, are added to the one before."""
    spans = tally.bad_spans
    last = spans[-1] if spans else BadSpan(-1, 0, "")
    beside = last.cause == cause and last.offset_bytes + last.n_bytes == offset_bytes
    if beside or len(spans) >= MAX_BAD_SPANS:
        tally.bytes_bad += n_bytes
        spans[-1] = BadSpan(last.offset_bytes, last.n_bytes + n_bytes, cause if beside else "damage in many places")
    else:
        tally.bad(offset_bytes, n_bytes, cause)


def head_of(file: BinaryIO) -> bytes:
    """Return the first bytes of a file as they are inside gzip, zstd (also with a WARC's dictionary) or lz4.

    b"" where it cannot be decompressed. Leaves the file at its start.
    """
    file.seek(0)
    raw = read_full(file, HEAD_BYTES)
    file.seek(0)
    if raw.startswith(gzip.MAGIC):
        return gzip.head(raw, HEAD_BYTES)
    if raw.startswith(zstd.MAGIC) or zstd.is_skippable(raw):
        return zstd.head_of(file, HEAD_BYTES)
    if raw.startswith(lz4.MAGIC):
        return lz4.head_of(file, HEAD_BYTES)
    return raw


class PlainStream:
    """An uncompressed file: one member."""

    member_start = n_whole_bytes = 0

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._opened = False
        self.position = 0

    def chunk(self) -> bytes:
        data = read_full(self._file, PLAIN_STEP_BYTES)
        self.position += len(data)
        return data

    def next_member(self) -> bool:
        first, self._opened = not self._opened, True
        return first

    def continues(self) -> bool:
        return False

    def recover(self, start: int, n_inflated: int | None, *, anywhere: bool) -> None:
        raise AssertionError("a plain stream never breaks")

    def place_of(self, n_inflated: int) -> int:
        raise AssertionError("a plain stream never breaks")

    def peek(self) -> bytes:
        raise AssertionError("a plain stream never breaks")

    def seek(self, position: int) -> None:
        self._file.seek(position)
        self.position = position

    def look(self, position: int, n_bytes: int) -> bytes:
        """Return bytes at `position` without moving there."""
        self._file.seek(position)
        data = read_full(self._file, n_bytes)
        self._file.seek(self.position)
        return data


Stream = MemberStream | PlainStream


def open_stream(file: BinaryIO, tally: Tally, records: Format) -> Stream:
    """Return the stream of a file by its first bytes, or, where they are damaged, by the first record in it."""
    file.seek(0)
    raw = read_full(file, LAYOUT_BYTES)
    codec = _codec_of(raw, file)
    known = records.starts(raw[:HEAD_BYTES].lstrip(b"\x00\r\n")) if codec is None else _begins(codec, raw, records)
    if not known:
        codec = _codec_within(raw, file, records, codec)
    file.seek(0)
    return PlainStream(file) if codec is None else MemberStream(file, codec, tally, records)


def _codec_of(raw: bytes, file: BinaryIO) -> Codec | None:
    if raw.startswith(gzip.MAGIC):
        return gzip.Gzip()
    if raw.startswith(zstd.MAGIC) or zstd.is_skippable(raw):
        return zstd.Zstd(file)
    return lz4.Lz4() if raw.startswith(lz4.MAGIC) else None


def _begins(codec: Codec, raw: bytes, records: Format) -> bool:
    return records.starts(codec.peek(raw, codec.skippable(raw, 0)))


def _codec_within(raw: bytes, file: BinaryIO, records: Format, likely: Codec | None) -> Codec | None:
    """Return the codec in which the first MiB reads best; None where that is as plain records.

    Compressors store bytes that they cannot compress, and payloads hold whole archives: neither a plain record nor
    a member alone says how a file is made. But what payloads hold does not reach the end.
    """
    codecs: list[Codec] = [gzip.Gzip(), zstd.Zstd(file), lz4.Lz4()]
    codecs.sort(key=lambda codec: likely is None or codec.name != likely.name)
    if first := next((codec for codec in codecs if _begins_early(codec, raw, records)), None):
        return first
    layouts: list[Codec | None] = [*codecs, None]
    found = [_members_in(codec, raw, records) if codec else _records_in(raw, records) for codec in layouts]
    spans = [span for _, of_layout in found for span in of_layout]
    sizes = [(reaches_end, _n_outside(of_layout, spans)) for reaches_end, of_layout in found]
    best = max(range(len(layouts)), key=lambda number: sizes[number])  # the first of equals
    reaches_end, n_ok = sizes[best]
    n_needed = len(raw) // (2 if likely else 8)
    if not likely and not recovery.shows_text(raw, 0, START_BYTES):
        n_needed = 0  # no plain record is there that could hold what was found
    return layouts[best] if reaches_end or n_ok > n_needed else likely


def _n_outside(own: list[tuple[int, int]], spans: list[tuple[int, int]]) -> int:
    """Return the bytes of one layout's whole records that stand in no whole record of another one."""
    reach = 0
    outside = set()
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if end > reach:
            outside.add((start, end))
            reach = end
    return sum(end - start for start, end in own if (start, end) in outside)


def _begins_early(codec: Codec, raw: bytes, records: Format) -> bool:
    """Say whether a member begins near the start of `raw`, where none can stand in a payload.

    A magic of four bytes says so by itself, also half a one: a block that is cut off gives nothing to look into.
    """
    at = len(raw) - len(raw.lstrip(b"\x00"))
    if recovery.candidate(codec, raw, at, records.starts, at + recovery.MAX_GARBAGE_BYTES) >= 0:
        return True
    if len(codec.magic) < 4:
        return False
    return codec.magic in raw[: at + recovery.MAX_GARBAGE_BYTES] or raw.startswith(
        (codec.magic[1:], codec.magic[2:]), at
    )


def _members_in(codec: Codec, raw: bytes, records: Format) -> tuple[bool, list[tuple[int, int]]]:
    """Say whether whole members that begin records reach the end of `raw`, and where they lie."""
    end, _ = codec.extent(raw, 0, None)  # a damaged one whose end can be told
    last = end if end > 0 and (end == len(raw) or raw.startswith(codec.magic, end)) else 0
    spans = [(0, last)] if last else []
    at, _ = recovery.believed_start(codec, raw, last, records, is_last=True, is_shared=False, is_cut=False)
    n_damaged = 0
    while at >= 0 and n_damaged < MAX_TRIED_RECORDS:
        end = recovery.member_end(codec, raw, at)
        if end < 0:
            n_damaged += 1
        else:
            spans.append((at, end))
            last = end
        at = recovery.candidate(codec, raw, end if end >= 0 else at + 1, records.starts)
    is_begun = raw.startswith(codec.magic, last) and len(raw) == LAYOUT_BYTES
    return last > 0 and (is_begun or not raw[last:].strip(b"\x00")), spans


def _records_in(raw: bytes, records: Format) -> tuple[bool, list[tuple[int, int]]]:
    """Say the same of plain records, each in front of another or of the end."""
    guessed = records.guessed_length(raw, 0)  # of one that lost its start
    rest = raw[guessed : guessed + HEAD_BYTES].lstrip(b"\r\n")
    at = last = guessed if records.starts(rest) else 0
    spans = [(0, last)] if last else []
    n_damaged = 0
    while n_damaged < MAX_TRIED_RECORDS and (at := records.find(raw, at)) >= 0:
        end = len(raw) + 1
        with suppress(BrokenRecordError):
            head = records.head(raw, at)
            end = at + head.n_bytes + head.length if head else end
        rest = raw[end : end + HEAD_BYTES].lstrip(b"\r\n\x00")
        if end <= len(raw) and raw[end : end + 1] in b"\r\n" and (not rest or records.starts(rest)):
            spans.append((at, end))
            at = last = end
        else:
            n_damaged += 1
            at += 1
    rest = raw[last:].lstrip(b"\r\n\x00")
    return last > 0 and (not rest or (len(raw) == LAYOUT_BYTES and records.starts(rest[:HEAD_BYTES]))), spans
