"""The folder of a run: where everything lies in it, and the run.json that freezes recipe and plan."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from curate import __version__
from curate.errors import CurateError, InputError
from curate.phases import Phase, reading_key, split_into_phases, step_identity
from curate.plan import Plan
from curate.receipts import Receipt, read_receipt, write_atomically
from curate.recipe import Recipe, SourceSpec, Step, find_own_steps, make_step
from curate.registry import params, step_class
from curate.rule_counts import RuleCounts, add_counts
from curate.source import ShardRef

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run: its folder, its checked recipe and its frozen plan."""

    path: Path
    recipe: Recipe
    plan: Plan
    keys: tuple[str, ...] | None = None  # of the phases as run.json has them; None: by this version's code

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        return split_into_phases(self.recipe, reading_key(self.plan), self.keys)

    @property
    def n_parts(self) -> int:
        return self.plan.n_parts

    def phase_folder(self, phase: Phase) -> Path:
        return self.path / "phases" / phase.folder

    def shard_receipt(self, phase: Phase, shard: ShardRef) -> Path:
        return self.phase_folder(phase) / "receipts" / f"{shard.name}.json"

    def fold_folder(self, phase: Phase, step: Step) -> Path:
        return self.phase_folder(phase) / "folds" / step.id

    def part_receipt(self, phase: Phase, step: Step, part: int) -> Path:
        return self.fold_folder(phase, step) / "receipts" / f"part-{part:04d}.json"

    def finish_receipt(self, phase: Phase, step: Step) -> Path:
        return self.fold_folder(phase, step) / "receipts" / "finish.json"

    def docs_entry(self, phase: Phase, shard: ShardRef) -> dict[str, Any]:
        """Return what the receipt says of the docs a phase wrote for a shard: path, rows, bytes, sha256."""
        return dict(read_receipt(self.shard_receipt(phase, shard))["docs_file"])

    def docs_file(self, phase: Phase, shard: ShardRef) -> Path:
        """Return the docs a phase wrote for a shard, by its receipt. Raises CurateError if they are gone or cut."""
        entry = self.docs_entry(phase, shard)
        file = self.phase_folder(phase) / str(entry["path"])
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            receipt = self.shard_receipt(phase, shard)
            wrong = "was cut or changed" if file.is_file() else "is gone"
            raise CurateError(f"{file} {wrong}; remove its receipt {receipt} and run the same command again")
        return file

    def fold_out(self, step_id: str) -> tuple[Path, Receipt]:
        """Return the folder that a fold's `finish` wrote, and its receipt."""
        for phase in self.phases:
            for step in phase.folds:
                if step.id == step_id:
                    receipt = read_receipt(self.finish_receipt(phase, step))
                    return self.fold_folder(phase, step) / receipt["out"], receipt
        raise KeyError(step_id)

    def with_needs(self, step: Step) -> Step:
        """Return the fold with the parameters filled that come from the steps above it."""
        filled: dict[str, Any] = {}
        above = self.recipe.steps[: [s.id for s in self.recipe.steps].index(step.id)]
        for parameter, need in step.spec.needs.items():
            if need == "@steps":
                filled[parameter] = tuple(s.id for s in above)
            elif not need.startswith("@") and getattr(step.spec, parameter) is None:
                name, _, file = need.partition("/")
                nearest = [s for s in above if s.name == name][-1]
                filled[parameter] = self.fold_out(nearest.id)[0] / file
        return replace(step, spec=replace(step.spec, **filled)) if filled else step

    def with_counts(self, step: Step, phase: Phase) -> Step:
        """Return the fold with the parameter filled that tells how often the rules of steps above it fired, if any."""
        names = [parameter for parameter, need in step.spec.needs.items() if need == "@rules"]
        counts: RuleCounts = {}
        for above in self.phases[: phase.number + 1] if names else ():
            for receipt in phase_receipts(self, above):
                add_counts(counts, receipt.get("rules", {}))
        return replace(step, spec=replace(step.spec, **dict.fromkeys(names, counts))) if names else step

    def to_json(self) -> str:
        recipe = self.recipe
        return json.dumps(
            {
                "format": FORMAT,
                "curate": __version__,
                "recipe": {
                    "name": recipe.name,
                    "sources": [asdict(spec) for spec in recipe.sources],
                    "steps": [{"name": s.name, "given": _jsonable(s.given), "id": s.id} for s in recipe.steps],
                    "train": recipe.train,
                    "shard_bytes": recipe.shard_bytes,
                    "format": recipe.format,
                    "max_file_bytes": recipe.max_file_bytes,
                    "seed": recipe.seed,
                    "folder": recipe.folder,
                },
                "identities": [step_identity(step) for step in recipe.steps],
                "phases": [_phase_json(phase) for phase in self.phases],
                "n_parts": self.n_parts,
                "shards": self.plan.to_json(),
            },
            indent=1,
        )


