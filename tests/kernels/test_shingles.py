"""Mirrors curate/kernels/shingles.py: the compiled passes against the plain Python, and that against the field."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.shingles import (
    band_keys,
    band_keys_of,
    permutations,
    shingle_hashes,
    shingle_hashes_of,
    words_of,
)
from tests.helpers import shared_data

AWKWARD = "aZ9٣_-'ß\u00adİŉﬁΣς中文ひゲｶกำ한각\u0301\u200b\u200d\ufeff\n\u2028é🙂\U00020000\U0010ffff "
TEXTS = st.text(st.one_of(st.sampled_from(AWKWARD), st.sampled_from("a1 "), st.characters(codec="utf-8")), max_size=60)


def compiled(texts: pa.StringArray, n_words: int) -> list[list[int]]:
    found = shingle_hashes(texts, n_words)
    return [found.hashes[a:b].tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n—!? 🙂", []),
        ("The GPL, version 2.0", ["the", "gpl", "version", "0", "0"]),  # 2.0 is two numbers
        ("in 1999 or 25", ["in", "0", "or", "0"]),
        ("1a2b3", ["0a0b0"]),
        ("1\u03012", ["0"]),  # a mark does not end a run of digits
        ("mp3 4you ٣٤", ["mp0", "0you", "0"]),
        ("naïve Ångström", ["naive", "angstrom"]),
        ("nai\u0308ve", ["naive"]),
        ("co\u00adoperate", ["cooperate"]),  # a soft hyphen is no border
        ("don't_stop", ["don", "t", "stop"]),
        ("ΟΔΟΣ οδος", ["οδοσ", "οδοσ"]),
        ("한국어 text", ["한국어", "text"]),
        ("日本語はen", ["日", "本", "語", "は", "en"]),  # a character is a word where words are not spaced
        ("ข่าว", ["ข", "า", "ว"]),  # the tone mark goes, as all marks
        ("हिन्दी", ["हिनदी"]),  # the virama is a mark; the vowel signs are spacing
        ("\U00020000x", ["\U00020000", "x"]),
    ],
)
def test_words_counted_by_hand(text: str, words: list[str]) -> None:
    assert words_of(text) == words
    assert compiled(pa.array([text], pa.string()), 1) == [shingle_hashes_of(text, 1)]


@given(st.text(st.sampled_from("aBé Éñü07 .,-!\n\t(x)"), max_size=80))
def test_words_of_latin_text_are_those_of_the_published_normalisation(text: str) -> None:
    """FineWeb's order: lower case, digits to 0, punctuation to space, white space, NFD without marks."""
    published = re.sub(r"[^\w\s]|_", " ", re.sub(r"\d+", "0", text.lower()))
    decomposed = unicodedata.normalize("NFD", published)
    assert words_of(text) == "".join(c for c in decomposed if unicodedata.category(c) != "Mn").split()


@settings(max_examples=300, deadline=None)  # the first example waits for the compiler
@given(st.lists(st.none() | TEXTS, max_size=6), st.integers(1, 7), st.integers(0, 3))
def test_compiled_hashes_are_those_of_the_definition(texts: list[str | None], n_words: int, skip: int) -> None:
    array = pa.array(texts, pa.string())[skip:]
    assert compiled(array, n_words) == [shingle_hashes_of(text or "", n_words) for text in texts[skip:]]


@settings(deadline=None)
@given(TEXTS.filter(words_of), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**64 - 1))
def test_compiled_band_keys_are_those_of_the_definition(text: str, n_bands: int, rows: int, seed: int) -> None:
    drawn = permutations(n_bands * rows, seed)
    keys = band_keys(shingle_hashes(pa.array([None, text], pa.string()), 3), drawn, rows)
    assert keys[1].tolist() == band_keys_of(shingle_hashes_of(text, 3), drawn, rows)


def test_every_part_of_unicode_is_simplified_alike() -> None:
    points = [p for p in range(0, 0x110000, 17) if not 0xD800 <= p < 0xE000]
    texts = [f"a{chr(p)}b" for p in points]
    assert compiled(pa.array(texts, pa.string()), 2) == [shingle_hashes_of(text, 2) for text in texts]


