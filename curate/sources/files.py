"""Opens an input file for reading, wherever it lies."""

from __future__ import annotations

import os
from typing import BinaryIO, cast

from curate.errors import InputError
from curate.source import Slice
from curate.sources.remote import is_remote


def open_input(where: str | Slice) -> BinaryIO:
    """Return a seekable binary file, unbuffered; the caller closes it. `read(n)` is short at the file's end only.

    A slice is opened as it was planned: another size or ETag is an error. InputError for a local file,
    RemoteError for a remote one, also later, while it is read.
    """
    piece = where if isinstance(where, Slice) else None
    path = where if isinstance(where, str) else where.path
    if is_remote(path):
        from curate.sources.remote.file import RemoteFile

        planned = (None, None) if piece is None else (piece.size_bytes, piece.etag)
        return cast("BinaryIO", RemoteFile(path, size_bytes=planned[0], validator=planned[1]))
    if piece is not None:
        check_unchanged(piece)
    return cast("BinaryIO", open(path, "rb", buffering=0))


def check_unchanged(piece: Slice) -> None:
    """Raise InputError if a local file has another size than was planned; remote ones are checked reply by reply."""
    if not is_remote(piece.path) and os.stat(piece.path).st_size != piece.size_bytes:
        raise InputError(f"{piece.path} changed while the run was going on; start again with another -o")
