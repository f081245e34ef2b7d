"""Mirrors curate/stages/quality.py and curate/stages/rules.py."""

import subprocess
import sys

import pyarrow as pa
import pytest

from curate.errors import InputError
from curate.stages.quality import Quality
from curate.stages.rules import RULE_SETS
from tests.helpers import batch_of

SENTENCE = "The committee has agreed to meet with the members of the council and that is good. "
PROSE = SENTENCE * 5
VARIED = (
    "Rain fell on the harbour all morning, and nobody went out. Two gulls fought over a crust of bread. "
    "In the office above the pier, a clerk counted crates that would never be shipped. She had a letter to write. "
    "Its answer would take weeks, so she began with the weather. When noon came, the bells of both churches rang. "
    "They have never agreed to ring together."
)


def reasons(stage: Quality, *texts: str | None) -> list[str | None]:
    found: list[str | None] = stage(batch_of(text=list(texts))).drop_reason.to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        ("The dog and the cat.", "too_few_words"),
        ("a b c d e f " * 20, "words_too_short"),
        ("internationalization deinstitutionalized " * 40, "words_too_long"),
        (PROSE + " #" * 20, "too_many_hash_signs"),
        (PROSE + " …" * 20, "too_many_ellipses"),
        ("\n".join(f"- {SENTENCE}" for _ in range(10)), "too_many_bullet_lines"),
        ("\n".join(f"{SENTENCE.strip()}.." for _ in range(10)), "too_many_ellipsis_lines"),
        (PROSE + " 12345" * 60, "too_few_alpha_words"),
        ("Der Ausschuss hat sich gestern mit dem Rat getroffen. " * 10, "too_few_stop_words"),
    ],
)
def test_gopher_names_the_fault(text: str, reason: str | None) -> None:
    assert reasons(Quality(rules="gopher"), text) == [reason]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (VARIED, None),
        ("\n\n".join(["One paragraph here.", *["The very same paragraph."] * 2]), "repeated_paragraphs"),
        ("\n".join([VARIED, *["menu"] * 3]), "repeated_lines"),
        (PROSE, "frequent_3gram"),
    ],
)
def test_repetition_names_the_fault(text: str, reason: str | None) -> None:
    assert reasons(Quality(rules="gopher_repetition"), text) == [reason]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        (SENTENCE, "too_few_sentences"),
        (f"{PROSE}\nfunction f() {{ return the value", None),  # that line goes first: it has no mark at its end
        (f"{PROSE}\nThe function f() {{ is here.", "curly_bracket"),
        (f"{PROSE}\nLorem ipsum dolor sit amet.", "lorem_ipsum"),
    ],
)
def test_c4_names_the_fault(text: str, reason: str | None) -> None:
    assert reasons(Quality(rules="c4"), text) == [reason]


@pytest.mark.parametrize("rules", list(RULE_SETS))
def test_nothing_written_is_empty(rules: str) -> None:
    verdict = Quality(rules=rules)(batch_of(text=["", " \n\t\xa0", None]))
    assert verdict.drop_reason.to_pylist() == ["empty"] * 3
    words = verdict.columns["n_words__spacy_en"].to_pylist()
    assert words == [0, 0, None]


@pytest.mark.parametrize("rules", list(RULE_SETS))
def test_contract_holds_for_empty_and_cut_batches(rules: str) -> None:
    stage = Quality(rules=rules)
    batch = batch_of(text=[PROSE, "", VARIED, None, SENTENCE])
    whole = stage(batch)
    for part in (batch.slice(0, 0), batch.slice(1, 3), batch):
        verdict = stage(part)
        assert {name: column.type for name, column in verdict.columns.items()} == dict(stage.writes)
        assert {len(column) for column in verdict.columns.values()} == {part.num_rows}
        assert verdict.drop_reason.type == pa.string()
        assert set(verdict.drop_reason.to_pylist()) <= {None, *stage.reasons}
    cut = [stage(batch.slice(k, 1)) for k in range(batch.num_rows)]
    assert [one.drop_reason[0] for one in cut] == list(whole.drop_reason)
    for name, column in whole.columns.items():
        assert [one.columns[name][0] for one in cut] == list(column)


