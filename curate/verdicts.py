"""Verdicts of folds, joined to the docs they are about: by row, while the docs are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.apply import Leaving, split, text_bytes, with_columns
from curate.phases import Phase
from curate.rundir import Run
from curate.schema import SPANS
from curate.source import ShardRef


@dataclass(frozen=True)
class Joined:
    """A batch after the verdicts: what stays, its rows in the docs file, what leaves, text bytes cut (≤ 0)."""

    batch: pa.RecordBatch
    rows: pa.Array
    leaving: tuple[Leaving, ...]
    rewritten_bytes: int


class Verdicts:
    """The verdicts that a phase applies to one shard. Their memory is that of one shard's rows."""

    def __init__(self, run: Run, phase: Phase, shard: ShardRef) -> None:
        self.steps = [step for step in run.recipe.steps if step.id in phase.applies]
        self.tables: list[pa.Table | None] = []
        for step in self.steps:
            file = run.fold_out(step.id)[0] / "verdicts" / f"{shard.name}.parquet"
            self.tables.append(pq.read_table(file) if file.exists() else None)

    def join(self, batch: pa.RecordBatch, row: int) -> Joined:
        """Add the folds' columns, cut their spans, drop what they drop. `row` is the batch's first row."""
        rows = pa.array(range(row, row + batch.num_rows), pa.int64())
        leaving: tuple[Leaving, ...] = ()
        rewritten = 0
        for step, table in zip(self.steps, self.tables, strict=True):
            found = pc.index_in(rows, value_set=table["row"].combine_chunks()) if table is not None else None
            columns = {
                name: _filled(table, name, kind, found, step.spec.absent.get(name), len(rows))
                for name, kind in step.spec.writes.items()
            }
            if (spans := columns.pop(SPANS, None)) is not None:
                columns["text"] = cut_spans(batch["text"], spans)
            before = text_bytes(batch)
            batch = with_columns(batch, columns)
            rewritten += text_bytes(batch) - before
            reasons = _filled(table, "drop_reason", pa.string(), found, None, len(rows))
            rows = rows.filter(pc.is_null(reasons))
            batch, gone = split(batch, reasons, step.id)
            leaving += gone
        return Joined(batch, rows, leaving, rewritten)


def cut_spans(text: pa.Array, spans: pa.Array) -> pa.Array:
    """Return texts without the given byte spans, which are sorted, do not overlap and lie on character bounds."""
    cut = []
    for value, row_spans in zip(text.to_pylist(), spans.to_pylist(), strict=True):
        if value is None or not row_spans:
            cut.append(value)
            continue
        data, kept, at = value.encode(), [], 0
        for span in row_spans:
            kept.append(data[at : span["start"]])
            at = span["end"]
        cut.append(b"".join([*kept, data[at:]]).decode())
    return pa.array(cut, pa.string())


def _filled(
    table: pa.Table | None, name: str, kind: pa.DataType, found: pa.Array | None, absent: Any, n_rows: int
) -> pa.Array:
    """Return a verdict column for n rows; rows without a verdict get `absent`."""
    if table is None or name not in table.column_names:
        return pa.array([absent] * n_rows, kind)
    column = table[name].combine_chunks().take(found)
    return column if absent is None else pc.if_else(pc.is_null(found), pa.scalar(absent, kind), column)
