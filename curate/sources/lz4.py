"""The frames of lz4 files."""

from __future__ import annotations

from contextlib import suppress
from typing import BinaryIO

from lz4.frame import LZ4FrameDecompressor

from curate.sources.members import Inflater, peeked
from curate.sources.zstd import FrameError, blocks_lead, damaged_end, near_end, skippable_bytes

MAGIC = b"\x04\x22\x4d\x18"
MAX_BLOCK_BYTES = 4 << 20
_STORED = 1 << 31  # flag in a block's size: its bytes are not compressed


def frame_end(raw: bytes, at: int, *, any_magic: bool = False) -> int:
    """Return where the frame at `at` ends, from its headers alone (LZ4 frame format 1.6); -1 where `raw` ends before.

    `any_magic`: read it as a frame, whatever its magic number. Raises FrameError.
    """
    if len(raw) < at + 7:
        return -1
    flags = raw[at + 4]
    if (not any_magic and not raw.startswith(MAGIC, at)) or flags >> 6 != 1:
        raise FrameError("not an lz4 frame")
    place = at + 7 + 8 * (flags >> 3 & 1) + 4 * (flags & 1)
    while place + 4 <= len(raw):
        size = int.from_bytes(raw[place : place + 4], "little")
        place += 4
        if not size:
            place += 4 * (flags >> 2 & 1)
            return place if place <= len(raw) else -1
        size &= ~_STORED
        if size > MAX_BLOCK_BYTES:
            raise FrameError("an lz4 block has no valid size")
        place += size + 4 * (flags >> 4 & 1)
    return -1


def next_block(raw: bytes, at: int) -> tuple[int, bool]:
    """Return where the block at `at` ends, -1 where there is none, and whether the end mark follows it."""
    size = int.from_bytes(raw[at : at + 4], "little") & ~_STORED
    if not 0 < size <= MAX_BLOCK_BYTES:
        return -1, False
    end = at + 4 + size
    return (end + 4, True) if raw.startswith(bytes(4), end) else (end, False)


def head_of(file: BinaryIO, n_bytes: int) -> bytes:
    """Return the first decompressed bytes of a file; b"" where that is not possible."""
    file.seek(0)
    head, frames = b"", LZ4FrameDecompressor()
    with suppress(RuntimeError):  # what that library raises for any damage; what came before it counts
        while len(head) < n_bytes and not frames.eof and (raw := file.read(64 << 10)):
            head += frames.decompress(raw, n_bytes - len(head))
    file.seek(0)
    return head


class Lz4:
    """See `members.Codec`."""

    name = "lz4"
    magic = MAGIC
    step_bytes = 64 << 10  # lz4 expands at most 255 times
    errors: tuple[type[Exception], ...] = (RuntimeError,)  # what that library raises for any damage
    trailers: tuple[int, ...] = (4, 8)  # the end mark, and a checksum
    hides_ends = False

    def inflater(self) -> Inflater:
        inflater: Inflater = LZ4FrameDecompressor()
        return inflater

    def explain(self, error: Exception) -> str:
        return f"lz4 frame cannot be decompressed: {error}"

    def first_step(self, raw: bytes, at: int) -> int:
        return self.step_bytes

    def whole(self, raw: bytes, at: int) -> tuple[bytes, int] | None:
        return None

    def peek(self, raw: bytes, at: int) -> bytes:
        head = raw[at : at + MAX_BLOCK_BYTES]
        return peeked(lambda n_bytes: bytes(LZ4FrameDecompressor().decompress(head, n_bytes)), self.errors)

    def skippable(self, raw: bytes, at: int) -> int:
        return skippable_bytes(raw, at)

    def extent(self, raw: bytes, at: int, n_inflated: int | None) -> tuple[int, bool]:
        return damaged_end(frame_end, raw, at), False

    def likely_end(self, raw: bytes, at: int, n_inflated: int | None) -> int:
        return near_end(frame_end, raw, at, MAGIC)

    def covers(self, raw: bytes, damaged: tuple[int, int], rest: tuple[int, int]) -> bool:
        return blocks_lead(raw, damaged, rest[1], next_block, (0, 4))