@pytest.mark.parametrize("rules", list(RULE_SETS))
def test_every_reason_and_signal_is_declared_once(rules: str) -> None:
    stage = Quality(rules=rules)
    assert len(set(stage.reasons)) == len(stage.reasons)
    rule_set = RULE_SETS[rules].rules
    assert {rule.reason for rule in rule_set} <= set(stage.reasons)
    assert len({rule.limit for rule in rule_set}) == len(rule_set)


def test_c4_rewrites_the_text_of_kept_docs_only() -> None:
    lines = [
        "Home | Menu",
        f"  {PROSE}And that is it.[2] ",
        "Please enable Javascript to read the page.",
        "We USE cookies on this page.",
        f"{SENTENCE}[3]",  # ends in a blank once its citation is gone
        "And [edit]so it ends.",
    ]
    page = "\n".join(lines)
    verdict = Quality(rules="c4")(batch_of(text=[page, f"{page}\nThe {{ page is code."]))
    assert verdict.drop_reason.to_pylist() == [None, "curly_bracket"]
    assert verdict.columns["text"].to_pylist() == [
        f"{PROSE}And that is it.\nAnd so it ends.",
        f"{page}\nThe {{ page is code.",
    ]
    assert verdict.columns["c4_kept_lines"].to_pylist() == [2, 2]


def test_c4_without_terminal_punctuation_keeps_more_lines() -> None:
    page = f"{PROSE}\nThis line has no mark at its end"
    with_marks = Quality(rules="c4")(batch_of(text=[page])).columns["text"][0].as_py()
    without = Quality(rules="c4", terminal_punctuation=False)(batch_of(text=[page])).columns["text"][0].as_py()
    assert with_marks == PROSE.strip()
    assert without.endswith("no mark at its end")


def test_thresholds_are_limits_that_are_kept() -> None:
    n_words = Quality(rules="gopher")(batch_of(text=[PROSE])).columns["n_plain_words__spacy_en"][0].as_py()
    assert reasons(Quality(rules="gopher", thresholds={"min_words": n_words}), PROSE) == [None]
    assert reasons(Quality(rules="gopher", thresholds={"min_words": n_words + 1}), PROSE) == ["too_few_words"]
    assert reasons(Quality(rules="gopher", thresholds={"max_words": n_words - 1}), PROSE) == ["too_many_words"]


def test_line_thresholds_of_c4_reach_the_measurement() -> None:
    page = f"{PROSE}\nJust three words."
    kept = Quality(rules="c4", thresholds={"min_words_per_line": 5})(batch_of(text=[page])).columns["text"][0].as_py()
    assert kept == PROSE.strip()
    kept = Quality(rules="c4", thresholds={"max_word_chars": 8, "min_sentences": 1})(batch_of(text=[page]))
    assert kept.columns["text"].to_pylist() == ["Just three words."]  # "committee" has nine letters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rules": "gophr"}, "did you mean 'gopher'"),
        ({"rules": "gopher", "thresholds": {"min_word": 3}}, "did you mean 'min_words'"),
        ({"rules": "c4", "thresholds": {"min_words": 3}}, "did you mean"),
        ({"rules": "gopher", "thresholds": {"min_words": "many"}}, "must be a number"),
        ({"rules": "gopher", "thresholds": {"min_words": float("nan")}}, "must be a number"),
    ],
)
def test_wrong_parameters_say_what_is_allowed(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Quality(**arguments)


def test_importing_the_stage_imports_no_compiler() -> None:
    code = "import sys, curate.stages.quality; print('numba' in sys.modules, 'datatrove' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_reason_is_explained_by_its_numbers() -> None:
    spec = Quality("gopher", thresholds={"min_words": 60})
    assert spec.explain("too_few_words", {"n_plain_words__spacy_en": 12}) == (
        "n_plain_words__spacy_en = 12 < 60 (min_words)"
    )
    signals = {"n_alpha_words__spacy_en": 3, "n_words__spacy_en": 6}
    assert spec.explain("too_few_alpha_words", signals) == (
        "n_alpha_words__spacy_en / n_words__spacy_en = 0.5 < 0.8 (min_alpha_word_frac)"
    )
    assert spec.explain("empty", {"n_words__spacy_en": 0}) == ""
