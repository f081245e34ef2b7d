"""The last line of a recipe: train on the run's tokens. The trainer is imported only when it is asked for."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

from curate.errors import CurateError, InputError, ShardsFailed, Stopped
from curate.progress import Reporter
from curate.receipts import attempt_name, read_receipt, sha256_of, write_atomically
from curate.recipe import Recipe
from curate.registry import nearest
from curate.rundir import Run


def check_training(recipe: Recipe) -> None:
    """Raise InputError for what is wrong with a recipe's `train`, before any data is read."""
    if recipe.train is None:
        return
    if not any(step.name == "tokenize" for step in recipe.steps):
        raise InputError("`train` in the recipe needs a `tokenize` step")
    api, options = _trainer(), _options(recipe)
    known = [p.name for p in inspect.signature(api.configure).parameters.values()]
    for name in options:
        if name not in known:
            raise InputError(f"`train` in the recipe has no option {name!r}{nearest(name, known)}")
    _call(api.configure, **options)


def train_on(run: Run, reporter: Reporter) -> dict[str, Any]:
    """Train on a run's tokens, in a folder named by what decides the result; OUT/train points to it.

    A changed corpus or option trains anew beside the old one; the same one is not trained twice.
    """
    folder = training_folder(run)
    if folder is None:
        raise ShardsFailed(f"{run.path} has no tokens to train on")
    options = _options(run.recipe, _sources_with_tokens(run))
    done = folder / "summary.json"
    if not done.exists():
        with reporter.training(options):
            try:
                result = _call(_trainer().train, run.path / "tokens", folder, **options)
            except InputError as error:  # too late for exit code 2, which says that nothing was done
                raise ShardsFailed(f"documents and tokens are done, training is not: {error}") from error
        write_atomically(done, json.dumps(dataclasses.asdict(result), indent=1, default=str))
    link, target = run.path / "train", os.path.relpath(folder, run.path)
    if not link.is_symlink() or os.readlink(link) != target:
        temporary = run.path / f".{attempt_name()}"
        temporary.symlink_to(target)
        os.replace(temporary, link)
    return read_receipt(done)


def training_folder(run: Run) -> Path | None:
    """Return where the training of this recipe on the tokens there are belongs; None where there is nothing to train.

    Its key is the tokens' manifest and the options, with the content of the configuration file they name.
    """
    manifest = run.path / "tokens" / "manifest.json"
    if run.recipe.train is None or not manifest.is_file():
        return None
    options = _options(run.recipe)
    if options.get("config") is not None:
        if not Path(options["config"]).is_file():
            raise InputError(f"`train` in the recipe: no file {str(options['config'])!r}")
        options["config"] = sha256_of(Path(options["config"]))
    key = blake2b(json.dumps([sha256_of(manifest), options], sort_keys=True).encode(), digest_size=6).hexdigest()
    return run.path / "phases" / f"train-{key}"


def _sources_with_tokens(run: Run) -> set[str]:
    """Return the sources of which something is left to train on."""
    manifest = read_receipt(run.path / "tokens" / "manifest.json")
    return {shard["source"] for shard in manifest["shards"] if shard["split"] == "train" and shard["n_tokens"]}


def _options(recipe: Recipe, sources: set[str] | None = None) -> dict[str, Any]:
    """Return the trainer's options; the weights of `sources` (None: of all) become those of the mixture."""
    options = dict(recipe.train or {})
    weights = {spec.name: spec.weight for spec in recipe.sources if sources is None or spec.name in sources}
    if len(set(weights.values())) > 1:
        options["settings"] = [f"data.weights={json.dumps(weights)}", *options.get("settings", [])]
    return options


def _trainer() -> Any:
    for name in ("torch", "safetensors"):  # found, not imported: a finished run is not to wait for torch
        if importlib.util.find_spec(name) is None:
            raise InputError(f"`train` in the recipe needs {name}: pip install 'curate[train]'")
    return importlib.import_module("train.api")


def _call(function: Any, *args: Path, **options: Any) -> Any:
    """Call the trainer; turn its errors, which carry an exit code too, into ours."""
    from train.errors import TrainError

    if "settings" in options:
        options["settings"] = tuple(options["settings"])
    try:
        return function(*args, **options)
    except TrainError as error:
        if error.exit_code == 130:
            raise KeyboardInterrupt from error
        kinds: dict[int, type[CurateError]] = {InputError.exit_code: InputError, Stopped.exit_code: Stopped}
        raise kinds.get(error.exit_code, CurateError)(f"train: {error}") from error
