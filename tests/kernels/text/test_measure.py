"""Mirrors curate/kernels/text/measure.py: the compiled passes against their plain twin, on hostile and on real text."""

import inspect

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import signals
from curate.kernels.text import plain
from curate.kernels.text.measure import measure, passes_for, words_in
from curate.kernels.text.plain_words import unicode_words
from curate.signals import SETS, SIGNALS, WORDS
from tests.kernels.text.pieces import texts
from tests.kernels.text_samples import example_texts, shared_texts

FAMILIES = {"characters", "classes", "lines", "fineweb", "repeated_lines", "dclm_lines", "words", "ngrams", "c4"}
NAMES = [name for name, signal in SIGNALS.items() if signal.family in FAMILIES]


def spacy_words(text: str) -> list[str]:
    return words_in(text, "spacy_en")  # compared with spaCy's in test_words.py


def twin_of(text: str) -> dict[str, int]:
    """Return every signal of FAMILIES as the plain twin counts it."""
    found = {**plain.characters_of(text), **plain.lines_of(text), **plain.dclm_lines_of(text)}
    for variant, split in {"spacy_en": spacy_words, "unicode": unicode_words, "whitespace": str.split}.items():
        words = split(text)
        found |= plain.words_of(words, variant) | plain.ngrams_of(words, variant)
    return found | plain.published_c4_of(text, spacy_words)


def rows(columns: dict[str, pa.Array]) -> list[dict[str, int | None]]:
    return pa.RecordBatch.from_pydict(columns).to_pylist()


def check(pages: list[str]) -> None:
    for text, got in zip(pages, rows(measure(pa.array(pages, pa.string()), NAMES)), strict=True):
        expected = twin_of(text)
        assert set(expected) == set(got)
        assert {name: got[name] for name in expected if got[name] != expected[name]} == {}, repr(text[:200])


@settings(max_examples=400, deadline=None)
@given(texts)
def test_kernels_equal_their_twin(text: str) -> None:
    check([text])


def test_kernels_equal_their_twin_on_real_pages() -> None:
    check(example_texts())


@pytest.mark.slow
def test_kernels_equal_their_twin_on_more_real_pages() -> None:
    check(shared_texts(150))


