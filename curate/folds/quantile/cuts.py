"""Exact quantiles in bounded memory: 16 bits of the keys at a time, each pass counts only what is still in question."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.errors import CurateError
from curate.folds.quantile.rows import SCHEMA, U64
from curate.sketches import Part

ROWS_FILE, COUNTS_FILE = "rows.arrow", "counts.json"
DIGIT_BITS, N_DIGITS = 16, 4
MAX_GROUPS = 4096  # of `per`; more is a column that names docs, not kinds of docs

Group = str | None
Counts = dict[Group, Counter[int]]  # prefix of the keys → docs


def write_counted(part: Part, out: Path) -> None:
    """Write a part's rows in their order, and how many of each group begin with each 16 bits."""
    counts: Counts = {}
    schema = SCHEMA.remove(0)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        pa.OSFile(str(out / ROWS_FILE), "wb") as sink,
        pa.ipc.new_stream(sink, schema, options=options) as file,
    ):
        for batch in part.batches():
            _count(batch, 0, None, counts)
            file.write_batch(batch.select(schema.names).cast(schema))
    plain = [[group, sorted(bins.items())] for group, bins in counts.items()]
    (out / COUNTS_FILE).write_text(json.dumps(plain))


def rows_of(parts: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """Yield the rows that `reduce` kept: part by part, shard by shard, in the order of the docs."""
    for folder in parts:
        with pa.memory_map(str(folder / ROWS_FILE)) as file, pa.ipc.open_stream(file) as reader:
            yield from reader


class CutFinder:
    """Finds the keys at given places of each group. Memory: one count for each prefix in question."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._parts = parts
        self._first: Counts = {}
        for folder in parts:
            for group, bins in json.loads((folder / COUNTS_FILE).read_text()):
                self._first.setdefault(group, Counter()).update(dict(bins))
        if len(self._first) > MAX_GROUPS:
            raise CurateError(f"quantile: `per` has {len(self._first):,} values; up to {MAX_GROUPS:,} can have cuts")

    def cuts(self, shares: Sequence[float]) -> dict[Group, list[int]]:
        """Return the keys at places ceil(share * n_docs) of each group's docs, best first."""
        ranks = {g: [_rank(share, bins.total()) for share in shares] for g, bins in self._first.items()}
        counts = self._first
        found: dict[Group, list[tuple[int, int]]] = {}
        for digit in range(N_DIGITS):
            if digit:
                counts = self._next(digit, {group: {prefix for prefix, _ in cuts} for group, cuts in found.items()})
            found = {
                group: [
                    _descend(counts[group], found[group][i] if digit else (0, rank), digit)
                    for i, rank in enumerate(ranks[group])
                ]
                for group in self._first
            }
        return {group: [prefix for prefix, _ in cuts] for group, cuts in found.items()}

    def _next(self, digit: int, wanted: Mapping[Group, set[int]]) -> Counts:
        counts: Counts = {}
        for batch in rows_of(self._parts):
            _count(batch, digit, wanted, counts)
        return counts


def _rank(share: float, n_docs: int) -> int:
    """Return the place, from 1, of the last doc of a share. Decimal: 0.1 of 30 docs are 3, not 3.0000000000000004."""
    return max(1, ceil(Fraction(str(share)) * n_docs))


def _descend(bins: Mapping[int, int], at: tuple[int, int], digit: int) -> tuple[int, int]:
    """Return the longer prefix under which the wanted doc stands, and its place there."""
    prefix, rank = at
    low = prefix << DIGIT_BITS if digit else 0
    for longer in sorted(key for key in bins if not digit or key >> DIGIT_BITS == prefix):
        if rank <= bins[longer]:
            return longer, rank
        rank -= bins[longer]
    raise CurateError(f"quantile: place {rank} is past the docs under {low:x}")  # counts of one file that differ


def _count(batch: pa.RecordBatch, digit: int, wanted: Mapping[Group, set[int]] | None, counts: Counts) -> None:
    """Add the prefixes of `digit + 1` digits; those of one digit less that are not `wanted` are left out."""
    shift = np.uint64(DIGIT_BITS * (N_DIGITS - 1 - digit))
    for group, keys in by_group(batch):
        if wanted is not None:
            parents = np.array(sorted(wanted.get(group, ())), np.uint64)
            keys = keys[np.isin(keys >> (shift + np.uint64(DIGIT_BITS)), parents)]
        prefixes, n_docs = np.unique(keys >> shift, return_counts=True)
        if len(prefixes):
            bins = counts.setdefault(group, Counter())
            bins.update(dict(zip(prefixes.tolist(), n_docs.tolist(), strict=True)))


def by_group(batch: pa.RecordBatch) -> Iterator[tuple[Group, U64]]:
    """Yield the keys of each group of a batch; docs without a number are left out."""
    has_key = batch["key"].is_valid()
    rows = batch.filter(has_key)
    keys = rows["key"].to_numpy(zero_copy_only=False)
    groups = rows["group"].dictionary_encode(null_encoding="encode")
    codes = groups.indices.to_numpy(zero_copy_only=False)
    for code, group in enumerate(groups.dictionary.to_pylist()):
        yield group, keys[codes == code]
