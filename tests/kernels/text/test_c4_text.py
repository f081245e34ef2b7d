"""Mirrors curate/kernels/text/c4_text.py: C4's edit of a text and its counts under any line rules."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.text import plain
from curate.kernels.text.c4 import ANY_END, MARK, MARK_OR_APOSTROPHE, LineRules
from curate.kernels.text.c4_text import c4_counts, c4_text
from curate.kernels.text.measure import words_in
from curate.signals import MAX_WORDS
from tests.kernels.text.pieces import texts
from tests.kernels.text_samples import example_texts

ENDS = {ANY_END: (), MARK_OR_APOSTROPHE: (".", "?", "!", '"', "'"), MARK: (".", "?", "!", '"')}
DATATROVE = LineRules(3, 0, 1000, MARK_OR_APOSTROPHE)


def spacy_words(text: str) -> list[str]:
    return words_in(text, "spacy_en")


def check(pages: list[str], rules: LineRules) -> None:
    column = pa.array(pages, pa.string())
    counts = pa.RecordBatch.from_pydict(c4_counts(column, rules)).to_pylist()
    edited = c4_text(column, rules).to_pylist()
    for page, got, text in zip(pages, counts, edited, strict=True):
        limits = {"min_words": rules.min_words, "min_clean_words": rules.min_words_without_citations}
        limits["max_word_chars"] = rules.max_word_chars
        assert (got, text) == plain.c4_of(page, spacy_words, ends=ENDS[rules.end], **limits)


@settings(max_examples=300, deadline=None)
@given(
    texts,
    st.builds(
        LineRules,
        st.sampled_from([0, 1, 3]),
        st.sampled_from([0, 5]),
        st.sampled_from([4, 1000]),
        st.sampled_from(list(ENDS)),
    ),
)
def test_counts_and_text_are_those_of_the_twin(text: str, rules: LineRules) -> None:
    check([text], rules)


@pytest.mark.parametrize("rules", [DATATROVE, LineRules(0, 5, 1000, MARK), LineRules(3, 0, 1000, ANY_END)])
def test_counts_and_text_of_real_pages(rules: LineRules) -> None:
    check(example_texts(), rules)


def test_text_of_slices_and_nulls() -> None:
    kept = "This line is kept."
    part = pa.array(["dropped", None, f"menu\n{kept}\nmenu", "", kept])[1:]
    edited = c4_text(part, DATATROVE)
    assert edited.to_pylist() == [None, kept, "", kept]
    assert edited.type == pa.string()
    assert c4_text(pa.array([], pa.string()), DATATROVE).to_pylist() == []


def test_a_text_of_any_size_is_edited_but_its_sentences_have_a_cap() -> None:
    text = "a " * (MAX_WORDS + 1) + "b."
    column = pa.array([text, "two words."])
    rules = LineRules(1, 0, 1000, MARK_OR_APOSTROPHE)
    assert c4_text(column, rules).to_pylist() == [text, "two words."]
    assert c4_counts(column, rules)["sentences__spacy_en"].to_pylist() == [None, 1]
