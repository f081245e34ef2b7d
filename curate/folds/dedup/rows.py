"""What the sketch rows of both methods share: how docs are numbered and keys are routed to parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curate.fold import Position

U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

ROW_BITS = np.uint64(40)  # a doc's number is shard << 40 | row: unique, and in plan order


def doc_numbers(at: Position, n_docs: int) -> U64:
    """Return the numbers of `n_docs` docs from position `at` on."""
    first = np.uint64(at.shard) << ROW_BITS | np.uint64(at.row)
    return first + np.arange(n_docs, dtype=np.uint64)


def shards_and_rows(docs: U64) -> tuple[I32, I64]:
    """Return the shard and the row of each doc number."""
    return (docs >> ROW_BITS).astype(np.int32), (docs & np.uint64((1 << 40) - 1)).astype(np.int64)


def parts_of(keys: U64, n_parts: int) -> I32:
    """Return each key's part. Parts are in key order, so all parts together are in one order for any `n_parts`."""
    return ((keys >> np.uint64(32)) * np.uint64(n_parts) >> np.uint64(32)).astype(np.int32)
