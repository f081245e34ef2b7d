"""Sketch rows of exact duplicates: one per doc, keyed by 128 bits of its raw text's hash."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.fold import Position
from curate.folds.dedup.rows import doc_numbers, parts_of

SCHEMA = pa.schema(
    [
        pa.field("part", pa.int32()),
        pa.field("key", pa.uint64()),
        pa.field("key_low", pa.uint64()),
        pa.field("doc", pa.uint64()),
        pa.field("n_chars", pa.int32()),
        pa.field("doc_id", pa.string()),
    ]
)


def sketch_rows(batch: pa.RecordBatch, at: Position) -> pa.Table:
    """Return a row for each doc whose text is neither null nor empty. No normalisation: equal means equal bytes."""
    n_chars = pc.fill_null(pc.utf8_length(batch["text"]), 0)
    chosen = np.flatnonzero(n_chars.to_numpy(zero_copy_only=False) > 0)
    texts = batch["text"].cast(pa.binary()).take(pa.array(chosen, pa.int64())).to_pylist()
    digests = b"".join(blake2b(text, digest_size=16).digest() for text in texts)
    keys = np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, 2)
    columns = [
        pa.array(parts_of(keys[:, 0], at.n_parts), pa.int32()),
        pa.array(keys[:, 0], pa.uint64()),
        pa.array(keys[:, 1], pa.uint64()),
        pa.array(doc_numbers(at, batch.num_rows)[chosen], pa.uint64()),
        n_chars.take(pa.array(chosen, pa.int64())).cast(pa.int32()),
        batch["doc_id"].take(pa.array(chosen, pa.int64())).cast(pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
