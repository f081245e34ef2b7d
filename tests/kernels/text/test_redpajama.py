"""Mirrors curate/kernels/text/redpajama*: the kernel against its twin and against the published formulas."""

import math
import re
import string
import time
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus_signals import REDPAJAMA, REDPAJAMA_WORDS
from curate.kernels.text import generate_redpajama_tables, redpajama, redpajama_tables
from curate.kernels.text.measure import run_passes
from curate.kernels.text.redpajama_plain import redpajama_of
from tests.kernels.text_samples import example_texts, shared_texts

# Pieces that touch every rule: cases, marks in and out of order, sigmas, punctuation inside words, lists, line ends.
PIECES = [
    "the", "The", "THE", "a", "don't", "word", "über", "Über", "U\u0308ber", "İ", "ı", "ſ", "ẞ", "ǅ", "Ⓐ",
    "한국", "각", "K", "ΣΑΣ", "ὈΔΥΣΣΕΎΣ", "Σ", "ΑΣ'", "Α.Σ", "日本", "参", "½", "²", "٣", "5km", "2019", "_",
    "__init__", "snake_case", "lorem", "ipsum", "lorem ipsum", "Lorem, Ipsum!", "xlo-rem ip_sumx",
    "lorem\u0301 ipsum", "JavaScript", "java-script", "shit", "anal", "two girls one cup", "puta", "mâts",
    "c'est", "dass", "daß", "{", "}", "#", ".", "...", "....", "…", "!", "?", "”", "•", "–", "-", "‣ x",
    "e\u0301\u0327", "e\u0327\u0301", "e\u0323-\u0307\u0301a", "\u0344", "\u0f73\u0f72\u0f71", "\u0301",
    "q\u0307\u0323", "\u037e", "≠", "\u2000", " ", " ", "\n", "\n\n", "\r\n", "\x0b", "\x1c", "\x85",
    "\u2028", "\xa0", "\t", "\x00", "🙂", "one two three four five six seven eight nine ten eleven. ",
    "SHOUT AT THEM\n",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join),
    st.lists(st.sampled_from(["a", "b", "c", "\n", "."]), max_size=60).map(" ".join),  # n-grams that repeat
    st.text(st.sampled_from("e\u0301\u0327\u0323\u0345\u0f73\u0f71\u05b0\u3099Σaσ. '"), max_size=30),
    st.text(max_size=60),
)


def measured(texts: list[str | None]) -> list[dict[str, int | None]]:
    columns = run_passes(pa.array(texts, pa.string()), redpajama.PASSES)
    rows: list[dict[str, int | None]] = pa.RecordBatch.from_pydict(columns).to_pylist()
    return rows


@settings(max_examples=400, deadline=None)
@given(texts)
def test_kernel_equals_its_twin(text: str) -> None:
    assert measured([text]) == [redpajama_of(text)]


def test_kernel_equals_its_twin_on_real_pages() -> None:
    texts = example_texts()
    assert measured(list(texts)) == list(map(redpajama_of, texts))


def test_kernel_equals_its_twin_on_pages_in_many_languages() -> None:
    texts = shared_texts(60)
    assert measured(list(texts)) == list(map(redpajama_of, texts))


# The published formulas, written down again from their description: fractions and floats, no integers of ours.
def published(text: str) -> dict[str, float | None]:
    plain = "".join(char for char in text if char not in string.punctuation).lower().strip()
    plain = unicodedata.normalize("NFD", re.sub(r"\s+", " ", plain))
    words, raw = plain.split(), re.findall(r"\w+|[^\w\s]+", text)
    n, total = len(words), sum(len(word) for word in words)
    values: dict[str, float | None] = {
        "mean_word_length": total / n if n else None,
        "frac_unique_words": len(set(words)) / n if n else None,
        "unigram_entropy": -sum(c / n * math.log(c / n) for c in Counter(words).values()) if n else None,
        "symbol_to_word_ratio": sum(map(text.count, ("#", "...", "…"))) / len(raw) if raw else None,
        "frac_no_alph_words": sum(not set(word) & set(string.ascii_letters) for word in raw) / len(raw)
        if raw
        else None,
        "frac_all_caps_words": len([word for word in raw if word.isupper()]) / len(raw) if raw else None,
        "lorem_ipsum": plain.count("lorem ipsum") / len(plain) if plain else None,
        "curly_bracket": (text.count("{") + text.count("}")) / len(text) if text else None,
    }
    for order in range(2, 11):
        grams = list(zip(*(words[k:] for k in range(order)), strict=False))
        count = Counter(grams)
        if order < 5:
            gram, copies = max(count.items(), key=lambda pair: pair[1], default=((), 0))
            value = sum(map(len, gram)) * copies / total if copies > 1 and total else 0.0
            values[f"frac_chars_top_{order}gram"] = value
        else:
            marked = np.zeros(n, dtype=bool)
            for start, gram in enumerate(grams):
                marked[start : start + order] |= count[gram] > 1
            lengths = np.array([len(word) for word in words])
            values[f"frac_chars_dupe_{order}grams"] = float((lengths * marked).sum() / total) if total else 0.0
    return values


