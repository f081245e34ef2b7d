"""What a fold worked on, found again for `curate why`: the folder it wrote, and docs as they were when it saw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.fold import Seen
from curate.phases import Phase
from curate.recipe import Step
from curate.rundir import Run


def seen_by(run: Run, step: Step) -> Seen:
    """Return what the `explain` of a fold may ask."""
    phase = next(phase for phase in run.phases if step.id in {fold.id for fold in phase.folds})
    return Seen(run.fold_out(step.id)[0], partial(_docs, run, _docs_phase(run, phase)))


def _docs_phase(run: Run, phase: Phase) -> Phase | None:
    """Return the phase whose docs are what the folds of a phase saw, None where no phase wrote them like that."""
    while not phase.writes_docs:
        if phase.upstream is None or phase.applies:
            return None
        phase = run.phases[phase.upstream]
    return phase


def _docs(
    run: Run, phase: Phase | None, doc_ids: Sequence[str], columns: Sequence[str]
) -> Mapping[str, Mapping[str, Any]]:
    """Return docs by id, with those of the columns that they have. Text is read where one of them stands only."""
    found: dict[str, Mapping[str, Any]] = {}
    wanted = pc.field("doc_id").isin(doc_ids)
    for shard in run.plan.shards if phase is not None else ():
        if phase is None or len(found) == len(set(doc_ids)) or not run.shard_receipt(phase, shard).exists():
            continue
        file = run.docs_file(phase, shard)
        if pq.read_table(file, columns=["doc_id"], filters=wanted).num_rows:
            known = [name for name in pq.read_schema(file).names if name in ("doc_id", *columns)]
            rows = pq.read_table(file, columns=known, filters=wanted).to_pylist()
            found |= {row["doc_id"]: row for row in rows}
    return found
