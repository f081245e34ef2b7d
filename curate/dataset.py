"""Docs on disk: the one writer whose bytes do not depend on how rows came in, and readers of what it wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_DOCS = 1024
ROW_GROUP_TEXT_BYTES = 32 << 20  # a group ends early at the doc that passes this: memory stays bounded
ZSTD_LEVEL = 3


def parquet_writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer of docs files; the encoding is the same for all of them."""
    return pq.ParquetWriter(sink, schema, compression="zstd", compression_level=ZSTD_LEVEL, write_page_checksum=True)


class DocsWriter:
    """Writes docs to Parquet. Row groups are cut by doc count and text bytes, never by batches."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_rows = 0
        self._held: list[pa.RecordBatch] = []
        self._held_docs = self._held_bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows. All batches of a file have one schema."""
        if self._writer is None:
            self._writer = parquet_writer(str(self.path), batch.schema)
        self.n_rows += batch.num_rows
        start = 0
        for end in self._cuts(batch):
            self._held.append(batch.slice(start, end - start))
            self._flush()
            start = end
        if start < batch.num_rows:
            self._held.append(batch.slice(start))

    def _cuts(self, batch: pa.RecordBatch) -> list[int]:
        """Return the rows of this batch after which a row group ends."""
        import pyarrow.compute as pc

        if "text" in batch.schema.names:
            sizes = pc.fill_null(pc.binary_length(batch["text"]), 0).to_pylist()  # to_numpy would load pandas
        else:
            sizes = [0] * batch.num_rows
        cuts = []
        for row, size in enumerate(sizes):
            self._held_docs += 1
            self._held_bytes += size
            if self._held_docs >= ROW_GROUP_DOCS or self._held_bytes >= ROW_GROUP_TEXT_BYTES:
                cuts.append(row + 1)
                self._held_docs = self._held_bytes = 0
        return cuts

    def _flush(self) -> None:
        assert self._writer is not None
        self._writer.write_table(pa.Table.from_batches(self._held).combine_chunks(), row_group_size=ROW_GROUP_DOCS)
        self._held = []

    def close(self, schema: pa.Schema) -> int:
        """Finish the file; `schema` is used when no batch came. Return the number of rows."""
        if self._writer is None:
            self.add(pa.RecordBatch.from_pylist([], schema=schema))
        if self._held:
            self._flush()
        assert self._writer is not None
        self._writer.close()
        if pq.read_metadata(self.path).num_rows != self.n_rows:
            raise OSError(f"{self.path.name}: the file on disk does not hold the {self.n_rows} rows written")
        return self.n_rows

    def abort(self) -> None:
        """Close without finishing; the file has no receipt, so it does not exist."""
        if self._writer is not None:
            self._writer.close()


def read_docs(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the row groups of a docs file, with the columns asked for that exist, in the file's order."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        wanted = names if columns is None else [name for name in names if name in columns]
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, columns=wanted).combine_chunks()
            if rows.num_rows:
                yield from rows.to_batches()


def docs_schema(path: Path) -> pa.Schema:
    return pq.read_schema(path).remove_metadata()


def write_jsonl(source: Path, target: Path) -> int:
    """Write a docs file as JSONL with `text`, `id` and `metadata`, as datatrove and dolma read it. Return rows."""
    n_rows = 0
    with pa.CompressedOutputStream(pa.OSFile(str(target), "wb"), "zstd") as out:
        for batch in read_docs(source):
            out.write(b"".join(map(as_json_line, batch.to_pylist())))
            n_rows += batch.num_rows
    return n_rows


def as_json_line(row: dict[str, Any]) -> bytes:
    """Return a doc as a line of JSONL, its line break included."""
    return json.dumps(as_jsonl(row), ensure_ascii=False, default=str).encode() + b"\n"


def as_jsonl(row: dict[str, Any]) -> dict[str, Any]:
    """Return a doc as `text`, `id` (its doc_id) and `metadata` (everything else that is not null)."""
    metadata = {k: v for k, v in row.items() if k not in ("text", "doc_id") and v is not None}
    if (fetched := metadata.get("fetched_at")) is not None:
        metadata["fetched_at"] = fetched.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"text": row["text"], "id": row["doc_id"], "metadata": metadata}
