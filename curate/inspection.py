"""Looking at a run from outside: what is done, left and failed, and which files nothing refers to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.accounting import totals
from curate.receipts import discard, read_receipt
from curate.rundir import Run, open_run, phase_receipts
from curate.runner import lock
from curate.training import training_folder


@dataclass
class RunStatus:
    """The state of a run, from its receipts alone."""

    run: str
    recipe: str
    n_shards: int
    finished: bool
    phases: list[dict[str, Any]] = field(default_factory=list)


def status(run: str | Path) -> RunStatus:
    """Return what is done and left of a run. Raises InputError if the folder holds none."""
    opened = open_run(Path(run))
    found = RunStatus(str(run), opened.recipe.name, len(opened.plan.shards), finished=True)
    for phase in opened.phases:
        receipts = phase_receipts(opened, phase)
        folds = {step.id: opened.finish_receipt(phase, step).exists() for step in phase.folds}
        done = len(receipts) == len(opened.plan.shards) and all(folds.values())
        found.finished &= done
        counted = totals(receipts)
        found.phases.append(
            {
                "phase": phase.folder,
                "does": phase.title,
                "shards_done": len(receipts),
                "folds_done": folds,
                "done": done,
                **counted,
            }
        )
    found.finished &= (opened.path / "published.json").exists()
    return found


@dataclass
class Removed:
    """What `gc` removed, or would remove."""

    run: str
    n_bytes: int = 0
    paths: list[str] = field(default_factory=list)


def gc(run: str | Path, *, dry_run: bool = False) -> Removed:
    """Remove what no receipt of the run's present recipe refers to: lost attempts, phases of older recipes.

    Raises InputError if the folder holds no run or a run is working in it.
    """
    open_run(Path(run))
    removed = Removed(str(run))
    with lock(Path(run)):
        opened = open_run(Path(run))  # as it is now that no run can change it
        wanted = _referenced(opened)
        for path in [*sorted((opened.path / "phases").rglob("*"), reverse=True), *_half_shown(opened.path)]:
            if path.is_dir() and not path.is_symlink():
                if not dry_run and not any(path.iterdir()):
                    path.rmdir()
                continue
            if path not in wanted and not any(parent in wanted for parent in path.parents):
                removed.n_bytes += path.lstat().st_size
                removed.paths.append(str(path.relative_to(opened.path)))
                if not dry_run:
                    discard(path)
    removed.paths.sort()
    return removed


def _half_shown(root: Path) -> list[Path]:
    """Return what a run that was killed while it showed its results left: hidden files beside them."""
    folders = [root, *(p for p in root.iterdir() if p.is_dir() and not p.is_symlink() and p.name != "phases")]
    return [p for folder in folders for p in sorted(folder.glob(".*")) if p.is_file() and p != root / ".lock"]


def _referenced(run: Run) -> set[Path]:
    """Return the files, and folders with all that is in them, that receipts name."""
    wanted: set[Path] = set()
    for phase in run.phases:
        folder = run.phase_folder(phase)
        for shard in run.plan.shards:
            file = run.shard_receipt(phase, shard)
            if file.exists():
                receipt = read_receipt(file)
                entries = [receipt["docs_file"], receipt["ledger_file"], *receipt["sketch_files"].values()]
                wanted |= {file, *(folder / entry["path"] for entry in entries if entry is not None)}
        for step in phase.folds:
            for file in sorted((run.fold_folder(phase, step) / "receipts").glob("*.json")):
                wanted |= {file, run.fold_folder(phase, step) / json.loads(file.read_text())["out"]}
    train = run.path / "train"
    if train.is_symlink():
        wanted.add(run.path / "phases" / train.readlink().name)
    if (going_on := training_folder(run)) is not None:  # interrupted, it has checkpoints and no link yet
        wanted.add(going_on)
    return wanted
