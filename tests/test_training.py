"""The training of a recipe: where it lies, what names it, and that it is not lost before it is done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from curate import api
from curate.errors import InputError
from curate.rundir import Run, open_run
from curate.training import training_folder
from tests.runs import crawl, recipe_file


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with tokens to train on, as it is before its training."""
    recipe = recipe_file(tmp_path, "extract", {"train_tokenizer": {"vocab_size": 300}}, "tokenize")
    api.run(recipe, [crawl(tmp_path / "in", n_files=1)], tmp_path / "out", workers=1)
    file = tmp_path / "out" / "run.json"
    about = json.loads(file.read_text())
    about["recipe"]["train"] = {"preset": "tiny", "steps": 2}
    file.write_text(json.dumps(about))
    return open_run(tmp_path / "out")


def test_gc_leaves_a_training_that_was_interrupted(run: Run) -> None:
    folder = training_folder(run)
    assert folder is not None
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "weights").write_text("hours of work")
    (run.path / "phases" / "train-0123456789ab").mkdir()
    (run.path / "phases" / "train-0123456789ab" / "weights").write_text("of an older recipe")
    assert api.gc(run.path).paths == ["phases/train-0123456789ab/weights"]
    assert (folder / "checkpoints" / "weights").exists()


def test_a_training_is_named_by_what_its_configuration_file_says(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "train.yaml"
    run = replace(run, recipe=replace(run.recipe, train={"config": str(config)}))
    names = set()
    for text in ("loop: {steps: 3}", "loop: {steps: 4}"):
        config.write_text(text)
        names.add(training_folder(run))
    assert len(names) == 2
    config.rename(tmp_path / "moved.yaml")
    assert training_folder(
        replace(run, recipe=replace(run.recipe, train={"config": str(tmp_path / "moved.yaml")}))
    ) in (names)
    with pytest.raises(InputError, match="no file"):
        training_folder(run)
