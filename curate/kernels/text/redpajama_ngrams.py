"""Repeated words and n-grams as RedPajama-v2 counts them: every copy of a repetition, each word once.

An n-gram can only repeat where both (n - 1)-grams in it repeat, so each order looks at what is left of the one before
and mostly at next to nothing. One hash table serves all orders; a generation number spares the clearing.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from curate.kernels.compiled import inner
from curate.kernels.text.passes import Grams
from curate.kernels.text.primitives import AHEAD, MIX, Int, Records, insert, look_ahead, mixed, slots_for
from curate.kernels.text.redpajama_chars import count_languages, listed_slot

MAX_ORDER = 10
ORDERS_TOP, ORDERS_DUP = (2, 3, 4), (5, 6, 7, 8, 9, 10)

# What `count_ngrams` counts, in its order.
N_UNIQUE, ENTROPY, TOP, DUP = 0, 1, 2, 5
N_NGRAM_COUNTS = DUP + len(ORDERS_DUP)

Ints = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]


def entropy_step(count: int) -> int:
    """Return c ln c - (c - 1) ln(c - 1) in billionths: what the c-th copy of a word adds to the sum of all c ln c."""
    if count < 2:
        return 0
    return round(1e9 * (math.log(count - 1) - count * math.log1p(-1 / count)))


ENTROPY_STEP = np.array([entropy_step(count) for count in range(1 << 12)], np.int64)


@inner
def step_of(count: Int) -> Int:
    """Return `entropy_step` of any count."""
    if count < ENTROPY_STEP.size:
        return ENTROPY_STEP[count]
    return np.int64(round(1e9 * (math.log(count - 1.0) - count * math.log1p(-1.0 / count))))


@inner
def micronats(n_words: Int, steps: Int) -> Int:
    """Return the entropy of the words in millionths of a nat, ln n - (sum of c ln c) / n, rounded half up."""
    return np.int64(math.floor(1e6 * (math.log(n_words) - steps / (1e9 * n_words)) + 0.5))


@inner
def count_copies(
    at: Positions, n_at: Int, gram: Hashes, copies: Positions, first: Ints, table: Records, mask: Int, generation: Int
) -> Int:
    """Count the copies of the n-grams at positions at[:n_at]; return how many different ones there are.

    Fills first[j] with the first position of the n-gram at at[j], and copies[k] for each such position k.
    """
    n_unique = 0
    for j in range(n_at):
        look_ahead(table, mask, gram, at, j + AHEAD, n_at)
        k = np.int64(at[j])
        slot, was_there = insert(table, mask, generation, gram[k])
        if not was_there:
            table[slot].first = k
            copies[k] = 0
            n_unique += 1
        f = np.int64(table[slot].first)
        copies[f] += 1
        first[j] = f
    return n_unique


@inner
def keep_repeated(at: Positions, n_at: Int, copies: Positions, first: Ints) -> Int:
    """Move the positions of repeated n-grams to the front of `at`; return their number."""
    n = 0
    for j in range(n_at):
        if copies[first[j]] > 1:
            at[n] = at[j]
            n += 1
    return n


@inner
def lengthen(words: Records, n_words: Int, at: Positions, n_at: Int, order: Int, gram: Hashes) -> Int:
    """Keep the positions whose right neighbour repeats too and add one word to their n-grams; return their number."""
    n = 0
    for j in range(n_at - 1):
        k = np.int64(at[j])
        if at[j + 1] == k + 1 and k + order <= n_words:
            gram[k] = gram[k] * MIX + mixed(words[k + order - 1].hash)
            at[n] = k
            n += 1
    return n


@inner
def top_chars(words: Records, at: Positions, n_at: Int, order: Int, copies: Positions, first: Ints) -> Int:
    """Return characters times count of the most frequent n-gram, of several the first; 0 where none repeats."""
    highest, best = np.int64(1), np.int64(-1)
    for j in range(n_at):
        count = np.int64(copies[first[j]])
        if count > highest:
            highest, best = count, np.int64(first[j])
    n_chars: Int = 0
    if best >= 0:
        for k in range(best, best + order):
            n_chars += np.int64(words[k].n_chars)
    return n_chars * highest


@inner
def covered_chars(words: Records, at: Positions, n_at: Int, order: Int) -> Int:
    """Return the characters of the words that stand in any of the n-grams, each word once."""
    zero: Int = 0
    n_chars = end = zero
    for j in range(n_at):
        k = np.int64(at[j])
        for w in range(max(k, end), k + order):
            n_chars += np.int64(words[w].n_chars)
        end = k + order
    return n_chars


@inner
def count_ngrams(words: Records, n_words: Int, grams: Grams, out: Ints) -> None:
    """Fill out[:N_NGRAM_COUNTS]."""
    out[:] = 0
    if n_words == 0:
        return
    gram, at, copies, first, table = grams.gram, grams.where, grams.count, grams.total, grams.table
    mask = slots_for(n_words) - 1
    generation = grams.generation[0] + 1
    for k in range(n_words):
        at[k] = k
        gram[k] = words[k].hash
    out[N_UNIQUE] = count_copies(at, n_words, gram, copies, first, table, mask, generation)
    steps: Int = np.int64(0)
    for k in range(n_words):
        if first[k] == k:
            for c in range(2, np.int64(copies[k]) + 1):
                steps += step_of(c)
    out[ENTROPY] = micronats(n_words, steps)
    n_at = keep_repeated(at, n_words, copies, first)
    for j in range(n_at):
        gram[at[j]] = mixed(gram[at[j]])
    for order in range(2, MAX_ORDER + 1):
        n_at = lengthen(words, n_words, at, n_at, order, gram)
        if n_at < 2:
            break
        generation += 1
        count_copies(at, n_at, gram, copies, first, table, mask, generation)
        if order < 5:
            out[TOP + order - 2] = top_chars(words, at, n_at, order, copies, first)
        n_at = keep_repeated(at, n_at, copies, first)
        if order >= 5:
            out[DUP + order - 5] = covered_chars(words, at, n_at, order)
    grams.generation[0] = generation


@inner
def count_flagged(words: Records, n_words: Int, listed: Records, counts: Ints) -> None:
    """Count the listed words and phrases by language; phrases that overlap count each."""
    counts[:] = 0
    for k in range(n_words):
        slot = listed_slot(listed, words[k].hash)
        if slot < 0:
            continue
        count_languages(np.int64(listed[slot].flagged), counts)
        longest = min(listed[slot].n_phrase_words, n_words - k)
        if longest > 1:
            h = mixed(words[k].hash)
            for w in range(k + 1, k + longest):
                h = h * MIX + mixed(words[w].hash)
                phrase = listed_slot(listed, h)
                if phrase >= 0:
                    count_languages(np.int64(listed[phrase].flagged), counts)
