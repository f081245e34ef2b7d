"""The members of gzip files, inflated by ISA-L."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isal import isal_zlib

from curate.sources.members import Inflater, peeked
from curate.sources.recovery import MAX_SHIFT_BYTES

MAGIC = b"\x1f\x8b\x08"
ISAL_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub calls it an instance
_HEADER_BYTES, _TRAILER_BYTES = 10, 8
_PEEKED_BYTES = 4096  # a header may have a long name
MAX_TRAILER_BYTES = 64 << 10  # in which a trailer is looked for
MAX_STORED_BYTES = 64 << 10  # of one block
_STORED_BLOCK = re.compile(rb"(?=[\x00\x01](..)(..))", re.DOTALL)
_FLAG_CRC, _FLAG_EXTRA, _FLAG_NAME, _FLAG_COMMENT = 2, 4, 8, 16


class Gzip:
    """See `members.Codec`."""

    name = "gzip"
    magic = MAGIC
    step_bytes = 64 << 10  # deflate expands at most 1,032 times
    errors: tuple[type[Exception], ...] = (ISAL_ERROR,)
    trailers: tuple[int, ...] = (_TRAILER_BYTES,)
    hides_ends = False

    def inflater(self) -> Inflater:
        return isal_zlib.decompressobj(wbits=31)

    def explain(self, error: Exception) -> str:
        return f"gzip member cannot be inflated: {error}"

    def first_step(self, raw: bytes, at: int) -> int:
        """What is fed behind the end is copied for nothing: guess that the member ends where one may begin."""
        end = raw.find(MAGIC, at + len(MAGIC), at + self.step_bytes)
        return self.step_bytes if end < 0 else end - at

    def whole(self, raw: bytes, at: int) -> tuple[bytes, int] | None:
        return None  # where it ends is known only when it is inflated

    def peek(self, raw: bytes, at: int) -> bytes:
        if not raw.startswith(MAGIC, at):
            return b""
        head = raw[at : at + _PEEKED_BYTES]
        return peeked(lambda n_bytes: isal_zlib.decompressobj(wbits=31).decompress(head, n_bytes), self.errors)

    def skippable(self, raw: bytes, at: int) -> int:
        return 0

    def extent(self, raw: bytes, at: int, n_inflated: int | None) -> tuple[int, bool]:
        """Inflate without looking at the checksum; it is sure if that or the length is right.

        A stream that went astray in damage may end with that of a later member: the length tells. Where the magic is
        damaged, the flags behind it may be sound or not, so that the header may be longer than the shortest or not.
        """
        found = self._extent_from(raw, _header_end(raw, at), n_inflated)
        if found[1] or raw.startswith(MAGIC, at):
            return found
        return self._extent_from(raw, at + _HEADER_BYTES, n_inflated)

    def _extent_from(self, raw: bytes, place: int, n_inflated: int | None) -> tuple[int, bool]:
        inflater = isal_zlib.decompressobj(wbits=-15)
        checksum = n_found = 0
        while not inflater.eof:
            step = raw[place : place + self.step_bytes]
            try:
                data = inflater.decompress(step)
            except ISAL_ERROR:
                return -1, False
            if not step:
                return -1, False
            place += len(step) - len(inflater.unused_data)
            n_found += len(data)
            checksum = isal_zlib.crc32(data, checksum)
        is_sure = n_found > 0 and (
            n_found == n_inflated
            or raw.startswith(checksum.to_bytes(4, "little"), place)
            or raw.startswith((n_found & 0xFFFFFFFF).to_bytes(4, "little"), place + 4)
        )
        if n_inflated is not None and not is_sure:
            return -1, False
        return place + _TRAILER_BYTES, is_sure

    def likely_end(self, raw: bytes, at: int, n_inflated: int | None) -> int:
        """Look for the length in a trailer, no farther than a member of that length can reach."""
        if n_inflated is None:
            return -1
        length = (n_inflated & 0xFFFFFFFF).to_bytes(4, "little")
        stop = at + n_inflated + n_inflated // 1000 + MAX_SHIFT_BYTES
        bare = -1
        place = at + _HEADER_BYTES
        while (place := raw.find(length, place, stop)) >= 0:
            place += len(length)
            if place == len(raw) or raw.startswith((MAGIC, b"\x00"), place):
                return place
            bare = place if bare < 0 else bare
        return bare

    def covers(self, raw: bytes, damaged: tuple[int, int], rest: tuple[int, int]) -> bool:
        """Look for its length in a trailer, and for the header of a stored block, which has its length twice."""
        at, first = damaged
        start, end = rest
        return _tells_length(raw, at, start, end) or any(
            self._extent_from(raw, place, None)[1] for place in _stored_blocks(raw, at, first)
        )


def _tells_length(raw: bytes, at: int, start: int, end: int) -> bool:
    """Say whether a trailer ends from `start` to `end` whose length is that of a stored member from `at` on."""
    for place in range(start + 4, min(end, start + MAX_TRAILER_BYTES) + 1):
        n_stored = place - at - _HEADER_BYTES - _TRAILER_BYTES
        n_spare = MAX_SHIFT_BYTES + n_stored // 50  # lost or put in; headers of blocks; what was compressed after all
        if n_stored > 0 and abs(int.from_bytes(raw[place - 4 : place], "little") - n_stored) <= n_spare:
            return True
    return False


def _stored_blocks(raw: bytes, at: int, first: int) -> Iterator[int]:
    """Yield where blocks begin, from `at` on, that are stored and reach beyond `first`."""
    at = max(at, first - MAX_STORED_BYTES)
    for found in _STORED_BLOCK.finditer(raw, at, first):
        length, inverted = int.from_bytes(found[1], "little"), int.from_bytes(found[2], "little")
        if length ^ inverted == 0xFFFF and found.start() + 5 + length > first:
            yield found.start()


def head(raw: bytes, n_bytes: int) -> bytes:
    """Return the first inflated bytes of the members that `raw` begins with, as far as they can be inflated."""
    head = b""
    while raw.startswith(MAGIC) and len(head) < n_bytes:
        inflater = isal_zlib.decompressobj(wbits=31)
        try:
            head += inflater.decompress(raw, n_bytes - len(head))
        except ISAL_ERROR:
            break
        raw = inflater.unused_data
    return head


def _header_end(raw: bytes, at: int) -> int:
    """Return where the header of a member ends (RFC 1952 2.3)."""
    flags = raw[at + 3] if len(raw) > at + 3 else 0
    place = at + _HEADER_BYTES
    if flags & _FLAG_EXTRA:
        place += 2 + int.from_bytes(raw[place : place + 2], "little")
    for flag in (_FLAG_NAME, _FLAG_COMMENT):
        if flags & flag:
            place = (raw.find(b"\x00", place) + 1) or len(raw)
    return place + (2 if flags & _FLAG_CRC else 0)
