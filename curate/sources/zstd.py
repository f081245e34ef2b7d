"""The frames of zstd files, and the dictionary that a WARC brings along."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Protocol

import zstandard

from curate.sources.members import Inflater, peeked
from curate.sources.recovery import MAX_SHIFTED_BYTES, MAX_SLIP_BYTES, nearest

MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"  # the skippable frame that a WARC's dictionary stands in
MAX_WINDOW_BYTES = 1 << 27
MAX_DICTIONARY_BYTES = 8 << 20  # warc-zstd 1.0: readers need not take larger ones
MAX_BLOCK_BYTES = 128 << 10
MAX_WHOLE_BYTES = 16 << 20  # decompressed, of a frame that is decompressed at once
_EMPTY = MAGIC + b"\x20\x00\x01\x00\x00"  # a frame that holds nothing


class FrameError(Exception):
    """The bytes do not follow the format of a frame."""


def is_skippable(raw: bytes, at: int = 0) -> bool:
    """Say whether a skippable frame begins at `at`."""
    return raw[at + 1 : at + 4] == b"\x2a\x4d\x18" and raw[at] >> 4 == 5


def skippable_bytes(raw: bytes, at: int) -> int:
    """Return the length of the skippable frame at `at`, its header included; 0 without one, or with half a header."""
    if len(raw) < at + 8 or not is_skippable(raw, at):
        return 0
    return 8 + int.from_bytes(raw[at + 4 : at + 8], "little")


class FrameEnd(Protocol):
    """See `frame_end`."""

    def __call__(self, raw: bytes, at: int, *, any_magic: bool) -> int: ...


def damaged_end(frame_end: FrameEnd, raw: bytes, at: int) -> int:
    """Return where the damaged frame at `at` ends by its headers; -1 where they do not say."""
    try:
        return frame_end(raw, at, any_magic=True)
    except FrameError:
        return -1


def near_end(frame_end: FrameEnd, raw: bytes, at: int, magic: bytes) -> int:
    """Return where a frame begins near the place where the damaged one at `at` ends by its headers; -1 without one."""
    end = damaged_end(frame_end, raw, at)
    return nearest(raw, magic, at, end) if end > at else -1


def frame_end(raw: bytes, at: int, *, any_magic: bool = False) -> int:
    """Return where the frame at `at` ends, from its headers alone (RFC 8878 3.1.1); -1 where `raw` ends before.

    `any_magic`: read it as a frame, whatever its magic number. Raises FrameError.
    """
    if len(raw) < at + 5:
        return -1
    if not any_magic and not raw.startswith(MAGIC, at):
        raise FrameError("not a zstd frame")
    flags = raw[at + 4]
    if flags & 0b1000:
        raise FrameError("a zstd frame header has its reserved bit set")
    single = flags >> 5 & 1
    place = at + 5 + (1 - single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
    is_last = False
    while place + 3 <= len(raw) and not is_last:
        place, is_last = next_block(raw, place)
        if place < 0:
            raise FrameError("a zstd block has no valid header")
    place += 4 * (flags >> 2 & 1)
    return place if is_last and place <= len(raw) else -1


def next_block(raw: bytes, at: int) -> tuple[int, bool]:
    """Return where the block at `at` ends, -1 where there is none, and whether it is the last."""
    header = raw[at] | raw[at + 1] << 8 | raw[at + 2] << 16
    kind, size = header >> 1 & 3, header >> 3
    if kind == 3 or (size > MAX_BLOCK_BYTES and kind != 1):
        return -1, False
    return at + 3 + (1 if kind == 1 else size), header & 1 > 0


def blocks_lead(
    raw: bytes,
    damaged: tuple[int, int],
    end: int,
    next_block: Callable[[bytes, int], tuple[int, bool]],
    trailers: tuple[int, ...],
) -> bool:
    """Say whether blocks from a place in the `damaged` span on reach over its end and lead to `end`.

    `trailers`: how many bytes there may be behind the last block. Where the damage moved what stands behind it, near
    the start of the span, the end may have lost some bytes.
    """
    at, first = damaged
    for begin in range(max(at, first - MAX_BLOCK_BYTES), first):
        place, is_last = next_block(raw, begin)
        if place <= first:
            continue
        while not is_last and 0 < place < end - 4:
            place, is_last = next_block(raw, place)
        slip = MAX_SLIP_BYTES if begin < at + MAX_SHIFTED_BYTES else 0
        if is_last and any(0 <= place + n_bytes - end <= slip for n_bytes in trailers):
            return True
    return False


def dictionary_of(file: BinaryIO) -> zstandard.ZstdCompressionDict | None:
    """Return the dictionary a WARC begins with (iipc warc-zstd 1.0, raw or itself a zstd frame), None without one.

    Leaves the file at its start. Raises FrameError where there is one that cannot be used.
    """
    file.seek(0)
    header = file.read(8)
    data = b""
    n_bytes = skippable_bytes(header, 0) - 8
    if header.startswith(DICTIONARY_MAGIC) and 0 <= n_bytes <= MAX_DICTIONARY_BYTES:
        data = file.read(n_bytes)
    file.seek(0)
    if not header.startswith(DICTIONARY_MAGIC):
        return None
    if not data or len(data) < n_bytes:
        raise FrameError("zstd_dict: the dictionary is cut off or larger than 8 MiB")
    try:
        if data.startswith(MAGIC):
            data = decompressor(None).stream_reader(data).read(MAX_DICTIONARY_BYTES)
        dictionary = zstandard.ZstdCompressionDict(data, dict_type=zstandard.DICT_TYPE_FULLDICT)
        decompressor(dictionary).decompress(_EMPTY)  # only now is it looked at
        return dictionary
    except zstandard.ZstdError as error:
        raise FrameError(f"zstd_dict: the dictionary cannot be used: {error}") from error


def decompressor(dictionary: zstandard.ZstdCompressionDict | None) -> zstandard.ZstdDecompressor:
    """Return a decompressor with the project's limits."""
    return zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=MAX_WINDOW_BYTES)


