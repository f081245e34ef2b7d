"""Deciding again from stored signals: decisions, ledger and, if asked for, the docs that are kept now."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.apply import Leaving
from curate.dataset import DocsWriter, docs_schema, parquet_writer, read_docs
from curate.errors import InputError
from curate.ledger import LedgerWriter, ledger_rows
from curate.receipts import attempt_name, fsync_path
from curate.retune.changes import Changes
from curate.retune.decisions import (
    DECISION,
    TEXT_CHARS,
    docs_decided,
    ledger_decided,
    ledger_files,
    unit_of,
)
from curate.retune.found import Retuned
from curate.retune.scope import Retuning, explained
from curate.rundir import Run


def decide_from_signals(
    run: Run, plan: Retuning, files: Mapping[str, Path], out: Path, asked: Mapping[str, Any], *, documents: bool
) -> Retuned:
    """Decide again into `out`, which appears whole or not at all. Raises InputError if it holds something else."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty and holds no such retune; choose another -o")
    made = out.parent / f".{out.name}.{attempt_name()}"
    try:
        for folder in ("decisions", "ledger", "report", *(["documents"] if documents else [])):
            (made / folder).mkdir(parents=True)
        changes = Changes()
        for shard in run.plan.shards:
            _decide_shard(run, plan, shard.name, files[shard.name], ledger_files(run, shard), made, changes)
            if documents:
                _write_documents(run, files[shard.name], made, shard.name)
        unit = unit_of(docs_schema(next(iter(files.values()))).names)
        found = Retuned.of(run, plan, out, changes, unit)
        found.write_report(made / "report")
        found.write_mark(made, asked)
        for path in made.rglob("*"):
            fsync_path(path)
        os.rename(made, out)  # an empty folder may be there
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return found


def _decide_shard(
    run: Run, plan: Retuning, name: str, docs: Path, ledgers: Sequence[Path], out: Path, changes: Changes
) -> None:
    """Write the decisions and the ledger of a shard, and count what changed."""
    before = {step.id: step for step in run.recipe.steps}
    after = {step.id: step for step in plan.recipe.steps}

    def because(step: str, reason: str, signals: Mapping[str, Any], *, before: bool) -> str:
        return explained(steps[before][step], reason, signals)

    steps = {True: before, False: after}
    ledger = LedgerWriter(signals=True)
    with parquet_writer(str(out / "decisions" / f"{name}.parquet"), DECISION) as writer:
        for batch, decisions in docs_decided(docs, run, plan):
            writer.write_batch(decisions)
            changes.add(batch, decisions, unit_of(batch.schema.names), because)
            ledger.add(_left(batch, decisions))
        if ledgers:
            rows, decisions = ledger_decided(ledgers, run, plan)
            writer.write_batch(decisions)
            changes.add(rows.to_batches()[0], decisions, unit_of(rows.schema.names), because)
            ledger.add(_moved(rows, decisions))
    ledger.write(out / "ledger" / f"{name}.parquet")


def _left(docs: pa.RecordBatch, decisions: pa.RecordBatch) -> pa.RecordBatch:
    """Return ledger rows for the documents that are dropped now. Their text was not read, so its bytes are null."""
    gone = pc.is_valid(decisions["step"])
    batch, by = docs.filter(gone), decisions.filter(gone)
    rows = ledger_rows(Leaving(batch, "", "dropped", by["reason"]))
    chars = next((name for name in TEXT_CHARS if name in batch.schema.names), None)
    known = {
        "step": by["step"],
        "n_chars": pc.cast(batch[chars], pa.int64()) if chars else pa.nulls(batch.num_rows, pa.int64()),
        "text_bytes": pa.nulls(batch.num_rows, pa.int64()),
    }
    columns = [known.get(field.name, column) for field, column in zip(rows.schema, rows.columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def _moved(rows: pa.Table, decisions: pa.RecordBatch) -> pa.RecordBatch:
    """Return a ledger's rows with the step and reason that come first now."""
    earlier = pc.not_equal(decisions["step"], rows["step"].combine_chunks())
    columns = {
        "step": decisions["step"],
        "reason": decisions["reason"],
        "outcome": pc.if_else(earlier, "dropped", rows["outcome"].combine_chunks()),
    }
    for name, column in columns.items():
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows.combine_chunks().to_batches()[0]


def _write_documents(run: Run, docs: Path, out: Path, name: str) -> None:
    """Write the docs that are kept now. None has a reason of a tag, so those columns are null."""
    kept = pq.read_table(out / "decisions" / f"{name}.parquet", columns=["kept"])["kept"].combine_chunks()
    tags = {step.tag_column for step in run.recipe.steps if step.mode == "tag"}
    writer, row = DocsWriter(out / "documents" / f"{name}.parquet"), 0
    for batch in read_docs(docs):
        here = batch.filter(kept.slice(row, batch.num_rows))
        row += batch.num_rows
        columns = [
            pa.nulls(here.num_rows, field.type) if field.name in tags else here[field.name] for field in here.schema
        ]
        writer.add(pa.RecordBatch.from_arrays(columns, schema=here.schema))
    writer.close(docs_schema(docs))
