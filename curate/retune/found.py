"""What a retune came to: its values, and the files that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from curate.receipts import write_atomically
from curate.retune.changes import Changes
from curate.retune.page import render
from curate.retune.scope import Retuning
from curate.rundir import Run

MARK = "retune.json"
TOP = 25  # languages and sites in the report


@dataclass
class Retuned:
    """What a retune came to: the content of `--json`."""

    run: str
    out: str
    given: Mapping[str, Mapping[str, Any]]
    ran_again: str | None  # why the stored signals were not enough; None if they were
    wrote_anything: bool
    unit: str | None = None  # the column that `units` are counted in
    totals: Mapping[str, int] = field(default_factory=dict)
    rules: Sequence[Mapping[str, Any]] = ()
    languages: Sequence[Mapping[str, Any]] = ()
    sites: Sequence[Mapping[str, Any]] = ()
    n_languages: int = 0
    n_sites: int = 0
    examples: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, plan: Retuning, out: Path, changes: Changes, unit: str | None) -> Retuned:
        return cls(str(run.path), str(out), plan.given, plan.beyond, True, **changes.summary(unit, TOP))

    def write_report(self, folder: Path) -> None:
        """Write report.json and report.html, which say nothing of where the retune lies."""
        report = {name: value for name, value in plain(asdict(self)).items() if name not in ("out", "wrote_anything")}
        write_atomically(folder / "report.json", json.dumps(report, indent=1, sort_keys=True))
        write_atomically(folder / "report.html", render(report))

    def write_mark(self, folder: Path, asked: Mapping[str, Any]) -> None:
        """Write what was asked and found: the same retune asked for again is not done again."""
        write_atomically(folder / MARK, json.dumps({"asked": plain(asked), "found": plain(asdict(self))}, indent=1))


def read_mark(folder: Path, asked: Mapping[str, Any]) -> Retuned | None:
    """Return what the finished retune in a folder found, if it is the one that is asked for."""
    file = folder / MARK
    stored = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if stored.get("asked") != plain(asked):
        return None
    return Retuned(**{**stored["found"], "wrote_anything": False})


def plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    return json.loads(json.dumps(value, default=str))
