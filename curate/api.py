"""The library's front door: the same names as on the command line, one function each.

Every step of the registry is a function too: `api.quality(["docs.jsonl"], "out", rules="c4")`.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.inspection import Removed, RunStatus, gc, status
from curate.recipe import Recipe, load_recipe, make_step, parse_recipe
from curate.registry import STEPS
from curate.runner import RunOptions, Summary, plan_for, run_recipe

if TYPE_CHECKING:
    from curate.classifiers import ClassifierSettings, TrainedClassifier, train_classifier
    from curate.comparison import Comparison, compare
    from curate.export_shards import Exported, export_shards
    from curate.ngrams.settings import NgramSettings, TrainedNgrams
    from curate.ngrams.training import train_ngrams
    from curate.retune import Retuned, retune
    from curate.verify import verify
    from curate.why import Life, why

# What a run does not need is imported when it is asked for: it took a fifth of a second of every command.
_LATER: Mapping[str, str] = {
    "ClassifierSettings": "curate.classifiers",
    "TrainedClassifier": "curate.classifiers",
    "train_classifier": "curate.classifiers",
    "Comparison": "curate.comparison",
    "compare": "curate.comparison",
    "Exported": "curate.export_shards",
    "export_shards": "curate.export_shards",
    "NgramSettings": "curate.ngrams.settings",
    "TrainedNgrams": "curate.ngrams.settings",
    "train_ngrams": "curate.ngrams.training",
    "Retuned": "curate.retune",
    "retune": "curate.retune",
    "verify": "curate.verify",
    "Life": "curate.why",
    "why": "curate.why",
}

__all__ = [
    "ClassifierSettings", "Comparison", "Exported", "Life", "NgramSettings", "Recipe", "Removed", "Retuned",
    "RunOptions", "RunStatus", "Summary", "TrainedClassifier", "TrainedNgrams", "compare", "export_shards", "gc",
    "ingest", "load_recipe", "parse_recipe", "plan", "retune", "run", "run_step", "status", "steps",
    "train_classifier", "train_ngrams", "verify", "why",
]  # fmt: skip

PathLike = str | os.PathLike[str]

# Options of a run that a step's command has beside the step's parameters.
READING = ("base", "check_digests", "text_column", "url_column")  # how inputs are read, see `SourceSpec`
RUN_OPTIONS = ("workers", "format", "ledger", "shard_bytes", "max_file_bytes", *READING)


def run(
    recipe: Recipe | PathLike,
    inputs: Sequence[PathLike] = (),
    out: PathLike = "out",
    *,
    seed: int | None = None,
    format: str | None = None,
    shard_bytes: int | None = None,
    max_file_bytes: int | None = None,
    reporter: Any = None,
    **options: Any,
) -> Summary:
    """Run a recipe (an object, a path, or a shipped name) into `out`; `inputs` replace its sources.

    `options` are the fields of `RunOptions`: workers, batch_docs, ledger, allow_failed, stall_s, train; and how all
    inputs are read, where that is not what the recipe's sources say: base, check_digests, text_column, url_column.
    Raises the errors of `curate.errors`.
    """
    reading = _reading(options)
    made = recipe if isinstance(recipe, Recipe) else load_recipe(os.fspath(recipe))
    given = {"seed": seed, "format": format, "shard_bytes": shard_bytes, "max_file_bytes": max_file_bytes}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    paths = [os.fspath(i) for i in inputs]
    return run_recipe(replace(made, **changes), paths, Path(out), RunOptions(**options), reporter, **reading)


def _reading(options: dict[str, Any]) -> dict[str, Any]:
    """Take out of `options` what says how inputs are read. A switch that is off leaves it to the recipe."""
    return {name: options.pop(name) or None for name in READING if name in options}


def plan(
    recipe: Recipe | PathLike,
    inputs: Sequence[PathLike] = (),
    *,
    base: str | None = None,
    check_digests: bool = False,
    text_column: str | None = None,
    url_column: str | None = None,
) -> Any:
    """Check a recipe against its inputs, read as in `run`; return (recipe, plan, phases). Nothing is written."""
    from curate.phases import reading_key, split_into_phases

    made = recipe if isinstance(recipe, Recipe) else load_recipe(os.fspath(recipe))
    made, planned = plan_for(
        made, [os.fspath(i) for i in inputs],
        base=base, check_digests=check_digests or None, text_column=text_column, url_column=url_column,
    )  # fmt: skip
    return made, planned, split_into_phases(made, reading_key(planned))


def ingest(inputs: Sequence[PathLike], out: PathLike, **given: Any) -> Summary:
    """Turn crawls into documents: the source and `extract`. Text that is already text skips extraction.

    `given` are parameters of `extract` and options of a run, as in `api.extract`.
    """
    return _step_function("extract", inputs, out, recipe_name="ingest", **given)


def run_step(
    name: str,
    inputs: Sequence[PathLike],
    out: PathLike,
    *,
    params: dict[str, Any] | None = None,
    recipe_name: str = "",
    **options: Any,
) -> Summary:
    """Run one step as a recipe of its own. `params` are the step's parameters."""
    recipe = Recipe(name=recipe_name or name, steps=(make_step(name, params or {}, where=f"curate {name}"),))
    return run(recipe, inputs, out, **options)


def beside_run_options(step: str, parameter: str) -> str:
    """Return what a step's parameter is called where options of a run stand beside it.

    Its own name, unless a run's option has it: then the step's name comes first, `format` of `extract` is
    `extract_format` (`--extract-format`). In recipes parameters stand alone, and keep their names.
    """
    return f"{step}_{parameter}" if parameter in RUN_OPTIONS else parameter


def steps() -> dict[str, str]:
    """Return the name and summary of every step."""
    return {name: entry.summary for name, entry in STEPS.items()}


def __getattr__(name: str) -> Any:
    if name in STEPS:
        return functools.partial(_step_function, name)
    if name in _LATER:
        globals()[name] = found = getattr(importlib.import_module(_LATER[name]), name)
        return found
    raise AttributeError(f"module 'curate.api' has no attribute {name!r}")


def _step_function(name: str, inputs: Sequence[PathLike], out: PathLike, **given: Any) -> Summary:
    run_words = (
        *RUN_OPTIONS, "batch_docs", "allow_failed", "stall_s", "train", "seed", "reporter", "recipe_name",
    )  # fmt: skip
    own_names = {beside_run_options(name, option): option for option in RUN_OPTIONS}
    params = {own_names.get(k, k): v for k, v in given.items() if k not in run_words}
    options = {k: v for k, v in given.items() if k in run_words}
    return run_step(name, inputs, out, params=params, **options)
