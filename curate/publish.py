"""The published view of a run: documents/, ledger/ and the folders of folds, made of what receipts name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from curate.fold import adopt
from curate.phases import Phase
from curate.receipts import attempt_name, discard, fsync_path, read_receipt, write_atomically
from curate.recipe import Step
from curate.rundir import Run

JSONL_SUFFIX = ".jsonl.zst"


def publish_results(run: Run) -> bool:
    """Make the published folders show exactly the results of the run's last phases; return if anything changed.

    Files are hard links (copies where links are refused) or, for JSONL and for documents of bounded size, written
    anew. They are put in place by rename, so none is ever half there.
    """
    whole: dict[str, Path] = {}
    cut: list[Cut] = []
    last = last_docs_phase(run)
    suffix = JSONL_SUFFIX if run.recipe.format == "jsonl" else ".parquet"
    if last is not None:
        for shard in run.plan.shards:
            if run.shard_receipt(last, shard).exists():
                name, file = f"documents/{shard.name}", run.docs_file(last, shard)
                if run.recipe.max_file_bytes is None:
                    whole[name + suffix] = file
                else:
                    n_rows = int(run.docs_entry(last, shard)["rows"])
                    cut.append(Cut(name, suffix, file, n_rows, run.recipe.max_file_bytes))
    for phase in run.phases:
        for shard in run.plan.shards:
            receipt_file = run.shard_receipt(phase, shard)
            if receipt_file.exists():
                ledger = read_receipt(receipt_file)["ledger_file"]
                if ledger["rows"]:
                    whole[f"ledger/{phase.number:02d}-{shard.name}.parquet"] = run.phase_folder(phase) / ledger["path"]
        for step in phase.folds:
            if step.spec.publishes and run.finish_receipt(phase, step).exists():
                out, receipt = run.fold_out(step.id)
                for entry in receipt["files"]:
                    if not entry["path"].startswith("verdicts/"):
                        whole[f"{_shown_in(run, step)}/{entry['path']}"] = out / entry["path"]
    return _show(run.path, whole, cut)


def _shown_in(run: Run, fold: Step) -> str:
    """Return the folder of a fold's files; of several that publish under one name, the first of the recipe has it."""
    name = str(fold.spec.publishes)
    first = next(step for step in run.recipe.steps if step.is_fold and step.spec.publishes == name)
    return name if first.id == fold.id else f"{name}-{fold.id}"


def last_docs_phase(run: Run) -> Phase | None:
    """Return the phase whose docs are the run's documents."""
    writers = [phase for phase in run.phases if phase.writes_docs]
    return writers[-1] if writers else None


@dataclass(frozen=True)
class Cut:
    """The docs of a shard that are shown as several files: `<name>-00000<suffix>`, `<name>-00001<suffix>`, …"""

    name: str
    suffix: str
    source: Path
    n_rows: int
    max_file_bytes: int

    def listed(self, root: Path, rows: Sequence[int]) -> dict[str, Any]:
        """Return what published.json says of a piece."""
        return {"of": str(self.source.relative_to(root)), "rows": [*rows], "max_file_bytes": self.max_file_bytes}

    def found(self, root: Path, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Return the pieces that are there, if they are whole and were cut as they are wanted; else none."""
        pieces: dict[str, Any] = {}
        row = 0
        while (name := self.piece(len(pieces))) in shown and (root / name).exists():
            end = shown[name]["rows"][1] if isinstance(shown[name], dict) else -1
            if shown[name] != self.listed(root, (row, end)):
                return {}
            pieces[name], row = shown[name], end
        return pieces if row == self.n_rows and self.piece(len(pieces)) not in shown else {}

    def piece(self, number: int) -> str:
        return f"{self.name}-{number:05d}{self.suffix}"


def _show(root: Path, whole: Mapping[str, Path], cut: Sequence[Cut]) -> bool:
    """Place `whole` files and `cut` ones. What is placed is listed before, were this killed half way."""
    listing = root / "published.json"
    shown: dict[str, Any] = read_receipt(listing) if listing.exists() else {}
    target: dict[str, Any] = {name: str(path.relative_to(root)) for name, path in whole.items()}
    fresh: dict[str, Path | None] = {  # the file that is ready to be renamed, if any
        name: None for name, path in target.items() if shown.get(name) != path or not (root / name).exists()
    }
    with ExitStack() as undo:
        for docs in cut:
            pieces = docs.found(root, shown)
            if not pieces:
                made = _cut(root, docs, undo)
                pieces = {name: listed for name, (_, listed) in made.items()}
                fresh |= {name: file for name, (file, _) in made.items()}
            target |= pieces
        stale = [name for name in shown if name not in target]
        if not stale and not fresh and listing.exists():
            return False
        write_atomically(listing, json.dumps({**shown, **dict.fromkeys(fresh, "")}, indent=1, sort_keys=True))
        for name in stale:
            _remove(root / name, root)
        for name, ready in fresh.items():
            _place(root / name, ready or _made(root / name, whole[name]))
        undo.pop_all()
    for folder in {(root / name).parent for name in fresh}:
        fsync_path(folder)
    write_atomically(listing, json.dumps(target, indent=1, sort_keys=True))
    return True


def _cut(root: Path, docs: Cut, undo: ExitStack) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Write the pieces of a shard under names of this attempt; return name → (file, what is listed)."""
    from curate.cutting import cut_docs

    files: list[Path] = []

    def place(number: int) -> Path:
        parent = (root / docs.name).parent
        parent.mkdir(parents=True, exist_ok=True)
        files.append(parent / f".{attempt_name()}")
        undo.callback(discard, files[-1])
        return files[-1]

    form: Literal["parquet", "jsonl"] = "jsonl" if docs.suffix == JSONL_SUFFIX else "parquet"
    rows = cut_docs(docs.source, form, docs.max_file_bytes, place)
    return {
        docs.piece(number): (file, docs.listed(root, row))
        for number, (file, row) in enumerate(zip(files, rows, strict=True))
    }


def _made(place: Path, source: Path) -> Path:
    """Return a file of this attempt with what `place` is to show."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.parent / f".{attempt_name()}"
    if place.name.endswith(JSONL_SUFFIX):
        from curate.dataset import write_jsonl

        write_jsonl(source, temporary)
    else:
        adopt(source, temporary)
    return temporary


def _place(place: Path, ready: Path) -> None:
    fsync_path(ready)  # the listing says it is there: it must be whole after a power cut too
    os.replace(ready, place)


def _remove(file: Path, root: Path) -> None:
    """Remove a file that is shown no longer, and its folder if it was the last there."""
    discard(file)
    if file.parent != root and file.parent.is_dir() and not any(file.parent.iterdir()):
        file.parent.rmdir()
