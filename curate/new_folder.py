"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.errors import InputError
from curate.receipts import attempt_name, discard, fsync_path


@contextmanager
def new_folder(out: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a hidden folder beside `out` to write into, and rename it to `out` at the end; of a failure nothing stays.

    Raises InputError where `out` exists or its parent does not.
    """
    target = Path(out)
    if target.exists():
        raise InputError(f"{target} exists; name a folder that does not")
    if not target.parent.exists():
        raise InputError(f"{target.parent} is no folder")
    folder = target.parent / f".{target.name}.{attempt_name()}"
    folder.mkdir()
    try:
        yield folder
        for path in (*folder.iterdir(), folder):
            fsync_path(path)
        os.rename(folder, target)
    except BaseException:
        discard(folder)
        raise
