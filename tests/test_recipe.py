"""Recipes: what is right becomes frozen values, what is wrong an error that names its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.errors import InputError, RecipeError
from curate.recipe import MAX_RECIPE_BYTES, coerce, load_recipe, make_step, parse_recipe


def test_a_recipe_in_all_its_forms() -> None:
    recipe = parse_recipe(
        """
name: all
sources:
  - {name: web, paths: [a.warc, "b/*.warc.gz"], weight: 2}
steps:
  - extract: {save: true}
  - normalize
  - normalize:
  - language: {keep: [en, de], min_score: 1, mode: tag, id: lid}
  - quality: {rules: gopher, thresholds: {min_words: 10, max_words: .inf}}
  - quality: {rules: c4}
  - dedup: {method: exact, skip_tagged: true}
train: {preset: tiny, steps: 60}
shard_bytes: 1000
seed: 3
""",
        file="x.yaml",
    )
    assert [step.id for step in recipe.steps] == [
        "extract", "normalize", "normalize_2", "lid", "signals", "quality", "quality_2", "dedup"
    ]  # fmt: skip
    assert recipe.sources[0].paths == ("a.warc", "b/*.warc.gz")
    assert recipe.sources[0].weight == 2.0
    extract, lid, quality, dedup = (recipe.steps[i] for i in (0, 3, 5, 7))
    assert (extract.save, extract.mode, lid.mode, lid.tag_column) == (True, "drop", "tag", "lid_reason")
    assert (lid.spec.keep, lid.spec.min_score) == (("en", "de"), 1.0)
    assert quality.spec.limits["min_words"] == 10
    assert (dedup.is_fold, dedup.skip_tagged, lid.is_fold) == (True, True, False)
    assert (recipe.train, recipe.shard_bytes, recipe.seed) == ({"preset": "tiny", "steps": 60}, 1000, 3)
    assert [step.where for step in recipe.steps][:2] == ["x.yaml:6", "x.yaml:7"]


def test_a_source_says_how_it_is_read() -> None:
    recipe = parse_recipe(
        """
sources:
  - {name: web, paths: [warc.paths.gz], base: "s3://commoncrawl/", check_digests: true}
  - {name: tables, paths: [t.csv], text_column: body, url_column: link}
