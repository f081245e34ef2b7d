"""The plain-Python twin of the BigScience kernel: it defines every signal, slowly. Tests compare the two.

Differences from BigScience's code: the text is taken as it is (there white space is made uniform, control characters,
words with `http` or `www` and, by language, long words go first); special characters are what Unicode calls
punctuation, symbols and separators, all white space and 0-9, instead of a list made by hand and all emoji; words are
compared in NFD; the lists are spaCy's stop words and the single words of LDNOOBW.
"""

from __future__ import annotations

import functools
import math
import string
import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence

from curate.kernels.text.redpajama_tables import (
    FLAGGED_WORD_LANGUAGES,
    STOP_WORD_LANGUAGES,
    flagged_words,
    stop_words,
)


def bigscience_of(text: str) -> dict[str, int]:
    """Return the signals of `corpus_signals.BIGSCIENCE`, `BIGSCIENCE_WORDS` and `BIGSCIENCE_CHARS`."""
    words = [word for chunk in text.split() if (word := _word(chunk))]
    return {
        "bigscience_words": len(words),
        "bigscience_special_chars": sum(map(is_special, text)),
        **{
            f"bigscience_stop_words__{language}": _n_listed(words, stop_words(language))
            for language in STOP_WORD_LANGUAGES
        },
        **{
            f"bigscience_flagged_words__{language}": _n_listed(words, flagged_words(language))
            for language in FLAGGED_WORD_LANGUAGES
        },
        "bigscience_5grams": len(ngrams(words, 5)),
        "bigscience_repeated_5grams": sum(n for n in Counter(ngrams(words, 5)).values() if n > 1),
        "bigscience_char_10grams": len(ngrams(text, 10)),
        "bigscience_frequent_char_10grams": _frequent(ngrams(text, 10)),
    }


def is_special(char: str) -> bool:
    """Return whether BigScience would strip a character off a word."""
    return char.isspace() or char in string.digits or unicodedata.category(char)[0] in "PSZ"


def ngrams(items: Sequence[str], n: int) -> list[Hashable]:
    """Return all runs of n words or characters."""
    return [tuple(items[k : k + n]) for k in range(len(items) - n + 1)]


def _word(chunk: str) -> str:
    """Return a chunk in lower case and NFD, without the special characters at both ends."""
    chunk = chunk.lower()
    start, end = 0, len(chunk)
    while start < end and is_special(chunk[start]):
        start += 1
    while end > start and is_special(chunk[end - 1]):
        end -= 1
    return unicodedata.normalize("NFD", chunk[start:end])


def _n_listed(words: Sequence[str], listed: tuple[str, ...]) -> int:
    return sum(word in _single_words(listed) for word in words)


@functools.cache
def _single_words(listed: tuple[str, ...]) -> frozenset[str]:
    return frozenset(unicodedata.normalize("NFD", word) for word in listed if len(word.split()) == 1)


def _frequent(grams: Sequence[Hashable]) -> int:
    """Return the copies of the most frequent n-grams: as many n-grams as repeat, but at most √(different ones)."""
    copies = sorted(Counter(grams).values(), reverse=True)
    n_repeated = sum(n > 1 for n in copies)
    return sum(copies[: min(math.isqrt(len(copies)), n_repeated)])
