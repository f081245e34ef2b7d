"""Mirrors curate/stages/quality.py."""

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import InputError
from curate.recipe import make_step
from curate.rules import RULE_SETS
from curate.signals import SIGNALS
from curate.stage import Verdict
from curate.stages.quality import Quality
from tests.helpers import batch_of, measured_for

SENTENCE = "The committee has agreed to meet with the members of the council and that is good. "
PROSE = SENTENCE * 5
VARIED = (
    "Rain fell on the harbour all morning, and nobody went out. Two gulls fought over a crust of bread. "
    "In the office above the pier, a clerk counted crates that would never be shipped. She had a letter to write. "
    "Its answer would take weeks, so she began with the weather. When noon came, the bells of both churches rang. "
    "They have never agreed to ring together."
)


SETS = list(RULE_SETS)


def judged(texts: list[str | None], **given: Any) -> Verdict:
    """Return what a recipe's `quality` step with these parameters says of texts, measured as the recipe does."""
    step = make_step("quality", given)
    verdict: Verdict = step.spec(measured_for(step, batch_of(text=texts)))
    return verdict


def reasons(*texts: str | None, **given: Any) -> list[str | None]:
    found: list[str | None] = judged(list(texts), **given).drop_reason.to_pylist()
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
    assert reasons(text, rules="gopher") == [reason]


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
    assert reasons(text, rules="gopher_repetition") == [reason]


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
    assert reasons(text, rules="c4") == [reason]


@pytest.mark.parametrize("rules", SETS)
def test_nothing_written_is_empty(rules: str) -> None:
    written = ["empty"] * 2 if rules != "ccnet" else ["empty", "too_few_chars"]  # that set looks at characters alone
    assert reasons("", " \n\t\xa0", None, rules=rules) == [*written, "empty"]


@pytest.mark.parametrize("rules", SETS)
def test_contract_holds_for_empty_and_cut_batches(rules: str) -> None:
    step = make_step("quality", {"rules": rules})
    batch = measured_for(step, batch_of(text=[PROSE, "", VARIED, None, SENTENCE]))
    whole = step.spec(batch)
    for part in (batch.slice(0, 0), batch.slice(1, 3), batch):
        verdict = step.spec(part)
        assert {name: column.type for name, column in verdict.columns.items()} == dict(step.spec.writes)
        assert {len(column) for column in verdict.columns.values()} <= {part.num_rows}
        assert verdict.drop_reason.type == pa.string()
        assert set(verdict.drop_reason.to_pylist()) <= {None, *step.spec.reasons}
    cut = [step.spec(batch.slice(k, 1)) for k in range(batch.num_rows)]
    assert [one.drop_reason[0] for one in cut] == list(whole.drop_reason)
    for name, column in whole.columns.items():
        assert [one.columns[name][0] for one in cut] == list(column)


@pytest.mark.parametrize("rules", SETS)
def test_a_decision_is_made_again_from_columns_without_the_text(rules: str) -> None:
    step = make_step("quality", {"rules": rules})
    batch = measured_for(step, batch_of(text=[PROSE, "", VARIED, None, SENTENCE]))
    verdict = step.spec(batch)
    assert step.spec.decide(batch.drop_columns(["text"])).equals(verdict.drop_reason)
    assert set(step.spec.measures) <= set(SIGNALS)


@pytest.mark.parametrize("rules", SETS)
def test_every_reason_and_limit_is_declared_once(rules: str) -> None:
    stage = Quality(rules=rules)
    assert len(set(stage.reasons)) == len(stage.reasons)
    rule_set = RULE_SETS[rules].rules
    assert {rule.reason for rule in rule_set} <= set(stage.reasons)
    assert len({rule.limit for rule in rule_set}) == len(rule_set)


def test_how_often_each_rule_fires_is_counted_alone_and_first() -> None:
    short, code = "The dog and the cat.", "# # # # The dog # # #"
    verdict = judged([PROSE, short, code, "", None], rules="gopher")
    assert verdict.drop_reason.to_pylist() == [None, "too_few_words", "too_few_words", "empty", "empty"]
    assert verdict.fired["min_words"] == (3, 2)  # nothing written has few words too, but is `empty` first
    assert verdict.fired["max_hash_signs_per_word"] == (1, 0)
    assert verdict.fired["max_words"] == (0, 0)
    assert list(verdict.fired) == [rule.limit for rule in RULE_SETS["gopher"].rules]
    off = {"max_words": float("inf"), "min_words": float("-inf")}
    assert not set(off) & set(judged([PROSE], rules="gopher", thresholds=off).fired)  # nobody wants to hear of those


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
    verdict = judged([page, f"{page}\nThe {{ page is code."], rules="c4")
    assert verdict.drop_reason.to_pylist() == [None, "curly_bracket"]
    assert verdict.columns["text"].to_pylist() == [
        f"{PROSE}And that is it.\nAnd so it ends.",
        f"{page}\nThe {{ page is code.",
    ]


