"""Mirrors curate/toxicity/c4_list.py: C4's rule of one bad word, against the patterns that it had."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.models import asset
from curate.stages.toxicity import Toxicity
from tests.helpers import batch_of

ENGLISH = [line for line in asset("ldnoobw/en.txt").read_text("utf-8").splitlines() if line.strip()]
DATATROVE = re.compile(r"(?:\W|^)({})(?:\W|$)".format("|".join(map(re.escape, ENGLISH))))  # its C4BadWordsFilter
TFDS = re.compile("[^a-z]({})[^a-z]".format("|".join(map(re.escape, ENGLISH))))  # C4's own clean_page

WORDS = ["sex", "ass", "class", "Scunthorpe", "two girls one cup", "SEX", "é", "_", "\n", "ſ", "\u212a", "İ", "x"]
pieces = st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=10)
texts = pieces.map(" ".join) | pieces.map("".join)


def dropped(text: list[str | None], method: str, *lexicon: str) -> list[bool]:
    verdict = Toxicity(method=method, lexicon=lexicon or ("en",))(batch_of(text=text))  # type: ignore[arg-type]
    assert verdict.drop_reason is not None
    return [reason == "c4_bad_word" for reason in verdict.drop_reason.to_pylist()]


@settings(max_examples=300, deadline=None)
@given(texts)
def test_c4_drops_what_datatroves_pattern_finds(text: str) -> None:
    assert dropped([text], "c4") == [DATATROVE.search(text.lower()) is not None]


@settings(max_examples=300, deadline=None)
@given(texts)
def test_c4_tfds_drops_what_the_first_pattern_finds_in_a_line(text: str) -> None:
    lines = (line.strip().lower() for line in text.splitlines())
    # Lines are cut before they are lowered there; no line break has a case.
    assert dropped([text], "c4/tfds") == [any(TFDS.search(line) for line in lines)]


@pytest.mark.parametrize(
    ("text", "new", "old"),
    [("Sex education.", True, False), ("On sex, in class.", True, True), ("Essex", False, False)],
)
def test_the_first_pattern_misses_words_at_the_ends_of_a_line(text: str, new: bool, old: bool) -> None:
    assert dropped([text], "c4") == [new]
    assert dropped([text], "c4/tfds") == [old]


def test_one_word_drops_the_page_whatever_its_length() -> None:
    assert dropped(["word " * 10_000 + "penis.", None, ""], "c4") == [True, False, False]


def test_scripts_without_spaces_match_anywhere_but_for_the_words_taken_off() -> None:
    assert dropped(["これはアナルです", "女の子"], "c4", "ja") == [True, False]
    assert dropped(["sex これ"], "c4", "ja", "en") == [True]


def test_why_it_was_dropped() -> None:
    step = Toxicity(method="c4")
    assert dict(step.writes)
    assert step.reasons == ("c4_bad_word",)
    assert step.explain("c4_bad_word", {"n_c4_bad_words": 2}) == "n_c4_bad_words = 2 > 0"
