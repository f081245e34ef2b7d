"""What sources have in common: the limits of a batch, and files that are read whole under one schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from curate.source import Slice

MAX_BATCH_DOCS = 64
MAX_BATCH_BYTES = 16 << 20  # of text or html; one doc may be larger


def batched(rows: Iterable[tuple[Mapping[str, Any], int]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield rows, given with the bytes they count for, in batches within the limits."""
    held: list[Mapping[str, Any]] = []
    n_bytes = 0
    for row, size_bytes in rows:
        if held and (len(held) == MAX_BATCH_DOCS or n_bytes + size_bytes > MAX_BATCH_BYTES):
            yield pa.RecordBatch.from_pylist(held, schema)
            held, n_bytes = [], 0
        held.append(row)
        n_bytes += size_bytes
    if held:
        yield pa.RecordBatch.from_pylist(held, schema)


class WholeFiles:
    """A source whose files have one schema, and are never cut into pieces."""

    schema: pa.Schema

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of this slice's batches: that of every file of this kind."""
        return self.schema

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return the whole file."""
        return [(0, size_bytes)]
