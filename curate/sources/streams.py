"""The bytes of a file as a chain of gzip members, or as they are; finds the next whole member after damage."""

from __future__ import annotations

import re
from typing import BinaryIO, Protocol

from isal import isal_zlib as zlib  # inflates about twice as fast as zlib, to the same bytes

from curate.source import BadSpan, Tally
from curate.sources import lz4, zstd

GZIP_STEP_BYTES = 16 << 10  # deflate expands at most 1,032 times, so one step inflates to 16.5 MB or less
PLAIN_STEP_BYTES = 256 << 10
MAGIC = b"\x1f\x8b\x08"
RECORD_START = re.compile(rb"WARC/\d{1,3}\.\d{1,3}[ \t]*\r?\n", re.IGNORECASE)


MAX_BAD_SPANS = 1000  # kept of one slice; what follows is added to the last of them


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


HEAD_BYTES = 4096  # that `head_of` gives at most


def head_of(file: BinaryIO) -> bytes:
    """Return the first bytes of a file as they are inside gzip, zstd (also with a WARC's dictionary) or lz4.

    b"" where it cannot be decompressed. Leaves the file at its start.
    """
    file.seek(0)
    raw = file.read(HEAD_BYTES)
    file.seek(0)
    if raw.startswith(MAGIC):
        try:
            return zlib.decompressobj(wbits=31).decompress(raw, HEAD_BYTES)
        except zlib.error:  # type: ignore[misc]
            return b""
    if raw.startswith(zstd.MAGIC) or zstd.is_skippable(raw):
        return zstd.head_of(file, HEAD_BYTES)
    if raw.startswith(lz4.MAGIC):
        return lz4.head_of(file, HEAD_BYTES)
    return raw


class BrokenStreamError(Exception):
    """The stream cannot be inflated any further."""


class Stream(Protocol):
    """The bytes of a file as a chain of members; a plain file is one member."""

    position: int  # in the file: bytes before it were consumed

    def chunk(self) -> bytes:
        """Return the next bytes of this member, empty at its end; BrokenStreamError where there is none."""
        ...

    def next_member(self) -> bool:
        """Go to the next member; False at the end of the file."""
        ...

    def recover(self, start: int) -> bool:
        """After BrokenStreamError: go to the first member after `start` that holds a WARC record."""
        ...


class PlainStream:
    """An uncompressed file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._opened = False
        self.position = 0

    def chunk(self) -> bytes:
        data = self._file.read(PLAIN_STEP_BYTES)
        self.position += len(data)
        return data

    def next_member(self) -> bool:
        first, self._opened = not self._opened, True
        return first

    def recover(self, start: int) -> bool:
        return False

    def seek(self, position: int) -> None:
        self._file.seek(position)
        self.position = position

    def peek(self, position: int, n_bytes: int) -> bytes:
        """Return bytes at `position` without moving there."""
        self._file.seek(position)
        data = self._file.read(n_bytes)
        self._file.seek(self.position)
        return data


class GzipStream:
    """A file of gzip members: one a record, or one for all."""

    def __init__(self, file: BinaryIO, tally: Tally) -> None:
        self._file = file
        self._tally = tally
        self._ahead = b""  # read from the file, not yet inflated
        self._inflater = zlib.decompressobj(wbits=31)
        self.position = 0

    def _refill(self) -> bool:
        if not self._ahead:
            self._ahead = self._file.read(GZIP_STEP_BYTES)
        return bool(self._ahead)

    def chunk(self) -> bytes:
        while not self._inflater.eof:
            if not self._refill():
                raise BrokenStreamError("the file ends inside a gzip member")
            fed = len(self._ahead)
            try:
                data = self._inflater.decompress(self._ahead)
            except zlib.error as error:  # type: ignore[misc]
                raise BrokenStreamError(f"gzip member cannot be inflated: {error}") from error
            self._ahead = self._inflater.unused_data
            self.position += fed - len(self._ahead)
            if data:
                return data
        return b""

    def next_member(self) -> bool:
        """Go to the next member, over zero bytes that pad the file (counted)."""
        while self._refill():
            rest = self._ahead.lstrip(b"\x00")
            n_zeros = len(self._ahead) - len(rest)
            self.position += n_zeros
            self._tally.bytes_padding += n_zeros
            self._ahead = rest
            if rest:
                self._inflater = zlib.decompressobj(wbits=31)
                return True
        return False

    def recover(self, start: int) -> bool:
        at = start + 1
        self._file.seek(at)
        window, step = b"", GZIP_STEP_BYTES
        while block := self._file.read(step):
            window += block
            step = min(2 * step, 1 << 20)  # small at first: the next member is mostly near
            found = window.find(MAGIC)
            while found >= 0:
                if self._holds_record(at + found):
                    self._open(at + found)
                    return True
                found = window.find(MAGIC, found + 1)
            keep = min(len(window), len(MAGIC) - 1)
            at += len(window) - keep
            window = window[len(window) - keep :]
            self._file.seek(at + keep)
        self._open(self._file.seek(0, 2))
        return False

    def _holds_record(self, at: int) -> bool:
        self._file.seek(at)
        head = b""
        inflater = zlib.decompressobj(wbits=31)
        try:
            head = inflater.decompress(self._file.read(1024), 64)
        except zlib.error:  # type: ignore[misc]  # its stub calls the class an instance
            return False
        return RECORD_START.match(head) is not None

    def _open(self, at: int) -> None:
        self._file.seek(at)
        self._ahead = b""
        self._inflater = zlib.decompressobj(wbits=31)
        self.position = at
