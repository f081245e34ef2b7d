"""A recipe cut into phases: which steps share one pass over a shard, and the key that names the result."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import InputError, RecipeError
from curate.plan import Plan
from curate.receipts import sha256_of
from curate.recipe import Recipe, Step
from curate.registry import nearest
from curate.schema import SPANS, TRANSIENT
from curate.signals import SIGNALS

ASSETS = Path(__file__).resolve().parent / "assets"


@dataclass(frozen=True)
class Phase:
    """Steps fused into one pass over each shard.

    It reads the docs of phase `upstream` (None: the sources), joins the verdicts of the folds in
    `applies`, runs `stages`, writes docs if `writes_docs`, and feeds `folds`.
    """

    number: int
    stages: tuple[Step, ...]
    folds: tuple[Step, ...]
    upstream: int | None
    applies: tuple[str, ...]
    writes_docs: bool
    key: str

    @property
    def folder(self) -> str:
        return f"{self.number:02d}-{self.key[:12]}"

    @property
    def title(self) -> str:
        """What the phase does, for people."""
        verbs = [f"apply {name}" for name in self.applies if self.writes_docs]
        return " → ".join([*verbs, *(step.id for step in (*self.stages, *self.folds))])


def split_into_phases(recipe: Recipe, plan_key: str, keys: Sequence[str] | None = None) -> tuple[Phase, ...]:
    """Return the phases of a recipe. `plan_key` stands for what is read, see `reading_key`.

    `keys` are those of a run that was made before; without them they are computed from the code as it is now.

    A phase ends at a fold or after a stage with `save: true`. Neighbouring folds share a phase unless one
    needs what another makes. Folds that drop docs and have nothing below get a closing phase.
    """
    drafts = _drafts(recipe.steps)
    stored = iter(keys or ())
    pending_drops: list[str] = []
    pending_columns: list[str] = []
    phases: list[Phase] = []
    docs_of: int | None = None
    last_drop = False
    for number, (stages, folds) in enumerate(drafts):
        applies = (*pending_drops, *pending_columns)
        last = number == len(drafts) - 1
        drops_below = any(changes_docs(step) for step in folds)
        writes = bool(stages or pending_drops) or (docs_of is None and (not last or drops_below))
        key = next(stored, "") if keys else _key(plan_key, phases, docs_of, applies, (*stages, *folds))
        phases.append(Phase(number, stages, folds, docs_of, _in_order(recipe, applies), writes, key))
        if writes:
            docs_of, pending_drops, pending_columns = number, [], []
        pending_drops += [step.id for step in folds if changes_docs(step)]
        pending_columns += [step.id for step in folds if step.spec.writes and not changes_docs(step)]
        last_drop = bool(pending_drops)
    if last_drop:
        applies = (*pending_drops, *pending_columns)
        key = next(stored, "") if keys else _key(plan_key, phases, docs_of, applies, ())
        phases.append(Phase(len(phases), (), (), docs_of, _in_order(recipe, applies), True, key))
    if keys and len(keys) != len(phases):
        raise InputError(f"the run has {len(keys)} phases, this version cuts its recipe into {len(phases)}")
    return tuple(phases)


def changes_docs(fold: Step) -> bool:
    """Say whether a fold's verdicts drop docs or cut text, as opposed to only adding columns."""
    return bool(fold.spec.reasons) or SPANS in fold.spec.writes


def _in_order(recipe: Recipe, applies: Sequence[str]) -> tuple[str, ...]:
    return tuple(step.id for step in recipe.steps if step.id in applies)


def _drafts(steps: Sequence[Step]) -> list[tuple[tuple[Step, ...], tuple[Step, ...]]]:
    drafts: list[tuple[tuple[Step, ...], tuple[Step, ...]]] = []
    stages: list[Step] = []
    folds: list[Step] = []

    def close() -> None:
        if stages or folds:
            drafts.append((tuple(stages), tuple(folds)))
            stages.clear()
            folds.clear()

    for step in steps:
        if not step.is_fold:
            if folds:
                close()
            stages.append(step)
            if step.save:
                close()
            continue
        if any(_must_follow(step, above) for above in folds):
            close()
        folds.append(step)
    close()
    return drafts


def _must_follow(fold: Step, above: Step) -> bool:
    """Say whether `fold` cannot share a pass with the fold `above` it."""
    spec, needs = above.spec, {need.partition("/")[0] for need in fold.spec.needs.values()}
    reads = {*fold.spec.reads, *fold.spec.may_read}
    return changes_docs(above) or above.name in needs or bool(reads & set(spec.writes))


