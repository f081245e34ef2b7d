"""Verdicts of folds, joined to the docs they are about: by row, while the docs are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.apply import Leaving, split, text_bytes, with_columns
from curate.errors import AccountingError, CurateError
from curate.phases import Phase
from curate.recipe import Step
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
    """The verdicts that a phase applies to one shard. Their memory is that of one shard's rows.

    Raises AccountingError where they are for other docs than those that will be read, CurateError where a fold
    broke its contract.
    """

    def __init__(self, run: Run, phase: Phase, shard: ShardRef) -> None:
        self.steps = [step for step in run.recipe.steps if step.id in phase.applies]
        self.tables: list[pa.Table | None] = []
        for step in self.steps:
            assert phase.upstream is not None
            docs = run.docs_entry(run.phases[phase.upstream], shard)
            out, receipt = run.fold_out(step.id)
            if receipt["bound_to"].get(shard.name) != docs["sha256"]:
                raise AccountingError(f"the verdicts of `{step.id}` are for another version of shard {shard.name}")
            file = out / "verdicts" / f"{shard.name}.parquet"
            table = pq.read_table(file) if file.exists() else None
            if table is not None:
                _check_table(step, table, docs["rows"])
            self.tables.append(table)

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


def _check_table(step: Step, table: pa.Table, n_docs: int) -> None:
    """Raise CurateError unless the verdicts of a shard of `n_docs` keep the fold's contract."""
    declared = {"row": pa.int64(), "drop_reason": pa.string(), **step.spec.writes}
    found = {field.name: field.type for field in table.schema}
    if not step.spec.reasons:
        found.setdefault("drop_reason", pa.string())  # a fold that drops nothing may leave it out
    for name in sorted({*declared, *found}):
        if found.get(name) != declared.get(name):
            raise CurateError(
                f"fold `{step.name}`: verdicts have {name}: {found.get(name, 'nothing')}; "
                f"it declares {declared.get(name, 'no such column')}"
            )
    rows = table["row"].combine_chunks()
    bounds = pc.min_max(rows).as_py()
    known = rows.null_count == 0 and (len(rows) == 0 or 0 <= bounds["min"] <= bounds["max"] < n_docs)
    if not known or len(rows.unique()) < len(rows):
        raise CurateError(f"fold `{step.name}`: verdicts name a row twice, or one that is none of the {n_docs:,} docs")
    reasons = pc.unique(table["drop_reason"]).to_pylist() if "drop_reason" in table.column_names else []
    unknown = set(reasons) - {None, *step.spec.reasons}
    if unknown:
        raise CurateError(f"fold `{step.name}` gave the reason {sorted(unknown)[0]!r}, which it does not declare")


def cut_spans(text: pa.Array, spans: pa.Array) -> pa.Array:
    """Return texts without the given byte spans, which are sorted, do not overlap and lie on character bounds."""
    cut = []
    for value, row_spans in zip(text.to_pylist(), spans.to_pylist(), strict=True):
        if value is None or not row_spans:
            cut.append(value)
            continue
        data, kept, at = value.encode(), [], 0
        for span in row_spans:
            if not at <= span["start"] <= span["end"] <= len(data):
                raise CurateError(f"{SPANS}: {span} follows byte {at} of a text of {len(data):,} bytes")
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
