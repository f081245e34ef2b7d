"""Mirrors curate/rules: every rule of every set at its limit, and the texts on which the variants differ."""

from __future__ import annotations

import math
from typing import Any, get_args

import pyarrow as pa
import pytest

from curate.recipe import make_step
from curate.rules import RULE_SETS, Rule, RuleSetName
from curate.signals import SETS, SIGNALS
from curate.stages.quality import Quality
from tests.helpers import batch_of, measured_for

EVERY_RULE = [(name, rule) for name, found in RULE_SETS.items() for rule in found.rules]


def test_every_set_can_be_named_and_looks_at_signals_that_exist() -> None:
    assert set(get_args(RuleSetName)) == set(RULE_SETS)
    for found in RULE_SETS.values():
        assert {name for rule in found.rules for name in rule.columns} <= set(SIGNALS)
        assert found.source
        assert found.version >= 1


@pytest.mark.parametrize("name", [name for name in RULE_SETS if name in SETS and "c4" not in name])
def test_what_a_set_looks_at_is_what_the_set_of_signals_of_its_name_measures(name: str) -> None:
    assert set(Quality(rules=name).measures) <= {*SETS[name], "n_text_chars"}


def off(rule: Rule) -> float:
    return -math.inf if rule.side == "below" else math.inf


def only(rules: str, limit: str) -> dict[str, Any]:
    """Return the parameters of a step that holds docs against one rule of a set."""
    others = {rule.limit: off(rule) for rule in RULE_SETS[rules].rules if rule.limit != limit}
    return {"rules": rules, "thresholds": others}


@pytest.mark.parametrize(("name", "rule"), EVERY_RULE, ids=[f"{name} {rule.limit}" for name, rule in EVERY_RULE])
def test_a_rule_keeps_its_limit_and_drops_what_lies_beyond(name: str, rule: Rule) -> None:
    of = 10_000_000 if rule.per else 1
    at = round(rule.default * rule.scale * of)
    beyond = at - 1 if rule.side == "below" else at + 1
    stage = Quality(**only(name, rule.limit))
    columns = {column: pa.array([7, 7], pa.int64()) for column in stage.reads if column != "text"}
    if rule.per:
        columns[rule.per] = pa.array([of, of], pa.int64())
    columns[rule.signal] = pa.array([at, beyond], pa.int64())
    found = stage.decide(pa.RecordBatch.from_pydict(columns)).to_pylist()
    assert found == [None, rule.reason]


ONE = "One."
LINES = "\n"


def words(*alike: tuple[int, str]) -> str:
    return " ".join(word for n, word in alike for _ in range(n))


def lines(*alike: tuple[int, str]) -> str:
    """Return lines, n of each kind, all different: `%` stands for a number."""
    return LINES.join(line.replace("%", f"x{k}") for n, line in alike for k in range(n))