def kept_text(text: str, **given: Any) -> str | None:
    found: str | None = judged([text], **given).columns["text"][0].as_py()
    return found


def test_c4_without_terminal_punctuation_keeps_more_lines() -> None:
    page = f"{PROSE}\nThis line has no mark at its end"
    assert kept_text(page, rules="c4") == PROSE.strip()
    assert str(kept_text(page, rules="c4", terminal_punctuation=False)).endswith("no mark at its end")


def test_the_variants_of_c4_differ_where_their_sources_do() -> None:
    page = "One two three.\nOne two three four five.\nHe said: 'one two three four.'"
    assert kept_text(page, rules="c4/datatrove", thresholds={"min_sentences": 0}) == page
    assert kept_text(page, rules="c4/tfds", thresholds={"min_sentences": 0}) == "One two three four five."
    assert reasons("One. " * 40_000, rules="c4/tfds") == ["too_many_chars"]
    assert reasons("One. " * 38_000, rules="c4/tfds") == [None]  # 190,000 characters: the limit itself is kept


def test_thresholds_are_limits_that_are_kept() -> None:
    step = make_step("quality", {"rules": "gopher"})
    n_words = measured_for(step, batch_of(text=[PROSE]))["n_plain_words__spacy_en"][0].as_py()
    assert reasons(PROSE, rules="gopher", thresholds={"min_words": n_words}) == [None]
    assert reasons(PROSE, rules="gopher", thresholds={"min_words": n_words + 1}) == ["too_few_words"]
    assert reasons(PROSE, rules="gopher", thresholds={"max_words": n_words - 1}) == ["too_many_words"]


def test_line_limits_of_ones_own_are_counted_by_the_step_itself() -> None:
    page = f"{PROSE}\nJust three words."
    assert kept_text(page, rules="c4", thresholds={"min_words_per_line": 5}) == PROSE.strip()
    own = {"rules": "c4", "thresholds": {"max_word_chars": 8, "min_sentences": 1}}
    verdict = judged([page], **own)
    assert verdict.columns["text"].to_pylist() == ["Just three words."]  # "committee" has nine letters
    assert verdict.columns["c4_sentences__spacy_en"].to_pylist() == [1]
    assert make_step("quality", own).spec.measures == ("n_text_chars", "n_words__spacy_en")


OWN = [
    {"signal": "n_words__spacy_en", "min": 5, "max": 7, "reason": "not_so_long"},
    {"signal": "n_hash_signs", "per": "n_text_chars", "max": 0.5, "reason": "hashes"},
    {"signal": "language_score", "min": 0.8, "reason": "unsure"},
]


def test_rules_of_ones_own_are_held_against_signals_and_columns() -> None:
    step = make_step("quality", {"rules": OWN})
    five = "one two three four five"
    texts = [five, "one", "1 2 3 4 5 6 7 8", "# # # # #", "# # # # # ", five, None]
    scores = [0.8, 0.9, 0.9, 0.9, 0.9, 0.79, 0.9]
    verdict = step.spec(measured_for(step, batch_of(text=texts, language_score=scores)))
    assert verdict.drop_reason.to_pylist() == [
        None, "not_so_long", "not_so_long", "hashes", None, "unsure", "empty",
    ]  # fmt: skip
    assert step.spec.limits == {"not_so_long.min": 5, "not_so_long.max": 7, "hashes.max": 0.5, "unsure.min": 0.8}
    assert set(step.spec.reads) == {"n_text_chars", "n_words__spacy_en", "n_hash_signs", "language_score"}