# The published name -> our numerator, denominator, unit.
FRACTIONS: dict[str, tuple[str, str | None, float]] = {
    "mean_word_length": ("rps_doc_word_chars", "rps_doc_word_count", 1),
    "frac_unique_words": ("rps_doc_unique_words", "rps_doc_word_count", 1),
    "unigram_entropy": ("rps_doc_unigram_entropy_micronats", None, 1e-6),
    "symbol_to_word_ratio": ("rps_doc_symbols", "rps_doc_raw_words", 1),
    "frac_no_alph_words": ("rps_doc_no_alph_words", "rps_doc_raw_words", 1),
    "frac_all_caps_words": ("rps_doc_all_caps_words", "rps_doc_raw_words", 1),
    "lorem_ipsum": ("rps_doc_lorem_ipsum", "rps_doc_normalized_chars", 1),
    **{f"frac_chars_top_{n}gram": (f"rps_doc_chars_top_{n}gram", "rps_doc_word_chars", 1) for n in (2, 3, 4)},
    **{f"frac_chars_dupe_{n}grams": (f"rps_doc_chars_dupe_{n}grams", "rps_doc_word_chars", 1) for n in range(5, 11)},
}


def check_published(text: str) -> None:
    (row,) = measured([text])
    for name, expected in published(text).items():
        if name not in FRACTIONS or expected is None:
            continue
        above, below, unit = FRACTIONS[name]
        value, divisor = row[above], row[below] if below else 1
        assert value is not None
        assert divisor is not None
        got = value * unit / divisor if divisor else 0.0
        assert got == pytest.approx(expected, abs=2e-6 if unit != 1 else 1e-12), name


@settings(max_examples=150, deadline=None)
@given(texts)
def test_fractions_are_the_published_ones(text: str) -> None:
    check_published(text)


def test_fractions_are_the_published_ones_on_real_pages() -> None:
    for text in example_texts():
        check_published(text)


def test_counted_by_hand() -> None:
    (row,) = measured(["The CAT's hat, the cat's hat!\n• A {JavaScript} 12 ...\n"])
    assert row["rps_doc_word_count"] == 10  # the cats hat the cats hat • a javascript 12
    assert row["rps_doc_unique_words"] == 7
    assert row["rps_doc_chars_top_2gram"] == 2 * len("thecats")  # of two as frequent the first
    assert row["rps_doc_chars_top_4gram"] == 0
    assert row["rps_doc_raw_words"] == 19  # The CAT ' s hat , the cat ' s hat ! • A { JavaScript } 12 ...
    assert row["rps_doc_no_alph_words"] == 9
    assert row["rps_doc_all_caps_words"] == 2  # CAT A
    assert row["rps_doc_symbols"] == 1
    assert row["rps_doc_num_sentences"] == 2
    assert row["rps_lines"] == 2
    assert row["rps_lines_start_with_bulletpoint"] == 1
    assert row["rps_lines_ending_with_terminal_punctution_mark"] == 2
    assert measured(["the the_ _the The t.he"])[0]["rps_doc_stop_words__en"] == 2  # the, he


def test_nulls_slices_and_no_docs() -> None:
    assert measured([]) == []
    rows = measured([None, "", "two words"])
    assert set(rows[0].values()) == {None}
    assert set(rows[1].values()) == {0}
    column = pa.array(["before", "two words", None], pa.large_string())[1:]
    got = pa.RecordBatch.from_pydict(run_passes(column, redpajama.PASSES)).to_pylist()
    assert got == [rows[2], rows[0]]


def test_too_many_words_leave_the_counts_of_a_single_walk() -> None:
    text = "a " * ((1 << 20) + 1)
    (row,) = measured([text])
    assert {row[name] for name in REDPAJAMA_WORDS} == {None}
    assert row["rps_doc_word_count"] == (1 << 20) + 1
    assert None not in {row[name] for name in REDPAJAMA}


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a ",
        "a-",
        ".",
        "\u0301",
        "\u0301\u0327",
        "e\u0301\u0327 ",
        "Σ",
        "Σ'",
        "日",
        "\n",
        "{\n",
        "ǖ",
        "lorem ",
        "\x00",
    ],
)
def test_time_grows_with_the_text_not_faster(unit: str) -> None:
    def seconds(n: int) -> float:
        column = pa.array([unit * n])
        best = 1e9
        for _ in range(2):
            start = time.process_time()
            run_passes(column, redpajama.PASSES)
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
        (row,) = pa.RecordBatch.from_pydict(run_passes(column, redpajama.PASSES)).to_pylist()
        assert row["rps_doc_word_count"] == 3


@pytest.mark.slow
def test_the_committed_tables_are_what_the_generator_writes(tmp_path: Path) -> None:
    generate_redpajama_tables.main(tmp_path / "tables.npz", tmp_path / "stop_words")
    with np.load(tmp_path / "tables.npz") as new, np.load(redpajama_tables.PATH) as old:
        assert set(new.files) == set(old.files)
        assert all(np.array_equal(new[name], old[name]) for name in new.files)
    for path in sorted((tmp_path / "stop_words").iterdir()):
        assert path.read_bytes() == (redpajama_tables.ASSETS / "stop_words" / path.name).read_bytes()
