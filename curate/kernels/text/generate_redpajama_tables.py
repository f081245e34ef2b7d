"""Write the tables of `redpajama_tables.py` from Python's Unicode data, and the stop words from spaCy's lists.

Run `python -m curate.kernels.text.generate_redpajama_tables` with spaCy installed. A test does the same and compares
the result with the committed files, so a new Unicode or spaCy version cannot change the signals unseen.
"""

from __future__ import annotations

import importlib
import string
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.kernels.text import redpajama_tables as t

N_CODES = sys.maxunicode + 1


def character_bits(char: str) -> int:
    """Return the class bits of a character, without its sequence and rank."""
    normal = unicodedata.normalize("NFD", char.lower())
    n_numeric = sum(map(str.isnumeric, normal))
    if n_numeric > 1:
        raise ValueError(f"{char!r} becomes {n_numeric} numeric characters")
    # CPython keeps Unicode's two properties behind the lower case of a capital sigma to itself; this asks it.
    cased = (char + "Σ").lower().endswith("ς")
    holds = {
        t.SPACE: char.isspace(),
        t.WORD: char.isalnum() or char == "_",
        t.UPPER: char.isupper(),
        t.LOWER: char.islower() or unicodedata.category(char) == "Lt",
        t.NUMERIC: n_numeric == 1,
        t.DIGIT: char.isdigit(),
        t.DECIMAL: char.isdecimal(),
        t.SPECIAL: char.isspace() or char in string.digits or unicodedata.category(char)[0] in "PSZ",
        t.CASED: cased,
        t.IGNORABLE: not cased and ("A" + char + "Σ").lower().endswith("ς"),
        t.DROPPED: char in string.punctuation,
    }
    return sum(bit for bit, is_set in holds.items() if is_set)


def build() -> dict[str, npt.NDArray[Any]]:
    """Return the stored arrays of `CharacterTables`."""
    chars = [chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd" for code in range(N_CODES)]
    classes = sorted({unicodedata.combining(char) for char in chars})
    rank_of = {combining: rank for rank, combining in enumerate(classes)}
    if classes[0] != 0 or len(classes) > t.RANK_BITS + 1:
        raise ValueError(f"{len(classes)} combining classes do not fit")
    index_of: dict[str, int] = {"": 0}
    flags = np.zeros(N_CODES, np.uint32)
    for code, char in enumerate(chars):
        normal = unicodedata.normalize("NFD", char.lower())
        index = 0
        if normal != char and not t.HANGUL <= code < t.HANGUL + t.N_HANGUL:
            index = index_of.setdefault(normal, len(index_of))
        rank = rank_of[unicodedata.combining(char)]
        flags[code] = index | rank << t.RANK_SHIFT | character_bits(char)
        if flags[code] & t.WORD and unicodedata.combining(normal[0]):
            raise ValueError(f"{char!r} is of a word and begins with a mark")
    if len(index_of) > t.SEQUENCE_BITS:
        raise ValueError(f"{len(index_of)} sequences do not fit")
    codes = np.zeros((len(index_of), 4), np.int32)
    ranks = np.zeros((len(index_of), 4), np.uint8)
    for normal, index in index_of.items():
        codes[index, : len(normal)] = [ord(char) for char in normal]
        ranks[index, : len(normal)] = [rank_of[unicodedata.combining(char)] for char in normal]
    blocks, block_of = np.unique(flags.reshape(-1, t.BLOCK), axis=0, return_inverse=True)
    return {"block_of": block_of.reshape(-1).astype(np.uint16), "flags": blocks, "codes": codes, "ranks": ranks}


def stop_word_file(language: str) -> str:
    """Return spaCy's stop words of a language, sorted, one a line."""
    words: set[str] = importlib.import_module(f"spacy.lang.{language}.stop_words").STOP_WORDS
    return "".join(f"{word}\n" for word in sorted(words - {""}))


def main(path: Path = t.PATH, folder: Path = t.ASSETS / "stop_words") -> None:
    """Write the tables and the lists."""
    np.savez_compressed(path, allow_pickle=False, **build())
    print(f"{path}: {path.stat().st_size:,} bytes")
    folder.mkdir(exist_ok=True)
    for language in t.STOP_WORD_LANGUAGES:
        (folder / f"{language}.txt").write_text(stop_word_file(language), encoding="utf-8")


if __name__ == "__main__":
    main()