HOSTILE = [
    "",
    " ",
    "\n",
    "\n\n\n",
    "\x00" * 50,
    "\u0301" * 50,
    "a" + "\u0301" * 50 + " b",
    "word " * 60,
    "word\n" * 60,
    "12 34 56 78 " * 10,
    "。" * 30,
    "\r\n".join(["The cat sat."] * 6),
    "\r".join(["The cat sat."] * 6),
    "\u2028".join(["The cat sat down there."] * 6),
    "🙂" * 20 + "🇩🇪🇫🇷🇬" + "👨\u200d👩\u200d👧",
    "日本語の文章です。これはテストです。" * 5,
    "ภาษาไทย" * 10,
    "\u3000".join(["漢字", "かな"] * 10),
    "\x1c\x1d\x1e\x85\x0b\x0c",
    "ﬀ ſ K İ ß",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_kernels_equal_their_twin_on_hostile_texts(text: str) -> None:
    check([text])


@given(st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_slices_and_nulls_are_the_rows_they_show(column: list[str | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(column)))
    kind = data.draw(st.sampled_from([pa.string(), pa.large_string()]))
    part = pa.array(["before", *column], kind)[1 + start :]
    got = rows(measure(part, NAMES))
    # Each row alone gives what it gives among others.
    assert got == [rows(measure(pa.array([text], pa.string()), NAMES))[0] for text in column[start:]]
    assert [set(row.values()) == {None} for row in got] == [text is None for text in column[start:]]


def test_groups_of_texts_and_large_texts_give_what_each_gives_alone() -> None:
    pages = example_texts()
    large = "\n".join(pages)  # more than a group holds
    column = [large, *pages, "", large[:70_000], *pages[:3]]
    assert rows(measure(pa.array(column), NAMES)) == [rows(measure(pa.array([page]), NAMES))[0] for page in column]


def test_what_is_asked_for_is_what_comes_back() -> None:
    column = pa.array(["one two"])
    for names in (NAMES[::-1], ["n_words__unicode"], []):
        assert list(measure(column, names)) == names
    assert {column.type for column in measure(column, NAMES).values()} == {pa.int64()}
    with pytest.raises(KeyError):
        measure(column, ["n_wrods"])


def test_only_the_passes_that_are_needed_run() -> None:
    fineweb = passes_for(SETS["fineweb"])
    assert {one.words for one in fineweb} == {None, "spacy_en"}
    assert len(passes_for(["n_lines"])) == 1
    assert len(passes_for(SETS["gopher_repetition/datatrove"])) == 5


def test_every_set_and_signal_of_the_table_is_measured_by_one_pass() -> None:
    for names in SETS.values():
        assert set(names) <= set(SIGNALS)
    columns = [column for one in passes_for(list(SIGNALS)) for column in one.columns]
    assert sorted(columns) == sorted(SIGNALS)
    for name, signal in SIGNALS.items():
        assert signal.name == name
        assert signal.help
        assert signal.source
        assert signal.words is None or signal.words in WORDS
    assert "numba" not in inspect.getsource(signals).split('"""')[2]


def test_counted_by_hand() -> None:
    text = "# The cat... and the dog\n- that is all…\n\n- that is all…"
    (row,) = rows(measure(pa.array([text]), NAMES))
    expected = {
        "n_words__spacy_en": 17,  # # The cat ... and the dog - that is all … - that is all …
        "n_words__unicode": 11,
        "n_words__whitespace": 14,
        "n_plain_words__spacy_en": 11,
        "plain_word_chars__spacy_en": 33,
        "n_alpha_words__spacy_en": 11,
        "n_stop_words__spacy_en": 3,  # and, the, that: "The" is not "the"
        "n_stop_word_uses__spacy_en": 4,
        "n_stop_word_uses_any_case__spacy_en": 5,
        "n_symbol_words__whitespace": 3,
        "twice_median_word_chars__whitespace": 6,  # 1 1 1 2 2 3 3 3 3 4 4 4 4 6
        "n_hash_signs": 1,
        "n_ellipses": 3,
        "n_symbols_dclm": 4,
        "n_lines": 4,
        "n_bullet_lines": 2,
        "n_ellipsis_lines": 2,
        "n_paragraphs": 2,
        "n_dup_paragraphs": 0,
        "n_newline_lines": 3,
        "n_dup_lines": 1,
        "dup_line_chars": 14,
        "n_filled_lines": 3,
        "n_short_lines": 3,
        "n_lines_dolma": 4,
        "n_dup_lines_dolma": 2,
        "dup_line_chars_dolma": 28,
        "n_lines_dclm": 3,
        "top2_chars__spacy_en": 2 * len("- that"),
        "top2_chars__spacy_en_first": 2 * len("-that"),
        "top2_chars__unicode_longest": 2 * len("thatis"),
        "dup5_chars__spacy_en_greedy": len("-thatisall…"),
        "dup5_chars__spacy_en_all": 2 * len("-thatisall…"),
        "dup5_chars__spacy_en_overlapping": 2 * len("-thatisall…"),
    }
    assert {name: row[name] for name in expected} == expected


def test_three_ways_to_count_what_repeats() -> None:
    words = [*"abcdef", *"abcdefx"]  # two 5-grams stand twice, one word apart
    (row,) = rows(measure(pa.array([" ".join(words)]), NAMES))
    assert row["dup5_chars__whitespace_greedy"] == 5  # one jump, over a b c d e
    assert row["dup5_chars__whitespace_all"] == 12
    assert row["dup5_chars__whitespace_overlapping"] == 20
    assert row["ngram5_chars__whitespace"] == 9 * 5


def test_joined_words_repeat_where_their_bounds_differ() -> None:
    (row,) = rows(measure(pa.array(["ab c d e f ab c d e g a bc d e f"]), NAMES))
    assert row["dup5_chars__whitespace_greedy"] == 6  # "a bc d e f" after "ab c d e f"
    assert row["dup5_chars__whitespace_all"] == 0


def test_bytes_that_are_no_utf8_are_read_within_bounds() -> None:
    for tail in (b"\xc3", b"\xe2\x80", b"\xf0\x9f\x99", b"\xff", b"\x80", b"\xf7\xbf\xbf\xbf", b"\xed\xa0\x80"):
        data = b"the word " + tail
        offsets = pa.py_buffer(np.array([0, len(data)], np.int32))
        column = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data))
        n_words = rows(measure(column, NAMES))[0]["n_words__spacy_en"]
        assert n_words is not None
        assert 3 <= n_words <= 2 + len(tail)