def _key(
    plan_key: str, above: Sequence[Phase], docs_of: int | None, applies: Sequence[str], steps: Sequence[Step]
) -> str:
    """Return a digest of everything that decides what a phase writes: all phases above it, and its own steps."""
    upstream = [plan_key, [phase.key for phase in above], list(applies), docs_of]
    return _digest([upstream, [step_identity(step) for step in steps]])


def reading_key(plan: Plan) -> str:
    """Return a digest of everything that decides which docs come in: the plan, its sources, their decoders."""
    from curate.sources import source_of

    sources = [source_of(kind) for kind in sorted({piece.kind for shard in plan.shards for piece in shard.slices})]
    read_by = [[s.kind, s.version, {name: _version_of(name) for name in s.uses}] for s in sources]
    return _digest([plan.key, plan.n_parts, read_by])


def step_identity(step: Step) -> dict[str, Any]:
    """Return what makes a step's output what it is: version, parameters, model files, native parsers."""
    spec = step.spec
    return {
        "id": step.id,
        "name": step.name,
        "version": spec.version,
        "mode": step.mode,
        "skip_tagged": step.skip_tagged,
        "params": {f.name: _plain(getattr(spec, f.name)) for f in dataclasses.fields(spec)},
        **({"identity": spec.identity} if hasattr(spec, "identity") else {}),
        "uses": {name: _required(name, step) for name in getattr(spec, "uses", ())},
        "assets": {name: file_sha256(str(ASSETS / name)) for name in getattr(spec, "assets", ())},
    }


def _required(distribution: str, step: Step) -> str:
    """Return the version of a package that a step needs; raise RecipeError, before any work, where it is missing."""
    if (version := _version_of(distribution)) == "absent":
        raise RecipeError(f"step `{step.id}` needs {distribution}: pip install 'curate[all]'", step.where)
    return version


def _version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        if not value.exists():
            raise InputError(f"no file {str(value)!r}")
        return {"sha256": file_sha256(str(value))}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


@functools.cache
def file_sha256(path: str) -> str:
    """Return `sha256_of`, once per process: parameters are looked at many times."""
    return sha256_of(Path(path))


def _digest(value: Any) -> str:
    return blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _column_hint(name: str, columns: set[str]) -> str:
    """Return what may have been meant by the name of a column that is not there."""
    if name in SIGNALS:
        return f"; put `signals: {{measure: [{name}]}}` above it"
    hint = nearest(name, {*columns, *SIGNALS})
    return hint if "did you mean" in hint else ""


def check_columns(recipe: Recipe, available: Mapping[str, Any] | set[str]) -> None:
    """Raise RecipeError, with its line, for the first step that reads what nobody wrote above it."""
    types = dict(available) if isinstance(available, Mapping) else dict.fromkeys(available)
    columns = set(types)
    for above, step in enumerate(recipe.steps):
        if skipped_on_text(step, columns):
            continue
        if check := getattr(step.spec, "checks_columns", None):
            try:
                check(types)
            except InputError as error:
                raise RecipeError(str(error), step.where) from error
        missing = [name for name in step.spec.reads if name not in columns]
        if missing:
            writers = (
                ["extract"] if missing[0] == "text" else [s.name for s in recipe.steps if missing[0] in s.spec.writes]
            )
            hint = f"; put `{writers[0]}` above it" if writers else _column_hint(missing[0], columns)
            raise RecipeError(
                f"step `{step.id}` reads the column `{missing[0]}`, which nothing above writes{hint}", step.where
            )
        _check_needs(recipe, above)
        types |= step.spec.writes
        if step.mode == "tag":
            types[step.tag_column] = pa.string()
        columns = set(types)


def skipped_on_text(step: Step, columns: set[str]) -> bool:
    """Say whether a step only turns HTML into text and the docs are text already."""
    reads = set(step.spec.reads) & TRANSIENT
    return not step.is_fold and bool(reads) and "text" in columns and not reads & columns


def _check_needs(recipe: Recipe, above: int) -> None:
    step = recipe.steps[above]
    for parameter, need in getattr(step.spec, "needs", {}).items():
        wanted = need.partition("/")[0]
        if need.startswith("@") or getattr(step.spec, parameter) not in (None, ()):
            continue
        if wanted not in {s.name for s in recipe.steps[:above]}:
            raise RecipeError(f"step `{step.id}` needs `{wanted}` above it, or `{parameter}: PATH`", step.where)
