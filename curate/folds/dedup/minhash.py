"""Sketch rows of near-duplicates: one per doc and band of its MinHash signature, keyed by the band's hash."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.fold import Position
from curate.folds.dedup.rows import I64, doc_numbers, parts_of

# What `finish` must know of a doc stands in the row of its first band alone and is null in the others:
# a doc then costs 8 + 8 bytes a band, and 32 for its doc_id, before compression.
SCHEMA = pa.schema(
    [
        pa.field("part", pa.int32()),
        pa.field("key", pa.uint64()),
        pa.field("doc", pa.uint64()),
        pa.field("n_chars", pa.int32()),
        pa.field("doc_id", pa.string()),
    ]
)
SHINGLES = pa.field("shingles", pa.list_(pa.uint32()))  # sorted, distinct; only where pairs are verified


class Bands(NamedTuple):
    """The parameters of a MinHash sketch."""

    n_bands: int
    rows_per_band: int
    shingle_words: int
    seed: int
    with_shingles: bool


def sketch_rows(batch: pa.RecordBatch, at: Position, bands: Bands) -> pa.Table:
    """Return `n_bands` rows for each doc that has a word."""
    from curate.kernels import shingles as kernel  # imports numba

    shingles = kernel.shingle_hashes(batch["text"], bands.shingle_words)
    permutations = kernel.permutations(bands.n_bands * bands.rows_per_band, bands.seed)
    chosen = np.flatnonzero(np.diff(shingles.offsets))
    keys = kernel.band_keys(shingles, permutations, bands.rows_per_band)[chosen].ravel()
    first_rows = _first_rows(chosen, bands.n_bands)
    columns = [
        pa.array(parts_of(keys, at.n_parts), pa.int32()),
        pa.array(keys, pa.uint64()),
        pa.array(np.repeat(doc_numbers(at, batch.num_rows)[chosen], bands.n_bands), pa.uint64()),
        pc.utf8_length(batch["text"]).take(first_rows).cast(pa.int32()),
        batch["doc_id"].take(first_rows).cast(pa.string()),
    ]
    if not bands.with_shingles:
        return pa.Table.from_arrays(columns, schema=SCHEMA)
    sets = _distinct(shingles.hashes, shingles.offsets).take(first_rows)
    return pa.Table.from_arrays([*columns, sets], schema=SCHEMA.append(SHINGLES))


def _first_rows(chosen: I64, n_bands: int) -> pa.Int64Array:
    """Return the index of a doc at the row of its first band, null at its other rows."""
    is_first = np.arange(len(chosen) * n_bands) % n_bands == 0
    return pa.array(np.repeat(chosen, n_bands), pa.int64(), mask=~is_first)


def _distinct(hashes: np.ndarray[tuple[int], np.dtype[np.uint32]], offsets: I64) -> pa.ListArray:
    bounds = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    sets = [np.unique(hashes[start:end]) for start, end in bounds]
    ends = np.cumsum([0, *map(len, sets)], dtype=np.int32)
    values = np.concatenate([np.empty(0, np.uint32), *sets])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values, pa.uint32()))
