"""Signals over the array of words: word counts, the most frequent n-grams, repeated n-grams."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.text.primitives import MIX, STOP_HASH, Int, Records, insert, mixed
from curate.kernels.text.words import HAS_LETTER, HAS_NON_SYMBOL

MAX_STOP_WORD_CHARS = 4

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@njit(nogil=True)
def count_words(words: Records, n: Int) -> tuple[Int, Int, Int, Int]:
    """Return (words that are not all symbols, their characters, words with a letter, distinct stop words)."""
    n_plain = plain_chars = n_alpha = 0
    seen = 0
    all_seen = (1 << STOP_HASH.size) - 1
    for k in range(n):
        word = words[k]
        if word.bits & HAS_NON_SYMBOL:
            n_plain += 1
            plain_chars += word.n_chars
        if word.bits & HAS_LETTER:
            n_alpha += 1
        if word.n_chars <= MAX_STOP_WORD_CHARS and seen != all_seen:
            for s in range(STOP_HASH.size):
                if word.hash == STOP_HASH[s]:
                    seen |= 1 << s
    n_stop_words = 0
    while seen > 0:
        n_stop_words += seen & 1
        seen >>= 1
    return n_plain, plain_chars, n_alpha, n_stop_words


@njit(nogil=True)
def sum_chars(words: Records, n: Int, total: Ints) -> None:
    """Fill total[k] with the characters of words[:k], for k up to n."""
    total[0] = 0
    for k in range(n):
        total[k + 1] = total[k] + words[k].n_chars


@njit(nogil=True)
def top_ngrams(
    words: Records, n: Int, total: Ints, gram: Hashes, table: Records, mask: Int, generation: Int, out: Ints
) -> Int:
    """Fill out[0:3] with the characters of the most frequent 2-, 3- and 4-gram times its count.

    An n-gram's length includes the n - 1 spaces between its words; it counts even where it stands only once, and of
    several equally frequent ones the first to appear counts. Returns the last generation used.
    """
    for k in range(n):
        gram[k] = mixed(words[k].hash)
    highest = np.int64(2)
    for order in range(2, 5):
        n_grams = n - order + 1
        if n_grams <= 0:
            out[order - 2] = 0
            continue
        for k in range(n_grams):
            gram[k] = gram[k] * MIX + mixed(words[k + order - 1].hash)
        if highest == 1:  # no n-gram repeats, so no longer one does: the first is the most frequent
            out[order - 2] = total[order] + order - 1
            continue
        generation += 1
        highest, best = most_frequent(gram, n_grams, table, mask, generation)
        out[order - 2] = (total[best + order] - total[best] + order - 1) * highest
    return generation


@njit(nogil=True)
def most_frequent(gram: Hashes, n_grams: Int, table: Records, mask: Int, generation: Int) -> tuple[Int, Int]:
    """Return (count, first position) of the most frequent n-gram; of ties the one that appears first."""
    highest = best = np.int64(0)
    for k in range(n_grams):
        slot, was_there = insert(table, mask, generation, gram[k])
        if not was_there:
            table[slot].first = k
        table[slot].count += 1
        count, first = np.int64(table[slot].count), np.int64(table[slot].first)
        if count > highest or (count == highest and first < best):
            highest, best = count, first
    return highest, best


@njit(nogil=True)
def repeated_ngrams(
    words: Records, n: Int, total: Ints, gram: Hashes, table: Records, mask: Int, generation: Int, out: Ints
) -> Int:
    """Fill out[0:6] with the characters in repeated 5- to 10-grams.

    Greedy from the left: a repetition jumps over its n words, so no character counts twice. Words are joined with
    nothing between, so "ab c" repeats "a bc"; a longer n-gram can repeat where no shorter one does.
    Returns the last generation used.
    """
    for k in range(n):
        gram[k] = words[k].hash
    for order in range(2, 11):
        n_grams = n - order + 1
        for k in range(n_grams):
            word = words[k + order - 1]
            gram[k] = gram[k] * word.power + word.hash
        if order < 5:
            continue
        out[order - 5] = 0
        generation += 1
        k = 0
        while k < n_grams:
            _, was_there = insert(table, mask, generation, gram[k])
            if was_there:
                out[order - 5] += total[k + order] - total[k]
                k += order
            else:
                k += 1
    return generation
