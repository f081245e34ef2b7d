"""Signals of single words: how many, how long, with letters, stop words, symbols, and the median length."""

from __future__ import annotations

import functools

import numpy as np

from curate.kernels.compiled import inner, kernel
from curate.kernels.text.passes import Docs, Ints, Kernel, Pass, Words, doc_of, source_digest, words_of
from curate.kernels.text.primitives import Bytes, Int, Records
from curate.kernels.text.tables import STOP_WORDS
from curate.kernels.text.words import HAS_HASH_OR_ELLIPSIS, HAS_LETTER, HAS_NON_SYMBOL, STARTS_ALNUM
from curate.signals import WORDS

MAX_STOP_WORD_BYTES = 4
STOP_CODES = np.array([int.from_bytes(word.encode(), "big") for word in STOP_WORDS], np.int64)
ALL_SEEN = (1 << len(STOP_WORDS)) - 1
UPPER_A, UPPER_Z, TO_LOWER = ord("A"), ord("Z"), 32


@inner
def stop_word(doc: Bytes, start: Int, end: Int) -> tuple[Int, bool]:
    """Return (the stop word that doc[start:end] is in lower case, or -1; whether it is in lower case)."""
    code = np.int64(0)
    lower = True
    for k in range(start, end):
        byte = np.int64(doc[k])
        if UPPER_A <= byte <= UPPER_Z:
            byte += TO_LOWER
            lower = False
        code = code << 8 | byte
    for s in range(STOP_CODES.size):
        if code == STOP_CODES[s]:
            return s, lower
    return -1, lower


@inner
def count_words(doc: Bytes, words: Records, row: Ints) -> None:
    """Fill row[:11] with the counts in the order of COUNTS."""
    chars = plain = plain_chars = alpha = symbols = alnum = uses = uses_any_case = seen = 0
    for k in range(words.size):
        word = words[k]
        chars += word.n_chars
        if word.bits & HAS_NON_SYMBOL:
            plain += 1
            plain_chars += word.n_chars
        alpha += int(word.bits & HAS_LETTER != 0)
        symbols += int(word.bits & HAS_HASH_OR_ELLIPSIS != 0)
        alnum += int(word.bits & STARTS_ALNUM != 0)
        if 2 <= word.end - word.start <= MAX_STOP_WORD_BYTES:
            which, lower = stop_word(doc, np.int64(word.start), np.int64(word.end))
            if which >= 0:
                uses_any_case += 1
                if lower:
                    uses += 1
                    seen |= 1 << which
    n_seen = 0
    while seen > 0:
        n_seen += seen & 1
        seen >>= 1
    row[0], row[1], row[2], row[3] = words.size, chars, plain, plain_chars
    row[4], row[5], row[6], row[7] = alpha, words.size - alpha, alnum, symbols
    row[8], row[9], row[10] = n_seen, uses, uses_any_case


@inner
def shortest_of(words: Records, rank: Int) -> Int:
    """Return the length that `rank` words are shorter than or as long as: the rank-th shortest, from 1.

    By halving the range of lengths, so that no text makes it slow: one look at all words a bit of the answer.
    """
    low = np.int64(0)
    high = np.int64(1)
    for k in range(words.size):
        high = max(high, np.int64(words[k].n_chars))
    while low < high:
        middle = (low + high) // 2
        n = 0
        for k in range(words.size):
            n += int(words[k].n_chars <= middle)
        if n >= rank:
            high = middle
        else:
            low = middle + 1
    return low


@functools.cache
def counts_kernel() -> Kernel:
    """Fill COUNTS."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, words: Words, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if words.measured[d]:
                count_words(doc_of(docs, d), words_of(words, d), out[d])

    return lambda docs, words, room, out: run(docs, words, out)


@functools.cache
def median_kernel() -> Kernel:
    """Fill twice the median length."""
    digest = source_digest()

    @kernel
    def run(words: Words, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(out.shape[0]):
            if words.measured[d]:
                own = words_of(words, d)
                n = own.size
                out[d, 0] = 0
                if n > 0:
                    low = shortest_of(own, (n + 1) // 2)
                    out[d, 0] = low + (low if n % 2 else shortest_of(own, n // 2 + 1))

    return lambda docs, words, room, out: run(words, out)


COUNTS = (
    "n_words", "word_chars", "n_plain_words", "plain_word_chars", "n_alpha_words", "n_non_alpha_words",
    "n_alnum_words", "n_symbol_words", "n_stop_words", "n_stop_word_uses", "n_stop_word_uses_any_case",
)  # fmt: skip

PASSES = tuple(
    made
    for v in WORDS
    for made in (
        Pass(v, tuple(f"{name}__{v}" for name in COUNTS), counts_kernel),
        Pass(v, (f"twice_median_word_chars__{v}",), median_kernel),
    )
)
