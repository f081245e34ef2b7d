"""The members of gzip files, inflated by ISA-L."""

from __future__ import annotations

from isal import isal_zlib

from curate.sources.members import PEEK_BYTES, Inflater
from curate.sources.recovery import MAX_SHIFT_BYTES

MAGIC = b"\x1f\x8b\x08"
ISAL_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub calls it an instance
_HEADER_BYTES, _TRAILER_BYTES = 10, 8
_PEEKED_BYTES = 4096  # a header may have a long name
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
        try:
            return isal_zlib.decompressobj(wbits=31).decompress(raw[at : at + _PEEKED_BYTES], PEEK_BYTES)
        except ISAL_ERROR:
            return b""

    def skippable(self, raw: bytes, at: int) -> int:
        return 0

    def extent(self, raw: bytes, at: int, n_inflated: int | None) -> tuple[int, bool]:
        """Inflate without looking at the checksum; it is sure if the length is right, or the whole trailer.

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
        trailer = checksum.to_bytes(4, "little") + (n_found & 0xFFFFFFFF).to_bytes(4, "little")
        is_sure = n_found == n_inflated or raw.startswith(trailer, place)
        if n_inflated is not None and not is_sure:
            return -1, False
        return place + _TRAILER_BYTES, is_sure and place + _TRAILER_BYTES <= len(raw)

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

    def tells_length(self, raw: bytes, at: int, end: int) -> bool:
        n_stored = end - at - _HEADER_BYTES - _TRAILER_BYTES
        n_spare = MAX_SHIFT_BYTES + n_stored // 50  # lost or put in; headers of blocks; what was compressed after all
        return n_stored > 0 and abs(int.from_bytes(raw[end - 4 : end], "little") - n_stored) <= n_spare


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