# (rules, limit) → a text on the limit, and one beyond it
AT_THE_LIMIT: dict[tuple[str, str], tuple[str, str]] = {
    ("gopher/datatrove", "min_words"): (words((50, "word")), words((49, "word"), (1, "..."))),
    ("gopher/datatrove", "min_mean_word_chars"): ("abc", "abc ab"),
    ("gopher/datatrove", "max_mean_word_chars"): ("abcdefghij", "abcdefghijk"),
    ("gopher/datatrove", "max_hash_signs_per_word"): (words((9, "word"), (1, "#")), words((8, "word"), (1, "#"))),
    ("gopher/datatrove", "max_ellipses_per_word"): (words((9, "word"), (1, "…")), words((8, "word"), (1, "…"))),
    ("gopher/datatrove", "max_bullet_line_frac"): (lines((9, "- %"), (1, "* %")), lines((9, "- %"), (1, "• %"))),
    ("gopher/datatrove", "max_ellipsis_line_frac"): (lines((3, "%..."), (7, "%")), lines((3, "%…"), (6, "%"))),
    ("gopher/datatrove", "min_alpha_word_frac"): (words((8, "word"), (2, "12")), words((7, "word"), (2, "12"))),
    ("gopher/datatrove", "min_stop_words"): ("the cat of it", "the cat, The the dog"),
    ("gopher/dclm", "min_words"): (words((50, "word")), words((49, "word"), (1, "(word"))),
    ("gopher/dclm", "min_mean_word_chars"): ("ab, ...", "ab, .."),
    ("gopher/dclm", "max_mean_word_chars"): ("abcdefghi.", "abcdefghij."),
    ("gopher/dclm", "max_symbols_per_word"): (words((9, "word"), (1, "word#")), words((8, "word"), (1, "word…"))),
    ("gopher/dclm", "max_bullet_line_frac"): (lines((9, "* %"), (1, "%"), (5, "")), lines((9, "● %"), (5, " "))),
    ("gopher/dclm", "max_ellipsis_line_frac"): (lines((3, "% . . ."), (7, "%")), lines((3, "% . . ."), (6, "%"))),
    ("gopher/dclm", "max_non_alpha_word_frac"): (words((8, "a1"), (2, "12")), words((7, "a1"), (2, "12"))),
    ("gopher/dclm", "min_stop_words"): ("The cat the dog", "The cat, the. dog"),
    ("gopher/dolma", "min_words"): (words((50, "word")), words((49, "word"))),
    ("gopher/dolma", "min_median_word_chars"): ("a abc abcdefgh", "ab abc"),
    ("gopher/dolma", "max_median_word_chars"): ("a abcdefghij abcdefghijkl", "abcdefghij abcdefghijk"),
    ("gopher/dolma", "max_symbol_word_frac"): (words((9, "word"), (1, "##…")), words((8, "word"), (1, "#"))),
    ("gopher/dolma", "max_bullet_line_frac"): (lines((9, "* %"), (1, "")), lines((9, "- %"))),
    ("gopher/dolma", "max_ellipsis_line_frac"): (lines((3, "%…"), (7, "%...")), lines((3, "%…"), (6, "%"))),
    ("gopher/dolma", "min_alpha_word_frac"): (words((8, "a1"), (2, "12")), words((7, "a1"), (2, "12"))),
    ("gopher/dolma", "min_stop_words"): ("the cat the dog", "The cat the dog"),
    ("gopher/redpajama2", "min_words"): (words((50, "word")), words((49, "word"), (1, "..."))),
    ("gopher/redpajama2", "max_words"): (words((10_000, "a")), words((10_001, "a"))),
    ("gopher/redpajama2", "min_mean_word_chars"): ("abc!", "ab!"),
    ("gopher/redpajama2", "max_symbols_per_word"): (words((9, "word"), (1, "#")), words((8, "word"), (1, "#"))),
    ("gopher/redpajama2", "max_bullet_line_frac"): (lines((9, "• %"), (1, "- %")), lines((9, "• %"), (1, "◦ %"))),
    ("gopher/redpajama2", "max_ellipsis_line_frac"): (lines((3, "%..."), (7, "%")), lines((3, "%…"), (6, "%"))),
    ("gopher/redpajama2", "max_non_alpha_word_frac"): (words((8, "a"), (2, "12")), words((7, "a"), (2, "."))),
    ("gopher_repetition/datatrove", "max_dup_line_frac"): (
        lines((6, "%"), (4, "again")),
        lines((5, "%"), (4, "again")),
    ),
    ("gopher_repetition/dclm", "max_dup_line_frac"): (lines((7, "%"), (3, "again")), lines((6, "%"), (3, "again"))),
    ("gopher_repetition/dolma", "max_dup_line_frac"): (lines((7, "%"), (3, "")), lines((6, "%"), (3, ""))),
    ("c4/datatrove", "min_sentences"): (
        "One is here. Two is there. Three is here. Four is there. Five is here.",
        "One is here. Two is there. Three is here. Four is there.",
    ),
    ("c4/datatrove", "max_curly_bracket_lines"): ("A page of {code", "A page of {code."),  # else the line goes
    ("c4/datatrove", "max_lorem_ipsum_lines"): ("A lorem ipsum", "A Lorem Ipsum page."),
    ("c4/tfds", "min_sentences"): (
        "This line is the first one. Two. This is the third one here.",
        "This line is the first one.\nOnly four words here.\nThis is the second one here.",
    ),
    ("c4/tfds", "max_chars"): ("x" * 190_000, "x" * 190_001),
    ("fineweb", "min_terminal_line_frac"): (lines((3, "%."), (22, "%")), lines((3, "%."), (23, "%"))),
    ("fineweb", "max_short_line_frac"): (
        lines((67, "%"), (33, "% is longer than thirty characters")),
        lines((67, "%"), (32, "% is longer than thirty characters")),
    ),
    ("fineweb", "max_dup_line_char_frac"): (lines((2, "x"), (1, "y" * 98)), lines((2, "x"), (1, "y" * 97))),
    ("fineweb", "max_newlines_per_word"): (
        lines((3, "one two three"), (1, "four")),
        lines((3, "one two three"), (1, "")) + "",
    ),
    ("refinedweb", "max_removed_word_frac"): (
        lines((95, "one%"), (1, "Read more...")).replace(LINES, " ", 94) + "\nSHOUT AND CRY",
        lines((94, "one%"), (1, "Read more...")).replace(LINES, " ", 93) + "\nSHOUT AND CRY",
    ),
    ("bigscience", "min_words"): (words((20, "word")), words((19, "word"), (3, "..."))),
    ("bigscience", "max_special_char_frac"): ("abcdef1234", "abcde1234"),
    ("bigscience", "min_stop_word_frac"): (words((3, "the"), (7, "cat")), words((2, "the"), (7, "cat"))),
    ("ccnet", "min_chars"): ("ä" * 300, "ä" * 299),
}  # fmt: skip


