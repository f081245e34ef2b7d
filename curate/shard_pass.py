"""One pass over one shard: read it, join verdicts, run the stages, write docs, ledger and sketches, commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.accounting import check_shard
from curate.apply import Leaving, apply_stage, split, text_bytes, with_columns
from curate.dataset import DocsWriter, docs_schema, read_docs
from curate.errors import CurateError, InputError
from curate.fold import Position
from curate.ledger import LedgerWriter, ledger_rows
from curate.phases import Phase, skipped_on_text
from curate.receipts import Receipt, attempt_name, describe, discard, publish, read_receipt
from curate.recipe import Step
from curate.rundir import Run
from curate.schema import TRANSIENT
from curate.sketches import SketchWriter
from curate.source import ShardRef, Tally

MAX_QUARANTINED_FRAC = 0.01  # of a shard's docs, once there are more than MIN_QUARANTINED of them
MIN_QUARANTINED = 100
CAREFUL_DOCS = 2048  # more than any batch has


@dataclass(frozen=True)
class PassOptions:
    """How a pass is run; none of this may change a byte of what it writes, save the ledger's width."""

    batch_docs: int | None = None  # cut batches to this many docs
    ledger: str = "full"  # or "reasons": no signals
    careful_from: int | None = None  # from this row on, one doc at a time: a worker died there
    quarantine: tuple[int, ...] = ()  # rows on which a worker died twice


@dataclass
class Counts:
    """What happened to the docs of one shard in one phase."""

    docs_in: int = 0
    docs_kept: int = 0
    dropped: dict[str, Counter[str]] = field(default_factory=dict)  # step → reason → docs
    quarantined: Counter[str] = field(default_factory=Counter)  # step → docs
    text_in: int = 0
    text_rewritten: int = 0
    text_kept: int = 0
    text_dropped: int = 0
    text_quarantined: int = 0
    skipped_tagged: Counter[str] = field(default_factory=Counter)  # fold → docs it was not shown

    def leave(self, leaving: Leaving) -> None:
        n, n_bytes = leaving.batch.num_rows, text_bytes(leaving.batch)
        if leaving.outcome == "quarantined":
            self.quarantined[leaving.step] += n
            self.text_quarantined += n_bytes
            return
        reasons = self.dropped.setdefault(leaving.step, Counter())
        for row in pc.value_counts(leaving.reasons).to_pylist():
            reasons[row["values"]] += row["counts"]
        self.text_dropped += n_bytes


def run_shard(
    run: Run,
    phase: Phase,
    shard: ShardRef,
    options: PassOptions,
    note: Callable[[int, int], None] = lambda row, n_docs: None,
) -> Receipt:
    """Do one shard of one phase and return the receipt that stands.

    `note(row, n_docs)` is told the input row that is worked on and how many are done, so that a supervisor
    knows where a worker died. Raises CurateError if the accounting does not hold or too many docs raise.
    """
    receipt_path = run.shard_receipt(phase, shard)
    if receipt_path.exists():
        return read_receipt(receipt_path)
    folder, attempt = run.phase_folder(phase), attempt_name()
    files = _Files(run, phase, shard, folder, attempt, options)
    tally: dict[str, Tally] = {}
    counts = Counts()
    with ExitStack() as undo:
        undo.callback(files.discard)
        for row, batch in _recut(_read(run, phase, shard, tally), options):
            note(row, counts.docs_in)
            counts.docs_in += batch.num_rows
            counts.text_in += text_bytes(batch)
            kept = _work(run, phase, batch, row, options, counts, files)
            files.add_docs(kept, counts)
        note(-1, counts.docs_in)  # from here on no doc is to blame
        written = files.close()
        receipt = {
            "phase": phase.folder,
            "shard": shard.name,
            "key": phase.key,
            "inputs": {name: _tally_json(t) for name, t in tally.items()},
            "input_bytes": {s.name: _slice_bytes(s) for s in shard.slices} if phase.upstream is None else {},
            "docs": {
                "in": counts.docs_in,
                "kept": counts.docs_kept,
                "dropped": {step: dict(sorted(reasons.items())) for step, reasons in counts.dropped.items()},
                "quarantined": dict(counts.quarantined),
            },
            "text_bytes": {
                "in": counts.text_in,
                "rewritten": counts.text_rewritten,
                "kept": counts.text_kept,
                "dropped": counts.text_dropped,
                "quarantined": counts.text_quarantined,
            },
            "skipped_tagged": dict(counts.skipped_tagged),
            **written,
        }
        check_shard(receipt)
        undo.pop_all()
    return publish(receipt, receipt_path, files.paths)


