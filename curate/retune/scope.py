"""What a retune changes, and whether the signals that a run stored are enough to decide it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import yaml

from curate.errors import InputError, RecipeError
from curate.measuring import with_signals
from curate.phases import changes_docs
from curate.recipe import RUNNER_KEYS, Recipe, Step, make_step
from curate.registry import nearest
from curate.rundir import Run
from curate.schema import TRANSIENT


@dataclass(frozen=True)
class Retuning:
    """A run's recipe with some parameters changed. `beyond` says why the recipe has to run again, if it has to."""

    recipe: Recipe
    given: Mapping[str, Mapping[str, Any]]  # step id → parameter → value
    beyond: str | None

    def changed(self, step: Step) -> bool:
        return step.id in self.given


def parse_settings(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return step id → parameter → value for texts such as `quality.min_words=20`. The value is read as YAML.

    Raises InputError for a text of another form, and for a parameter that is set twice.
    """
    found: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        step, dot, parameter = name.strip().partition(".")
        if not (equals and dot and step and parameter):
            raise InputError(f"--set {setting!r}: write ID.PARAM=VALUE, such as quality.min_words=20")
        if parameter in found.setdefault(step, {}):
            raise InputError(f"--set {step}.{parameter} is given twice")
        try:
            found[step][parameter] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise InputError(f"--set {setting!r}: the value cannot be read as YAML") from error
    if not found:
        raise InputError("nothing to decide again; name what changes: --set ID.PARAM=VALUE")
    return found


def retuned(run: Run, given: Mapping[str, Mapping[str, Any]], stored: frozenset[str]) -> Retuning:
    """Return the run's recipe with parameters changed. `stored` are the columns its documents have.

    Raises InputError for a step or a parameter that is not there, and for a value that is not allowed.
    """
    by_id = {step.id: step for step in run.recipe.steps}
    for step_id in given:
        if step_id not in by_id:
            raise InputError(f"--set {step_id}.…: the run has no step {step_id!r}{nearest(step_id, by_id)}")
    steps: list[Step] = []
    for step in run.recipe.steps:
        steps.append(_changed(step, given[step.id], {s.id for s in steps}) if step.id in given else step)
    resolved = with_signals(tuple(steps))
    recipe = dataclasses.replace(run.recipe, steps=resolved).seeded()
    return Retuning(recipe, given, _beyond(run.recipe.steps, resolved, given, stored))


def _changed(step: Step, settings: Mapping[str, Any], taken: set[str]) -> Step:
    parameters = dict(step.given)
    fields = {field.name for field in dataclasses.fields(step.spec)}
    for setting, value in settings.items():
        name, _, key = setting.partition(".")
        if name == "id":
            raise InputError(f"--set {step.id}.id: a step keeps its name; set one of its parameters")
        if name not in fields and name not in RUNNER_KEYS and "thresholds" in fields:
            name, key = "thresholds", setting  # short for one of its thresholds: quality.min_words, own.length.max
        if key and key in settings and name == "thresholds" and setting != key:
            raise InputError(f"--set {step.id}.{key} and {step.id}.{setting} are the same threshold")
        if key and not isinstance(parameters.get(name), str | int | float | list):  # one entry of a mapping
            parameters[name] = {**(parameters.get(name) or {}), key: value}
        else:
            parameters[setting] = value
    try:
        return make_step(step.name, {**parameters, "id": step.id}, taken=taken)
    except RecipeError as error:
        raise InputError(f"--set {step.id}.…: {error}") from error


def _beyond(
    before: Sequence[Step], after: Sequence[Step], given: Mapping[str, Mapping[str, Any]], stored: frozenset[str]
) -> str | None:
    """Say why stored signals cannot tell what the changed recipe does, or None."""
    by_id = {step.id: step for step in after}  # it may have steps that measure more
    for number, old in enumerate(before):
        if old.id not in given:
            continue
        new = by_id[old.id]
        if new.is_fold:
            return f"{new.id} is a fold: what it says of a doc depends on the others"
        if "text" in {*old.spec.writes, *new.spec.writes}:
            return f"{new.id} rewrites the text of the docs it keeps"
        decides = getattr(new.spec, "decides", ())
        for name in (field.name for field in dataclasses.fields(new.spec)):
            if getattr(old.spec, name) != getattr(new.spec, name) and name not in decides:
                return f"{new.id}.{name} changes what is measured, not only what is decided, so the text is needed"
        if new.spec.reasons and (old.mode != "tag" or new.mode != "tag"):
            return f"{new.id} drops docs, and what it dropped was measured no further; give it `mode: tag` to retune it"
        missing = sorted(columns_of(new) - stored)
        if missing:
            return f"{new.id} decides by {missing[0]}, which the run did not store"
        for below in before[number + 1 :]:
            if anew := sorted(columns_of(new) & {*below.spec.writes}):
                return f"{below.id} writes {anew[0]} anew, so what {new.id} decided by was not kept"
            if below.is_fold and below.skip_tagged and changes_docs(below):
                return f"{below.id} skips what {new.id} tags, so its own verdicts change"
    return None


def columns_of(step: Step) -> set[str]:
    """Return the stored columns that a stage decides by."""
    return {*step.spec.reads, *step.spec.writes} - TRANSIENT - {"text"}


def explained(step: Step, reason: str, signals: Mapping[str, Any]) -> str:
    """Return the numbers behind a reason, where the stage can tell them. Of a fold: nothing, see `curate.why`."""
    if step.is_fold:
        return ""
    with suppress(AttributeError):
        return str(step.spec.explain(reason, signals))
    return ""
