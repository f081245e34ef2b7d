"""A fold of one's own: keep at most so many docs of each host, so that no site fills the corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import InputError
from curate.fold import Position, write_verdicts
from curate.registry import fold
from curate.sites import host_of
from curate.sketches import Part, keyed_hashes, parts_in_order

SKETCH = pa.schema(
    [
        ("part", pa.int32()),  # which part of the corpus the row goes to
        ("key", pa.uint64()),  # hash of the host: all docs of a host meet in one part
        ("draw", pa.uint64()),  # hash of the doc_id: decides who stays
        ("shard", pa.int32()),
        ("row", pa.int64()),
    ]
)


@fold(version=1, reads=["doc_id", "url"], reasons=["host_is_full"])
class HostCap:
    """Keep `max_docs` docs of each host: those whose doc_id has the smallest keyed hash, so order plays no part.

    Docs without a host are all kept. The default of 10,000 is our choice, from no paper.
    """

    max_docs: Annotated[int, "docs of one host to keep"] = 10_000
    seed: Annotated[int, "chooses which ones"] = 0

    def __post_init__(self) -> None:
        if self.max_docs < 1:
            raise InputError(f"HostCap: max_docs is {self.max_docs}; allowed: 1 and more")

    def sketch(self, batch: pa.RecordBatch, at: Position) -> pa.Table:
        hosts = [host_of(url) for url in batch["url"].to_pylist()]
        rows = np.array([row for row, host in enumerate(hosts) if host], np.int64)
        key = keyed_hashes((hosts[row] for row in rows), self.seed, "host")
        draw = keyed_hashes((batch["doc_id"][row].as_py() for row in rows), self.seed, "doc")
        part = parts_in_order(key, at.n_parts)
        columns = [part, key, draw, np.full(len(rows), at.shard), at.row + rows]
        return pa.table([pa.array(c, field.type) for c, field in zip(columns, SKETCH, strict=True)], schema=SKETCH)

    def reduce(self, part: Part, out: Path) -> None:
        with pq.ParquetWriter(out / "full.parquet", pa.schema([SKETCH.field("shard"), SKETCH.field("row")])) as writer:
            for batch in part.sorted("key", then=["draw"]):  # all rows of one host come in the same batch
                key = batch["key"].to_numpy()
                first = np.searchsorted(key, key)  # where the host of each row begins
                full = np.arange(len(key)) - first >= self.max_docs
                writer.write_batch(batch.select(["shard", "row"]).filter(pa.array(full)))

    def finish(self, parts: Sequence[Path], out: Path) -> None:
        full = pa.concat_tables([pq.read_table(part / "full.parquet") for part in parts])
        reason = pa.array(["host_is_full"] * full.num_rows, pa.string())
        write_verdicts(out, full.append_column("drop_reason", reason))
