"""What `reduce` leaves of a part: its buckets of two or more docs, and one row for each of its docs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.folds.dedup.rows import U64
from curate.sketches import Part

BUCKETS = pa.schema([pa.field("docs", pa.list_(pa.uint64()))])
DOCS = pa.schema(
    [
        pa.field("doc", pa.uint64()),
        pa.field("n_chars", pa.int32()),
        pa.field("doc_id", pa.string()),
        pa.field("start", pa.int64()),  # first of the doc's shingles in SHINGLES_FILE; null where none are kept
        pa.field("n_shingles", pa.int32()),
    ]
)
BUCKETS_FILE, DOCS_FILE, SHINGLES_FILE = "buckets.arrow", "docs.arrow", "shingles.u32"


def write_candidates(part: Part, out: Path, key: Sequence[str]) -> None:
    """Write the three files of a part. Time is linear in its rows: a bucket is a list, never its pairs."""
    n_written = 0
    with (
        pa.OSFile(str(out / BUCKETS_FILE), "wb") as buckets_sink,
        pa.OSFile(str(out / DOCS_FILE), "wb") as docs_sink,
        open(out / SHINGLES_FILE, "wb") as shingles_sink,
        pa.ipc.new_file(buckets_sink, BUCKETS) as buckets,
        pa.ipc.new_file(docs_sink, DOCS) as docs,
    ):
        for batch in part.sorted(key[0], then=key[1:]):
            buckets.write_batch(_buckets(batch, key))
            known = batch.filter(batch["n_chars"].is_valid())
            rows, values = _docs(known, n_written)
            docs.write_batch(rows)
            shingles_sink.write(values)
            n_written += len(values) // 4


def batches_of(part: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of one of a part's Arrow files. Memory: one batch."""
    with pa.memory_map(str(part / name)) as mapped:
        reader = pa.ipc.open_file(mapped)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _buckets(batch: pa.RecordBatch, key: Sequence[str]) -> pa.RecordBatch:
    """Return the runs of two or more rows with equal keys. All rows of a key stand in one batch."""
    changes = np.zeros(max(0, batch.num_rows - 1), bool)
    for name in key:
        values = batch[name].to_numpy()
        changes |= values[1:] != values[:-1]
    cuts = np.concatenate([[0], np.flatnonzero(changes) + 1, [batch.num_rows]]).astype(np.int64)
    lengths = np.diff(cuts)
    lengths_of_rows = np.repeat(lengths, lengths)
    members: U64 = batch["doc"].to_numpy()[lengths_of_rows >= 2]
    offsets = np.concatenate([[0], np.cumsum(lengths[lengths >= 2])])
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(members, pa.uint64()))
    return pa.RecordBatch.from_arrays([lists], schema=BUCKETS)


def _docs(known: pa.RecordBatch, n_written: int) -> tuple[pa.RecordBatch, bytes]:
    nothing = pa.nulls(known.num_rows, pa.int64())
    starts, counts, values = nothing, nothing.cast(pa.int32()), b""
    if "shingles" in known.schema.names:
        lists = known["shingles"]
        lengths = lists.value_lengths().to_numpy()
        starts = pa.array(n_written + np.cumsum(lengths, dtype=np.int64) - lengths, pa.int64())
        counts, values = pa.array(lengths, pa.int32()), lists.flatten().to_numpy().tobytes()
    columns = [known["doc"], known["n_chars"], known["doc_id"], starts, counts]
    return pa.RecordBatch.from_arrays(columns, schema=DOCS), values
