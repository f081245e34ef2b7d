"""The second and third act of a fold as tasks: reduce one part, then finish; each committed by a receipt."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from curate.errors import CurateError
from curate.phases import Phase
from curate.receipts import Receipt, attempt_name, describe, discard, publish, read_receipt
from curate.recipe import Step
from curate.rundir import Run, phase_receipts
from curate.sketches import Part


def run_reduce(run: Run, phase: Phase, step: Step, part: int) -> Receipt:
    """Reduce one part of a fold over the sketches of all shards that exist."""
    target = run.part_receipt(phase, step, part)
    if target.exists():
        return read_receipt(target)
    sketches = _sketch_files(run, phase, step)
    out = _new_folder(run.fold_folder(phase, step) / "parts", f"{part:04d}")
    with ExitStack() as undo:
        undo.callback(discard, out)
        run.with_needs(step).spec.reduce(Part(sketches, part, run.n_parts), out)
        receipt = _folder_receipt(
            run.fold_folder(phase, step), out, {"fold": step.id, "part": part, "n_shards": len(sketches)}
        )
        undo.pop_all()
    return publish(receipt, target, [out])


_SKETCHES: dict[tuple[str, str], list[Path]] = {}  # of the fold at hand: parts are many, shards are more


def _sketch_files(run: Run, phase: Phase, step: Step) -> list[Path]:
    """Return the sketches of all shards that exist. Parts are reduced when no more shards come, so once is enough."""
    folder = run.phase_folder(phase)
    if (key := (str(folder), step.id)) not in _SKETCHES:
        _SKETCHES.clear()
        _SKETCHES[key] = [folder / r["sketch_files"][step.id]["path"] for r in phase_receipts(run, phase)]
    return _SKETCHES[key]


def run_finish(run: Run, phase: Phase, step: Step) -> Receipt:
    """Finish a fold. Its receipt names the checksums of the docs that its verdicts are for."""
    target = run.finish_receipt(phase, step)
    if target.exists():
        return read_receipt(target)
    folder = run.fold_folder(phase, step)
    parts = [folder / read_receipt(run.part_receipt(phase, step, n))["out"] for n in range(run.n_parts)]
    out = _new_folder(folder, "out")
    with ExitStack() as undo:
        undo.callback(discard, out)
        run.with_counts(run.with_needs(step), phase).spec.finish(parts, out)
        _check_names(run, step, out)
        about = {"fold": step.id, "n_shards": len(phase_receipts(run, phase)), "bound_to": _docs_sha256(run, phase)}
        receipt = _folder_receipt(folder, out, about)
        undo.pop_all()
    return publish(receipt, target, [out])


def forget_partial(run: Run, phase: Phase) -> None:
    """Remove what this phase's folds made of fewer shards than there are now, and all phases that rest on it.

    Shards come late when they failed in a run with `--allow-failed` and are mended. Receipts say how many were seen.
    """
    n_shards = len(phase_receipts(run, phase))
    for step in phase.folds:
        files = sorted((run.fold_folder(phase, step) / "receipts").glob("*.json"))
        if any(read_receipt(file)["n_shards"] != n_shards for file in files):
            for below in reversed(run.phases[phase.number + 1 :]):
                discard(run.phase_folder(below))
            discard(run.fold_folder(phase, step))


def _check_names(run: Run, step: Step, out: Path) -> None:
    """Raise CurateError for verdicts of a shard that there is not: nobody would read them."""
    shards = {f"{shard.name}.parquet" for shard in run.plan.shards}
    strange = sorted({file.name for file in (out / "verdicts").glob("*")} - shards)
    if strange:
        raise CurateError(f"fold `{step.name}` wrote verdicts/{strange[0]}; the run has {len(shards)} shards")


def _docs_sha256(run: Run, phase: Phase) -> dict[str, str]:
    """Return shard → sha256 of the docs file whose rows the positions of this phase's folds count."""
    owner = phase if phase.writes_docs else run.phases[phase.upstream] if phase.upstream is not None else None
    found = {}
    for shard in run.plan.shards if owner is not None else ():
        file = run.shard_receipt(owner, shard)  # type: ignore[arg-type]
        if file.exists():
            found[shard.name] = read_receipt(file)["docs_file"]["sha256"]
    return found


def _new_folder(parent: Path, name: str) -> Path:
    out = parent / f"{name}.{attempt_name()}"
    out.mkdir(parents=True)
    return out


def _folder_receipt(root: Path, out: Path, about: dict[str, Any]) -> Receipt:
    files = [describe(file, out) for file in sorted(out.rglob("*")) if file.is_file()]
    return {**about, "out": str(out.relative_to(root)), "files": files}