def _work(
    run: Run, phase: Phase, batch: pa.RecordBatch, row: int, options: PassOptions, counts: Counts, files: _Files
) -> pa.RecordBatch:
    """Take one batch through verdicts and stages; send what leaves to the ledger; return what stays."""

    def leave(all_leaving: Sequence[Leaving]) -> None:
        for leaving in all_leaving:
            counts.leave(leaving)
            files.add_leaving(leaving)

    batch, leaving = files.verdicts.join(batch, row)
    leave(leaving)
    if options.quarantine:
        batch, leaving = _quarantine_rows(batch, files.verdicts.rows, options.quarantine, phase)
        leave(leaving)
    last_reader = {name: i for i, step in enumerate(phase.stages) for name in step.spec.reads if name in TRANSIENT}
    for i, step in enumerate(phase.stages):
        if skipped_on_text(step, set(batch.schema.names)):
            continue
        applied = apply_stage(step, batch)
        counts.text_rewritten += applied.rewritten_bytes
        leave(applied.leaving)
        batch = applied.kept
        gone = [name for name in batch.schema.names if name in TRANSIENT and last_reader.get(name, -1) <= i]
        batch = batch.drop_columns(gone) if gone else batch
    n_quarantined = sum(counts.quarantined.values())
    if n_quarantined > max(MIN_QUARANTINED, MAX_QUARANTINED_FRAC * counts.docs_in):
        raise CurateError(f"{n_quarantined} of {counts.docs_in} docs raised; the last: {files.last_detail}")
    gone = [name for name in batch.schema.names if name in TRANSIENT]
    return batch.drop_columns(gone) if gone else batch


def _quarantine_rows(
    batch: pa.RecordBatch, rows: pa.Array, quarantine: Sequence[int], phase: Phase
) -> tuple[pa.RecordBatch, tuple[Leaving, ...]]:
    guilty = pc.is_in(rows, pa.array(quarantine, pa.int64()))
    if not pc.any(guilty).as_py():
        return batch, ()
    gone = batch.filter(guilty)
    step = phase.stages[0].id if phase.stages else phase.folds[0].id
    detail = "a worker process died on this doc twice"
    leaving = Leaving(gone, step, "quarantined", pa.array(["error"] * gone.num_rows, pa.string()), detail)
    return batch.filter(pc.invert(guilty)), (leaving,)


def _read(run: Run, phase: Phase, shard: ShardRef, tally: dict[str, Tally]) -> Iterator[pa.RecordBatch]:
    if phase.upstream is not None:
        columns = (
            None if phase.writes_docs else sorted({c for s in phase.folds for c in (*s.spec.reads, *s.spec.may_read)})
        )
        if columns is not None:
            columns += [s.tag_column for s in run.recipe.steps if s.mode == "tag"]
        yield from read_docs(run.docs_file(run.phases[phase.upstream], shard), columns)
        return
    from curate.sources import source_of

    for piece in shard.slices:
        if Path(piece.path).stat().st_size != piece.size_bytes:
            raise InputError(f"{piece.path} changed while the run was going on; start again with another -o")
        own = tally.setdefault(f"{piece.name}[{piece.start}:{piece.end}]", Tally())
        yield from source_of(piece.kind).batches(piece, own)


