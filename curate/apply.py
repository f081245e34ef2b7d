"""One stage on one batch: call it, check what it says, and split the batch into kept, dropped and quarantined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import CurateError
from curate.recipe import Step
from curate.stage import Verdict


@dataclass(frozen=True)
class Leaving:
    """Docs that leave at one step: the batch as it was then, why, and with which exception."""

    batch: pa.RecordBatch
    step: str
    outcome: str  # "dropped" or "quarantined"
    reasons: pa.Array  # string[n]
    detail: str | None = None


@dataclass(frozen=True)
class Applied:
    """The result of one stage on one batch. `rewritten_bytes` is text bytes after minus before, `fired` a Verdict's."""

    kept: pa.RecordBatch
    leaving: tuple[Leaving, ...]
    rewritten_bytes: int
    fired: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def apply_stage(step: Step, batch: pa.RecordBatch, done_with: Sequence[str] = ()) -> Applied:
    """Run a stage. A batch on which it raises is halved until the guilty doc stands alone, which is quarantined.

    Columns in `done_with` are left out of what comes back: the html of a batch is not copied to be dropped.
    Raises CurateError when the stage breaks its contract, or says itself that it cannot work at all.
    """
    if batch.num_rows == 0:
        return Applied(with_columns(batch.drop_columns(list(done_with)), empty_columns(step)), (), 0)
    try:
        verdict = step.spec(batch)
    except CurateError:
        raise  # the stage cannot run: a missing extra, a broken model file
    except Exception as error:
        if batch.num_rows == 1:
            detail = f"{type(error).__name__}: {error}"[:500].encode("utf-8", "backslashreplace").decode()
            reasons = pa.array(["error"], pa.string())
            batch = batch.drop_columns(list(done_with))
            gone = Leaving(batch, step.id, "quarantined", reasons, detail)
            return Applied(with_columns(batch.slice(0, 0), empty_columns(step)), (gone,), 0)
        half = batch.num_rows // 2
        first = apply_stage(step, batch.slice(0, half), done_with)
        second = apply_stage(step, batch.slice(half), done_with)
        kept = concat([first.kept, second.kept])
        rewritten = first.rewritten_bytes + second.rewritten_bytes
        fired = dict(first.fired)
        for rule, (n_broken, n_first) in second.fired.items():
            before = fired.get(rule, (0, 0))
            fired[rule] = (before[0] + n_broken, before[1] + n_first)
        return Applied(kept, (*first.leaving, *second.leaving), rewritten, fired)
    check_verdict(step, batch, verdict)
    # In the declared order, which is also that of batches without docs: batches of one file have one schema.
    lighter = batch.drop_columns(list(done_with))
    after = with_columns(lighter, {name: verdict.columns[name] for name in step.spec.writes})
    rewritten = text_bytes(after) - text_bytes(batch) if "text" in verdict.columns else 0
    reasons = verdict.drop_reason if verdict.drop_reason is not None else pa.nulls(batch.num_rows, pa.string())
    if step.mode == "tag":
        return Applied(with_columns(after, {step.tag_column: reasons}), (), rewritten, verdict.fired)
    kept, leaving = split(after, reasons, step.id)
    return Applied(kept, leaving, rewritten, verdict.fired)


def split(batch: pa.RecordBatch, reasons: pa.Array, step_id: str) -> tuple[pa.RecordBatch, tuple[Leaving, ...]]:
    """Return the rows without a reason, and those with one."""
    if reasons.null_count == len(reasons):
        return batch, ()
    dropped = pc.is_valid(reasons)
    gone = Leaving(batch.filter(dropped), step_id, "dropped", reasons.filter(dropped))
    return batch.filter(pc.invert(dropped)), (gone,)


def check_verdict(step: Step, batch: pa.RecordBatch, verdict: Verdict) -> None:
    """Raise CurateError unless a verdict keeps the stage's contract."""
    declared = step.spec.writes
    for name, column in verdict.columns.items():
        if name not in declared or column.type != declared[name] or len(column) != batch.num_rows:
            said = f"{name}: {column.type}[{len(column)}]"
            wanted = f"{declared[name]}[{batch.num_rows}]" if name in declared else "no such column"
            raise CurateError(f"stage `{step.name}` wrote {said}; it declares {wanted}")
    if missing := set(declared) - set(verdict.columns):
        raise CurateError(f"stage `{step.name}` did not write {sorted(missing)}, which it declares")
    reasons = verdict.drop_reason
    if reasons is not None:
        if reasons.type != pa.string() or len(reasons) != batch.num_rows:
            raise CurateError(
                f"stage `{step.name}`: drop_reason is {reasons.type}[{len(reasons)}], not string[{batch.num_rows}]"
            )
        if reasons.null_count < len(reasons):
            unknown = set(pc.unique(reasons.drop_null()).to_pylist()) - set(step.spec.reasons)
            if unknown:
                raise CurateError(
                    f"stage `{step.name}` gave the reason {sorted(unknown)[0]!r}, which it does not declare"
                )


def empty_columns(step: Step) -> dict[str, pa.Array]:
    """Return the columns a stage would add, with no rows."""
    columns = {name: pa.array([], kind) for name, kind in step.spec.writes.items()}
    if step.mode == "tag":
        columns[step.tag_column] = pa.array([], pa.string())
    return columns


def with_columns(batch: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Return the batch with columns replaced in place or added at the end, in the order given."""
    if not columns:
        return batch  # built anew, a batch without any column would lose its rows
    names, arrays = list(batch.schema.names), list(batch.columns)
    for name, array in columns.items():
        if name in names:
            arrays[names.index(name)] = array
        else:
            names.append(name)
            arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=names)


def concat(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return one batch of all rows."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(list(batches))


def text_bytes(batch: pa.RecordBatch) -> int:
    """Return the UTF-8 bytes of the column `text`; null counts 0."""
    if "text" not in batch.schema.names:
        return 0
    return int(pc.sum(pc.binary_length(batch["text"])).as_py() or 0)
