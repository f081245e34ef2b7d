"""One pass over one shard: read it, join verdicts, run the stages, write docs, ledger and sketches, commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.accounting import check_shard
from curate.apply import Leaving, apply_stage, text_bytes
from curate.dataset import docs_schema, read_docs
from curate.errors import CurateError
from curate.phases import Phase, skipped_on_text
from curate.receipts import Receipt, publish, read_receipt
from curate.rule_counts import RuleCounts, count_fired
from curate.rundir import Run
from curate.schema import TRANSIENT
from curate.shard_files import ShardFiles
from curate.source import ShardRef, Tally
from curate.tasks import CAREFUL_DOCS, PassOptions
from curate.verdicts import Joined, Verdicts

MAX_QUARANTINED_FRAC = 0.01  # of a shard's docs, once there are more than MIN_QUARANTINED of them
MIN_QUARANTINED = 100
MIN_ALL_QUARANTINED = 5  # of the docs that came to a step, when it let none through
MAX_GATHERED_DOCS = 64  # smaller batches of several files are joined up to this
MAX_GATHERED_BYTES = 16 << 20  # or this


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
    rules: RuleCounts = field(default_factory=dict)
    last_detail: str | None = None

    def leave(self, leaving: Leaving) -> None:
        """Count docs that leave."""
        self.last_detail = leaving.detail or self.last_detail
        n, n_bytes = leaving.batch.num_rows, text_bytes(leaving.batch)
        if leaving.outcome == "quarantined":
            self.quarantined[leaving.step] += n
            self.text_quarantined += n_bytes
            return
        reasons = self.dropped.setdefault(leaving.step, Counter())
        for row in pc.value_counts(leaving.reasons).to_pylist():
            reasons[row["values"]] += row["counts"]
        self.text_dropped += n_bytes

    def to_json(self) -> dict[str, Any]:
        return {
            "docs": {
                "in": self.docs_in,
                "kept": self.docs_kept,
                "dropped": {step: dict(sorted(reasons.items())) for step, reasons in self.dropped.items()},
                "quarantined": dict(self.quarantined),
            },
            "text_bytes": {
                "in": self.text_in,
                "rewritten": self.text_rewritten,
                "kept": self.text_kept,
                "dropped": self.text_dropped,
                "quarantined": self.text_quarantined,
            },
            "rules": self.rules,
        }


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
    files = ShardFiles(run, phase, shard, ledger_signals=options.ledger == "full")
    verdicts = Verdicts(run, phase, shard)
    tallies: dict[str, Tally] = {}
    counts = Counts()
    with ExitStack() as undo:
        undo.callback(files.discard)
        for row, batch in _recut(_read(run, phase, shard, tallies), options):
            note(row, counts.docs_in)
            counts.docs_in += batch.num_rows
            counts.text_in += text_bytes(batch)
            joined = verdicts.join(batch, row)
            kept, leaving = _work(phase, joined, options, counts)
            for gone in (*joined.leaving, *leaving):
                counts.leave(gone)
                files.add_leaving(gone)
            counts.docs_kept += kept.num_rows
            counts.text_kept += text_bytes(kept)
            files.add_docs(kept)
            note(-1, counts.docs_in)  # while the next batch is read, or files are closed, no doc is to blame
        _check_quarantine(counts, phase)
        written = files.close(lambda: _schema_without_docs(run, phase, shard, verdicts))
        receipt = {
            "phase": phase.folder,
            "shard": shard.name,
            "key": phase.key,
            "inputs": {name: _tally_json(tally) for name, tally in tallies.items()},
            "input_bytes": _input_bytes(shard) if phase.upstream is None else {},
            **counts.to_json(),
            **written,
        }
        check_shard(receipt)
        undo.pop_all()
    return publish(receipt, receipt_path, files.paths)


def _work(phase: Phase, joined: Joined, options: PassOptions, counts: Counts) -> tuple[pa.RecordBatch, list[Leaving]]:
    """Take one batch through the stages; return what stays and what leaves."""
    counts.text_rewritten += joined.rewritten_bytes
    batch = joined.batch
    leaving: list[Leaving] = []
    if options.quarantine:
        if not phase.writes_docs:  # the doc stands in a file of the phase above: it cannot leave here
            folds = " or ".join(step.id for step in phase.folds)
            raise CurateError(f"a worker process died twice on row {options.quarantine[0]}, in {folds}")
        batch, leaving = _quarantine_rows(batch, joined.rows, options.quarantine, phase)
    last_reader = {name: i for i, step in enumerate(phase.stages) for name in step.spec.reads if name in TRANSIENT}
    for i, step in enumerate(phase.stages):
        if skipped_on_text(step, set(batch.schema.names)):
            continue
        done_with = [n for n in batch.schema.names if n in TRANSIENT and last_reader.get(n, -1) <= i]
        applied = apply_stage(step, batch, done_with)
        counts.text_rewritten += applied.rewritten_bytes
        n_judged = batch.num_rows - sum(gone.outcome == "quarantined" for gone in applied.leaving)
        count_fired(counts.rules, step.id, n_judged, applied.fired)
        leaving += applied.leaving
        batch = applied.kept
    left_over = [name for name in batch.schema.names if name in TRANSIENT]
    return batch.drop_columns(left_over) if left_over else batch, leaving


def _check_quarantine(counts: Counts, phase: Phase) -> None:
    """Raise CurateError if it is the step or the machine that is broken, not the docs."""
    n_quarantined = sum(counts.quarantined.values())
    if n_quarantined > max(MIN_QUARANTINED, MAX_QUARANTINED_FRAC * counts.docs_in):
        raise CurateError(f"{n_quarantined} of {counts.docs_in} docs raised; the last: {counts.last_detail}")
    order = [step.id for step in phase.stages]
    for step, n in counts.quarantined.items():
        later = order[order.index(step) :] if step in order else []
        n_through = counts.docs_kept + sum(sum(counts.dropped.get(name, {}).values()) for name in later)
        if n >= MIN_ALL_QUARANTINED and n_through == 0:
            raise CurateError(f"none of {n} docs came through {step}; the last: {counts.last_detail}")


def _quarantine_rows(
    batch: pa.RecordBatch, rows: pa.Array, quarantine: Sequence[int], phase: Phase
) -> tuple[pa.RecordBatch, list[Leaving]]:
    guilty = pc.is_in(rows, pa.array(quarantine, pa.int64()))
    if not pc.any(guilty).as_py():
        return batch, []
    gone = batch.filter(guilty)
    step = phase.stages[0].id if phase.stages else phase.folds[0].id
    detail = "a worker process died on this doc twice"
    leaving = Leaving(gone, step, "quarantined", pa.array(["error"] * gone.num_rows, pa.string()), detail)
    return batch.filter(pc.invert(guilty)), [leaving]


def _read(run: Run, phase: Phase, shard: ShardRef, tallies: dict[str, Tally]) -> Iterator[pa.RecordBatch]:
    if phase.upstream is not None:
        columns = (
            None if phase.writes_docs else sorted({c for s in phase.folds for c in (*s.spec.reads, *s.spec.may_read)})
        )
        if columns is not None:
            columns += [s.tag_column for s in run.recipe.steps if s.mode == "tag"]
        yield from read_docs(run.docs_file(run.phases[phase.upstream], shard), columns)
        return
    from curate.sources import source_of
    from curate.sources.files import check_unchanged

    schema = _source_schema(shard)

    def batches() -> Iterator[pa.RecordBatch]:
        for piece in shard.slices:
            check_unchanged(piece)
            own = tallies.setdefault(f"{piece.name}[{piece.start}:{piece.end}]", Tally())
            for batch in source_of(piece.kind).batches(piece, own):
                yield batch if batch.schema.equals(schema) else _widened(batch, schema)

    yield from _gathered(batches())


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join small batches: a file of one page is a batch of its own, and each batch has its price."""
    held: list[pa.RecordBatch] = []
    n_docs = n_bytes = 0
    for batch in batches:
        size = batch.nbytes
        if held and (n_docs + batch.num_rows > MAX_GATHERED_DOCS or n_bytes + size > MAX_GATHERED_BYTES):
            yield pa.concat_batches(held)
            held, n_docs, n_bytes = [], 0, 0
        if not held and batch.num_rows >= MAX_GATHERED_DOCS:
            yield batch  # as most are
            continue
        held.append(batch)
        n_docs, n_bytes = n_docs + batch.num_rows, n_bytes + size
    if held:
        yield pa.concat_batches(held)