steps: [normalize]
"""
    )
    web, tables = recipe.sources
    assert (web.base, web.check_digests, web.text_column) == ("s3://commoncrawl/", True, None)
    assert (tables.base, tables.check_digests, tables.text_column, tables.url_column) == (None, False, "body", "link")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("weight: 0", "`weight` is a number above 0; got 0"),
        ("weight: -1.5", "`weight` is a number above 0; got -1.5"),
        ("weight: .nan", "`weight` is a number above 0; got nan"),
        ("weight: .inf", "`weight` is a number above 0; got inf"),
        ("check_digests: 1", "true or false"),
        ("check_digests: sometimes", "true or false"),
        ("text_column: ''", "`text_column` is empty"),
        ("text_column: a, url_column: a", "both 'a'"),
        ("text_colum: a", "did you mean 'text_column'"),
        ("base: 7", "text"),
    ],
)
def test_a_source_that_is_wrong_is_refused_with_its_line(given: str, said: str) -> None:
    text = f"name: x\nsources:\n  - {{name: web, paths: [a], {given}}}\nsteps: [normalize]\n"
    with pytest.raises(RecipeError, match=re.escape(said)) as raised:
        parse_recipe(text, file="r.yaml")
    assert raised.value.where == "r.yaml:3"


def test_the_name_defaults_to_the_files() -> None:
    assert parse_recipe("steps: [normalize]", file="/a/mine.yaml").name == "mine"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", None, "a recipe is a mapping"),
        ("- a\n- b", 1, "a recipe is a mapping"),
        ("name: x", None, "needs `steps`"),
        ("steps: []", 1, "list of step names"),
        ("steps: normalize", 1, "list of step names"),
        ("name: x\nstps: [normalize]\n", 2, "unknown key `stps`; did you mean 'steps'?"),
        ("steps:\n  - normalize\n  - normalise\n", 3, "unknown step 'normalise'; did you mean 'normalize'?"),
        ("steps:\n  - language: {kep: [en]}\n", 2, "did you mean 'keep'?"),
        ("steps:\n  - language:\n      keep: en\n", 3, "`keep` of step `language` is a list; got 'en'"),
        ("steps:\n  - language:\n      keep: [no]\n", 3, "an entry of `keep` of step `language` is text; got False"),
        ("steps:\n  - language:\n      keep: [en]\n      min_score: high\n", 4, "is a number; got 'high'"),
        ("steps:\n  - language: {keep: [en], min_score: 2}\n", 2, "min_score"),
        ("steps:\n  - quality\n", 2, "step `quality` needs `rules`"),
        ("steps:\n  - quality: {rules: gofer}\n", 2, "is one of gopher"),
        ("steps:\n  - quality: {rules: gopher, thresholds: {min_word: 3}}\n", 2, "did you mean"),
        ("steps:\n  - dedup: {save: true}\n", 2, "`save` is for stages"),
        ("steps:\n  - dedup: {mode: tag}\n", 2, "`mode` is for stages"),
        ("steps:\n  - normalize: {skip_tagged: true}\n", 2, "`skip_tagged` is for folds"),
        ("steps:\n  - normalize: {mode: keep}\n", 2, "is one of drop, tag"),
        ("steps:\n  - normalize: {save: 1}\n", 2, "true or false"),
        ("steps:\n  - normalize: {id: a/b}\n", 2, "letters, digits"),
        ("steps:\n  - normalize: {id: ..}\n", 2, "letters, digits"),
        ("steps:\n  - normalize: {id: ''}\n", 2, "letters, digits"),
        ("steps:\n  - normalize: {id: a}\n  - normalize: {id: a}\n", 3, "two steps have the id 'a'"),
        ("steps:\n  - {normalize: {}, language: {}}\n", 2, "a step is a name, or"),
        ("steps:\n  - 3\n", 2, "is not the name of a step"),
        ("steps:\n  - [normalize]\n", 2, "is a mapping"),
        ("steps: [normalize]\nshard_bytes: 0\n", 2, "at least 1"),
        ("steps: [normalize]\nshard_bytes: 1e6\n", 2, "a whole number"),
        ("steps: [normalize]\nformat: csv\n", 2, "is one of parquet, jsonl"),
        ("steps: [normalize]\nseed: true\n", 2, "a whole number"),
        ("steps: [normalize]\ntrain: tiny\n", 2, "a mapping of trainer options"),
        ("steps: [normalize]\nsources: web\n", 2, "`sources` is a list"),
        ("steps: [normalize]\nsources:\n  - {name: web}\n", 3, "needs `name` and `paths`"),
        ("steps: [normalize]\nsources:\n  - {name: ../web, paths: [a]}\n", 3, "letters, digits"),
        ("steps: [normalize]\nsources:\n  - {name: w, paths: [a]}\n  - {name: w, paths: [b]}\n", 4, "two sources"),
        ("steps: [normalize]\nsources:\n  - {name: w, paths: a}\n", 3, "is a list"),
        ("name: x\nname: y\nsteps: [normalize]\n", 2, "given twice"),
        ("name: 3\nsteps: [normalize]\n", 1, "is text; got 3 (quote it)"),
        ("steps: [normalize\n", 2, "not valid YAML"),
        ("steps:\n\t- normalize\n", 2, "not valid YAML"),
        ("steps: [!!python/object/apply:os.system [ls]]", 1, ""),
        ("steps: [normalize]\nname: !!python/name:os.system\n", 2, "not allowed"),
        ("steps: [normalize]\nname: 2024-99-99\n", 2, ""),
        ("steps: [normalize]\nseed: !!int x\n", 2, ""),
        ("steps: [normalize]\ntrain: &a [*a]\n", 2, ""),
        ("steps: [normalize]\ntrain: {x: " + "[" * 3000 + "]" * 3000 + "}\n", None, ""),
        ("steps: [no_such_module_at_all:Class]", 1, "cannot be imported"),
        ("steps: ['pathlib:Path']", 1, "not decorated"),
        ("steps: ['pathlib:']", 1, "cannot be imported"),
        ("steps: [':Path']", 1, "cannot be imported"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int | None, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(text, file="r.yaml")
    message = str(raised.value)
    assert "\n" not in message
    assert said in message
    assert message.startswith(f"r.yaml:{line}: " if line else "r.yaml")


def test_an_alias_bomb_and_a_giant_end_soon() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    with pytest.raises(RecipeError, match="up to"):
        parse_recipe("steps: [normalize]\ntrain:\n" + "".join(f"  {line}\n" for line in bomb.splitlines()))
    with pytest.raises(RecipeError, match="up to"):
        parse_recipe("#" * (MAX_RECIPE_BYTES + 1))


WORDS = ["steps", "name", "normalize", "language", "keep", "{", "}", "[", "]", ":", "-", "\n", "  ", "en", "1", "&a",
         "*a", "!!int", "!x", "<<", "~", "null", "2024-13-45", "'", '"', "#", "|", ">", "%", "@", "?", ","]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)))
@example("steps: [normalize]\nseed: !!timestamp x")
@example("? [a]\n: b")
@example("steps:\n - <<: {a: b}")
@example("steps: [normalize]\ntrain: {1: 2}")
def test_any_text_is_a_recipe_or_a_recipe_error(text: str) -> None:
    try:
        recipe = parse_recipe(text, file="r.yaml")
    except RecipeError as error:
        assert "r.yaml" in str(error)  # noqa: PT017
    else:
        assert recipe.steps


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, int, 3), (3, float, 3.0), (None, float | None, None), ("x", Path, Path("x")), ("x", Path | None, Path("x")),
        (["a"], tuple[str, ...], ("a",)), ({"a": 1}, dict[str, float], {"a": 1.0}), ("a", Literal["a", "b"], "a"),
        (True, bool, True),
    ],
)  # fmt: skip
def test_values_are_taken_as_they_are_meant(value: Any, kind: Any, expected: Any) -> None:
    found = coerce(value, kind, "x")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("3", int), (True, int), (3.0, int), (True, float), ("0.5", float), (3, str), (None, str), ("true", bool),
        (1, bool), ("c", Literal["a", "b"]), (True, Literal[1, 2]), ("a", tuple[str, ...]), ([1], tuple[str, ...]),
        ([], dict[str, float]), ({"a": "x"}, dict[str, float]), (3, Path), ([], Literal["a"]),
        (10**400, float), ("a", set[str]), ("a", Any),
    ],
)  # fmt: skip
def test_values_are_never_bent(value: Any, kind: Any) -> None:
    with pytest.raises(InputError, match=r"^(an entry of )?x"):
        coerce(value, kind, "x")


def test_a_step_is_frozen() -> None:
    step = make_step("normalize", {})
    with pytest.raises(AttributeError):
        step.mode = "tag"  # type: ignore[misc]


def test_a_recipe_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recipe 'demoo'.*did you mean 'demo'\?"):
        load_recipe("demoo")
    with pytest.raises(InputError, match="no recipe"):
        load_recipe(str(tmp_path))
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(str(tmp_path / "r.yaml"))


def test_own_steps_are_found_beside_the_recipe_and_shadow_nothing(tmp_path: Path) -> None:
    own = (
        "import pyarrow as pa\nfrom curate.registry import stage\nfrom curate.stage import Verdict\n"
        "@stage(version=1, reads=['text'], writes={}, reasons=[])\nclass Mine:\n"
        "    '''Do nothing.'''\n    def __call__(self, batch):\n        return Verdict()\n"
    )
    (tmp_path / "mine_beside_recipe.py").write_text(own)
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')")
    (tmp_path / "r.yaml").write_text("steps: ['mine_beside_recipe:Mine']")
    (step,) = load_recipe(str(tmp_path / "r.yaml")).steps
    assert step.id == "mine"
    __import__("json").dumps({})


def test_paths_of_parameters_start_at_the_recipe_as_its_sources_do(tmp_path: Path) -> None:
    (tmp_path / "blocked.txt").write_text("bad.example\n")
    (tmp_path / "r.yaml").write_text("steps:\n  - url_filter: {blocklist: blocked.txt}\n")
    step = load_recipe(str(tmp_path / "r.yaml")).steps[0]
    assert step.spec.blocklist == (tmp_path.resolve() / "blocked.txt",)
    assert step.given == {"blocklist": [str(tmp_path.resolve() / "blocked.txt")]}
