"""Characters as RedPajama-v2 and BigScience see them, and the word lists of both, as arrays a kernel can look up.

A code point maps to its lower case in Unicode's form NFD, up to four code points. `generate_redpajama_tables.py`
writes the arrays; the word lists are read from `curate/assets/stop_words` and `curate/assets/ldnoobw`.
"""

from __future__ import annotations

import functools
import string
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.text.tables import HASH_BASE, HASH_MIX, mix

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PATH = ASSETS / "redpajama_tables.npz"
BLOCK = 128  # code points per block of the two-stage table

# What the 32 bits of a code point say. 0-12: which sequence it becomes, 0 for itself; 13-18: rank of its canonical
# combining class, 0 for a character that marks never move across.
SEQUENCE_BITS = (1 << 13) - 1
RANK_SHIFT, RANK_BITS = 13, 63
SPACE = 1 << 19  # str.isspace
WORD = 1 << 20  # \w of a regex: str.isalnum, and "_"
UPPER = 1 << 21  # str.isupper
LOWER = 1 << 22  # str.islower, or a title case letter: such a word is not str.isupper
NUMERIC = 1 << 23  # str.isnumeric holds for its lower case in NFD
DIGIT = 1 << 24  # str.isdigit
DECIMAL = 1 << 25  # \d of a regex
SPECIAL = 1 << 26  # BigScience: punctuation, symbols, white space, the digits 0-9
CASED = 1 << 27  # a capital sigma beside it is not the last letter of a word …
IGNORABLE = 1 << 28  # … and these are looked past to find out
DROPPED = 1 << 29  # string.punctuation, which RedPajama-v2 deletes

# The languages a word list is kept for, in the order of the lists' bits. The first five are RedPajama-v2's.
STOP_WORD_LANGUAGES = ("en", "de", "fr", "es", "it", "ar", "bn", "ca", "eu", "hi", "id", "nl", "pl", "pt", "ru", "ur")
FLAGGED_WORD_LANGUAGES = ("en", "de", "fr", "es", "it", "ar", "hi", "nl", "pl", "pt", "ru")
REDPAJAMA_LANGUAGES = STOP_WORD_LANGUAGES[:5]

MAX_LISTED_CHARS = 32  # in NFD; the longest stop word has 18 characters
HANGUL, N_HANGUL = 0xAC00, 11172  # syllables, which NFD takes apart by arithmetic


class CharacterTables(NamedTuple):
    """Code point c has flags[block_of[c // BLOCK], c % BLOCK]."""

    block_of: npt.NDArray[np.uint16]  # [0x110000 / BLOCK]
    flags: npt.NDArray[np.uint32]  # [n_blocks, BLOCK]
    codes: npt.NDArray[np.int32]  # [n_sequences, 4] code points, 0 after the last
    ranks: npt.NDArray[np.uint8]  # [n_sequences, 4]


# One slot of the table of listed words and phrases, open addressing on the hash; a bit per language.
LISTED = np.dtype(
    [
        ("key", "u8"),
        ("used", "i4"),
        ("stop", "i4"),  # in STOP_WORD_LANGUAGES
        ("flagged", "i4"),  # in FLAGGED_WORD_LANGUAGES, words and phrases that are their own normal form
        ("flagged_word", "i4"),  # …, single words however they are written
        ("n_phrase_words", "i8"),  # of the longest listed phrase that begins with this word
    ]
)


@functools.cache
def character_tables() -> CharacterTables:
    """Return the committed character tables."""
    with np.load(PATH, allow_pickle=False) as stored:
        return CharacterTables(**{name: np.ascontiguousarray(stored[name]) for name in stored.files})


def flags_of(char: str) -> int:
    """Return the class bits of one character."""
    found = character_tables()
    return int(found.flags[found.block_of[ord(char) // BLOCK], ord(char) % BLOCK])


def normalized(text: str) -> str:
    """Return a text as RedPajama-v2 compares it: no ASCII punctuation, lower case, single blanks, NFD."""
    text = text.translate(str.maketrans("", "", string.punctuation)).lower()
    return unicodedata.normalize("NFD", " ".join(text.split()))


def word_hash(word: str) -> int:
    """Return the polynomial hash of a word's code points."""
    h = 0
    for char in word:
        h = (h * HASH_BASE + ord(char) + 1) & (2**64 - 1)
    return h


def gram_hash(words: Sequence[str]) -> int:
    """Return the hash of an n-gram; of a single word it is the word's."""
    if len(words) == 1:
        return word_hash(words[0])
    h = mix(word_hash(words[0]))
    for word in words[1:]:
        h = (h * HASH_MIX + mix(word_hash(word))) & (2**64 - 1)
    return h


@functools.cache
def stop_words(language: str) -> tuple[str, ...]:
    """Return the stop words of a language, one of STOP_WORD_LANGUAGES."""
    return tuple((ASSETS / "stop_words" / f"{language}.txt").read_text(encoding="utf-8").split("\n")[:-1])


@functools.cache
def flagged_words(language: str) -> tuple[str, ...]:
    """Return the words and phrases of LDNOOBW for a language, one of FLAGGED_WORD_LANGUAGES."""
    lines = (ASSETS / "ldnoobw" / f"{language}.txt").read_text(encoding="utf-8").split("\n")
    return tuple(sorted({line.strip() for line in lines} - {""}))


@functools.cache
def word_lists() -> npt.NDArray[np.void]:
    """Return the table of all listed words, LISTED[n_slots]."""
    rows: dict[int, dict[str, int]] = {}

    def add(key: int, column: str, bit: int) -> None:
        row = rows.setdefault(key, {})
        row[column] = row.get(column, 0) | bit

    for k, language in enumerate(STOP_WORD_LANGUAGES):
        for word in stop_words(language):
            add(word_hash(unicodedata.normalize("NFD", word)), "stop", 1 << k)
    for k, language in enumerate(FLAGGED_WORD_LANGUAGES):
        for entry in flagged_words(language):
            words = entry.split()
            if entry == normalized(entry):
                add(gram_hash(words), "flagged", 1 << k)
                first = rows.setdefault(word_hash(words[0]), {})
                first["n_phrase_words"] = max(first.get("n_phrase_words", 0), len(words))
            if len(words) == 1:
                add(word_hash(unicodedata.normalize("NFD", entry)), "flagged_word", 1 << k)
    table = np.zeros(1 << (4 * len(rows) - 1).bit_length(), LISTED)
    for key, row in rows.items():
        slot = mix(key) % table.size
        while table["used"][slot]:
            slot = (slot + 1) % table.size
        table["key"][slot], table["used"][slot] = key, 1
        for column, value in row.items():
            table[column][slot] = value
    return table
