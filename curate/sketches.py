"""The partitioned, bounded-memory sort behind every fold: one file per shard, rows sorted by part."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MAX_PARTS = 4096
PART_BYTES = 64 << 20  # of planned input; a part of sketches is far smaller
SORT_BYTES = 256 << 20  # rows of a part held in memory before runs are spilled
BLOCK_ROWS = 65_536
BLOCK_BYTES = 4 << 20  # of a spilled run: a merge holds one block of each run


def n_parts_for(n_bytes: int) -> int:
    """Return the number of parts of a fold for a plan of `n_bytes` of input. Workers play no part."""
    return min(MAX_PARTS, max(1, -(-n_bytes // PART_BYTES)))


class SketchWriter:
    """Writes one shard's sketch: Arrow IPC, one or more batches per part, parts ascending.

    Rows are kept in memory until `close`: a sketch is small beside its shard. The batch → part table
    stands in the schema's metadata of the last, empty batch's file footer, as "parts".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tables: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        if table.num_rows or not self._tables:
            self._tables.append(table)

    @property
    def has_schema(self) -> bool:
        """Whether any table came, were it an empty one."""
        return bool(self._tables)

    def close(self) -> int:
        """Write the file; return the number of rows. Within a part, rows keep the order they came in."""
        table = pa.concat_tables(self._tables).combine_chunks() if self._tables else None
        if table is None or table.num_rows == 0:
            schema = self._tables[0].schema if self._tables else pa.schema([("part", pa.int32())])
            with pa.OSFile(str(self.path), "wb") as sink, pa.ipc.new_file(sink, _with_parts(schema, [])):
                return 0
        part = table["part"].to_numpy()
        order = np.argsort(part, kind="stable")
        table = table.take(pa.array(order))
        part = part[order]
        cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(part)]
        spans = [
            (int(part[lo]), at, min(at + BLOCK_ROWS, hi))
            for lo, hi in pairwise(cuts)
            for at in range(lo, hi, BLOCK_ROWS)
        ]
        schema = _with_parts(table.schema, [number for number, _, _ in spans])
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.OSFile(str(self.path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
            for _, start, end in spans:
                batch = table.slice(start, end - start).combine_chunks().to_batches()[0]
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
        return int(table.num_rows)


def _with_parts(schema: pa.Schema, parts: Sequence[int]) -> pa.Schema:
    return schema.with_metadata({"parts": ",".join(map(str, parts))})


class Part:
    """One part of a fold, over the sketches of all shards."""

    def __init__(self, files: Sequence[Path], index: int, n_parts: int) -> None:
        self.files = files
        self.index = index
        self.n_parts = n_parts

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield this part's rows in shard order, then in the order the docs had. Memory: one batch."""
        for file in self.files:
            with pa.memory_map(str(file)) as mapped:
                reader = pa.ipc.open_file(mapped)
                listed = (reader.schema.metadata or {}).get(b"parts", b"").decode()
                for number, part in enumerate(listed.split(",") if listed else []):
                    if int(part) == self.index:
                        yield reader.get_batch(number).replace_schema_metadata(None)

    def sorted(self, key: str, *, then: Sequence[str] = (), budget_bytes: int = SORT_BYTES) -> Iterator[pa.RecordBatch]:
        """Yield this part's rows by ascending `key` (an integer column), ties by the columns in `then`.

        All rows of one key come in the same batch. A part larger than `budget_bytes` is sorted in runs
        that are spilled to a temporary folder and merged, so memory stays near the budget.
        """
        by = [(name, "ascending") for name in (key, *then)]
        runs = _runs(self.batches(), by, budget_bytes)
        first = next(runs, None)
        if first is None:
            return
        second = next(runs, None)
        if second is None:
            yield from _whole_keys(first, key)
            return
        with tempfile.TemporaryDirectory(prefix="curate-sort-") as folder:
            paths: list[Path] = []
            pending: Iterable[pa.Table] = (first, second)
            first = second = None
            for group in (pending, runs):
                for run in group:
                    paths.append(Path(folder) / f"{len(paths)}.arrow")
                    with pa.OSFile(str(paths[-1]), "wb") as sink, pa.ipc.new_file(sink, run.schema) as writer:
                        n_rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES * run.num_rows // max(1, run.nbytes)))
                        writer.write_table(run, max_chunksize=n_rows)
            del pending
            yield from _merge(paths, key, by)


def _runs(batches: Iterator[pa.RecordBatch], by: list[tuple[str, str]], budget_bytes: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    n_bytes = 0
    for batch in batches:
        held.append(batch)
        n_bytes += batch.nbytes
        if n_bytes >= budget_bytes:
            yield pa.Table.from_batches(held).sort_by(by).combine_chunks()
            held, n_bytes = [], 0
    if held:
        yield pa.Table.from_batches(held).sort_by(by).combine_chunks()


def _whole_keys(table: pa.Table, key: str) -> Iterator[pa.RecordBatch]:
    keys = table[key].to_numpy()
    start = 0
    while start < len(keys):
        end = min(start + BLOCK_ROWS, len(keys))
        end = int(np.searchsorted(keys, keys[end - 1], side="right"))
        yield from table.slice(start, end - start).combine_chunks().to_batches()
        start = end


def _merge(paths: Sequence[Path], key: str, by: list[tuple[str, str]]) -> Iterator[pa.RecordBatch]:
    """Merge sorted runs: take all rows up to the smallest last key among the runs' current blocks."""
    readers = [pa.ipc.open_file(pa.memory_map(str(path))) for path in paths]
    at = [0] * len(readers)
    heads: list[pa.Table | None] = [None] * len(readers)

    def refill(i: int) -> None:
        if at[i] < readers[i].num_record_batches:
            block = pa.Table.from_batches([readers[i].get_batch(at[i])])
            at[i] += 1
            held = heads[i]
            heads[i] = block if held is None else pa.concat_tables([held, block]).combine_chunks()
        elif heads[i] is not None and heads[i].num_rows == 0:  # type: ignore[union-attr]
            heads[i] = None

    for i in range(len(readers)):
        refill(i)
    while any(head is not None for head in heads):
        # A key may run on into the next block; only keys below the last one of an unfinished run are whole.
        bounds = [
            h[key][-1].as_py() for i, h in enumerate(heads) if h is not None and at[i] < readers[i].num_record_batches
        ]
        bound = min(bounds) if bounds else None
        taken = []
        for i, head in enumerate(heads):
            if head is None:
                continue
            keys = head[key].to_numpy()
            n = len(keys) if bound is None else int(np.searchsorted(keys, keys.dtype.type(bound), side="left"))
            taken.append(head.slice(0, n))
            heads[i] = head.slice(n)
        rows = pa.concat_tables(taken)
        if rows.num_rows:
            yield from _whole_keys(rows.sort_by(by).combine_chunks(), key)
        for i, head in enumerate(heads):
            if head is not None and (head.num_rows == 0 or (bound is not None and head[key][-1].as_py() == bound)):
                refill(i)


def keyed_hashes(values: Iterable[str], seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """Return uint64[n]: blake2b-64 of each string, keyed by seed and purpose: draws are independent."""
    key = blake2b(f"{purpose}\x00{seed}".encode(), digest_size=32).digest()
    digests = b"".join(blake2b(value.encode(), digest_size=8, key=key).digest() for value in values)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def parts_in_order(keys: npt.NDArray[np.uint64], n_parts: int) -> npt.NDArray[np.int32]:
    """Return int32[n]: (key * n_parts) >> 64, so that parts one after the other are in key order. n_parts < 2**32."""
    n = np.uint64(n_parts)
    half = np.uint64(32)
    low = ((keys & np.uint64(0xFFFF_FFFF)) * n) >> half
    return (((keys >> half) * n + low) >> half).astype(np.int32)
