"""The published view of a run: documents/, ledger/ and the folders of folds, linked to what receipts name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from curate.dataset import write_jsonl
from curate.fold import adopt
from curate.phases import Phase
from curate.receipts import attempt_name, discard, fsync_path, read_receipt, write_atomically
from curate.recipe import Step
from curate.rundir import Run

JSONL_SUFFIX = ".jsonl.zst"


def publish_results(run: Run) -> bool:
    """Make the published folders show exactly the results of the run's last phases; return if anything changed.

    Files are hard links (copies where links are refused), put in place by rename, so none is ever half there.
    """
    wanted: dict[str, Path] = {}
    last = last_docs_phase(run)
    jsonl = run.recipe.format == "jsonl"
    if last is not None:
        for shard in run.plan.shards:
            if run.shard_receipt(last, shard).exists():
                suffix = JSONL_SUFFIX if jsonl else ".parquet"
                wanted[f"documents/{shard.name}{suffix}"] = run.docs_file(last, shard)
    for phase in run.phases:
        for shard in run.plan.shards:
            file = run.shard_receipt(phase, shard)
            if file.exists():
                ledger = read_receipt(file)["ledger_file"]
                if ledger["rows"]:
                    wanted[f"ledger/{phase.number:02d}-{shard.name}.parquet"] = run.phase_folder(phase) / ledger["path"]
        for step in phase.folds:
            if step.spec.publishes and run.finish_receipt(phase, step).exists():
                out, receipt = run.fold_out(step.id)
                for entry in receipt["files"]:
                    if not entry["path"].startswith("verdicts/"):
                        wanted[f"{_shown_in(run, step)}/{entry['path']}"] = out / entry["path"]
    return _show(run.path, wanted)


def _shown_in(run: Run, fold: Step) -> str:
    """Return the folder of a fold's files; of several that publish under one name, the first of the recipe has it."""
    name = str(fold.spec.publishes)
    first = next(step for step in run.recipe.steps if step.is_fold and step.spec.publishes == name)
    return name if first.id == fold.id else f"{name}-{fold.id}"


def last_docs_phase(run: Run) -> Phase | None:
    """Return the phase whose docs are the run's documents."""
    writers = [phase for phase in run.phases if phase.writes_docs]
    return writers[-1] if writers else None


def _show(root: Path, wanted: Mapping[str, Path]) -> bool:
    listing = root / "published.json"
    shown: dict[str, str] = read_receipt(listing) if listing.exists() else {}
    target = {name: str(path.relative_to(root)) for name, path in wanted.items()}
    stale = [name for name in shown if name not in target]
    fresh = [name for name, path in target.items() if shown.get(name) != path or not (root / name).exists()]
    if not stale and not fresh and listing.exists():
        return False
    begun = {**shown, **dict.fromkeys(fresh, "")}  # whatever is placed is listed, were this killed half way
    write_atomically(listing, json.dumps(begun, indent=1, sort_keys=True))
    for name in stale:
        discard(root / name)
        if (root / name).parent != root and (root / name).parent.is_dir() and not any((root / name).parent.iterdir()):
            (root / name).parent.rmdir()
    for name in fresh:
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.parent / f".{attempt_name()}"
        if name.endswith(JSONL_SUFFIX):
            write_jsonl(wanted[name], temporary)
        else:
            adopt(wanted[name], temporary)
        fsync_path(temporary)  # the listing says it is there: it must be whole after a power cut too
        os.replace(temporary, place)
    for folder in {(root / name).parent for name in fresh}:
        fsync_path(folder)
    write_atomically(listing, json.dumps(target, indent=1, sort_keys=True))
    return True
