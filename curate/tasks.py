"""Tasks: the unit an engine schedules, small enough to travel as JSON, idempotent by its receipt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa

from curate.fold_tasks import run_finish, run_reduce
from curate.rundir import Run
from curate.schema import schema_field
from curate.shard_pass import PassOptions, run_shard


@dataclass(frozen=True)
class Task:
    """One shard of a phase, one part of a fold, or a fold's end."""

    kind: Literal["shard", "reduce", "finish"]
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
    phase = run.phases[task.phase]
    for step in phase.stages if task.kind == "shard" else ():
        fields = [schema_field(name) for name in step.spec.reads]
        if "numba" in getattr(step.spec, "uses", ()) and all(field is not None for field in fields):
            step.spec(pa.RecordBatch.from_pylist([], schema=pa.schema(fields)))
