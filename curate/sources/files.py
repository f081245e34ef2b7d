"""Opens an input file for reading, wherever it lies."""

from __future__ import annotations

from typing import BinaryIO


def open_input(path: str) -> BinaryIO:
    """Return a seekable binary file, unbuffered; the caller closes it."""
    return open(path, "rb", buffering=0)