def _source_schema(shard: ShardRef) -> pa.Schema:
    """Return the columns of all slices of a shard; Parquet files may bring different ones."""
    from curate.sources import source_of

    files = {piece.path: piece for piece in shard.slices}  # one look at a file that is cut into many slices
    schemas = [source_of(piece.kind).schema_of(piece) for piece in files.values()]
    return pa.unify_schemas(list(dict.fromkeys(schemas)), promote_options="permissive")


def _widened(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch with the columns of `schema`, null where it has none."""
    columns = [
        batch[field.name].cast(field.type) if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


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


def _tally_json(tally: Tally) -> dict[str, Any]:
    return {
        "bytes_ok": tally.bytes_ok,
        "bytes_bad": tally.bytes_bad,
        "bytes_padding": tally.bytes_padding,
        "records": dict(sorted(tally.records.items())),
        "bad_spans": [asdict(span) for span in tally.bad_spans],
    }


def _input_bytes(shard: ShardRef) -> dict[str, int]:
    """Return input name → bytes this shard must account for; formats that count rows are left out."""
    from curate.sources import COUNTED_IN_ROWS

    found: dict[str, int] = {}
    for piece in shard.slices:
        if piece.kind not in COUNTED_IN_ROWS:
            found[piece.name] = found.get(piece.name, 0) + piece.end - piece.start
    return found


def _schema_without_docs(run: Run, phase: Phase, shard: ShardRef, verdicts: Verdicts) -> pa.Schema:
    """Return the schema of a shard from which no batch came."""
    if phase.upstream is None:
        schema = _source_schema(shard)
    else:
        schema = docs_schema(run.docs_file(run.phases[phase.upstream], shard))
    batch = verdicts.join(pa.RecordBatch.from_pylist([], schema=schema), 0).batch
    for step in phase.stages:
        if not skipped_on_text(step, set(batch.schema.names)):
            batch = apply_stage(step, batch).kept
    return batch.drop_columns([n for n in batch.schema.names if n in TRANSIENT]).schema