def head_of(file: BinaryIO, n_bytes: int) -> bytes:
    """Return the first decompressed bytes, over dictionary and skippable frames; b"" where that is not possible."""
    try:
        dictionary = dictionary_of(file)
    except FrameError:
        return b""
    at = 0
    while is_skippable(raw := file.read(8)) and len(raw) == 8:
        at += skippable_bytes(raw, 0)
        file.seek(at)
    raw += file.read(n_bytes + 2 * MAX_BLOCK_BYTES)  # nothing comes out of a block before all of it is in
    file.seek(0)
    reader = decompressor(dictionary).stream_reader(io.BytesIO(raw), read_across_frames=True)
    head = b""
    with suppress(zstandard.ZstdError):  # what was decompressed up to the fault counts
        while len(head) < n_bytes and (part := reader.read(n_bytes - len(head))):
            head += part
    return head


class Zstd:
    """See `members.Codec`. Frames need not have a checksum; without one, damage to literals goes unseen."""

    name = "zstd"
    magic = MAGIC
    step_bytes = 2 << 10  # 4 bytes of it may stand for a block of 128 KiB
    errors: tuple[type[Exception], ...] = (zstandard.ZstdError,)
    trailers: tuple[int, ...] = (4,)  # a checksum
    hides_ends = True  # literals of a block may be stored as they are

    def __init__(self, file: BinaryIO) -> None:
        try:
            dictionary, self._fault = dictionary_of(file), ""
        except FrameError as error:
            dictionary, self._fault = None, str(error)
        self._decompressor = decompressor(dictionary)

    def inflater(self) -> Inflater:
        return self._decompressor.decompressobj()

    def explain(self, error: Exception) -> str:
        if "ictionary" in str(error):
            return self._fault or "zstd_dict: a frame needs a dictionary that the file lacks"
        return f"zstd frame cannot be decompressed: {error}"

    def first_step(self, raw: bytes, at: int) -> int:
        return self.step_bytes

    def whole(self, raw: bytes, at: int) -> tuple[bytes, int] | None:
        try:
            end = frame_end(raw, at)
            if end < 0 or not 0 < zstandard.frame_content_size(raw[at : at + 18]) <= MAX_WHOLE_BYTES:
                return None
            with memoryview(raw) as view:
                return self._decompressor.decompress(view[at:end]), end
        except (FrameError, zstandard.ZstdError):  # step by step it will show what is wrong
            return None

    def peek(self, raw: bytes, at: int) -> bytes:
        if not raw.startswith(MAGIC, at):
            return b""
        with memoryview(raw)[at : at + 2 * MAX_BLOCK_BYTES] as view:
            return peeked(lambda n_bytes: self._decompressor.stream_reader(view).read(n_bytes), self.errors)

    def skippable(self, raw: bytes, at: int) -> int:
        return skippable_bytes(raw, at)

    def extent(self, raw: bytes, at: int, n_inflated: int | None) -> tuple[int, bool]:
        return damaged_end(frame_end, raw, at), False

    def likely_end(self, raw: bytes, at: int, n_inflated: int | None) -> int:
        return near_end(frame_end, raw, at, MAGIC)

    def covers(self, raw: bytes, damaged: tuple[int, int], rest: tuple[int, int]) -> bool:
        return blocks_lead(raw, damaged, rest[1], next_block, (0, 4))
