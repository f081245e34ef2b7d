"""Deciding again by running again, where a change reaches past stored signals: from the first phase that differs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.dataset import parquet_writer
from curate.fold import adopt
from curate.receipts import attempt_name
from curate.retune.changes import Changes
from curate.retune.decisions import (
    DECISION,
    docs_decided,
    docs_files,
    ledger_decided,
    ledger_files,
    unit_of,
)
from curate.retune.found import Retuned
from curate.retune.scope import Retuning
from curate.rundir import Run, create_or_open, open_run
from curate.runner import RunOptions, run_recipe


def run_again(
    run: Run, plan: Retuning, out: Path, asked: Mapping[str, Any], options: RunOptions, reporter: Any
) -> Retuned:
    """Run the changed recipe into `out`, beginning with the phases that it shares with the run."""
    new = create_or_open(out, plan.recipe, run.plan)
    for old, phase in zip(run.phases, new.phases, strict=False):
        if old.key != phase.key:
            break
        _take_over(run.phase_folder(old), new.phase_folder(phase))
    run_recipe(plan.recipe, (), out, options, reporter)
    new = open_run(out)
    changes, unit = Changes(), None
    made = out / "retune"
    (made / "decisions").mkdir(parents=True, exist_ok=True)
    for shard in run.plan.shards:
        both = _side_by_side(*(_standing(each, shard.name) for each in (run, new)))
        unit = unit_of(both.schema.names)
        decisions = both.select(DECISION.names)
        with parquet_writer(str(made / "decisions" / f"{shard.name}.parquet"), DECISION) as writer:
            writer.write_batch(decisions)
        changes.add(both, decisions, unit, lambda step, reason, signals, *, before: "")
    found = Retuned.of(run, plan, out, changes, unit)
    found.write_report(made)
    found.write_mark(out, asked)
    return found


def _take_over(old: Path, new: Path) -> None:
    """Let the files of a finished phase appear in another run."""
    if old.is_dir() and not new.exists():
        half = new.parent / f".{attempt_name()}"
        shutil.copytree(old, half, copy_function=lambda a, b: adopt(Path(a), Path(b)))
        os.rename(half, new)


def _standing(run: Run, shard_name: str) -> pa.Table:
    """Return doc_id, url, language, size, kept, step and reason of all docs of a shard, as a run decided them."""
    shard = next(shard for shard in run.plan.shards if shard.name == shard_name)
    nothing = Retuning(run.recipe, {}, None)
    parts = [*docs_decided(docs_files(run)[shard_name], run, nothing)]
    if files := ledger_files(run, shard):
        rows, decisions = ledger_decided(files, run, nothing)
        parts.append((rows.to_batches()[0], decisions))
    tables = []
    for batch, decisions in parts:
        names = batch.schema.names
        columns = {name: decisions[name] for name in ("doc_id", "kept", "step", "reason")}
        columns |= {name: batch[name] for name in names if name in ("url", "language", unit_of(names))}
        tables.append(pa.table(columns))
    empty = pa.schema([DECISION.field(name) for name in ("doc_id", "kept", "step", "reason")]).empty_table()
    return pa.concat_tables([empty, *tables], promote_options="default")


def _side_by_side(before: pa.Table, after: pa.Table) -> pa.RecordBatch:
    """Return the docs of two runs of the same inputs, one row each, in the order of their ids."""
    was = before.rename_columns([n if n == "doc_id" else f"{n}_before" for n in before.column_names])
    both = was.join(after, "doc_id", join_type="full outer").sort_by("doc_id").combine_chunks()
    columns = {name: both[name] for name in both.column_names}
    for name in [n for n in columns if n not in DECISION.names]:
        bare = name.removesuffix("_before")
        if bare not in DECISION.names:
            columns[bare] = pc.coalesce(*(columns[n] for n in (bare, f"{bare}_before") if n in columns))
    columns = {n: c for n, c in columns.items() if n in DECISION.names or not n.endswith("_before")}
    columns |= {name: pc.fill_null(columns[name], False) for name in ("kept", "kept_before")}
    return pa.table(columns).combine_chunks().to_batches()[0] if both.num_rows else _no_rows(columns)


def _no_rows(columns: Mapping[str, pa.ChunkedArray]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=pa.schema([(n, c.type) for n, c in columns.items()]))