def test_real_texts_are_hashed_alike() -> None:
    with gzip.open(shared_data("lid", "lid-dev.jsonl.gz"), "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines][::9]
    assert compiled(pa.array(texts, pa.string()), 5) == [shingle_hashes_of(text, 5) for text in texts]


def test_shingles_are_counted() -> None:
    texts = ["", "one", "one two three four", "one two three four five", "one two three four five six"]
    assert [len(hashes) for hashes in compiled(pa.array(texts, pa.string()), 5)] == [0, 1, 1, 1, 2]


@settings(deadline=None)
@given(st.binary(max_size=24), st.binary(max_size=24))
def test_bytes_that_are_no_utf8_do_no_harm(first: bytes, second: bytes) -> None:
    ends = pa.py_buffer(np.array([0, len(first), len(first) + len(second)], np.int32).tobytes())
    texts = pa.StringArray.from_buffers(2, ends, pa.py_buffer(first + second))
    hashes = compiled(texts, 1)
    assert hashes[1] == compiled(pa.StringArray.from_buffers(1, *_one(second)), 1)[0]  # no doc reads into the next


def _one(data: bytes) -> tuple[pa.Buffer, pa.Buffer]:
    return pa.py_buffer(np.array([0, len(data)], np.int32).tobytes()), pa.py_buffer(data)


def test_an_offset_chunk_and_large_strings_are_read() -> None:
    texts = ["skipped", "the cat sat on the mat today"]
    small, large = pa.array(texts, pa.string())[1:], pa.array(texts, pa.large_string())[1:]
    assert compiled(small, 5) == compiled(large, 5) == [shingle_hashes_of(texts[1], 5)]
    assert compiled(pa.array([], pa.string()), 5) == []


def test_hashes_stay_what_they_are() -> None:
    """Golden: a change here changes every cluster, and needs a new version of the dedup step."""
    hashes = shingle_hashes_of("The quick brown fox jumps over the lazy dog 42 times", 5)
    assert [f"{h:08x}" for h in hashes[:3]] == ["d73b2d4f", "337adc9b", "30374ef2"]
    assert [f"{k:016x}" for k in band_keys_of(hashes, permutations(16, 1), 8)] == [
        "9422778da2f301e4",
        "e76a3a9c199b450a",
    ]


def test_estimates_are_as_close_as_those_of_datasketch() -> None:
    """Rows in common / rows estimates the Jaccard index: with 112 rows, standard error at most 0.047."""
    n, rows = 400, 112
    texts, jaccards = [], []
    for shared in range(0, n, 20):
        a = [f"w{i}" for i in range(n)]
        b = a[:shared] + [f"v{shared}x{i}" for i in range(n - shared)]
        texts += [_spelled(a, shared), _spelled(b, shared)]
        jaccards.append(shared / (2 * n - shared))
    keys = band_keys(shingle_hashes(pa.array(texts, pa.string()), 1), permutations(rows, 1), 1)
    ours = (keys[::2] == keys[1::2]).mean(axis=1) - jaccards
    peers = []
    for i in range(0, len(texts), 2):
        sketches = [MinHash(num_perm=rows, seed=1) for _ in range(2)]
        for sketch, text in zip(sketches, texts[i : i + 2], strict=True):
            sketch.update_batch([word.encode() for word in text.split()])
        peers.append(sketches[0].jaccard(sketches[1]) - jaccards[i // 2])
    assert np.sqrt(np.mean(ours**2)) <= 0.047
    assert np.sqrt(np.mean(ours**2)) <= 1.5 * np.sqrt(np.mean(np.square(peers)))


def _spelled(words: list[str], salt: int) -> str:
    """Return the words with their digits and a salt as letters, since digits become 0."""
    return " ".join((word + f"y{salt}").translate(str.maketrans("0123456789", "abcdefghij")) for word in words)
