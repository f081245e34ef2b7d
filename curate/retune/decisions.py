"""The decision on each doc of a run, made again from stored signals, beside the one that was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.ledger import read_ledger
from curate.publish import last_docs_phase
from curate.receipts import read_receipt
from curate.recipe import Step
from curate.retune.scope import Retuning, columns_of
from curate.rundir import Run
from curate.source import ShardRef

BATCH_DOCS = 1 << 16  # without their text
UNITS = ("n_tokens", "n_words__spacy_en", "n_words__unicode", "n_words__whitespace", "n_toxicity_words")
TEXT_CHARS = ("n_text_chars", "n_chars")
BASE = ("doc_id", "url", "source", "warc_file", "offset_bytes", "language")

DECISION = pa.schema(
    [
        ("doc_id", pa.string()),
        ("kept", pa.bool_()),
        ("step", pa.string()),  # that drops it now; null where it is kept
        ("reason", pa.string()),
        ("kept_before", pa.bool_()),
        ("step_before", pa.string()),
        ("reason_before", pa.string()),
    ]
)


def docs_files(run: Run) -> dict[str, Path]:
    """Return shard name → the file with the run's documents. Raises CurateError where a file is gone or cut."""
    last = last_docs_phase(run)
    shards = [] if last is None else [s for s in run.plan.shards if run.shard_receipt(last, s).exists()]
    return {shard.name: run.docs_file(last, shard) for shard in shards if last is not None}


def ledger_files(run: Run, shard: ShardRef) -> list[Path]:
    """Return the ledger files of a shard, phase by phase."""
    found = []
    for phase in run.phases:
        receipt = run.shard_receipt(phase, shard)
        if receipt.exists():
            entry = read_receipt(receipt)["ledger_file"]
            if entry["rows"]:
                found.append(run.phase_folder(phase) / str(entry["path"]))
    return found


def unit_of(columns: Sequence[str]) -> str | None:
    """Return the column that says how large a doc is: its tokens, or words where none were counted."""
    return next((name for name in UNITS if name in columns), None)


def docs_decided(file: Path, run: Run, retuning: Retuning) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield (stored columns, decisions) of a run's documents, without reading their text."""
    names = pq.read_schema(file).names
    tags = [step for step in run.recipe.steps if step.mode == "tag"]
    wanted = {*BASE, *TEXT_CHARS, unit_of(names), *(step.tag_column for step in tags)}
    for step in tags:
        if not step.is_fold and hasattr(step.spec, "decide"):
            wanted |= columns_of(step)
    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(BATCH_DOCS, columns=[name for name in names if name in wanted]):
            yield batch, _decided(batch, run.recipe.steps, retuning)


def ledger_decided(files: Sequence[Path], run: Run, retuning: Retuning) -> tuple[pa.Table, pa.RecordBatch]:
    """Return (rows, decisions) for the docs that had left a shard. A tag above the step they left at comes first."""
    rows = read_ledger(files).combine_chunks()
    batch = pa.RecordBatch.from_arrays([_flat(column) for column in rows.columns], schema=rows.schema)
    return rows, _decided(batch, run.recipe.steps, retuning)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.array([], column.type)


def _decided(batch: pa.RecordBatch, steps: Sequence[Step], retuning: Retuning) -> pa.RecordBatch:
    """Return one row of DECISION per doc. A ledger's rows carry the step they left at; documents have none."""
    after = {step.id: step for step in retuning.recipe.steps}
    left_at = batch["step"] if "step" in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
    now: list[tuple[str, pa.Array]] = []
    before: list[tuple[str, pa.Array]] = []
    for number, step in enumerate(steps):
        if step.mode != "tag" or step.tag_column not in batch.schema.names:
            continue
        below = pa.array([s.id for s in steps[number + 1 :]], pa.string())
        came = pc.or_(pc.is_null(left_at), pc.is_in(left_at, below))
        stored = pc.if_else(came, batch[step.tag_column], pa.scalar(None, pa.string()))
        before.append((step.id, stored))
        if retuning.changed(step) and columns_of(step) <= set(batch.schema.names):
            stored = pc.if_else(came, after[step.id].spec.decide(batch), pa.scalar(None, pa.string()))
        now.append((step.id, stored))
    ended = pc.fill_null(batch["reason"], "") if "step" in batch.schema.names else None
    columns: dict[str, pa.Array] = {"doc_id": batch["doc_id"]}
    for suffix, found in (("", now), ("_before", before)):
        ids = [pc.if_else(pc.is_valid(reason), step_id, pa.scalar(None, pa.string())) for step_id, reason in found]
        by = pc.coalesce(*ids, left_at)
        reason = pc.coalesce(*(reason for _, reason in found), ended if ended is not None else left_at)
        columns |= {f"kept{suffix}": pc.is_null(by), f"step{suffix}": by, f"reason{suffix}": reason}
    return pa.RecordBatch.from_arrays([columns[name] for name in DECISION.names], schema=DECISION)
