"""Sources: what turns the bytes of an input file into batches of docs, one module a format."""

from __future__ import annotations

import io
import os
import stat
import zlib
from functools import cache
from typing import IO

from curate.errors import InputError
from curate.source import Source

KINDS = ("warc", "jsonl", "parquet")
HEAD_BYTES = 4096
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK_BYTES = 128 << 10  # the largest block of a frame
_SEARCH_BYTES = 16 << 20  # how far a damaged WARC is searched for its first readable record

# What is recognised only to be refused by name: (ending of the file name, start of its bytes, what it is, what to do)
_REFUSED: tuple[tuple[str, bytes, str, str], ...] = (
    ("", b"filedesc://", "ARC files are not read yet", "convert it with `warcio recompress`"),
    (".wet", b"WARC/", "WET files are not read yet", "give the WARC it was made from"),
    (".wat", b"WARC/", "WAT files hold no pages", "give the WARC it was made from"),
    ("", b"\x04\x22\x4d\x18", "lz4 files are not read yet", "decompress it with `lz4 -d`"),
    ("", b"\x28\xb5\x2f\xfd", "zstd is read for JSONL only", "decompress it with `zstd -d`"),
    (".wacz", b"PK\x03\x04", "WACZ files are not read yet", "unzip it and give the WARC files in archive/"),
    ("", b"PK\x03\x04", "zip files are not read", "unzip it"),
    ("", b"BZh", "bzip2 files are not read", "decompress it"),
    ("", b"\xfd7zXZ\x00", "xz files are not read", "decompress it"),
)


@cache
def source_of(kind: str) -> Source:
    """Return the source that reads files of a kind; its module is imported now. Raises InputError."""
    if kind == "warc":
        from curate.sources.warc import Warc

        return Warc()
    if kind == "jsonl":
        from curate.sources.jsonl import Jsonl

        return Jsonl()
    if kind == "parquet":
        from curate.sources.parquet import Parquet

        return Parquet()
    raise InputError(f"unknown kind of input {kind!r}; known: {', '.join(KINDS)}")


def sniff(path: str) -> str:
    """Return the kind of a file, by its bytes first and its name second.

    A WARC whose first record is damaged is still a WARC if a record is found in its first 16 MiB.
    Raises InputError where the file is missing, empty, not a regular file, or of no kind that is read.
    """
    try:
        found = os.stat(path)  # before opening: opening a pipe would wait for its writer
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: not a regular file")
    if found.st_size == 0:
        raise InputError(f"{path}: the file is empty")
    try:
        with open(path, "rb") as file:
            return _sniff(path, file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _sniff(path: str, file: IO[bytes]) -> str:
    raw = file.read(HEAD_BYTES)
    if raw.startswith(_ZSTD):
        raw += file.read(_ZSTD_BLOCK_BYTES)  # nothing comes out of a block before all of it is in
    name = os.path.basename(path).lower()
    plain_name = name
    for ending in (".open", ".gz", ".zst"):
        plain_name = plain_name.removesuffix(ending)
    head = _decompressed(raw, name)
    start = head.lstrip(b"\x00\r\n \t\xef\xbb\xbf")
    for ending, magic, what, remedy in _REFUSED:
        if start.startswith(magic) and plain_name.endswith(ending):
            raise InputError(f"{path}: {what}; {remedy}")
    if raw.startswith(b"\x1f\x8b") and not head and _is_empty_gzip(file):
        raise InputError(f"{path}: the file is empty")
    if raw.startswith(_ZSTD) and not head and name.endswith(".jsonl.zst"):
        return "jsonl"  # a shard that kept no doc, as `--format jsonl` writes it
    for kind in KINDS:
        if source_of(kind).sniff(plain_name, head):
            return kind
    if ".warc" in name and _holds_warc_record(file):
        return "warc"
    raise InputError(f"{path}: not a WARC, JSONL or Parquet file")


def _decompressed(raw: bytes, name: str) -> bytes:
    """Return the head of a file as it is inside its compression; as it is where that fails."""
    if raw.startswith(b"\x1f\x8b"):
        try:
            return zlib.decompressobj(wbits=31).decompress(raw, HEAD_BYTES)
        except zlib.error:
            return b""
    if raw.startswith(_ZSTD) and not name.endswith((".warc.zst", ".arc.zst")):
        import zstandard

        try:
            return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(io.BytesIO(raw)).read(HEAD_BYTES)
        except zstandard.ZstdError:
            return raw
    return raw


def _is_empty_gzip(file: IO[bytes]) -> bool:
    """Say whether a gzip file of few bytes holds nothing at all."""
    file.seek(0)
    raw = file.read(HEAD_BYTES)
    inflater = zlib.decompressobj(wbits=31)
    try:
        return len(raw) < HEAD_BYTES and not inflater.decompress(raw) and inflater.eof and not inflater.unused_data
    except zlib.error:
        return False


def _holds_warc_record(file: IO[bytes]) -> bool:
    from curate.source import Tally
    from curate.sources.framing import Records

    file.seek(0)
    head = io.BytesIO(file.read(_SEARCH_BYTES))
    records = Records(head, len(head.getbuffer()), Tally(), lambda headers: False)
    return next(iter(records), None) is not None