def phase_receipts(run: Run, phase: Phase) -> list[Receipt]:
    """Return the receipts of a phase's shards that exist, in shard order."""
    files = [run.shard_receipt(phase, shard) for shard in run.plan.shards]
    return [read_receipt(file) for file in files if file.exists()]


def open_run(path: Path) -> Run:
    """Read the run in a folder as it was made, were it by an older version. Raises InputError if there is none."""
    file = path / "run.json"
    if not file.is_file():
        raise InputError(f"{path} is not a run: it has no run.json")
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise InputError(f"{file} has format {stored['format']}, this version reads {FORMAT}")
        recipe = stored["recipe"]
        steps: list[Step] = []
        find_own_steps(recipe["folder"])
        for row in recipe.pop("steps"):
            taken = {step.id for step in steps}
            by_recipe = {param.name for param in params(step_class(row["name"])) if not param.is_given}
            given = {key: value for key, value in row["given"].items() if key not in by_recipe}  # older runs stored it
            steps.append(make_step(row["name"], {**given, "id": row["id"]}, taken=taken, where=str(file)))
        sources = tuple(SourceSpec(**{**r, "paths": tuple(r["paths"])}) for r in recipe.pop("sources"))
        plan, keys = Plan.from_json(stored["shards"]), tuple(str(phase["key"]) for phase in stored["phases"])
        return Run(path, Recipe(steps=tuple(steps), sources=sources, **recipe).seeded(), plan, keys)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read ({error}); it was changed or cut") from error


def create_or_open(path: Path, recipe: Recipe, plan: Plan) -> Run:
    """Freeze a run in `path`, or take up the one that is there.

    A changed step is taken over: the phases above it keep their keys and so their results. Raises
    InputError for a folder that holds something else, another recipe, or other inputs.
    """
    run = Run(path, recipe, plan)
    file = path / "run.json"
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder for the output")
    if not file.exists():
        if path.is_dir() and any(not entry.name.startswith((".lock", ".run.json.")) for entry in path.iterdir()):
            raise InputError(f"{path} is not empty and holds no run; choose another -o")
        _write(run)
        return run
    stored = open_run(path)
    if stored.recipe.name != recipe.name:
        raise InputError(
            f"{path} holds a run of the recipe {stored.recipe.name!r}, not {recipe.name!r}; choose another -o"
        )
    if stored.plan.key != plan.key:
        raise InputError(f"{path} was planned for other inputs ({_difference(stored.plan, plan)}); choose another -o")
    if run.to_json() != file.read_text(encoding="utf-8"):
        _write(run)
    return run


def _write(run: Run) -> None:
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        write_atomically(run.path / "run.json", run.to_json())
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise InputError(f"cannot write to {run.path}: {os.strerror(error.errno or 0)}") from error


def _difference(old: Plan, new: Plan) -> str:
    gone, come = set(old.inputs) - set(new.inputs), set(new.inputs) - set(old.inputs)
    if gone or come:
        return f"{len(gone)} gone, {len(come)} new, such as {sorted(gone | come)[0]}"
    changed = [name for name, size in new.inputs.items() if old.inputs[name] != size]
    if changed:
        return f"{changed[0]} changed in size"
    if changed := [name for name, etag in new.etags.items() if old.etags.get(name) != etag]:
        return f"{changed[0]} changed, its ETag is another one"
    reading = [
        {(s.check_digests, s.text_column, s.url_column) for shard in plan.shards for s in shard.slices}
        for plan in (old, new)
    ]
    return "they were cut into shards differently" if reading[0] == reading[1] else "they were read by other options"


def _phase_json(phase: Phase) -> dict[str, Any]:
    return {
        "folder": phase.folder,
        "key": phase.key,
        "does": phase.title,
        "upstream": phase.upstream,
        "writes_docs": phase.writes_docs,
        "applies": list(phase.applies),
        "folds": [step.id for step in phase.folds],
    }


def _jsonable(value: Any) -> Any:
    return json.loads(json.dumps(dict(value), default=str))