@pytest.mark.parametrize(("rules", "limit"), list(AT_THE_LIMIT), ids=[" ".join(key) for key in AT_THE_LIMIT])
def test_a_text_on_the_limit_is_kept_and_one_beyond_it_dropped(rules: str, limit: str) -> None:
    step = make_step("quality", only(rules, limit))
    reason = next(rule.reason for rule in RULE_SETS[rules].rules if rule.limit == limit)
    verdict = step.spec(measured_for(step, batch_of(text=list(AT_THE_LIMIT[rules, limit]))))
    assert verdict.drop_reason.to_pylist() == [None, reason]


def reasons_of(rules: str, text: str) -> str | None:
    step = make_step("quality", {"rules": rules})
    found: str | None = step.spec(measured_for(step, batch_of(text=[text]))).drop_reason[0].as_py()
    return found


def test_the_variants_of_gopher_disagree_where_their_sources_do() -> None:
    prose = "The members of the committee have agreed to meet again with those of the council, and that is good. "
    listing = "\n".join(f"• {prose}{k}" for k in range(8))  # bullets of datatrove and DCLM, not of dolma
    assert [reasons_of(f"gopher/{name}", listing) for name in ("datatrove", "dclm", "dolma")] == [
        "too_many_bullet_lines", "too_many_bullet_lines", None,
    ]  # fmt: skip
    marks = prose * 4 + ", ; : . , ; : . " * 5  # words of all three, as they stand between white space
    assert reasons_of("gopher/datatrove", prose * 4 + "(a), " * 12) == "too_few_alpha_words"
    assert reasons_of("gopher/dclm", prose * 4 + "(a), " * 12) is None
    assert reasons_of("gopher/dclm", marks) == "too_few_alpha_words"
    long = prose * 30 + "Donaudampfschifffahrtsgesellschaftskapitän " * 200
    assert [reasons_of(f"gopher/{name}", long) for name in ("datatrove", "dclm", "dolma")] == [
        "words_too_long", "words_too_long", None,
    ]  # fmt: skip
