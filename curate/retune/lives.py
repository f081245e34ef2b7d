"""The life of a page as a retune left it: what the run measured, and what is decided now."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import InputError
from curate.retune.scope import explained, retuned
from curate.rundir import open_run
from curate.why import Life, why


def lives_of(folder: Path, mark: Path, page: str) -> list[Life]:
    """Return the life of every doc with this URL or doc_id. Raises InputError if there is none, or the run is gone."""
    asked = json.loads(mark.read_text(encoding="utf-8"))["asked"]
    if not Path(asked["run"]).is_dir():
        raise InputError(f"{folder} decides {asked['run']} again, which is gone")
    run = open_run(Path(asked["run"]))
    steps = {step.id: step for step in retuned(run, asked["given"], frozenset()).recipe.steps}
    found = []
    for life in why(run.path, page):
        now = _decision(folder, life.doc_id)
        because, rule = "", {}
        if now["step"] in steps:
            step = steps[now["step"]]
            because = life.because if step.is_fold else explained(step, now["reason"], life.signals)
            rule = {f.name: v for f in dataclasses.fields(step.spec) if (v := getattr(step.spec, f.name)) is not None}
        order = [step.id for step in run.recipe.steps]
        passed = order[: order.index(now["step"])] if now["step"] in order else order
        outcome = "kept" if now["kept"] else "quarantined" if now["reason"] == "error" else "dropped"
        changes = {"outcome": outcome, "step": now["step"], "reason": now["reason"], "passed": passed}
        found.append(dataclasses.replace(life, because=because, rule=rule, **changes))
    return found


def _decision(folder: Path, doc_id: str) -> dict[str, Any]:
    for file in sorted((folder / "decisions").glob("*.parquet")):
        rows = pq.read_table(file, filters=pc.field("doc_id") == doc_id).to_pylist()
        if rows:
            return dict(rows[0])
    raise InputError(f"{folder} has no decision on doc {doc_id}; it was cut or changed")
