"""Lines of text files with their places: of a whole stream, or of a piece of a plain file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from curate.source import Slice, Tally
from curate.sources.streams import BrokenStreamError, count_bad

MAX_LINE_BYTES = 64 << 20
_BACK_BYTES = 64 << 10


class Line(NamedTuple):
    """A line with its end; `data` is empty where it is longer than MAX_LINE_BYTES."""

    offset_bytes: int  # in the file, or in the inflated stream
    data: bytes
    size_bytes: int

    @property
    def too_long(self) -> bool:
        return not self.data


def stream_lines(chunks: Iterator[bytes], size_bytes: int, tally: Tally) -> Iterator[Line]:
    """Yield the lines in a stream of chunks. At damage the rest of the file is counted as bad.

    The line that the damage cuts off is counted as `cut_line` and not yielded.
    """
    at = 0
    parts: list[bytes] = []  # of the line that is not at its end yet
    length = 0
    try:
        for chunk in chunks:
            start = 0
            while (end := chunk.find(b"\n", start) + 1) > 0:
                length += end - start
                parts.append(chunk[start:end])
                yield Line(at, b"".join(parts) if length <= MAX_LINE_BYTES else b"", length)
                at, parts, length, start = at + length, [], 0, end
            length += len(chunk) - start
            if length > MAX_LINE_BYTES:
                parts = []
            elif start < len(chunk):
                parts.append(chunk[start:])
    except BrokenStreamError as error:
        done = tally.bytes_ok + tally.bytes_padding
        count_bad(tally, done, size_bytes - done, str(error))
        if length:
            tally.records["cut_line"] += 1
        return
    if length:
        yield Line(at, b"".join(parts) if length <= MAX_LINE_BYTES else b"", length)


def piece_lines(file: BinaryIO, piece: Slice) -> Iterator[Line]:
    """Yield every line of a plain file that has bytes in a piece; the first may begin before it, the last end after."""
    at = _line_start(file, piece.start)
    file.seek(at)
    while at < piece.end and (data := file.readline(MAX_LINE_BYTES)):
        start, too_long = at, False
        at += len(data)
        while not data.endswith(b"\n") and (more := file.readline(MAX_LINE_BYTES)):
            data, too_long = more, True
            at += len(more)
        if at > piece.start:
            yield Line(start, b"" if too_long else data, at - start)


def _line_start(file: BinaryIO, place: int) -> int:
    """Return where the line with the byte at `place` begins, or a place too far before it for a line to be read."""
    after = place
    while after > 0 and place - after <= MAX_LINE_BYTES:
        before = max(0, after - _BACK_BYTES)
        file.seek(before)
        found = file.read(after - before).rfind(b"\n")
        if found >= 0:
            return before + found + 1
        after = before
    return after
