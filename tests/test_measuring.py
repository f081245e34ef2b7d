"""Mirrors curate/measuring.py: where signals are measured, and that a stored run measures the same."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate import api
from curate.errors import RecipeError
from curate.measuring import with_signals
from curate.phases import split_into_phases
from curate.recipe import Recipe, Step, make_step, parse_recipe
from curate.rundir import open_run
from tests.runs import sentences


def steps_of(text: str) -> tuple[Step, ...]:
    return parse_recipe("steps:\n" + text).steps


def ids(steps: tuple[Step, ...]) -> list[str]:
    return [step.id for step in steps]


def test_signals_stand_before_the_first_step_that_needs_them_and_hold_what_all_need() -> None:
    steps = steps_of("""
  - normalize
  - language: {keep: [en]}
  - quality: {rules: gopher}
  - dedup: {method: exact}
  - quality: {rules: fineweb, id: fineweb}
""")
    assert ids(steps) == ["normalize", "language", "signals", "quality", "dedup", "fineweb"]
    measured = set(steps[2].spec.names)
    assert measured == {*steps[3].spec.measures, *steps[5].spec.measures}
    assert steps[2].where == steps[3].where == "recipe:5"


def test_rewritten_text_is_measured_again_under_another_name() -> None:
    steps = steps_of("""
  - quality: {rules: gopher}
  - quality: {rules: c4, id: c4}
  - quality: {rules: fineweb}
  - redact
  - quality: {rules: [{signal: n_lines, max: 9, reason: long}], id: own}
""")
    assert ids(steps) == [
        "signals", "quality", "c4", "signals_after_c4", "quality_2", "redact", "signals_after_redact", "own",
    ]  # fmt: skip
    assert steps[2].spec.suffix == ""
    assert all(name.endswith("__after_c4") for name in steps[3].spec.writes)
    assert set(steps[4].spec.reads) <= set(steps[3].spec.writes)
    assert steps[7].spec.reads == ("n_text_chars__after_redact", "n_lines__after_redact")


def test_without_anything_measured_above_a_rewriting_step_names_stay_plain() -> None:
    steps = steps_of("  - normalize\n  - redact\n  - quality: {rules: ccnet}\n")
    assert ids(steps) == ["normalize", "redact", "signals", "quality"]
    assert list(steps[2].spec.writes) == ["n_text_chars"]


def test_a_fold_that_cuts_lines_begins_a_new_stretch() -> None:
    steps = steps_of("  - quality: {rules: ccnet}\n  - boilerplate\n  - quality: {rules: ccnet, id: again}\n")
    assert ids(steps) == ["signals", "quality", "boilerplate", "signals_after_boilerplate", "again"]


def test_a_signals_step_of_ones_own_is_widened() -> None:
    steps = steps_of("  - signals: {measure: [gopher/dclm], id: mine}\n  - quality: {rules: ccnet}\n")
    assert ids(steps) == ["mine", "quality"]
    assert steps[0].spec.measure == ("gopher/dclm", "n_text_chars")
    assert steps[0].given["measure"] == ["gopher/dclm", "n_text_chars"]


def test_a_signals_step_of_ones_own_measures_what_stands_below_it() -> None:
    steps = steps_of("""
  - quality: {rules: ccnet}
  - signals: {measure: [n_lines], id: mine}
  - quality: {rules: [{signal: n_lines, per: n_newlines, max: 9, reason: long}], id: own}
  - quality: {rules: ccnet, id: again}
""")
    assert ids(steps) == ["signals", "quality", "mine", "own", "again"]
    assert steps[0].spec.names == ("n_text_chars",)
    assert steps[2].spec.measure == ("n_lines", "n_newlines")  # the characters are counted above
    assert with_signals(steps) == steps


def test_recipes_without_such_decisions_stay_as_they_are() -> None:
    steps = steps_of("  - normalize\n  - quality: {rules: [{signal: language_score, min: 0.5, reason: low}]}\n")
    assert ids(steps) == ["normalize", "quality"]


def test_resolving_again_changes_nothing() -> None:
    steps = steps_of("  - quality: {rules: gopher}\n  - quality: {rules: c4, id: c4}\n  - quality: {rules: fineweb}\n")
    assert with_signals(steps) == steps
    assert Recipe("again", steps).steps == steps
    remade: list[Step] = []
    for step in steps:
        given = {**step.given, "id": step.id}
        remade.append(make_step(step.name, given, taken=set(ids(tuple(remade))), where=step.where))
    assert [step.spec for step in with_signals(remade)] == [step.spec for step in steps]


OWN = """
from typing import Annotated
import pyarrow as pa
import pyarrow.compute as pc
from curate.registry import stage
from curate.stage import Verdict, flag

class Shouts:
    measures = ("n_upper_chars",)
    @property
    def reads(self):
        return ("n_upper_chars" + getattr(self, "suffix", ""),)
    def decide(self, batch):
        return flag(pc.greater(batch[self.reads[0]], 3), "shouts")
    def __call__(self, batch):
        return Verdict({}, self.decide(batch))

@stage(version=1, writes={}, reasons=["shouts"])
class Loud(Shouts):
    suffix: Annotated[str, "set by the recipe"] = ""

@stage(version=1, writes={}, reasons=["shouts"])
class Deaf(Shouts):
    pass
