"""Mirrors curate/kernels/text/bigscience*: the kernel against its twin and against the published ratios."""

import time
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.corpus_signals import BIGSCIENCE, BIGSCIENCE_CHARS, BIGSCIENCE_WORDS
from curate.kernels.text.bigscience import PASSES
from curate.kernels.text.bigscience_plain import bigscience_of, is_special
from curate.kernels.text.measure import run_passes
from curate.kernels.text.redpajama_tables import SPECIAL, flags_of
from tests.kernels.text_samples import example_texts, shared_texts

PIECES = [
    "the", "The", "(THE)", "don't", "'tis", "ΑΣ'", "Α.ΣΑ", "über", "U\u0308ber", "e\u0301\u0327",
    "e\u0301\u0327.a", "\u0301", "q\u0307\u0323", "İ", "shit", "Shit!", "putain", "mâts", "пизда", "और",
    "من", "日本語", "•", "—", "…", "1984", "٣", "5km", "x-y", "...", "🙂", "©", "\u200d", "\ufe0f", "_", "#",
    " ", " ", "\n", "\t", "\xa0", "\u2028", "\x00", "again and again and again and again and again ",
    "0123456789", "abc abc abc abc ",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join),
    st.lists(st.sampled_from("ab"), max_size=120).map("".join),
    st.lists(st.sampled_from(["a", "b", "c."]), max_size=60).map(" ".join),
    st.text(max_size=60),
)


def measured(texts: list[str | None]) -> list[dict[str, int | None]]:
    columns = run_passes(pa.array(texts, pa.string()), PASSES)
    rows: list[dict[str, int | None]] = pa.RecordBatch.from_pydict(columns).to_pylist()
    return rows


@settings(max_examples=400, deadline=None)
@given(texts)
def test_kernel_equals_its_twin(text: str) -> None:
    assert measured([text]) == [bigscience_of(text)]


def test_kernel_equals_its_twin_on_real_pages() -> None:
    texts = example_texts()
    assert measured(list(texts)) == list(map(bigscience_of, texts))


def test_kernel_equals_its_twin_on_pages_in_many_languages() -> None:
    texts = shared_texts(40)
    assert measured(list(texts)) == list(map(bigscience_of, texts))


# The published ratios, from their description; words are compared in NFD, which is ours (see the twin).
def character_repetition_ratio(text: str) -> float:
    counts: dict[str, int] = {}
    for k in range(len(text) - 9):
        counts[text[k : k + 10]] = counts.get(text[k : k + 10], 0) + 1
    if not counts:
        return 0.0
    ordered = np.sort(np.array(list(counts.values())))[::-1]
    n_once = int((ordered == 1).sum())
    return float(ordered[: min(int(np.sqrt(ordered.size)), ordered.size - n_once)].sum() / ordered.sum())


def word_repetition_ratio(text: str) -> float:
    words = [chunk.lower() for chunk in text.split()]
    special = {char for char in text.lower() if is_special(char)}
    words = [word for word in (word.strip("".join(special)) for word in words) if word]
    words = [unicodedata.normalize("NFD", word) for word in words]
    grams = [" ".join(words[k : k + 5]) for k in range(len(words) - 4)]
    return sum(grams.count(gram) > 1 for gram in grams) / len(grams) if grams else 0.0


@settings(max_examples=150, deadline=None)
@given(texts)
@example("a b c d \u00dc a b c d U\u0308")  # one letter, written in two ways
def test_ratios_are_the_published_ones(text: str) -> None:
    (row,) = measured([text])
    n_chars, n_words = row["bigscience_char_10grams"], row["bigscience_5grams"]
    assert n_chars is not None
    assert n_words is not None
    frequent, repeated = row["bigscience_frequent_char_10grams"], row["bigscience_repeated_5grams"]
    assert (frequent or 0) / max(n_chars, 1) == pytest.approx(character_repetition_ratio(text))
    assert (repeated or 0) / max(n_words, 1) == pytest.approx(word_repetition_ratio(text))


def test_counted_by_hand() -> None:
    (row,) = measured(["“The cat” and — the hat!! 42"])
    assert row["bigscience_words"] == 5
    assert row["bigscience_stop_words__en"] == 3
    assert row["bigscience_stop_words__de"] == 1  # hat
    assert row["bigscience_special_chars"] == 6 + 2 + 1 + 2 + 2  # blanks, quotes, dash, marks, digits
    assert row["bigscience_char_10grams"] == 19  # of 28 characters
    assert measured(["Oh shit, SHIT! Ach Scheiße"])[0]["bigscience_flagged_words__en"] == 2


def test_nulls_and_empty_texts() -> None:
    rows = measured([None, ""])
    assert set(rows[0].values()) == {None}
    assert set(rows[1].values()) == {0}


def test_a_text_too_long_for_a_table_has_no_ngrams() -> None:
    (many_words, many_chars) = measured(["a " * ((1 << 20) + 1), "ab" * (1 << 19) + "c"])
    assert {many_words[name] for name in (*BIGSCIENCE_WORDS, *BIGSCIENCE_CHARS)} == {None}
    assert {many_chars[name] for name in BIGSCIENCE_CHARS} == {None}
    assert many_chars["bigscience_5grams"] == 0
    assert None not in {many_words[name] for name in BIGSCIENCE} | {many_chars[name] for name in BIGSCIENCE}
    assert many_words["bigscience_words"] == (1 << 20) + 1


def test_special_characters_of_the_table_are_those_of_the_twin() -> None:
    assert [char for char in map(chr, range(0x3000)) if bool(flags_of(char) & SPECIAL) != is_special(char)] == []


@pytest.mark.parametrize("unit", ["a", "a ", "a-", ".", "\u0301\u0327", "Σ'", "日", "\n", "abcdefghij", "\x00"])
def test_time_grows_with_the_text_not_faster(unit: str) -> None:
    def seconds(n: int) -> float:
        column = pa.array([unit * n])
        best = 1e9
        for _ in range(2):
            start = time.process_time()
            run_passes(column, PASSES)
            best = min(best, time.process_time() - start)
        return best

    seconds(10)  # compiled
    small, large = seconds(20_000), seconds(100_000)
    assert large < 5 * small * 4 + 0.05  # a quadratic loop would take 25 times as long
