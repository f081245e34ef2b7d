"""A recipe cut into phases: what shares a pass, what is read from where, and what changes a key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from curate.errors import RecipeError
from curate.phases import Phase, check_columns, reading_key, split_into_phases
from curate.plan import Plan
from curate.recipe import Recipe, parse_recipe
from curate.schema import HTML_SCHEMA, TEXT_SCHEMA
from curate.source import ShardRef, Slice


def _recipe(*steps: str, seed: int | None = None) -> Recipe:
    tail = "" if seed is None else f"seed: {seed}\n"
    return parse_recipe("steps:\n" + "".join(f"  - {step}\n" for step in steps) + tail).seeded()


def _phases(*steps: str, plan: str = "plan", seed: int | None = None) -> tuple[Phase, ...]:
    return split_into_phases(_recipe(*steps, seed=seed), plan)


def _drawn(phases: tuple[Phase, ...]) -> list[tuple[str, int | None, bool]]:
    return [(phase.title, phase.upstream, phase.writes_docs) for phase in phases]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["normalize"], [("normalize", None, True)]),
        (["extract: {save: true}", "normalize"], [("extract", None, True), ("normalize", 0, True)]),
        (["extract", "normalize", "language"], [("extract → normalize → language", None, True)]),
        (["dedup"], [("dedup", None, True), ("apply dedup", 0, True)]),
        (
            ["normalize", "dedup", "language"],
            [("normalize → dedup", None, True), ("apply dedup → language", 0, True)],
        ),
        (["report"], [("report", None, False)]),
        (["normalize", "report"], [("normalize → report", None, True)]),
        (
            ["normalize", "train_tokenizer", "tokenize", "report"],
            [("normalize → train_tokenizer", None, True), ("tokenize", 0, False), ("report", 0, False)],
        ),
        (["normalize", "train_tokenizer", "report"], [("normalize → train_tokenizer → report", None, True)]),
        (
            ["dedup", "report"],
            [("dedup", None, True), ("apply dedup → report", 0, True)],
        ),
        (
            ["dedup: {method: exact}", "dedup"],
            [("dedup", None, True), ("apply dedup → dedup_2", 0, True), ("apply dedup_2", 1, True)],
        ),
        (["train_tokenizer", "tokenize"], [("train_tokenizer", None, True), ("tokenize", 0, False)]),
    ],
)
def test_where_phases_end(steps: list[str], expected: list[tuple[str, int | None, bool]]) -> None:
    assert _drawn(_phases(*steps)) == expected


def test_columns_of_folds_reach_those_below() -> None:
    phases = _phases("normalize", "train_tokenizer", "tokenize", "report", "language")
    assert phases[2].applies == ("tokenize",)
    assert phases[3].applies == ("tokenize",)
    assert phases[3].writes_docs


DEMO = (
    "extract: {save: true}",
    "normalize",
    "language: {keep: [en]}",
    "dedup",
    "train_tokenizer",
    "tokenize",
    "report",
)


def _keys(*changes: tuple[int, str], plan: str = "plan", seed: int | None = None) -> list[str]:
    steps = list(DEMO)
    for place, step in changes:
        steps[place] = step
    return [phase.key for phase in _phases(*steps, plan=plan, seed=seed)]


@pytest.mark.parametrize(
    ("changes", "n_same"),
    [
        ([], 5),
        ([(0, "extract: {save: true, max_depth: 3}")], 0),
        ([(2, "language: {keep: [de]}")], 1),
        ([(2, "language: {keep: [en], mode: tag}")], 1),
        ([(2, "language: {keep: [en], id: lid}")], 1),
        ([(3, "dedup: {n_bands: 15}")], 1),
        ([(4, "train_tokenizer: {vocab_size: 1000}")], 2),
        ([(5, "tokenize: {seed: 4}")], 3),
        ([(6, "report: {top: 5}")], 4),
    ],
)
def test_a_changed_step_changes_the_keys_of_its_phase_and_of_those_below(changes: list, n_same: int) -> None:  # type: ignore[type-arg]
    before, after = _keys(), _keys(*changes)
    assert len(before) == len(after) == 5
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * n_same + [False] * (5 - n_same)


def test_other_inputs_and_another_seed_change_keys_and_names_do_not() -> None:
    assert not set(_keys()) & set(_keys(plan="other"))
    seeded = _keys(seed=7)
    assert (seeded[0], seeded[1]) != (_keys()[0], _keys()[1])
    assert seeded[0] == _keys()[0]
    assert len({phase.folder for phase in _phases(*DEMO)}) == 5


def test_a_version_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.stages.normalize import Normalize

    before = _keys()
    monkeypatch.setattr(Normalize, "version", Normalize.version + 1)
    after = _keys()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("steps", "line", "said"),
    [
        (["normalize"], 2, "reads the column `text`, which nothing above writes; put `extract` above it"),
        (["normalize", "extract"], 2, "put `extract` above it"),
        (["extract", "tokenize"], 3, "needs `train_tokenizer` above it, or `tokenizer: PATH`"),
        (["extract", "quantile: {by: n_wrods__unicode}"], 3, "did you mean 'n_words__unicode'?"),
        (["extract", "quantile: {by: n_lines}"], 3, "put `signals: {measure: [n_lines]}` above it"),
        (["extract", "tokenize", "train_tokenizer"], 3, "needs `train_tokenizer` above it"),
    ],
)
def test_what_nobody_wrote_cannot_be_read(steps: list[str], line: int, said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        check_columns(_recipe(*steps), set(HTML_SCHEMA.names))
    assert str(raised.value).startswith(f"recipe:{line}: ")
    assert said in str(raised.value)


def test_text_that_is_text_already_needs_no_extraction() -> None:
    check_columns(_recipe("extract", "normalize"), set(TEXT_SCHEMA.names))
    check_columns(_recipe("normalize"), set(TEXT_SCHEMA.names))
    check_columns(_recipe("extract", "normalize", "dedup", "train_tokenizer", "tokenize"), set(HTML_SCHEMA.names))


def test_a_key_changes_with_what_reads_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    from curate.sources.warc import Warc

    piece = Slice("/data/a.warc", "a.warc", "warc", "web", 0, 9, 9)
    plan = Plan((ShardRef(0, (piece,)),))
    keys = {reading_key(plan)}
    with monkeypatch.context() as patched:
        patched.setattr(Warc, "version", 99)
        keys.add(reading_key(plan))
    with monkeypatch.context() as patched:
        patched.setattr(importlib.metadata, "version", lambda name: "0.0.1")
        keys.add(reading_key(plan))
    with monkeypatch.context() as patched:  # sketches are cut into this many parts
        patched.setattr(Plan, "n_parts", 7)
        keys.add(reading_key(plan))
    assert len(keys) == 4
    assert reading_key(Plan((ShardRef(0, (replace(piece, path="/elsewhere/a.warc"),)),))) in keys