def _recut(batches: Iterator[pa.RecordBatch], options: PassOptions) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (first input row, batch); cut small where asked, and doc by doc where a worker died."""
    row = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            n = options.batch_docs or batch.num_rows
            if options.careful_from is not None:
                ahead = options.careful_from - (row + start)
                n = min(n, ahead) if ahead > 0 else (1 if ahead > -CAREFUL_DOCS else n)
            n = min(n, batch.num_rows - start)
            yield row + start, batch.slice(start, n)
            start += n
        row += batch.num_rows


class _Verdicts:
    """The verdicts of earlier folds for one shard, joined by row."""

    def __init__(self, run: Run, phase: Phase, shard: ShardRef) -> None:
        self.steps = [step for step in run.recipe.steps if step.id in phase.applies]
        self.tables: list[pa.Table | None] = []
        self.rows: pa.Array = pa.array([], pa.int64())
        for step in self.steps:
            file = run.fold_out(step.id)[0] / "verdicts" / f"{shard.name}.parquet"
            self.tables.append(pq.read_table(file) if file.exists() else None)

    def join(self, batch: pa.RecordBatch, row: int) -> tuple[pa.RecordBatch, tuple[Leaving, ...]]:
        """Add the folds' columns and drop what they say. `row` is the batch's first row in its docs file."""
        self.rows = pa.array(range(row, row + batch.num_rows), pa.int64())
        leaving: tuple[Leaving, ...] = ()
        for step, table in zip(self.steps, self.tables, strict=True):
            found = pc.index_in(self.rows, value_set=table["row"].combine_chunks()) if table is not None else None
            columns = {
                name: _filled(table, name, kind, found, step.spec.absent.get(name), len(self.rows))
                for name, kind in step.spec.writes.items()
            }
            batch = with_columns(batch, columns)
            reasons = _filled(table, "drop_reason", pa.string(), found, None, len(self.rows))
            stays = pc.is_null(reasons)
            batch, gone = split(batch, reasons, step.id)
            self.rows = self.rows.filter(stays)
            leaving += gone
        return batch, leaving


def _filled(
    table: pa.Table | None, name: str, kind: pa.DataType, found: pa.Array | None, absent: Any, n_rows: int
) -> pa.Array:
    if table is None or name not in table.column_names:
        return pa.array([absent] * n_rows, kind)
    column = table[name].combine_chunks().take(found)
    return column if absent is None else pc.if_else(pc.is_null(found), pa.scalar(absent, kind), column)


class _Files:
    """The files of one attempt at one shard: docs, ledger, one sketch per fold."""

    def __init__(
        self, run: Run, phase: Phase, shard: ShardRef, folder: Path, attempt: str, options: PassOptions
    ) -> None:
        self.run, self.phase, self.shard, self.folder = run, phase, shard, folder
        self.verdicts = _Verdicts(run, phase, shard)
        self.ledger = LedgerWriter(signals=options.ledger == "full")
        self.last_detail: str | None = None
        self.n_rows = 0
        self.schema: pa.Schema | None = None
        name = f"{shard.name}.{attempt}"
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

    def add_docs(self, batch: pa.RecordBatch, counts: Counts) -> None:
        self.schema = batch.schema
        first_row, self.n_rows = self.n_rows, self.n_rows + batch.num_rows
        counts.docs_kept += batch.num_rows
        counts.text_kept += text_bytes(batch)
        if self.docs is not None:
            self.docs.add(batch)
        for step in self.folds:
            shown = _show(step, batch)
            if step.skip_tagged:
                tags = [
                    batch[s.tag_column]
                    for s in self.run.recipe.steps
                    if s.mode == "tag" and s.tag_column in batch.schema.names
                ]
                counts.skipped_tagged[step.id] += self._sketch_untagged(step, shown, tags, first_row)
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
        rows = ledger_rows(leaving)
        self.last_detail = leaving.detail or self.last_detail
        self.ledger.add(rows)
        for step in self.folds:
            if step.spec.sees == "all":
                self._sketch(step, rows, -1)

    def _sketch(self, step: Step, batch: pa.RecordBatch, row: int) -> None:
        at = Position(self.shard.number, row, self.run.n_parts)
        self.sketches[step.id].add(step.spec.sketch(batch, at))

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

    def close(self) -> dict[str, Any]:
        """Finish all files and return their entries for the receipt."""
        self._sketch_upstream_ledgers()
        schema = self.schema if self.schema is not None else self._schema_without_docs()
        entries: dict[str, Any] = {"docs_file": None}
        if self.docs is not None:
            rows = self.docs.close(schema)
            entries["docs_file"] = describe(self.docs.path, self.folder, rows=rows)
        for step in self.folds:
            writer = self.sketches[step.id]
            if not writer.has_schema:
                writer.add(
                    step.spec.sketch(
                        _show(step, pa.RecordBatch.from_pylist([], schema=schema)),
                        Position(self.shard.number, 0, self.run.n_parts),
                    )
                )
        rows = self.ledger.write(self.ledger_path)
        entries["ledger_file"] = describe(self.ledger_path, self.folder, rows=rows)
        entries["sketch_files"] = {}
        for name, writer in self.sketches.items():
            rows = writer.close()
            entries["sketch_files"][name] = describe(writer.path, self.folder, rows=rows)
        return entries

    def _schema_without_docs(self) -> pa.Schema:
        """Return the schema of a shard in which no batch came at all."""
        from curate.sources import source_of

        if self.phase.upstream is None:
            schema = source_of(self.shard.slices[0].kind).schema
        else:
            schema = docs_schema(self.run.docs_file(self.run.phases[self.phase.upstream], self.shard))
        batch, _ = self.verdicts.join(pa.RecordBatch.from_pylist([], schema=schema), 0)
        for step in self.phase.stages:
            if not skipped_on_text(step, set(batch.schema.names)):
                batch = apply_stage(step, batch).kept
        return batch.drop_columns([n for n in batch.schema.names if n in TRANSIENT]).schema

    def discard(self) -> None:
        if self.docs is not None:
            self.docs.abort()
        for path in self.paths:
            discard(path)


def _show(step: Step, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the columns a fold reads; those that see dropped docs get null `step` and `reason` for kept ones."""
    names = [n for n in batch.schema.names if n in step.spec.reads or n in step.spec.may_read]
    shown = batch.select(names)
    if step.spec.sees == "all":
        nothing = pa.nulls(batch.num_rows, pa.string())
        shown = with_columns(shown, {"step": nothing, "reason": nothing})
    return shown


def _tally_json(tally: Tally) -> dict[str, Any]:
    return {
        "bytes_ok": tally.bytes_ok,
        "bytes_bad": tally.bytes_bad,
        "bytes_padding": tally.bytes_padding,
        "records": dict(sorted(tally.records.items())),
        "bad_spans": [asdict(span) for span in tally.bad_spans],
    }


def _slice_bytes(piece: Any) -> int | None:
    """Return the bytes a slice must account for; None where the format counts rows."""
    return None if piece.kind == "parquet" else piece.end - piece.start