"""


def test_a_stage_of_ones_own_may_ask_for_signals(tmp_path: Path) -> None:
    (tmp_path / "shouting_stages.py").write_text(OWN)
    (tmp_path / "in.jsonl").write_text('{"text": "THIS IS LOUD"}\n{"text": "this is not"}\n')
    recipe = tmp_path / "r.yaml"
    recipe.write_text("steps:\n  - 'shouting_stages:Loud'\n  - redact\n  - 'shouting_stages:Loud': {id: again}\n")
    summary = api.run(recipe, [tmp_path / "in.jsonl"], tmp_path / "out")
    assert summary.phases[-1]["dropped"] == {"loud": {"shouts": 1}}
    assert "signals → loud → redact → signals_after_redact → again" in summary.phases[0]["does"]
    recipe.write_text("steps:\n  - 'shouting_stages:Loud'\n  - redact\n  - 'shouting_stages:Deaf'\n")
    with pytest.raises(RecipeError, match="has no field `suffix`"):
        api.plan(recipe, [tmp_path / "in.jsonl"])


def test_a_suffix_is_for_no_one_to_give(tmp_path: Path) -> None:
    for step in ("quality: {rules: gopher, suffix: ''}", "signals: {measure: [gopher], suffix: __after_c4}"):
        with pytest.raises(RecipeError, match=r"recipe:3: step `\w+`: `suffix` follows from the steps above"):
            steps_of(f"\n  - {step}\n")
    (tmp_path / "shouting_stages_2.py").write_text(OWN)
    with pytest.raises(RecipeError, match=r"own:1: step `loud`: `suffix` is '' here; leave it out"):
        parse_recipe("steps: [{'shouting_stages_2:Loud': {suffix: x}}]", "own", str(tmp_path))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{signal: n_wrods__spacy_en, min: 5, reason: short}", r"own.yaml:3: .*did you mean 'n_words__spacy_en'"),
        ("{signal: url, min: 5, reason: short}", r"own.yaml:3: .*'url' is string; a rule needs numbers"),
        ("{signal: n_lines, per: n_lins, min: 5, reason: short}", r"own.yaml:3: .*did you mean 'n_lines'"),
        ("{signal: n_lines, reason: short}", r"own.yaml:3: .*rule 1 needs `min` or `max`"),
    ],
)
def test_an_unknown_signal_is_an_error_before_any_data_is_read(tmp_path: Path, rule: str, message: str) -> None:
    (tmp_path / "in.txt.jsonl").write_text('{"text": "broken\n')  # reading it would be an error of its own
    (tmp_path / "own.yaml").write_text(f"steps:\n  - normalize\n  - quality: {{rules: [{rule}]}}\n")
    with pytest.raises(RecipeError, match=message):
        api.run(tmp_path / "own.yaml", [tmp_path / "in.txt.jsonl"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stored_run_resolves_to_the_same_steps_and_keys(tmp_path: Path) -> None:
    inputs = tmp_path / "in.jsonl"
    inputs.write_text("".join(f'{{"text": "{sentences(n, 60)}"}}\n' for n in range(6)))
    (tmp_path / "r.yaml").write_text(
        "steps:\n  - quality: {rules: c4/tfds, id: c4}\n  - quality: {rules: gopher, thresholds: {min_words: 20}}\n"
    )
    api.run(tmp_path / "r.yaml", [inputs], tmp_path / "out")
    recipe, _, phases = api.plan(tmp_path / "r.yaml", [inputs])
    stored = open_run(tmp_path / "out")
    assert [(s.id, s.spec) for s in stored.recipe.steps] == [(s.id, s.spec) for s in recipe.steps]
    assert [phase.key for phase in split_into_phases(stored.recipe, api_reading_key(stored))] == [p.key for p in phases]
    assert "signals → c4 → signals_after_c4 → quality" in phases[0].title
    docs = pq.read_table(tmp_path / "out" / "documents")
    assert {"n_words__spacy_en", "n_words__spacy_en__after_c4"} <= set(docs.column_names)
    file = tmp_path / "out" / "run.json"
    about = json.loads(file.read_text())
    assert about["recipe"]["steps"][-1]["given"] == {"rules": "gopher", "thresholds": {"min_words": 20}}
    about["recipe"]["steps"][-1]["given"]["suffix"] = "__after_c4"  # as older versions stored it
    file.write_text(json.dumps(about))
    assert not api.run(tmp_path / "r.yaml", [inputs], tmp_path / "out").wrote_anything


def api_reading_key(run: object) -> str:
    from curate.phases import reading_key

    return reading_key(run.plan)  # type: ignore[attr-defined]


def test_a_changed_threshold_changes_only_the_phases_that_hold_the_step() -> None:
    text = """
steps:
  - normalize: {save: true}
  - quality: {rules: ccnet, id: chars, save: true}
  - quality: {rules: gopher, thresholds: {min_words: %d}, save: true}
  - redact
"""
    before, after = (split_into_phases(parse_recipe(text % n), "reading") for n in (50, 40))
    same = [old.key == new.key for old, new in zip(before, after, strict=True)]
    assert same == [True, True, False, False]
    lines = text.replace("gopher, thresholds: {min_words: %d}", "c4, thresholds: {%s: 4}")
    c4, line = (split_into_phases(parse_recipe(lines % n), "reading") for n in ("min_sentences", "min_words_per_line"))
    assert c4[0].key == line[0].key
