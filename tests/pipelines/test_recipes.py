"""Every recipe that ships can be read, and its README names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.phases import check_columns
from curate.recipe import load_recipe, parse_recipe
from curate.schema import HTML_SCHEMA
from tests.helpers import ROOT

RECIPES = sorted((ROOT / "pipelines").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_read_by_name_and_listed(path: Path) -> None:
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem
    assert f"| [{path.stem}]({path.name}) |" in (ROOT / "pipelines" / "README.md").read_text()


def test_the_c4_recipe_has_the_numbers_of_the_code() -> None:
    quality = next(step.spec for step in load_recipe("c4").steps if step.name == "quality")
    assert (quality.limits["min_words_per_line"], quality.limits["min_sentences"]) == (5, 3)


def test_the_c4_recipe_asks_the_list_about_the_lines_that_are_left_and_only_tags() -> None:
    steps = {step.id: step for step in load_recipe("c4").steps}
    order = list(steps)
    assert order.index("quality") < order.index("bad_words") < order.index("language")
    bad_words = steps["bad_words"]
    assert (bad_words.spec.method, bad_words.spec.lexicon, bad_words.mode) == ("c4/tfds", ("en",), "tag")


def test_the_dclm_recipe_takes_the_classifier_that_its_comment_puts_in() -> None:
    text = (ROOT / "pipelines" / "dclm.yaml").read_text("utf-8")
    model = ROOT / "tests" / "laws" / "classifier.ftz"
    with_model = text.replace("  # - ", "  - ").replace("PATH/TO/model.bin", str(model))
    recipe = parse_recipe(with_model, "dclm")
    assert [step.id for step in recipe.steps][-4:] == ["dedup", "model_quality", "quantile", "report"]
    assert recipe.steps[-2].spec.keep_frac == 0.1
    check_columns(recipe, {field.name: field.type for field in HTML_SCHEMA})
