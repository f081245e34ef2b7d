"""The library's front door: the names of the command line, errors as exceptions, nothing printed."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from curate import api
from curate.errors import InputError, RecipeError
from curate.recipe import parse_recipe
from curate.registry import STEPS
from tests.runs import crawl, documents, recipe_file


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return crawl(tmp_path / "in", n_files=2)


def test_names_are_public_and_unknown_ones_an_attribute_error() -> None:
    for name in api.__all__:
        assert getattr(api, name) is not None
    assert not set(api.__all__) & set(STEPS)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        api.nonsense  # noqa: B018


def test_functions_say_what_they_do() -> None:
    for name in api.__all__:
        assert inspect.getdoc(getattr(api, name))


def test_a_recipe_object_a_path_and_text_give_the_same(tmp_path: Path, inputs: Path) -> None:
    path = recipe_file(tmp_path / "r", {"extract": {"save": True}}, "normalize")
    made = parse_recipe(path.read_text(), folder=str(path.parent))
    api.run(path, [inputs], tmp_path / "a")
    api.run(made, [str(inputs)], tmp_path / "b")
    assert documents(tmp_path / "a").equals(documents(tmp_path / "b"))


def test_nothing_is_printed(tmp_path: Path, inputs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    summary = api.ingest([inputs], tmp_path / "out")
    assert summary.phases[0]["docs"]["kept"] == 12
    assert capfd.readouterr() == ("", "")


def test_a_seed_reaches_the_steps_that_draw_and_have_none_of_their_own(inputs: Path) -> None:
    text = "steps: [extract, dedup, {tokenize: {tokenizer: x.json, seed: 5}}]\nseed: 9\ntrain: {preset: tiny}"
    recipe = parse_recipe(text).seeded()
    assert recipe.steps[1].spec.seed == 9
    assert recipe.steps[2].spec.seed == 5
    assert recipe.train == {"preset": "tiny", "seed": 9}
    assert parse_recipe(text.replace("seed: 9", "")).seeded().steps[1].spec.seed == 1


def test_wrong_parameters_of_a_step_are_recipe_errors(tmp_path: Path, inputs: Path) -> None:
    with pytest.raises(RecipeError, match="no parameter `lenguage`"):
        api.language([inputs], tmp_path / "out", lenguage="en")
    with pytest.raises(RecipeError, match="needs `rules`"):
        api.quality([inputs], tmp_path / "out")
    with pytest.raises(InputError, match="reads the column `text`"):
        api.normalize([inputs], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_plan_writes_nothing(tmp_path: Path, inputs: Path) -> None:
    recipe, plan, phases = api.plan("c4", [inputs])
    assert recipe.name == "c4"
    assert len(plan.inputs) == 2
    assert phases[0].upstream is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_docs_of_one_run_are_read_by_the_next_with_their_ids(tmp_path: Path, inputs: Path) -> None:
    api.ingest([inputs], tmp_path / "a")
    api.normalize([tmp_path / "a"], tmp_path / "b")
    columns = ["doc_id", "url", "warc_file", "offset_bytes", "source"]
    assert documents(tmp_path / "b").select(columns).equals(documents(tmp_path / "a").select(columns))


def test_steps_are_listed_with_their_summaries() -> None:
    assert api.steps() == {name: entry.summary for name, entry in STEPS.items()}


def test_ingest_takes_the_parameters_of_extract(tmp_path: Path, inputs: Path) -> None:
    api.ingest([inputs], tmp_path / "out", extractor="trafilatura", workers=1)
    resolved = (tmp_path / "out" / "run.json").read_text()
    assert '"ingest"' in resolved
    assert '"trafilatura"' in resolved


def test_a_parameter_with_the_name_of_an_option_is_called_after_its_step(tmp_path: Path, inputs: Path) -> None:
    given = {"extractor": "trafilatura", "extract_format": "markdown", "format": "jsonl"}
    api.extract([inputs], tmp_path / "out", **given)
    recipe = json.loads((tmp_path / "out" / "run.json").read_text())["recipe"]
    assert recipe["format"] == "jsonl"
    assert recipe["steps"][0]["given"] == {"extractor": "trafilatura", "format": "markdown"}
