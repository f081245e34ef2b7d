"""List files: a text whose lines name inputs, such as Common Crawl's `warc.paths.gz`."""

from __future__ import annotations

import os
import posixpath
import zlib
from collections.abc import Iterator

from curate.errors import InputError, printable
from curate.sources.files import open_input
from curate.sources.remote import RemoteError, bare, below, is_remote

ENDINGS = (".txt", ".list", ".paths")
COMMON_CRAWL = "https://data.commoncrawl.org/"  # where the lines of its path files start
MAX_LIST_BYTES = 256 << 20  # a dump has 90,000 WARCs, its list 13 MB
MAX_LINE_CHARS = 8192


def is_list(path: str) -> bool:
    """Say whether an input is a list: its name ends as one, and its content is of no kind that holds docs."""
    from curate.sources import UnknownKindError, look

    if not path.lower().removesuffix(".gz").endswith(ENDINGS):
        return False
    try:
        look(path)
    except UnknownKindError:
        return True
    except InputError:
        return False  # the plan will say what is wrong with it
    return False


def paths_in(path: str, base: str | None = None) -> Iterator[str]:
    """Yield the inputs a list names: absolute paths and bare URLs. Blank lines and those that begin with # are none.

    A relative line starts at `base` if one is given, else at the list's folder; a line that begins with
    `crawl-data/` and is no file there starts at Common Crawl's server. Lines name single files. Raises InputError
    with the number of the line for one that names none.
    """
    folder = posixpath.dirname(path) + "/" if is_remote(path) else os.path.dirname(path)
    n_found = 0
    for number, line in enumerate(_text(path).split("\n"), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        where = f"{path}, line {number}"
        if len(entry) > MAX_LINE_CHARS or not entry.isprintable():
            raise InputError(f"{where}: is read as a list of inputs, and this line is no path or URL")
        n_found += 1
        try:
            found = _resolved(entry, folder, base)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        if not is_remote(found) and not os.path.isfile(found):
            raise InputError(f"{where}: is read as a list of inputs, and there is no such file: {entry}")
        yield found
    if n_found == 0:
        raise InputError(f"{path}: the list names no inputs")


def _resolved(entry: str, folder: str, base: str | None) -> str:
    if is_remote(entry):
        return bare(entry)
    if base is not None:
        start = base
    elif entry.startswith("crawl-data/") and (is_remote(folder) or not os.path.exists(os.path.join(folder, entry))):
        start = COMMON_CRAWL
    else:
        start = folder
    if is_remote(start):
        return below(start, entry)
    return os.path.abspath(os.path.join(start, entry))


def _text(path: str) -> str:
    """Return the text of a list, inflated where it is gzip."""
    try:
        with open_input(path) as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except RemoteError as error:
        raise InputError(str(error)) from error
    while data.startswith(b"\x1f\x8b"):
        data = _inflated(path, data)
    if len(data) > MAX_LIST_BYTES:
        raise InputError(f"{path}: a list may have {MAX_LIST_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the list is not UTF-8 text; name: {printable(os.path.basename(path))}") from error


def _inflated(path: str, data: bytes) -> bytes:
    parts, n_bytes = [], 0
    while data:
        inflater = zlib.decompressobj(wbits=31)
        try:
            parts.append(inflater.decompress(data, MAX_LIST_BYTES + 1 - n_bytes))
        except zlib.error as error:
            raise InputError(f"{path}: the list cannot be inflated: {error}") from error
        n_bytes += len(parts[-1])
        if n_bytes > MAX_LIST_BYTES:
            break
        if not inflater.eof:
            raise InputError(f"{path}: the list ends inside its gzip data")
        data = inflater.unused_data.lstrip(b"\x00")
    return b"".join(parts)
