"""Mirrors curate/kernels/text/words.py: the words are spaCy's, and the tables are those of the installed spaCy."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.text.measure import words_in
from curate.kernels.text.tables import MAX_CHUNK_BYTES, Tables, tables
from tests.kernels.text_samples import example_texts, shared_texts

spacy = pytest.importorskip("spacy")
TOKENIZER = spacy.blank("en").tokenizer


def spacy_words(text: str) -> list[str]:
    """Return the kernel's words of spaCy's variant."""
    return words_in(text, "spacy_en")


PIECES = [
    "don't",
    "can't",
    "U.S.",
    "e.g.",
    "Dr.",
    "US$",
    "C$5",
    "10km",
    "5kg",
    "3am",
    "p.m.",
    "http://a.com/x-y",
    "www.x.org",
    "a@b.com",
    "co.uk",
    "'s",
    "’s",
    "...",
    "..",
    "--",
    "---",
    "——",
    "1,000",
    "a,b",
    "A.B",
    "x:y",
    "and/or",
    ":)",
    ":-(",
    "1-2",
    "C++",
    "I'm",
    "°C.",
    "m²",
    "10.1.2.3",
    "8.8.8.8:53/x",
    "192.168.0.1/a-b",
    "foo.bar",
    "IP.",
    "ABC.",
    "ma'am",
    "o'clock",
    "$5",
    "5$",
    "=)",
    "😀",
    "–",
    "—",
    "~",
    "«",
    "。",
    "日本",
    "ñ",
    "Ж",
    "é",
    "a",
    "B",
    "S",
    "1",
    "9",
    ".",
    ",",
    ":",
    ";",
    "!",
    "?",
    "'",
    '"',
    "(",
    ")",
    "-",
    "+",
    "*",
    "^",
    "<",
    ">",
    "=",
    "/",
    "#",
    "%",
    "&",
    "@",
    "_",
    "|",
    "\\",
    "[",
    "]",
    "{",
    "}",
    "\u200b",
    "\u00ad",
    "٣",
    "²",
]
chunks = st.lists(st.sampled_from([*PIECES, *sorted(s for s in TOKENIZER.rules if s.strip())]), max_size=7).map("".join)


@settings(max_examples=800, deadline=None)
@given(chunks)
def test_hostile_chunks_are_cut_as_spacy_cuts_them(chunk: str) -> None:
    assert spacy_words(chunk) == [word.text for word in TOKENIZER(chunk)]


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), max_size=12))
def test_any_characters_are_cut_as_spacy_cuts_them(chunk: str) -> None:
    assert spacy_words(chunk) == [word.text for word in TOKENIZER(chunk) if word.text.strip()]


@pytest.mark.parametrize("texts", [example_texts, lambda: shared_texts(40)], ids=["examples", "shared"])
def test_real_pages_have_spacys_words(texts: Callable[[], list[str]]) -> None:
    for text in texts():
        assert spacy_words(text) == [word.text for word in TOKENIZER(text) if word.text.strip()]


@pytest.mark.parametrize("space", [char for char in map(chr, range(0x110000)) if char.isspace()], ids=ascii)
def test_every_white_space_cuts_as_in_spacy(space: str) -> None:
    for text in (f"大林{space}長怒控{space}", f"word{space}word.{space}1,{space}", space):
        assert spacy_words(text) == [word.text for word in TOKENIZER(text) if word.text.strip()]


def test_a_run_without_white_space_is_one_word_where_it_is_too_long() -> None:
    longest, longer = "a,b" * (MAX_CHUNK_BYTES // 3), "a,b" * (MAX_CHUNK_BYTES // 3 + 1)
    assert len(spacy_words(longest)) > MAX_CHUNK_BYTES // 3
    assert spacy_words(f"x {longer} y") == ["x", longer, "y"]


@pytest.mark.slow
def test_committed_tables_are_what_the_installed_spacy_gives() -> None:
    pytest.importorskip("datatrove")
    pytest.importorskip("uniseg")
    from curate.kernels.text.generate_tables import build

    committed, built = tables(), build()
    assert set(built) == set(Tables._fields) - {"stop_hash", "powers"}
    for name, array in built.items():
        assert np.array_equal(getattr(committed, name), array), name
