"""The bytes of a text file as they are inside gzip or zstd, every byte of the file counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from isal import isal_zlib as zlib

from curate.source import Tally
from curate.sources.streams import BrokenStreamError

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PLAIN_STEP_BYTES = 1 << 20
_GZIP_STEP_BYTES = 16 << 10  # inflates to 16.5 MB or less
_ZSTD_STEP_BYTES = 2 << 10  # inflates to 64 MB or less


def is_packed(file: BinaryIO) -> bool:
    """Say whether a file is gzip or zstd by its first bytes; leaves it at its start."""
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    return head.startswith((GZIP, ZSTD))


def unpacked(file: BinaryIO, tally: Tally) -> Iterator[bytes]:
    """Yield the bytes inside a file, from its start, in steps; count those of the file as ok or padding.

    A file that is neither gzip nor zstd is yielded as it is. Raises BrokenStreamError at damage, and where the
    file ends inside compressed data: what was counted up to there could be inflated.
    """
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    if head.startswith((GZIP, ZSTD)):
        yield from _inflated(file, tally, gzip=head.startswith(GZIP))
        return
    while data := file.read(_PLAIN_STEP_BYTES):
        tally.bytes_ok += len(data)
        yield data


def _inflated(file: BinaryIO, tally: Tally, *, gzip: bool) -> Iterator[bytes]:
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
            except (zlib.error, zstandard.ZstdError) as error:  # type: ignore[misc]  # its stub calls it an instance
                raise BrokenStreamError(f"compressed data cannot be inflated: {error}") from error
            tally.bytes_ok += len(data) - len(current.unused_data)
            data = current.unused_data
            if inflated:
                yield inflated
    if not current.eof:
        raise BrokenStreamError("the file ends inside compressed data")
