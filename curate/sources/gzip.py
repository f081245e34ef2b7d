"""The members of gzip files, inflated by libdeflate where that can be done at once, else by ISA-L."""

from __future__ import annotations

from zlib import crc32

import deflate
from isal import isal_zlib

from curate.sources.members import MAX_WHOLE_BYTES, PEEK_BYTES, Data, Inflater, MemberError

MAGIC = b"\x1f\x8b\x08"
MIN_MEMBER_BYTES = 18 + 2
MAX_RATIO = 1032  # of deflate
_PEEKED_BYTES = 4096  # a header may have a long name
_FLAG_CRC, _FLAG_EXTRA, _FLAG_NAME, _FLAG_COMMENT = 2, 4, 8, 16


class Gzip:
    """See `members.Codec`."""

    name = "gzip"
    magic = MAGIC
    step_bytes = 16 << 10

    def inflater(self) -> Inflater:
        return _Inflater()

    def whole(self, raw: bytes, at: int, *, is_last: bool) -> tuple[Data, int] | None:
        """Guess that the member ends where the next begins, and prove it.

        libdeflate checks length and checksum, but not that nothing follows. If the member ended earlier, its trailer
        would stand there: so that trailer must stand at the guessed end, and nowhere before.
        """
        end = raw.find(MAGIC, at + MIN_MEMBER_BYTES)
        if end < 0:
            if not is_last:
                return None
            end = len(raw)
        n_inflated = int.from_bytes(raw[end - 4 : end], "little")
        if not 0 < n_inflated <= min(MAX_WHOLE_BYTES, MAX_RATIO * (end - at)) or end - at < MIN_MEMBER_BYTES:
            return None
        with memoryview(raw) as view:
            try:
                data = deflate.gzip_decompress(view[at:end], n_inflated)
            except deflate.DeflateError:  # step by step it will show what is wrong, or where it ends
                return None
        trailer = deflate.crc32(data).to_bytes(4, "little") + n_inflated.to_bytes(4, "little")
        is_end = len(data) == n_inflated and raw.find(trailer, at, end) == end - 8
        return (data, end) if is_end else None

    def peek(self, raw: bytes, at: int) -> bytes:
        return head(raw[at : at + _PEEKED_BYTES], PEEK_BYTES)

    def skippable(self, raw: bytes, at: int) -> int:
        return 0

    def extent(self, raw: bytes, at: int) -> int:
        """Inflate without looking at the checksum; where the header is damaged, the checksum must be right."""
        is_headed = raw.startswith(MAGIC, at)
        place = _header_end(raw, at) if is_headed else at + 10
        inflater = isal_zlib.decompressobj(wbits=-15)
        checksum = n_inflated = 0
        while not inflater.eof:
            step = raw[place : place + self.step_bytes]
            try:
                data = inflater.decompress(step)
            except isal_zlib.error:
                return -1
            if not step:
                return -1
            place += len(step) - len(inflater.unused_data)
            n_inflated += len(data)
            if not is_headed:
                checksum = crc32(data, checksum)
        trailer = checksum.to_bytes(4, "little") + (n_inflated & 0xFFFFFFFF).to_bytes(4, "little")
        return place + 8 if is_headed or raw.startswith(trailer, place) else -1

    def ends_before(self, raw: bytes, at: int, n_inflated: int) -> bool:
        return raw[at - 4 : at] == (n_inflated & 0xFFFFFFFF).to_bytes(4, "little")


def head(raw: bytes, n_bytes: int) -> bytes:
    """Return the first inflated bytes of the member that `raw` begins with; b"" where it cannot be inflated."""
    if not raw.startswith(MAGIC):
        return b""
    try:
        return isal_zlib.decompressobj(wbits=31).decompress(raw, n_bytes)
    except isal_zlib.error:
        return b""


class _Inflater:
    def __init__(self) -> None:
        self._inflater = isal_zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes) -> bytes:
        try:
            return self._inflater.decompress(data)
        except isal_zlib.error as error:
            raise MemberError(f"gzip member cannot be inflated: {error}") from error


def _header_end(raw: bytes, at: int) -> int:
    """Return where the header of a member ends (RFC 1952 2.3)."""
    flags = raw[at + 3] if len(raw) > at + 3 else 0
    place = at + 10
    if flags & _FLAG_EXTRA:
        place += 2 + int.from_bytes(raw[place : place + 2], "little")
    for flag in (_FLAG_NAME, _FLAG_COMMENT):
        if flags & flag:
            place = (raw.find(b"\x00", place) + 1) or len(raw)
    return place + (2 if flags & _FLAG_CRC else 0)
