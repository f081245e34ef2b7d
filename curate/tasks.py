"""Tasks: the unit an engine schedules, small enough to travel as JSON, idempotent by its receipt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from curate.rundir import Run

CAREFUL_DOCS = 2048  # more than any batch has


@dataclass(frozen=True)
class PassOptions:
    """How a pass is run; none of this may change a byte of what it writes, save the ledger's width."""

    batch_docs: int | None = None  # cut batches to this many docs
    ledger: str = "full"  # or "reasons": no signals
    careful_from: int | None = None  # from this row on, one doc at a time: a worker died there
    quarantine: tuple[int, ...] = ()  # rows on which a worker died twice

    def alone(self, row: int) -> bool:
        """Say whether `row` is worked on by itself, so that it is to blame for what happens there."""
        return self.careful_from is not None and 0 <= row - self.careful_from < CAREFUL_DOCS


@dataclass(frozen=True)
class Task:
    """One shard of a phase, one part of a fold, a fold's end, or what has to be compiled before (a job: `part`)."""

    kind: Literal["shard", "reduce", "finish", "compile"]
    phase: int
    shard: int = -1
    fold: str = ""
    part: int = -1
    options: PassOptions = field(default_factory=PassOptions)

    @property
    def title(self) -> str:
        at = {
            "shard": f"shard {self.shard:05d}",
            "reduce": f"{self.fold} part {self.part}",
            "finish": f"{self.fold} finish",
            "compile": f"compiling {self.fold}",
        }
        return f"phase {self.phase:02d} {at[self.kind]}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Task:
        options = dict(row["options"])
        options["quarantine"] = tuple(options["quarantine"])
        return Task(**{**row, "options": PassOptions(**options)})

    def careful_from(self, row: int) -> Task:
        """Return the task to try after a worker died near input row `row`: one doc at a time from there."""
        return replace(self, options=replace(self.options, careful_from=row))

    def without(self, row: int) -> Task:
        """Return the task to try after a worker died on row `row` alone: that doc is quarantined unread."""
        quarantine = (*self.options.quarantine, row)
        return replace(self, options=replace(self.options, careful_from=None, quarantine=quarantine))


def run_task(run: Run, task: Task, note: Callable[[int, int], None] = lambda row, n_docs: None) -> dict[str, int]:
    """Do a task in this process; return the few counts that progress shows."""
    from curate.compiling import do_job
    from curate.fold_tasks import run_finish, run_reduce
    from curate.shard_pass import run_shard

    if task.kind == "compile":
        do_job(run, task.part)
        return {}
    phase = run.phases[task.phase]
    if task.kind == "shard":
        receipt = run_shard(run, phase, run.plan.shards[task.shard], task.options, note)
        return {"docs_in": receipt["docs"]["in"], "docs_kept": receipt["docs"]["kept"]}
    step = next(step for step in phase.folds if step.id == task.fold)
    if task.kind == "reduce":
        run_reduce(run, phase, step, task.part)
    else:
        run_finish(run, phase, step)
    return {}


def warm(run: Run, task: Task) -> None:
    """Compile, or load from Numba's cache, the kernels that a shard's stages will call.

    Workers do this one after the other, so that on a new machine the first compiles and the others load.
    """
    import pyarrow as pa

    from curate.schema import schema_field

    phase = run.phases[task.phase]
    for step in phase.stages if task.kind == "shard" else ():
        fields = [schema_field(name) for name in step.spec.reads]
        if "numba" in getattr(step.spec, "uses", ()) and all(field is not None for field in fields):
            step.spec(pa.RecordBatch.from_pylist([], schema=pa.schema(fields)))
