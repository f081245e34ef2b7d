"""Sketch rows of the `quantile` fold: a doc's place, its group, and its number as a key whose order is best first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.fold import Position

U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

SCHEMA = pa.schema(
    [
        pa.field("part", pa.int32()),
        pa.field("shard", pa.int32()),
        pa.field("row", pa.int64()),
        pa.field("group", pa.string()),  # null where `per` is not given, or has none for the doc
        pa.field("key", pa.uint64()),  # null for a doc without a number
    ]
)
_SIGN = np.uint64(1 << 63)


def sketch_rows(batch: pa.RecordBatch, at: Position, by: str, per: str | None, *, negated: bool) -> pa.Table:
    """Return a row for each doc. `negated` puts the highest numbers first."""
    n = batch.num_rows
    numbers = batch[by].cast(pa.float64(), safe=False)
    has_number = pc.fill_null(pc.is_finite(numbers), False).to_numpy(zero_copy_only=False)
    values = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False)
    keys = keys_of(np.where(has_number, -values if negated else values, 0.0))
    group = pa.nulls(n, pa.string()) if per is None else batch[per].cast(pa.string())
    columns = [
        pa.array(np.full(n, at.shard % at.n_parts), pa.int32()),
        pa.array(np.full(n, at.shard), pa.int32()),
        pa.array(np.arange(at.row, at.row + n), pa.int64()),
        group,
        pa.array(keys, pa.uint64(), mask=~has_number),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def keys_of(values: F64) -> U64:
    """Return uint64[n] in the order of the finite numbers; 0.0 and -0.0 have one key."""
    bits = (values + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def value_of(key: int, *, negated: bool) -> float:
    """Return the number of a key."""
    bits = np.array([key], np.uint64)
    value = float(np.where(bits & _SIGN, bits & ~_SIGN, ~bits).view(np.float64)[0])
    return -value + 0.0 if negated else value
