"""Mirrors curate/kernels/text/unicode_words.py: the words are UAX #29's, as uniseg cuts them."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.text.measure import words_in
from curate.kernels.text.plain_words import unicode_words
from tests.kernels.text.pieces import texts
from tests.kernels.text_samples import example_texts, shared_texts

# A character of every class of Word_Break, and some that are pictographs too.
CLASSES = (
    "\r\n\x0b\x85 \u3000a\u00e9\u05d0\u30a21\u0661'\".,:;_\u2019\u00b7\u0301\u200d\u200e\u00ad"
    "\U0001f1e9\U0001f600\u2764\u00a9\u2139\u24c2!日ไ"
)


def uniseg_words(text: str) -> list[str]:
    words = pytest.importorskip("uniseg.wordbreak").words
    return [word for word in words(text) if word[0].isalnum()]


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.text(st.sampled_from(CLASSES), max_size=12), texts, st.text(max_size=30)))
def test_any_text_is_cut_as_its_twin_and_uniseg_cut_it(text: str) -> None:
    assert words_in(text, "unicode") == unicode_words(text) == uniseg_words(text)


@pytest.mark.parametrize("texts", [example_texts, lambda: shared_texts(30)], ids=["examples", "shared"])
def test_real_pages_are_cut_as_their_twin_and_uniseg_cut_them(texts: Callable[[], list[str]]) -> None:
    for text in texts():
        found = words_in(text, "unicode")
        assert found == unicode_words(text)
    for text in texts()[:8]:  # uniseg takes its time
        assert words_in(text, "unicode") == uniseg_words(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The quick (“brown”) fox can’t jump 32.3 feet, right?", "The quick brown fox can’t jump 32.3 feet right"),
        ("snake_case a.b x:y 1,000 and 3.14", "snake_case a.b x:y 1,000 and 3.14"),
        ("_private 'tis e-mail", "tis e mail"),  # a segment that begins with `_` is no word
        ("日本語 カタカナ ひら", "日 本 語 カタカナ ひ ら"),
        ("ไทย", "ไ ท ย"),
        ("e\u0301te\u0301", "e\u0301te\u0301"),
        ("צ'כיה ב'the אב\"ג", "צ'כיה ב'the אב\"ג"),  # a mark that ends a Hebrew word may stand within one
    ],
)
def test_what_a_word_is(text: str, words: str) -> None:
    assert words_in(text, "unicode") == words.split()


@settings(deadline=None)
@given(st.text(max_size=40))
def test_white_space_words_are_those_of_split(text: str) -> None:
    assert words_in(text, "whitespace") == text.split()
