"""Sources: what turns the bytes of an input file into batches of docs, one module a format."""

from __future__ import annotations

import importlib
import io
import os
import re
import stat
import zlib
from functools import cache
from typing import BinaryIO, NamedTuple, cast

from curate.errors import InputError
from curate.source import Source
from curate.sources.files import open_input
from curate.sources.remote import RemoteError, is_remote

# kind → module and class, in the order in which a file's first bytes are shown to them
_CLASSES = {
    "arc": ("curate.sources.arc", "Arc"),
    "wet": ("curate.sources.wet", "Wet"),
    "warc": ("curate.sources.warc", "Warc"),
    "parquet": ("curate.sources.parquet", "Parquet"),
    "arrow": ("curate.sources.arrow", "Arrow"),
    "html": ("curate.sources.html", "Html"),
    "jsonl": ("curate.sources.jsonl", "Jsonl"),
    "csv": ("curate.sources.delimited", "Delimited"),
}
KINDS = tuple(_CLASSES)
WITH_COLUMNS = frozenset({"parquet", "arrow", "csv"})  # kinds of which each file is asked for its columns
COUNTED_IN_ROWS = frozenset({"parquet"})  # kinds whose pieces are rows, not bytes
SAID = "a WARC, WET, ARC, HTML, JSONL, Parquet, Arrow or CSV file"
_ARCHIVES = frozenset({"warc", "wet", "arc"})
_PAGE_RECORD = re.compile(rb"\nwarc-type: *(response|request|resource|revisit)", re.IGNORECASE)
_LZ4 = b"\x04\x22\x4d\x18"
_SEARCH_BYTES = 16 << 20  # how far a damaged WARC is searched for its first readable record

# What is recognised only to be refused by name: (ending of the file name, start of its bytes, what it is, what to do)
_REFUSED: tuple[tuple[str, bytes, str, str], ...] = (
    (".wat", b"WARC/", "WAT files hold no pages", "give the WARC it was made from"),
    ("", b"\xff\xfe", "UTF-16 text is not read", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    ("", b"\xfe\xff", "UTF-16 text is not read", "convert it with `iconv -f UTF-16 -t UTF-8`"),
    ("", b"FEA1", "Feather V1 files are not read", "write it again with pyarrow.feather.write_feather"),
    ("", b"PAR1", "an encrypted or damaged Parquet file", "decrypt it"),
    (".wacz", b"PK\x03\x04", "WACZ files are not read yet", "unzip it and give the WARC files in archive/"),
    ("", b"PK\x03\x04", "zip files are not read", "unzip it"),
    ("", b"BZh", "bzip2 files are not read", "decompress it"),
    ("", b"\xfd7zXZ\x00", "xz files are not read", "decompress it"),
    ("", b"\x04\x22\x4d\x18", "lz4 is read for archives only", "decompress it with `lz4 -d`"),
)


class UnknownKindError(InputError):
    """A file that can be read, but is of no kind that holds docs."""


class Found(NamedTuple):
    """What a look at a file tells of it."""

    kind: str
    size_bytes: int
    etag: str | None  # of a remote file, see `Slice`


@cache
def source_of(kind: str) -> Source:
    """Return the source that reads files of a kind; its module is imported now. Raises InputError."""
    if kind not in _CLASSES:
        raise InputError(f"unknown kind of input {kind!r}; known: {', '.join(KINDS)}")
    module, name = _CLASSES[kind]
    return cast("Source", getattr(importlib.import_module(module), name)())


def sniff(path: str) -> str:
    """Return the kind of a file, see `look`."""
    return look(path).kind


def look(path: str) -> Found:
    """Return the kind and size of a file: by its bytes first and its name second.

    A WARC whose first record is damaged is still a WARC if a record is found in its first 16 MiB. Of a remote file
    4 KiB are read, more only where they do not tell. Raises InputError where the file is missing, empty, not a
    regular file, cannot be read, or (UnknownKindError) of no kind that is read.
    """
    if is_remote(path):
        from curate.sources.remote.file import RemoteFile

        try:
            with RemoteFile(path) as remote:
                return Found(_kind(remote.url, cast("BinaryIO", remote)), remote.size_bytes, remote.validator)
        except RemoteError as error:
            raise InputError(str(error)) from error
    try:
        found = os.stat(path)  # before opening: opening a pipe would wait for its writer
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: not a regular file")
    if found.st_size == 0:
        raise InputError(f"{path}: the file is empty")
    try:
        with open_input(path) as file:
            return Found(_kind(path, file), found.st_size, None)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _kind(path: str, file: BinaryIO) -> str:
    from curate.sources.streams import HEAD_BYTES, head_of

    head = head_of(file)
    file.seek(0)
    raw = file.read(HEAD_BYTES)
    name = os.path.basename(path).lower()
    plain_name = name
    for ending in (".open", ".gz", ".zst", ".lz4"):
        plain_name = plain_name.removesuffix(ending)
    if found := _kind_by_head(plain_name, head, is_lz4=raw.startswith(_LZ4)):
        return found
    if not head and _needs_dictionary(raw):
        raise InputError(
            f"{path}: its zstd frames need a dictionary that the file does not hold; decompress it with it"
        )
    if not head and _is_empty(raw):
        if name.endswith(".jsonl.zst"):
            return "jsonl"  # a shard that kept no doc, as `--format jsonl` writes it
        raise InputError(f"{path}: the file is empty")
    start = head.lstrip(b"\x00\r\n \t\xef\xbb\xbf") or raw
    for ending, magic, what, remedy in _REFUSED:
        if (start.startswith(magic) or raw.startswith(magic)) and plain_name.endswith(ending):
            raise InputError(f"{path}: {what}; {remedy}")
    if ".warc" in name and _holds_warc_record(file):
        return "wet" if plain_name.endswith(".wet") else "warc"
    raise UnknownKindError(f"{path}: not {SAID}")


def _kind_by_head(name: str, head: bytes, *, is_lz4: bool) -> str | None:
    for kind in KINDS:
        if not source_of(kind).sniff(name, head) or (is_lz4 and kind not in _ARCHIVES):
            continue
        if kind == "wet" and not name.endswith(".wet") and _PAGE_RECORD.search(head):
            continue  # a crawl whose first page shows a WET record
        return None if kind == "warc" and name.endswith(".wat") else kind
    return None


def _is_empty(raw: bytes) -> bool:
    """Say whether a compressed file of few bytes holds nothing at all."""
    from curate.sources.streams import HEAD_BYTES
    from curate.sources.zstd import MAGIC

    if len(raw) >= HEAD_BYTES:
        return False
    if raw.startswith(MAGIC):
        return True  # something would have come out of so few bytes
    inflater = zlib.decompressobj(wbits=31)
    try:
        return not inflater.decompress(raw) and inflater.eof and not inflater.unused_data
    except zlib.error:
        return False


def _holds_warc_record(file: BinaryIO) -> bool:
    from curate.sources.framing import holds_record
    from curate.sources.warc_format import WarcFormat

    file.seek(0)
    return holds_record(io.BytesIO(file.read(_SEARCH_BYTES)), WarcFormat(()))


def _needs_dictionary(raw: bytes) -> bool:
    """Say whether the first frame of a zstd file cannot be read without a dictionary."""
    import zstandard

    try:
        return zstandard.get_frame_parameters(raw).dict_id != 0
    except zstandard.ZstdError:
        return False
