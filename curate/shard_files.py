"""The files of one attempt at one shard: docs, ledger, and one sketch per fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.apply import Leaving, with_columns
from curate.dataset import DocsWriter, read_docs
from curate.errors import CurateError
from curate.fold import Position
from curate.ledger import LedgerWriter, ledger_rows
from curate.phases import Phase
from curate.receipts import attempt_name, describe, discard, read_receipt
from curate.recipe import Step
from curate.rundir import Run
from curate.sketches import SketchWriter
from curate.source import ShardRef


class ShardFiles:
    """The files of one attempt at one shard: docs, ledger, one sketch per fold."""

    def __init__(self, run: Run, phase: Phase, shard: ShardRef, *, ledger_signals: bool) -> None:
        self.run, self.phase, self.shard = run, phase, shard
        self.folder = run.phase_folder(phase)
        self.ledger = LedgerWriter(signals=ledger_signals)
        self.n_rows = 0
        self.schema: pa.Schema | None = None
        self.skipped_tagged: Counter[str] = Counter()  # fold → docs it was not shown
        name = f"{shard.name}.{attempt_name()}"
        self.paths: list[Path] = []
        self.ledger_path = self._path("ledger", f"{name}.parquet")
        self.docs = DocsWriter(self._path("docs", f"{name}.parquet")) if phase.writes_docs else None
        self.folds = [run.with_needs(step) for step in phase.folds]
        self.sketches = {s.id: SketchWriter(self._path(f"sketches/{s.id}", f"{name}.arrow")) for s in self.folds}

    def _path(self, kind: str, name: str) -> Path:
        parent = self.folder / kind
        parent.mkdir(parents=True, exist_ok=True)
        self.paths.append(parent / name)
        return self.paths[-1]

    def add_docs(self, batch: pa.RecordBatch) -> None:
        """Write docs that stay, and show them to the folds."""
        self.schema = batch.schema
        first_row, self.n_rows = self.n_rows, self.n_rows + batch.num_rows
        if self.docs is not None:
            self.docs.add(batch)
        for step in self.folds:
            shown = self._show(step, batch)
            if step.skip_tagged:
                tags = [batch[name] for name in self._tag_columns(step, batch)]
                self.skipped_tagged[step.id] += self._sketch_untagged(step, shown, tags, first_row)
            elif shown.num_rows:
                self._sketch(step, shown, first_row)

    def _sketch_untagged(self, step: Step, shown: pa.RecordBatch, tags: list[pa.Array], first_row: int) -> int:
        """Show a fold the runs of rows without a tag, so that positions stay true; return the rows left out."""
        tagged = pa.array([False] * shown.num_rows, pa.bool_())
        for tag in tags:
            tagged = pc.or_(tagged, pc.is_valid(tag))
        flags, start = [*tagged.to_pylist(), True], 0
        for row, is_tagged in enumerate(flags):
            if is_tagged:
                if row > start:
                    self._sketch(step, shown.slice(start, row - start), first_row + start)
                start = row + 1
        return flags.count(True) - 1

    def add_leaving(self, leaving: Leaving) -> None:
        """Write docs that leave to the ledger, and show them to the folds that see all."""
        rows = ledger_rows(leaving)
        self.ledger.add(rows)
        for step in self.folds:
            if step.spec.sees == "all":
                self._sketch(step, rows, -1)

    def _sketch(self, step: Step, batch: pa.RecordBatch, row: int) -> None:
        at = Position(self.shard.number, row, self.run.n_parts)
        sketch = step.spec.sketch(batch, at)
        _check_parts(step, sketch, at.n_parts)
        self.sketches[step.id].add(sketch)

    def _sketch_upstream_ledgers(self) -> None:
        seers = [step for step in self.folds if step.spec.sees == "all"]
        above = self.phase.upstream
        while seers and above is not None:
            phase = self.run.phases[above]
            receipt = read_receipt(self.run.shard_receipt(phase, self.shard))
            for rows in read_docs(self.run.phase_folder(phase) / receipt["ledger_file"]["path"]):
                for step in seers:
                    self._sketch(step, rows, -1)
            above = phase.upstream

    def _show(self, step: Step, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return what a fold reads. Those that see all also get tags, and null `step` and `reason` for kept docs."""
        names = [n for n in batch.schema.names if n in step.spec.reads or n in step.spec.may_read]
        if step.spec.sees != "all":
            return batch.select(names)
        names += [n for n in self._tag_columns(step, batch) if n not in names]
        nothing = pa.nulls(batch.num_rows, pa.string())
        return with_columns(batch.select(names), {"step": nothing, "reason": nothing})

    def _tag_columns(self, fold: Step, batch: pa.RecordBatch) -> list[str]:
        """Return the columns that tagging steps above the fold wrote; an input may have one of such a name."""
        above = takewhile(lambda step: step.id != fold.id, self.run.recipe.steps)
        return [step.tag_column for step in above if step.mode == "tag" and step.tag_column in batch.schema.names]

    def close(self, empty: Callable[[], pa.Schema]) -> dict[str, Any]:
        """Finish all files and return their entries for the receipt; `empty` gives the schema if no batch came."""
        self._sketch_upstream_ledgers()
        schema = self.schema if self.schema is not None else empty()
        entries: dict[str, Any] = {"docs_file": None, "skipped_tagged": dict(self.skipped_tagged)}
        if self.docs is not None:
            rows = self.docs.close(schema)
            entries["docs_file"] = describe(self.docs.path, self.folder, rows=rows)
        for step in self.folds:
            if not self.sketches[step.id].has_schema:
                self._sketch(step, self._show(step, pa.RecordBatch.from_pylist([], schema=schema)), 0)
        rows = self.ledger.write(self.ledger_path)
        entries["ledger_file"] = describe(self.ledger_path, self.folder, rows=rows)
        entries["sketch_files"] = {}
        for name, writer in self.sketches.items():
            rows = writer.close()
            entries["sketch_files"][name] = describe(writer.path, self.folder, rows=rows)
        return entries

    def discard(self) -> None:
        if self.docs is not None:
            self.docs.abort()
        for path in self.paths:
            discard(path)


def _check_parts(step: Step, sketch: pa.Table, n_parts: int) -> None:
    """Raise CurateError unless every row of a sketch goes to a part: rows of another would be read by nobody."""
    part = sketch["part"] if "part" in sketch.column_names else None
    if part is None or part.type != pa.int32() or part.null_count:
        raise CurateError(f"fold `{step.name}`: a sketch needs an int32 column `part` without nulls")
    bounds = pc.min_max(part).as_py()
    if sketch.num_rows and not 0 <= bounds["min"] <= bounds["max"] < n_parts:
        raise CurateError(
            f"fold `{step.name}`: `part` is {bounds['min']} to {bounds['max']}; there are {n_parts} parts"
        )
