"""The plan: which inputs there are and how they are cut into shards, decided once from names, sizes and heads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from curate.errors import InputError
from curate.inputs import expand, left_out, names_of
from curate.recipe import SourceSpec
from curate.sketches import n_parts_for
from curate.source import ShardRef, Slice

N_LOOKS = 16  # remote files that are looked at at a time


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
    def etags(self) -> dict[str, str | None]:
        """Input name → what tells a remote file from a changed one; None for a local file."""
        return {s.name: s.etag for shard in self.shards for s in shard.slices}

    @property
    def key(self) -> str:
        """Digest of names, sizes, cuts, ETags and how files are read. Where the files lie plays no part."""
        rows = [[_key_row(piece) for piece in shard.slices] for shard in self.shards]
        return blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()

    def to_json(self) -> list[list[dict[str, Any]]]:
        return [[asdict(piece) for piece in shard.slices] for shard in self.shards]

    @staticmethod
    def from_json(rows: list[list[dict[str, Any]]]) -> Plan:
        return Plan(tuple(ShardRef(n, tuple(Slice(**piece) for piece in pieces)) for n, pieces in enumerate(rows)))


def _key_row(piece: Slice) -> list[Any]:
    row = [piece.name, piece.kind, piece.source, piece.start, piece.end, piece.size_bytes, piece.check_digests]
    options = [piece.etag, piece.text_column, piece.url_column]
    return row + options if any(options) else row  # a local copy of a remote file is another input: it has no ETag


class _File(NamedTuple):
    """An input file that was looked at."""

    source: SourceSpec
    path: str
    name: str
    kind: str
    size_bytes: int
    etag: str | None
    pieces: Sequence[tuple[int, int]]


def make_plan(sources: Sequence[SourceSpec], shard_bytes: int, folder: str = ".") -> Plan:
    """List the inputs and pack them into shards of about `shard_bytes`.

    Raises InputError for a path that does not exist, is empty, is of no known kind, or appears twice.
    """
    found = [(spec, path) for spec in sources for text in spec.paths for path in expand(text, folder, spec.base)]
    if not found:
        raise InputError("no inputs; name files, folders or globs")
    seen: dict[str, str] = {}
    for spec, path in found:
        if path in seen:
            raise InputError(f"{path} is given twice (sources {seen[path]!r} and {spec.name!r})")
        if any("\udc80" <= c <= "\udcff" for c in path):  # bytes that are no UTF-8; a doc_id could not be made of them
            raise InputError(f"{path!r}: the name is not UTF-8; rename the file")
        seen[path] = spec.name
    names = names_of([path for _, path in found])
    if len(set(names)) < len(names):  # the same path on two kinds of server
        twice = Counter(names).most_common(1)[0][0]
        raise InputError(f"two inputs would be called {twice}; read them in two runs")
    named = sorted(((spec, path, name) for (spec, path), name in zip(found, names, strict=True)), key=_order)
    return Plan(tuple(_packed(_looked_at(named, shard_bytes), shard_bytes)))


def _order(row: tuple[SourceSpec, str, str]) -> tuple[str, str]:
    return row[0].name, row[2]


def _looked_at(named: Sequence[tuple[SourceSpec, str, str]], shard_bytes: int) -> Iterator[_File]:
    """Yield every file with its kind, size and pieces, in order; remote ones are asked for N_LOOKS at a time."""
    from curate.sources.remote import is_remote

    if not is_remote(named[0][1]):
        yield from (_look(spec, path, name, shard_bytes) for spec, path, name in named)
        return
    with ThreadPoolExecutor(N_LOOKS) as pool:
        try:
            yield from pool.map(lambda row: _look(row[0], row[1], row[2], shard_bytes), named)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _look(spec: SourceSpec, path: str, name: str, shard_bytes: int) -> _File:
    from curate.sources import UnknownKindError, look, source_of
    from curate.sources.remote import RemoteError

    try:
        found = look(path)
        pieces = source_of(found.kind).cut(path, found.size_bytes, shard_bytes)
    except UnknownKindError as error:
        raise UnknownKindError(f"{error}{left_out(path, spec.paths)}") from error
    except RemoteError as error:
        raise InputError(str(error)) from error
    return _File(spec, path, name, found.kind, found.size_bytes, found.etag, pieces)


def _packed(files: Iterator[_File], shard_bytes: int) -> Iterator[ShardRef]:
    """Yield shards of slices of one kind and source each, in the order of the files."""
    number = 0
    held: list[Slice] = []
    held_bytes = 0
    for file in files:
        spec, weight = file.source, file.size_bytes // max(1, len(file.pieces))
        for start, end in file.pieces:
            piece = Slice(
                file.path, file.name, file.kind, spec.name, start, end, file.size_bytes, spec.check_digests,
                file.etag, spec.text_column, spec.url_column,
            )  # fmt: skip
            other = held and (held[0].kind != piece.kind or held[0].source != piece.source)
            if held and (held_bytes + weight > shard_bytes or other):
                yield ShardRef(number, tuple(held))
                number, held, held_bytes = number + 1, [], 0
            held.append(piece)
            held_bytes += weight
    if held:
        yield ShardRef(number, tuple(held))
