"""Signals of n-grams: the most frequent one, and how much of the text repeats, as datatrove, DCLM and dolma count it."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.text.passes import Docs, Ints, Kernel, Pass, Room, Words, source_digest, words_of
from curate.kernels.text.primitives import MIX, Int, Records, insert, mixed, power_of, slots_for
from curate.signals import DUP, TOP, WORDS

Hashes = npt.NDArray[np.uint64]
FIRST_TOP, LAST_TOP, FIRST_DUP, LAST_DUP = TOP[0], TOP[-1], DUP[0], DUP[-1]


@njit(nogil=True)
def sum_chars(words: Records, total: Ints) -> None:
    """Fill total[k] with the characters of words[:k], for k up to the number of words."""
    total[0] = 0
    for k in range(words.size):
        total[k + 1] = total[k] + words[k].n_chars


@njit(nogil=True)
def lengthen(words: Records, order: Int, gram: Hashes) -> None:
    """Make gram[k], the hash of the n-gram of order - 1 words at k, that of `order` words; order 1 starts."""
    if order == 1:
        for k in range(words.size):
            gram[k] = mixed(words[k].hash)
    else:
        for k in range(words.size - order + 1):
            gram[k] = gram[k] * MIX + mixed(words[k + order - 1].hash)


@njit(nogil=True)
def count_ngrams(n_grams: Int, mask: Int, room: Room) -> Int:
    """Fill room.where[k] with where the n-gram at k stands first, room.count there with its count.

    Returns the highest count.
    """
    room.generation[0] += 1
    generation = room.generation[0]
    highest = np.int32(0)
    for k in range(n_grams):
        slot, was_there = insert(room.table, mask, generation, room.gram[k])
        if not was_there:
            room.table[slot].first = k
            room.count[k] = 0
        first = room.table[slot].first
        room.where[k] = first
        room.count[first] += 1
        highest = max(highest, room.count[first])
    return np.int64(highest)


@njit(nogil=True)
def most_frequent(n_grams: Int, order: Int, highest: Int, room: Room) -> tuple[Int, Int]:
    """Return (first position of the first of the most frequent n-grams, characters of the longest of them)."""
    best = longest = np.int64(-1)
    for k in range(n_grams):
        if room.where[k] == k and room.count[k] == highest:
            if best < 0:
                best = k
            longest = max(longest, room.total[k + order] - room.total[k])
    return best, longest


@njit(nogil=True)
def top_ngrams(words: Records, room: Room, out: Ints) -> None:
    """Fill out[3 i : 3 i + 3] for order i + 2: length times count of the most frequent n-gram.

    The first of the most frequent with the blanks between its words, the same without, and the longest of them, which is
    0 where none repeats. `room.total` is filled.
    """
    mask = slots_for(words.size) - 1
    lengthen(words, 1, room.gram)
    highest = np.int64(2)
    for order in range(FIRST_TOP, LAST_TOP + 1):
        at = 3 * (order - FIRST_TOP)
        n_grams = words.size - order + 1
        out[at : at + 3] = 0
        if n_grams <= 0:
            continue
        lengthen(words, order, room.gram)
        best = longest = np.int64(0)
        if highest > 1:
            highest = count_ngrams(n_grams, mask, room)
            best, longest = most_frequent(n_grams, order, highest, room)
        # Where no n-gram repeats, no longer one does: the first is the most frequent.
        n_chars = room.total[best + order] - room.total[best]
        out[at], out[at + 1] = (n_chars + order - 1) * highest, n_chars * highest
        out[at + 2] = longest * highest if highest > 1 else 0


@njit(nogil=True)
def greedy_ngrams(words: Records, room: Room, out: Ints) -> None:
    """Fill out[i] for order i + 5 with the characters in repeated n-grams, as datatrove counts.

    Greedy from the left: a repetition jumps over its n words, so no character counts twice. Words are joined with
    nothing between, so "ab c" repeats "a bc"; a longer n-gram can repeat where no shorter one does.
    """
    mask = slots_for(words.size) - 1
    for k in range(words.size):
        room.gram[k] = words[k].hash
    for order in range(2, LAST_DUP + 1):
        n_grams = words.size - order + 1
        for k in range(n_grams):
            word = words[k + order - 1]
            room.gram[k] = room.gram[k] * power_of(np.int64(word.end) - word.start) + word.hash
        if order < FIRST_DUP:
            continue
        n_chars = np.int64(0)
        room.generation[0] += 1
        k = 0
        while k < n_grams:
            _, was_there = insert(room.table, mask, room.generation[0], room.gram[k])
            if was_there:
                n_chars += room.total[k + order] - room.total[k]
                k += order
            else:
                k += 1
        out[order - FIRST_DUP] = n_chars


@njit(nogil=True)
def all_copies(n_grams: Int, order: Int, room: Room) -> tuple[Int, Int]:
    """Return the characters in n-grams that stand more than once: (each word once, overlaps counted again)."""
    once = overlapping = end = np.int64(0)
    for k in range(n_grams):
        if room.count[room.where[k]] > 1:
            once += room.total[k + order] - room.total[max(k, end)]
            overlapping += room.total[k + order] - room.total[k]
            end = k + order
    return once, overlapping


@njit(nogil=True)
def repeated_ngrams(words: Records, room: Room, out: Ints) -> None:
    """Fill out[3 i : 3 i + 3] for order i + 5: characters in n-grams that stand more than once, and in all n-grams.

    Each word once (DCLM), overlaps counted again (dolma), all n-grams, overlaps counted again (dolma's denominator).
    """
    mask = slots_for(words.size) - 1
    for order in range(1, FIRST_DUP):
        lengthen(words, order, room.gram)
    highest = np.int64(2)
    for order in range(FIRST_DUP, LAST_DUP + 1):
        at = 3 * (order - FIRST_DUP)
        n_grams = words.size - order + 1
        out[at : at + 3] = 0
        if n_grams <= 0:
            continue
        for k in range(n_grams):
            out[at + 2] += room.total[k + order] - room.total[k]
        if highest > 1:  # else no longer n-gram repeats either
            lengthen(words, order, room.gram)
            highest = count_ngrams(n_grams, mask, room)
            out[at], out[at + 1] = all_copies(n_grams, order, room)


@functools.cache
def top_kernel() -> Kernel:
    """Fill `top_ngrams`."""
    digest = source_digest()

    @njit(cache=True, nogil=True)
    def run(docs: Docs, words: Words, room: Room, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if words.measured[d]:
                own = words_of(words, d)
                sum_chars(own, room.total)
                top_ngrams(own, room, out[d])

    return run


@functools.cache
def greedy_kernel() -> Kernel:
    """Fill `greedy_ngrams`."""
    digest = source_digest()

    @njit(cache=True, nogil=True)
    def run(docs: Docs, words: Words, room: Room, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if words.measured[d]:
                own = words_of(words, d)
                sum_chars(own, room.total)
                greedy_ngrams(own, room, out[d])

    return run


@functools.cache
def repeated_kernel() -> Kernel:
    """Fill `repeated_ngrams`."""
    digest = source_digest()

    @njit(cache=True, nogil=True)
    def run(docs: Docs, words: Words, room: Room, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if words.measured[d]:
                own = words_of(words, d)
                sum_chars(own, room.total)
                repeated_ngrams(own, room, out[d])

    return run


def _tops(v: str) -> tuple[str, ...]:
    return tuple(f"top{n}_chars__{v}{end}" for n in TOP for end in ("", "_first", "_longest"))


def _repeated(v: str) -> tuple[str, ...]:
    return tuple(
        name
        for n in DUP
        for name in (f"dup{n}_chars__{v}_all", f"dup{n}_chars__{v}_overlapping", f"ngram{n}_chars__{v}")
    )


PASSES = tuple(
    made
    for v in WORDS
    for made in (
        Pass(v, _tops(v), top_kernel),
        Pass(v, tuple(f"dup{n}_chars__{v}_greedy" for n in DUP), greedy_kernel),
        Pass(v, _repeated(v), repeated_kernel),
    )
)
