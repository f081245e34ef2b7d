"""Signals of n-grams: the most frequent one, and how much of a text repeats, as datatrove, DCLM and dolma count it.

An n-gram can stand twice only where both (n - 1)-grams in it do, so each order looks at what is left of the one before.
datatrove's greedy count joins words with nothing between, where that does not hold; there a look at the first KEY_BYTES
bytes finds most places that cannot repeat.

The time grows a little faster than a long text: in pages joined to 2.5 MB and to 5 MB (2.04 times the words) the places
that are counted by order 2, 3 and 4 grow 2.16, 2.26 and 2.20 times, since more of a longer text has been said before;
and the table of a short text is in the processor's cache, of a long one in memory.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from curate.kernels.compiled import inner, kernel
from curate.kernels.text.passes import Docs, Grams, Ints, Kernel, Pass, Words, doc_of, source_digest, words_of
from curate.kernels.text.primitives import (
    AHEAD,
    BYTE,
    IS_LITTLE_ENDIAN,
    MIX,
    ONE,
    Bytes,
    Int,
    Records,
    eight_at,
    insert,
    load_eight,
    look_ahead,
    mixed,
    power_of,
    slots_for,
)
from curate.signals import DUP, TOP, WORDS

Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int32]
Seen = npt.NDArray[np.uint8]
FIRST_TOP, LAST_TOP, FIRST_DUP, LAST_DUP = TOP[0], TOP[-1], DUP[0], DUP[-1]
N_TOPS = 3 * len(TOP)
KEY_BYTES = 16
LONG = np.uint64(64)


@inner
def sum_chars(words: Records, total: Ints) -> None:
    """Fill total[k] with the characters of words[:k], for k up to the number of words."""
    total[0] = 0
    for k in range(words.size):
        total[k + 1] = total[k] + words[k].n_chars


@inner
def seen_mask(seen: Seen, n: Int) -> Int:
    """Return the mask of an emptied part of `seen` that has 4 to 8 places for each of n keys, four in a byte."""
    size = 8
    while size * 2 <= 8 * n:
        size *= 2
    seen[: size >> 2] = 0
    return size - 1


@inner
def see(seen: Seen, mask: Int, key: Int) -> Int:
    """Note a key; return its place. Keys may share one: only where there is more than one note can a key repeat."""
    place = np.int64(mixed(key)) & mask
    byte, shift = np.int64(seen[place >> 2]), (place & 3) << 1
    seen[place >> 2] = byte | 1 << shift | (byte >> shift & 1) << (shift + 1)
    return place


@inner
def seen_twice(seen: Seen, place: Int) -> Int:
    """Return 1 where a place has more than one note, else 0."""
    return np.int64(seen[place >> 2]) >> ((place & 3) << 1 | 1) & 1


@inner
def count_copies(
    at: Positions,
    n_at: Int,
    gram: Hashes,
    where: Positions,
    copies: Positions,
    table: Records,
    mask: Int,
    generation: Int,
) -> Int:
    """Count the n-grams at the positions at[:n_at], whose hashes are gram[position]; return the highest count.

    Fills where[j] with the first position of the n-gram at at[j], and copies[first position] with its count.
    """
    highest = np.int32(0)
    for j in range(n_at):
        look_ahead(table, mask, gram, at, j + AHEAD, n_at)
        k = at[j]
        slot, was_there = insert(table, mask, generation, gram[k])
        if not was_there:
            table[slot].first = k
            copies[k] = 0
        first = table[slot].first
        where[j] = first
        copies[first] += 1
        highest = max(highest, copies[first])
    return np.int64(highest)


@inner
def lengthen(
    words: Records, at: Positions, n_at: Int, gram: Hashes, where: Positions, copies: Positions, order: Int
) -> Int:
    """Keep the positions where an n-gram of one word more may repeat, gram[position] being its hash; return how many.

    `order` is the length of the n-grams counted last.
    """
    n_kept = 0
    for j in range(n_at - 1):
        k = at[j]
        if at[j + 1] == k + 1 and copies[where[j]] > 1 and copies[where[j + 1]] > 1:
            at[n_kept] = k
            gram[k] = gram[k] * MIX + mixed(words[k + order].hash)
            n_kept += 1
    return n_kept


@inner
def most_frequent(
    at: Positions, n_at: Int, where: Positions, copies: Positions, highest: Int, total: Ints, order: Int
) -> tuple[Int, Int]:
    """Return (first position of the first of the most frequent n-grams, characters of the longest of them)."""
    best = longest = np.int64(-1)
    for j in range(n_at):
        k = np.int64(at[j])
        if where[j] == k and copies[k] == highest:
            if best < 0:
                best = k
            longest = max(longest, total[k + order] - total[k])
    return best, longest


@inner
def all_copies(
    at: Positions, n_at: Int, where: Positions, copies: Positions, total: Ints, order: Int
) -> tuple[Int, Int]:
    """Return the characters in n-grams that stand more than once: (each word once, overlaps counted again)."""
    once = overlapping = end = np.int64(0)
    for j in range(n_at):
        if copies[where[j]] > 1:
            k = np.int64(at[j])
            once += total[k + order] - total[max(k, end)]
            overlapping += total[k + order] - total[k]
            end = k + order
    return once, overlapping


@inner
def find_pairs(words: Records, gram: Hashes, where: Positions, at: Positions, seen: Seen) -> Int:
    """Fill `at` with the positions of pairs of words that may repeat, and gram[position]; return how many."""
    n_pairs = words.size - 1
    mask = seen_mask(seen, max(n_pairs, 1))
    before = mixed(words[0].hash) if n_pairs > 0 else np.uint64(0)
    for k in range(n_pairs):
        after = mixed(words[k + 1].hash)
        gram[k] = before * MIX + after
        where[k] = see(seen, mask, gram[k])
        before = after
    n_at = 0
    for k in range(n_pairs):
        at[n_at] = k  # written over by the next one unless it may repeat: no branch that cannot be foreseen
        n_at += seen_twice(seen, np.int64(where[k]))
    return n_at


@inner
def count_ngrams(words: Records, grams: Grams, row: Ints) -> None:
    """Fill row[3 i : 3 i + 3] for order i + 2 up to 4, then row[9 + 3 i : …] for order i + 5 up to 10; see the columns.

    Of the most frequent n-gram length times count: the first with the blanks between its words, the same without, and
    the longest, 0 where none repeats. Then characters in n-grams that stand more than once: each word once (DCLM),
    overlaps counted again (dolma); and characters of all n-grams, overlaps counted again (dolma's denominator).
    """
    gram, total, copies, where, at, table = grams.gram, grams.total, grams.count, grams.where, grams.at, grams.table
    n = words.size
    generation = grams.generation[0]
    row[:] = 0
    sum_chars(words, total)
    n_at = find_pairs(words, gram, where, at, grams.seen)
    for order in range(FIRST_TOP, LAST_DUP + 1):
        if n < order:
            break
        generation += 1
        mask = slots_for(n_at) - 1
        highest = count_copies(at, n_at, gram, where, copies, table, mask, generation)
        if order <= LAST_TOP:
            column = 3 * (order - FIRST_TOP)
            best = longest = np.int64(0)
            if highest > 1:
                best, longest = most_frequent(at, n_at, where, copies, highest, total, order)
            n_chars = total[best + order] - total[best]  # where none repeats, the first is the most frequent
            row[column] = (n_chars + order - 1) * max(highest, 1)
            row[column + 1] = n_chars * max(highest, 1)
            row[column + 2] = longest * highest
        else:
            column = N_TOPS + 3 * (order - FIRST_DUP)
            row[column], row[column + 1] = all_copies(at, n_at, where, copies, total, order)
            for k in range(order):
                row[column + 2] += total[n - k] - total[k]
        n_at = lengthen(words, at, n_at, gram, where, copies, order)
    grams.generation[0] = generation


@inner
def key_at(doc: Bytes, start: Int, n: Int, low: Int, high: Int) -> tuple[Int, Int]:
    """Return the first KEY_BYTES bytes (two numbers) of a word of n bytes at `start` and of what follows."""
    first = eight_at(doc, start, n)
    if n < 8:
        bits = BYTE * np.uint64(n)
        return first | low << bits, low >> (LONG - bits) | high << bits
    if n == 8:
        return first, low
    second = eight_at(doc, start + 8, n - 8)
    return first, second | low << (BYTE * np.uint64(n - 8)) if n < KEY_BYTES else second


@inner
def find_repeatable(doc: Bytes, words: Records, grams: Grams) -> Int:
    """Fill grams.at with the positions where words, joined, may begin a repetition of at least 5; return how many.

    A run of KEY_BYTES bytes or more repeats only where its first KEY_BYTES bytes do. Shorter runs may repeat anywhere.
    grams.total is filled.
    """
    total, where, at, seen = grams.total, grams.where, grams.at, grams.seen
    mask = seen_mask(seen, words.size)
    low = high = np.uint64(0)
    for k in range(words.size - 1, -1, -1):
        start = np.int64(words[k].start)
        n = np.int64(words[k].end) - start
        if n < 8 and start + 8 <= doc.size and IS_LITTLE_ENDIAN:  # as key_at does, without a call
            bits = BYTE * np.uint64(n)
            high = low >> (LONG - bits) | high << bits
            low = load_eight(doc, start) & ((ONE << bits) - ONE) | low << bits
        else:
            low, high = key_at(doc, start, n, low, high)
        where[k] = see(seen, mask, mixed(high) * MIX + low)
    n_at = 0
    for k in range(words.size - FIRST_DUP + 1):
        at[n_at] = k
        n_at += seen_twice(seen, np.int64(where[k])) | int(total[k + FIRST_DUP] - total[k] < KEY_BYTES)
    return n_at


@inner
def join(words: Records, start: Int, end: Int) -> Int:
    """Return the hash of words[start:end], joined with nothing between."""
    h = np.uint64(0)
    for k in range(start, end):
        h = h * power_of(np.int64(words[k].end) - words[k].start) + words[k].hash
    return h


@inner
def jump_over_copies(
    at: Positions, kept: Positions, gram: Hashes, total: Ints, order: Int, table: Records, generation: Int
) -> Int:
    """Return the characters in n-grams that stand before, from left to right; a repetition jumps over its words."""
    n_chars = free = np.int64(0)
    mask = slots_for(kept.size) - 1
    for i in range(kept.size):
        look_ahead(table, mask, gram, kept, i + AHEAD, kept.size)
        k = np.int64(at[kept[i]])
        if k < free:
            continue
        _, was_there = insert(table, mask, generation, gram[kept[i]])
        if was_there:
            free = k + order
            n_chars += total[free] - total[k]
    return n_chars


@inner
def greedy_ngrams(doc: Bytes, words: Records, grams: Grams, row: Ints) -> None:
    """Fill row[i] for order i + 5 with the characters in repeated n-grams, as datatrove counts.

    Greedy from the left: a repetition jumps over its n words, so no character counts twice. Words are joined with
    nothing between, so "ab c" repeats "a bc"; a longer n-gram can repeat where no shorter one does.
    """
    row[:] = 0
    if words.size < FIRST_DUP:
        return
    gram, total, at, kept, where, seen = grams.gram, grams.total, grams.at, grams.count, grams.where, grams.seen
    sum_chars(words, total)
    generation = grams.generation[0]
    n_at = find_repeatable(doc, words, grams)
    for j in range(n_at):
        gram[j] = join(words, at[j], at[j] + FIRST_DUP - 1)
    for order in range(FIRST_DUP, LAST_DUP + 1):
        generation += 1
        places = seen_mask(seen, n_at)
        while n_at > 0 and np.int64(at[n_at - 1]) + order > words.size:
            n_at -= 1
        for j in range(n_at):
            word = words[at[j] + order - 1]
            gram[j] = gram[j] * power_of(np.int64(word.end) - word.start) + word.hash
            where[j] = see(seen, places, gram[j])
        n_kept = 0
        for j in range(n_at):
            kept[n_kept] = j
            n_kept += seen_twice(seen, np.int64(where[j]))
        row[order - FIRST_DUP] = jump_over_copies(at, kept[:n_kept], gram, total, order, grams.table, generation)
    grams.generation[0] = generation


@functools.cache
def counting_kernel() -> Kernel:
    """Fill `count_ngrams`."""
    digest = source_digest()

    @kernel
    def run(words: Words, grams: Grams, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(out.shape[0]):
            if words.measured[d]:
                count_ngrams(words_of(words, d), grams, out[d])

    return lambda docs, words, room, out: run(words, room.grams, out)


@functools.cache
def greedy_kernel() -> Kernel:
    """Fill `greedy_ngrams`."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, words: Words, grams: Grams, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if words.measured[d]:
                greedy_ngrams(doc_of(docs, d), words_of(words, d), grams, out[d])

    return lambda docs, words, room, out: run(docs, words, room.grams, out)


def _columns(v: str) -> tuple[str, ...]:
    tops = [f"top{n}_chars__{v}{end}" for n in TOP for end in ("", "_first", "_longest")]
    dups = [(f"dup{n}_chars__{v}_all", f"dup{n}_chars__{v}_overlapping", f"ngram{n}_chars__{v}") for n in DUP]
    return (*tops, *(name for names in dups for name in names))


PASSES = tuple(
    made
    for v in WORDS
    for made in (
        Pass(v, _columns(v), counting_kernel),
        Pass(v, tuple(f"dup{n}_chars__{v}_greedy" for n in DUP), greedy_kernel),
    )
)
