"""Mirrors curate/kernels/text: the compiled loops against their plain twin, on hostile and on real text."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.text import plain, signals
from tests.kernels.text_samples import example_texts

# Pieces that touch every rule: line ends of all kinds, marks, citations, phrases, wide characters, repetition.
PIECES = [
    "the",
    "a",
    "don't",
    "Mr.",
    "word",
    "über",
    "日本",
    "。",
    ".",
    "...",
    "…",
    ",",
    "#",
    "-",
    "•",
    "{",
    "[12]",
    "[edit]",
    "[]",
    "[citation needed]",
    "[٣]",
    "lorem Ipsum",
    "JavaScript",
    "Privacy  policy",
    "privacy policy",
    "use cookies",
    "!",
    "?",
    '"',
    "'",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\n \n",
    "\r\n",
    "\r",
    "\x0b",
    "\x1c",
    "\x85",
    "\u2028",
    "\xa0",
    "\t",
    "🙂",
    "5km",
    "\x00",
    "http://a.com/b-c",
    "x" * 1001,
    "one two three four five six seven eight nine ten eleven. ",
    "Same line here.\n",
]
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
    st.lists(st.sampled_from(["a", "b", "ab", "c", "\n", "."]), max_size=60).map(" ".join),  # greedy n-grams, often
    st.text(max_size=80),
)


def rows(columns: dict[str, pa.Array]) -> list[dict[str, int | None]]:
    return pa.RecordBatch.from_pydict(columns).to_pylist()


@settings(max_examples=200, deadline=None)
@given(texts)
def test_kernels_equal_their_twin(text: str) -> None:
    column = pa.array([text], pa.string())
    words = signals.spacy_words(text)
    assert rows(signals.gopher_signals(column)) == [plain.gopher_of(text, words)]
    assert rows(signals.repetition_signals(column)) == [plain.repetition_of(text, words)]


@settings(max_examples=200, deadline=None)
@given(texts, st.booleans(), st.sampled_from([0, 3, 5]))
def test_c4_kernel_equals_its_twin(text: str, terminal_punctuation: bool, min_words: int) -> None:
    limits = {"min_words": min_words, "max_word_chars": 1000, "terminal_punctuation": terminal_punctuation}
    measured, rewritten = signals.c4_signals(pa.array([text], pa.string()), **limits)
    expected, kept = plain.c4_of(text, signals.spacy_words, **limits)
    assert rows(measured) == [expected]
    assert rewritten.to_pylist() == [kept]


def test_kernels_equal_their_twin_on_real_pages() -> None:
    texts = example_texts()
    column = pa.array(texts, pa.string())
    words = [signals.spacy_words(text) for text in texts]
    assert rows(signals.gopher_signals(column)) == list(map(plain.gopher_of, texts, words))
    assert rows(signals.repetition_signals(column)) == list(map(plain.repetition_of, texts, words))
    measured, rewritten = signals.c4_signals(column, min_words=3, max_word_chars=1000, terminal_punctuation=True)
    twins = [plain.c4_of(text, signals.spacy_words) for text in texts]
    assert rows(measured) == [counts for counts, _ in twins]
    assert rewritten.to_pylist() == [kept for _, kept in twins]


@given(st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_slices_and_nulls_are_the_rows_they_show(column: list[str | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(column)))
    kind = data.draw(st.sampled_from([pa.string(), pa.large_string()]))
    part = pa.array(["before", *column], kind)[1 + start :]
    for measure in (signals.gopher_signals, signals.repetition_signals):
        got = rows(measure(part))
        assert got == [
            rows(measure(pa.array([text], pa.string())))[0] for text in column[start:]
        ]  # each row alone gives what it gives among others
        assert [set(row.values()) == {None} for row in got] == [text is None for text in column[start:]]


def test_c4_text_of_slices_and_nulls() -> None:
    kept = "This line is kept."
    part = pa.array(["dropped", None, f"menu\n{kept}\nmenu", "", kept])[1:]
    _, rewritten = signals.c4_signals(part, min_words=3, max_word_chars=1000, terminal_punctuation=True)
    assert rewritten.to_pylist() == [None, kept, "", kept]
    assert rewritten.type == pa.string()


def test_counted_by_hand() -> None:
    text = "# The cat... and the dog\n- that is all…\n\n- that is all…"
    (row,) = rows(signals.gopher_signals(pa.array([text])))
    assert row == {
        "n_words__spacy_en": 17,  # # The cat ... and the dog - that is all … - that is all …
        "n_plain_words__spacy_en": 11,
        "plain_word_chars__spacy_en": 33,
        "n_alpha_words__spacy_en": 11,
        "n_stop_words__spacy_en": 3,  # and, the, that: "The" is not "the"
        "n_hash_signs": 1,
        "n_ellipses": 3,
        "n_lines": 4,
        "n_bullet_lines": 2,
        "n_ellipsis_lines": 2,
    }
    (row,) = rows(signals.repetition_signals(pa.array([text])))
    assert (row["n_paragraphs"], row["n_dup_paragraphs"]) == (2, 0)
    assert (row["n_newline_lines"], row["n_dup_lines"], row["dup_line_chars"]) == (3, 1, 14)
    assert row["top2_chars__spacy_en"] == 2 * len("- that")


def test_a_doc_with_too_many_words_has_no_word_signals() -> None:
    text = "a " * (signals.MAX_WORDS + 1) + "\n- b"
    column = pa.array([text, "two words"])
    gopher = rows(signals.gopher_signals(column))
    assert gopher[0]["n_words__spacy_en"] is None
    assert gopher[0]["n_alpha_words__spacy_en"] is None
    assert gopher[0]["n_bullet_lines"] == 1  # lines have no cap
    assert gopher[1]["n_words__spacy_en"] == 2
    repetition = rows(signals.repetition_signals(column))
    assert repetition[0]["dup5_chars__spacy_en_greedy"] is None
    assert repetition[0]["n_text_chars"] == len(text)
    _, rewritten = signals.c4_signals(column, min_words=1, max_word_chars=1000, terminal_punctuation=False)
    assert rewritten.to_pylist() == [None, "two words"]


@pytest.mark.parametrize(
    "unit", ["a", "a-", "@x", ".", ")(", ":)", "'s", "x.y@", "[1]", "日", "1.", "é,", "http://a.", "\n", "{\n", "…"]
)
def test_time_grows_with_the_text_not_faster(unit: str) -> None:
    def seconds(n: int) -> float:
        column = pa.array([unit * n])
        best = 1e9
        for _ in range(2):
            start = time.process_time()
            signals.gopher_signals(column)
            signals.repetition_signals(column)
            signals.c4_signals(column, min_words=1, max_word_chars=1000, terminal_punctuation=False)
            best = min(best, time.process_time() - start)
        return best

    seconds(10)  # compiled
    small, large = seconds(20_000), seconds(160_000)
    assert large < 8 * small * 4 + 0.05  # a quadratic loop would take 64 times as long


def test_bytes_that_are_no_utf8_are_read_within_bounds() -> None:
    for tail in (b"\xc3", b"\xe2\x80", b"\xf0\x9f\x99", b"\xff", b"\x80", b"\xf7\xbf\xbf\xbf"):
        data = b"the word " + tail
        offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
        column = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data))
        n_words = rows(signals.gopher_signals(column))[0]["n_words__spacy_en"]
        assert n_words is not None
        assert 3 <= n_words <= 2 + len(tail)