def test_a_doc_without_the_column_of_a_rule_is_not_measured() -> None:
    stage = Quality(rules=({"signal": "score", "min": 0.5, "reason": "low"},))
    assert stage.reads == ("score",)
    assert stage.decide(batch_of(score=[0.5, 0.4, None])).to_pylist() == [None, "low", "not_measured"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rules": "gophr"}, "did you mean 'gopher'"),
        ({"rules": "gopher", "thresholds": {"min_word": 3}}, "did you mean 'min_words'"),
        ({"rules": "c4", "thresholds": {"min_words": 3}}, "did you mean"),
        ({"rules": "gopher", "thresholds": {"min_words": "many"}}, "must be a number"),
        ({"rules": "gopher", "thresholds": {"min_words": float("nan")}}, "must be a number"),
        ({"rules": "gopher", "thresholds": {"min_words": True}}, "must be a number"),
        ({"rules": "gopher", "terminal_punctuation": False}, "a switch of c4 and c4/tfds; gopher has no such rule"),
        ({"rules": "refinedweb", "terminal_punctuation": False}, "refinedweb has no such rule"),
        ({"rules": ({"signal": "n_lines", "min": 3, "reason": "x"},), "terminal_punctuation": False}, "this list of"),
        ({"rules": ()}, "`rules` is empty"),
        ({"rules": ({"signal": "n_lines", "reason": "x"},)}, "rule 1 needs `min` or `max`"),
        ({"rules": ({"signal": "n_lines", "min": None, "reason": "x"},)}, "rule 1 needs `min` or `max`"),
        ({"rules": ({"signal": "n_lines", "min": float("nan"), "reason": "x"},)}, "`min` must be a number"),
        ({"rules": ({"signal": "n_lines", "max": True, "reason": "x"},)}, "`max` must be a number"),
        ({"rules": ({"signal": "n_lines", "min": 3, "max": 2, "reason": "x"},)}, "no doc would be kept"),
        ({"rules": ({"signal": "n_lines", "min": 3, "reason": "Too short"},)}, "`reason` is a word of a-z"),
        ({"rules": ({"signal": "n_lines", "min": 3, "reason": "empty"},)}, "none of empty"),
        ({"rules": ({"signal": "n_lines", "min": 3},)}, "`reason` is a word"),
        ({"rules": ({"signal": 7, "min": 3, "reason": "x"},)}, "`signal` is the name"),
        ({"rules": ({"signal": "n_lines", "mix": 3, "reason": "x"},)}, "did you mean 'min'"),
        ({"rules": ({"signal": "a", "min": 3, "reason": "x"}, {"signal": "b", "min": 3, "reason": "x"})}, "is taken"),
        ({"rules": ("gopher",)}, "rule 1 is a mapping"),
        ({"rules": ({"signal": "n_lines", "min": 3, "reason": "x"},), "thresholds": {"x.mix": 1}}, "'x.min'"),
    ],
)
def test_wrong_parameters_say_what_is_allowed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Quality(**arguments)


def test_a_rule_over_a_column_that_is_not_there_or_no_number_is_refused() -> None:
    stage = Quality(rules=({"signal": "langauge_score", "min": 0.5, "reason": "low"},))
    with pytest.raises(InputError, match="did you mean 'language_score'"):
        stage.checks_columns({"language_score": pa.float32()})
    stage = Quality(rules=({"signal": "url", "min": 0.5, "reason": "low"},))
    with pytest.raises(InputError, match="the column 'url' is string; a rule needs numbers"):
        stage.checks_columns({"url": pa.string()})


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


def test_the_explanation_names_the_columns_and_divides_as_the_rule_does() -> None:
    spec = Quality("gopher/dolma", suffix="__after_c4")
    assert spec.explain("words_too_short", {"twice_median_word_chars__whitespace__after_c4": 5}) == (
        "twice_median_word_chars__whitespace__after_c4 / 2 = 2.5 < 3 (min_median_word_chars)"
    )
    own = Quality(rules=({"signal": "language_score", "min": 0.8, "reason": "unsure"},))
    assert own.explain("unsure", {"language_score": 0.5}) == "language_score = 0.5 < 0.8 (unsure.min)"
    assert own.explain("unsure", {}) == ""


def test_a_whole_number_that_no_float_holds_is_no_limit() -> None:
    with pytest.raises(InputError, match=r"beyond 1\.8e\+308"):
        Quality(rules=({"signal": "n_lines", "max": 10**400, "reason": "long"},))
    with pytest.raises(InputError, match="beyond"):
        Quality(rules="gopher", thresholds={"max_words": 10**400})
