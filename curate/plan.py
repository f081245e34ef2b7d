"""The plan: which inputs there are and how they are cut into shards, decided once from names and sizes."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from curate.errors import InputError
from curate.recipe import SourceSpec
from curate.sketches import n_parts_for
from curate.source import ShardRef, Slice

HIDDEN = (".", "_")  # files and folders that begin so are skipped inside folders, as Spark and Arrow do


@dataclass(frozen=True)
class Plan:
    """The frozen list of shards of a run."""

    shards: tuple[ShardRef, ...]

    @property
    def n_bytes(self) -> int:
        return sum(size for size in self.inputs.values())

    @property
    def n_parts(self) -> int:
        """Number of parts of every fold."""
        return n_parts_for(self.n_bytes)

    @property
    def inputs(self) -> dict[str, int]:
        """Input name → size in bytes, each file once."""
        return {s.name: s.size_bytes for shard in self.shards for s in shard.slices}

    @property
    def key(self) -> str:
        """Digest of names, sizes and cuts. Where the files lie plays no part."""
        rows = [
            [(s.name, s.kind, s.source, s.start, s.end, s.size_bytes, s.check_digests) for s in shard.slices]
            for shard in self.shards
        ]
        return blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()

    def to_json(self) -> list[list[dict[str, Any]]]:
        return [[asdict(piece) for piece in shard.slices] for shard in self.shards]

    @staticmethod
    def from_json(rows: list[list[dict[str, Any]]]) -> Plan:
        return Plan(tuple(ShardRef(n, tuple(Slice(**piece) for piece in pieces)) for n, pieces in enumerate(rows)))


def make_plan(sources: Sequence[SourceSpec], shard_bytes: int, folder: str = ".") -> Plan:
    """List the inputs and pack them into shards of about `shard_bytes`.

    Raises InputError for a path that does not exist, is empty, is of no known kind, or appears twice.
    """
    from curate.sources import sniff, source_of

    files = [(spec.name, path) for spec in sources for text in spec.paths for path in _expand(text, folder)]
    if not files:
        raise InputError("no inputs; name files, folders or globs")
    seen: dict[str, str] = {}
    for source, path in files:
        if path in seen:
            raise InputError(f"{path} is given twice (sources {seen[path]!r} and {source!r})")
        if any("\udc80" <= c <= "\udcff" for c in path):  # bytes that are no UTF-8; a doc_id could not be made of them
            raise InputError(f"{path!r}: the name is not UTF-8; rename the file")
        seen[path] = source
    root = os.path.commonpath([os.path.dirname(path) for _, path in files])
    shards: list[ShardRef] = []
    held: list[Slice] = []
    held_bytes = 0

    def close() -> None:
        nonlocal held_bytes
        if held:
            shards.append(ShardRef(len(shards), tuple(held)))
        held.clear()
        held_bytes = 0

    for source, path in sorted(files, key=lambda f: (f[0], os.path.relpath(f[1], root))):
        size = os.path.getsize(path)
        if size == 0:
            raise InputError(f"{path} is empty; remove it from the inputs")
        kind = _kind(path, sniff, {text for spec in sources for text in spec.paths})
        pieces = source_of(kind).cut(path, size, shard_bytes)
        weight = size // max(1, len(pieces))
        for start, end in pieces:
            piece = Slice(path, os.path.relpath(path, root), kind, source, start, end, size)
            if held and (held_bytes + weight > shard_bytes or held[0].kind != kind or held[0].source != source):
                close()
            held.append(piece)
            held_bytes += weight
    close()
    return Plan(tuple(shards))


def _kind(path: str, sniff: Callable[[str], str], named: set[str]) -> str:
    """Return the kind of a file. One that a folder brought along can be left out by a glob: the error says so."""
    try:
        return sniff(path)
    except InputError as error:
        folders = [
            text for text in named if os.path.isdir(text) and os.path.abspath(path).startswith(os.path.abspath(text))
        ]
        hint = (
            f"; to leave it out, name the inputs by a glob such as '{folders[0].rstrip('/')}/*.warc.gz'"
            if folders
            else ""
        )
        raise InputError(f"{error}{hint}") from error


def _expand(text: str, folder: str) -> list[str]:
    """Return the files that a path, folder, glob or earlier run stands for, sorted."""
    if "://" in text:
        raise InputError(f"{text}: only local files can be read so far; copy it here first")
    path = text if os.path.isabs(text) else os.path.join(folder, text)
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, "run.json")):
            path = os.path.join(path, "documents")
            if not os.path.isdir(path):
                raise InputError(f"{text} is a run that has no documents yet; finish it with `curate run`")
        found = sorted(_files_below(path))
    elif os.path.exists(path):
        if not os.path.isfile(path):
            raise InputError(f"{text} is not a regular file")
        found = [path]
    else:
        found = sorted(p for p in glob.glob(path, recursive=True) if os.path.isfile(p))
        if not found:
            raise InputError(f"no such file: {text}")
    if not found:
        raise InputError(f"no files in {text}")
    return [os.path.abspath(p) for p in found]


def _files_below(folder: str) -> list[str]:
    """Return all files below a folder but hidden ones and those of runs: `curate run R . -o out` can be run again."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            d for d in folders if not d.startswith(HIDDEN) and not Path(parent, d, "run.json").is_file()
        )
        found += [os.path.join(parent, f) for f in files if not f.startswith(HIDDEN) and Path(parent, f).is_file()]
    return found
