"""The ledger: a row for every doc that left, where, why, and with which numbers measured so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.apply import Leaving
from curate.schema import LEDGER_FIELDS, TRANSIENT

BASE = pa.schema(LEDGER_FIELDS)
NOT_SIGNALS = {"text", "fetched_at", "id", *BASE.names, *TRANSIENT}


def ledger_rows(leaving: Leaving) -> pa.RecordBatch:
    """Return one ledger row per doc that leaves; signals follow the base columns."""
    batch, n = leaving.batch, leaving.batch.num_rows
    names = batch.schema.names
    text = batch["text"] if "text" in names else pa.nulls(n, pa.string())
    made = {
        "n_chars": pc.cast(pc.fill_null(pc.utf8_length(text), 0), pa.int64()),
        "text_bytes": pc.cast(pc.fill_null(pc.binary_length(text), 0), pa.int64()),
        "outcome": pa.array([leaving.outcome] * n, pa.string()),
        "step": pa.array([leaving.step] * n, pa.string()),
        "reason": leaving.reasons,
        "detail": pa.array([leaving.detail] * n, pa.string()),
    }
    columns = [made[f.name] if f.name in made else _column(batch, f) for f in LEDGER_FIELDS]
    fields = list(LEDGER_FIELDS)
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if is_signal(field):
            fields.append(pa.field(field.name, field.type))
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def is_signal(field: pa.Field) -> bool:
    """Say whether a column is a measured number, label or tag, as opposed to the doc itself."""
    return field.name not in NOT_SIGNALS and not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type)


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    if field.name in batch.schema.names:
        return batch[field.name].cast(field.type)
    return pa.nulls(batch.num_rows, field.type)


class LedgerWriter:
    """Collects the ledger rows of one shard and writes them in one file.

    Rows are small (no text), so a shard's are held in memory until the end, when all signals are known.
    """

    def __init__(self, *, signals: bool) -> None:
        self.signals = signals
        self._tables: list[pa.Table] = []

    def add(self, rows: pa.RecordBatch) -> None:
        self._tables.append(pa.Table.from_batches([rows if self.signals else rows.select(BASE.names)]))

    def write(self, path: Path) -> int:
        """Write the file; return its number of rows."""
        table = pa.concat_tables([BASE.empty_table(), *self._tables], promote_options="default")
        # The order of the input, so that neither batches nor retries play a part in the file's bytes.
        table = table.sort_by([(name, "ascending") for name in ("source", "warc_file", "offset_bytes", "doc_id")])
        signals = sorted(set(table.schema.names) - set(BASE.names))  # independent of which doc left first
        pq.write_table(table.select([*BASE.names, *signals]).combine_chunks(), path, compression="zstd")
        return int(table.num_rows)


def read_ledger(files: Sequence[Path]) -> pa.Table:
    """Return the rows of ledger files as one table; columns a file lacks are null."""
    tables = [pq.ParquetFile(file).read() for file in files]
    return pa.concat_tables([BASE.empty_table(), *tables], promote_options="default")
