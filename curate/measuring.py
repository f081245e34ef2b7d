"""Which signals a recipe needs, and where they are measured: one `signals` step per stretch of unchanged text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from curate.errors import InputError, RecipeError
from curate.registry import step_class
from curate.schema import SPANS

if TYPE_CHECKING:
    from curate.recipe import Step

STEP = "signals"


def with_signals(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps with what their decisions need measured above them.

    A stretch of steps ends at one that rewrites `text`. In each, one `signals` step stands before the first step that
    needs any, with all that the stretch needs; a `signals` step of the recipe's own is widened to what the steps below
    it need. From the second stretch that measures on, columns carry the suffix `__after_<id>` of the step that rewrote
    the text, so that those of the text before stay. Resolving a resolved recipe changes nothing.
    Raises RecipeError, with its line, for a `suffix` that does not fit.
    """
    made: list[Step] = []
    suffix, measured, above = "", False, None
    for stretch in _stretches(steps):
        if measured and above is not None:
            suffix = f"__after_{above}"
        if any(step.name == STEP or hasattr(step.spec, "measures") for step in stretch):
            measured = True
            stretch = _widened([_suffixed(step, suffix) for step in stretch], suffix, above, {s.id for s in steps})
        made += stretch
        above = stretch[-1].id
    return tuple(made)


def rewrites_text(step: Step) -> bool:
    """Say whether a step changes the text of docs: a stage that writes it, a fold that has lines cut."""
    return "text" in step.spec.writes or SPANS in step.spec.writes


def _stretches(steps: Sequence[Step]) -> Iterable[list[Step]]:
    """Yield runs of steps that read the same text; the last of each but the final one rewrites it."""
    stretch: list[Step] = []
    for step in steps:
        stretch.append(step)
        if rewrites_text(step):
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _measures(step: Step) -> tuple[str, ...]:
    return tuple(getattr(step.spec, "measures", ()))


def _suffixed(step: Step, suffix: str) -> Step:
    """Return a step that measures or decides by signals with the suffix its columns have here."""
    if not (step.name == STEP or hasattr(step.spec, "measures")) or getattr(step.spec, "suffix", "") == suffix:
        return step
    if not hasattr(step.spec, "suffix"):
        raise RecipeError(f"step `{step.id}` reads signals of rewritten text, and has no field `suffix`", step.where)
    if "suffix" in step.given:
        raise RecipeError(f"step `{step.id}`: `suffix` is {suffix!r} here; leave it out", step.where)
    return replace(step, spec=replace(step.spec, suffix=suffix))


def _widened(stretch: list[Step], suffix: str, above: str | None, taken: set[str]) -> list[Step]:
    """Return the stretch with every signal measured above the first step that needs it.

    A `signals` step of the recipe's own measures what the steps below it need and none above it measured.
    """
    made: list[Step] = []
    measured: set[str] = set()
    for part in _parts(stretch):
        wanted = [name for name in dict.fromkeys(n for step in part for n in _measures(step)) if name not in measured]
        if part[0].name == STEP:
            missing = [name for name in wanted if name not in part[0].spec.names]
            head = _measuring(part[0], [*part[0].spec.measure, *missing], suffix) if missing else part[0]
            made += [head, *part[1:]]
            measured |= set(head.spec.names)
        elif wanted:
            first = next(at for at, step in enumerate(part) if _measures(step))
            blank = replace(part[first], name=STEP, mode="drop", save=False, skip_tagged=False, given={})
            blank = replace(blank, id=_free(STEP + (f"_after_{above}" if suffix else ""), taken))
            made += [*part[:first], _measuring(blank, wanted, suffix), *part[first:]]
            measured |= set(wanted)
        else:
            made += part
    return made


def _parts(stretch: Sequence[Step]) -> list[list[Step]]:
    """Cut a stretch before each `signals` step."""
    parts: list[list[Step]] = [[]]
    for step in stretch:
        if step.name == STEP and parts[-1]:
            parts.append([])
        parts[-1].append(step)
    return parts


def _free(name: str, taken: set[str]) -> str:
    """Return an id that no step has."""
    step_id, n = name, 2
    while step_id in taken:
        step_id, n = f"{name}_{n}", n + 1
    return step_id


def _measuring(step: Step, names: Sequence[str], suffix: str) -> Step:
    given: dict[str, Any] = {**step.given, "measure": list(names)}
    try:
        return replace(step, spec=step_class(STEP)(measure=tuple(names), suffix=suffix), given=given)
    except InputError as error:
        raise RecipeError(str(error), step.where) from error
