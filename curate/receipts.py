"""The commit protocol: data files under attempt-unique names, then one receipt that makes them exist.

A data file is flushed, fsynced, closed, re-opened and counted. Then its receipt is written to a temporary
file, fsynced, and published with `link(2)`, which fails if another attempt was first: the winner's receipt
stands and the loser removes its own files. A file that no receipt names does not exist.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from curate.errors import CurateError

Receipt = dict[str, Any]


def attempt_name() -> str:
    """Return a name no other attempt has; it never enters a file's content."""
    return uuid.uuid4().hex[:12]


def fsync_path(path: Path) -> None:
    """Make a file, or the entries of a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def describe(path: Path, root: Path, **extra: Any) -> dict[str, Any]:
    """Make a finished file durable and return its entry for a receipt: name, bytes, sha256."""
    fsync_path(path)
    return {"path": str(path.relative_to(root)), "bytes": path.stat().st_size, "sha256": sha256_of(path), **extra}


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, or of the names and contents of all files in a folder."""
    digest = sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def publish(receipt: Mapping[str, Any], target: Path, own: Iterable[Path]) -> Receipt:
    """Publish a receipt; return the one that stands. `own` are this attempt's files and folders."""
    target.parent.mkdir(parents=True, exist_ok=True)
    own = list(own)
    inside = {folder for path in own if path.is_dir() for folder in (path, *path.rglob("*")) if folder.is_dir()}
    for folder in {path.parent for path in own} | inside:
        fsync_path(folder)
    temporary = target.parent / f".{target.name}.{attempt_name()}"
    try:
        with temporary.open("w", encoding="utf-8") as out:
            json.dump(receipt, out, indent=1, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(temporary, target)
        except FileExistsError:
            for path in own:
                discard(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_path(target.parent)
    return read_receipt(target)


def read_receipt(path: Path) -> Receipt:
    """Return a receipt. Raises CurateError if it was damaged after it was published."""
    try:
        receipt = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CurateError(f"{path} is damaged ({error}); remove it and run the same command again") from None
    if not isinstance(receipt, dict):
        raise CurateError(f"{path} is damaged (it holds no fields); remove it and run the same command again")
    return receipt


def write_atomically(path: Path, text: str) -> None:
    """Replace a small file in one step."""
    temporary = path.parent / f".{path.name}.{attempt_name()}"
    try:
        with temporary.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_path(path.parent)


def discard(path: Path) -> None:
    """Remove a file or folder that no receipt names."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
