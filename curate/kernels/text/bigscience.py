"""The signals of BigScience's OSCAR filter: repeated characters and words, special characters, listed words.

The twin in `bigscience_plain.py` defines each.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from curate.corpus_signals import BIGSCIENCE, BIGSCIENCE_CHARS, BIGSCIENCE_WORDS
from curate.kernels.compiled import inner, kernel
from curate.kernels.text.passes import Docs, Grams, Ints, Kernel, Pass, Room, Words, doc_of, source_digest
from curate.kernels.text.primitives import (
    BASE,
    MIX,
    ONE,
    Bytes,
    Int,
    Record,
    Records,
    decode,
    insert,
    mixed,
    power_of,
    slots_for,
)
from curate.kernels.text.redpajama_chars import (
    STATE,
    add_char,
    count_languages,
    end_marks,
    flags_at,
    listed_slot,
    start_word,
)
from curate.kernels.text.redpajama_ngrams import count_copies
from curate.kernels.text.redpajama_tables import (
    FLAGGED_WORD_LANGUAGES,
    MAX_LISTED_CHARS,
    SPACE,
    SPECIAL,
    STOP_WORD_LANGUAGES,
    word_lists,
)
from curate.kernels.text.redpajama_words import ASCII, LOWERED
from curate.signals import MAX_WORDS

WORD_ORDER, CHAR_ORDER = 5, 10
MAX_CHARS = MAX_WORDS  # above it the n-grams of characters are not counted: they share the words' table

# What `read_words` counts, in the order of BIGSCIENCE.
N_WORDS, N_SPECIAL = 0, 1
STOP_WORDS = 2
FLAGGED_WORDS = STOP_WORDS + len(STOP_WORD_LANGUAGES)
N_COUNTS = FLAGGED_WORDS + len(FLAGGED_WORD_LANGUAGES)
assert len(BIGSCIENCE) == N_COUNTS

Positions = npt.NDArray[np.int32]


@inner
def read_words(doc: Bytes, words: Records, max_words: int, listed: Records, state: Record, found: Ints) -> Int:
    """Fill found[:N_COUNTS] and the hashes of the first `max_words` words; return the number of characters."""
    found[:] = 0
    start_word(state)
    n_chars = i = np.int64(0)
    word_hash, word_chars = np.uint64(0), np.int64(0)  # up to the last character that is not special
    open_end = False  # whether the characters since then are in `state` only
    while i < doc.size:
        byte = doc[i]
        code, n_bytes, flags = np.int64(byte), np.int64(1), ASCII[byte]
        if byte >= 128:
            code, n_bytes = decode(doc, i)
            flags = flags_at(code)
        n_chars += 1
        if flags & SPECIAL:
            found[N_SPECIAL] += 1
            if open_end:
                if state.unsorted:
                    end_marks(state, doc, i)
                word_hash, word_chars = state.hash, state.n_chars
                open_end = False
            if flags & SPACE:
                if word_chars > 0:
                    count_word(word_hash, word_chars, words, max_words, listed, found)
                    word_chars = np.int64(0)
                start_word(state)
            elif state.n_chars > 0:
                add_char(state, doc, i, code, flags, False)
        else:
            if byte < 128 and not state.unsorted:
                state.rank = 0
                state.hash = state.hash * BASE + LOWERED[byte]
                state.n_chars += 1
            else:
                add_char(state, doc, i, code, flags, False)
            open_end = True
        i += n_bytes
    if open_end:
        if state.unsorted:
            end_marks(state, doc, i)
        word_hash, word_chars = state.hash, state.n_chars
    if word_chars > 0:
        count_word(word_hash, word_chars, words, max_words, listed, found)
    return n_chars


@inner
def count_word(h: Int, n_chars: Int, words: Records, max_words: int, listed: Records, found: Ints) -> None:
    """Count a word, and by language where it is listed."""
    k = found[N_WORDS]
    if k < max_words:
        words[k].hash = h
    found[N_WORDS] += 1
    if n_chars > MAX_LISTED_CHARS:
        return
    slot = listed_slot(listed, h)
    if slot >= 0:
        count_languages(np.int64(listed[slot].stop), found[STOP_WORDS:FLAGGED_WORDS])
        count_languages(np.int64(listed[slot].flagged_word), found[FLAGGED_WORDS:N_COUNTS])


@inner
def repeated_ngrams(words: Records, n_words: Int, grams: Grams) -> Int:
    """Return how many of the n-grams of WORD_ORDER words stand more than once, each copy counted."""
    n_grams = n_words - WORD_ORDER + 1
    for k in range(n_grams):
        h = np.uint64(0)
        for w in range(k, k + WORD_ORDER):
            h = h * MIX + mixed(words[w].hash)
        grams.gram[k] = h
        grams.where[k] = k
    grams.generation[0] += 1
    mask = slots_for(n_words) - 1
    count_copies(
        grams.where, n_grams, grams.gram, grams.count, grams.total, grams.table, mask, grams.generation[0]
    )  # fmt: skip
    n = 0
    for k in range(n_grams):
        n += int(grams.count[grams.total[k]] > 1)
    return n


@inner
def frequent_chars(doc: Bytes, n_chars: Int, grams: Grams) -> Int:
    """Return the copies of the most frequent n-grams of CHAR_ORDER characters: those that repeat, at most √(all)."""
    mask = slots_for(n_chars) - 1
    grams.generation[0] += 1
    generation = grams.generation[0]
    with_copies = grams.where  # [count] n-grams that stand so often, up to the highest count
    h, oldest = np.uint64(0), power_of(CHAR_ORDER)
    i = behind = n_before = n_unique = n_repeated = highest = np.int64(0)
    while i < doc.size:
        code, n_bytes = decode(doc, i)
        i += n_bytes
        h = h * BASE + np.uint64(code) + ONE
        n_before += 1
        if n_before > CHAR_ORDER:
            code, n_bytes = decode(doc, behind)
            behind += n_bytes
            h -= (np.uint64(code) + ONE) * oldest
        if n_before < CHAR_ORDER:
            continue
        slot, was_there = insert(grams.table, mask, generation, h)
        count = np.int64(1)
        if was_there:
            count = np.int64(grams.table[slot].first) + 1
            if count > highest:
                with_copies[count] = 0
                highest = count
            with_copies[count] += 1
            if count > 2:
                with_copies[count - 1] -= 1
            else:
                n_repeated += 1
        else:
            n_unique += 1
        grams.table[slot].first = count
    left = min(np.int64(math.sqrt(n_unique)), n_repeated)
    n = np.int64(0)
    while left > 0:
        taken = min(left, np.int64(with_copies[highest]))
        n += taken * highest
        left -= taken
        highest -= 1
    return n


@functools.cache
def bigscience_kernel() -> Kernel:
    """Fill the columns BIGSCIENCE, BIGSCIENCE_WORDS and BIGSCIENCE_CHARS."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, words: Records, grams: Grams, out: Ints, listed: Records, states: Records) -> None:
        if digest == 0:
            return
        state = states[0]
        for d in range(docs.valid.size):
            if not docs.valid[d]:
                continue
            doc = doc_of(docs, d)
            row = out[d]
            n_chars = read_words(doc, words, MAX_WORDS, listed, state, row[:N_COUNTS])
            n_words = row[N_WORDS]
            if n_words <= MAX_WORDS:
                row[N_COUNTS] = max(n_words - WORD_ORDER + 1, 0)
                row[N_COUNTS + 1] = repeated_ngrams(words, n_words, grams)
            if n_chars <= MAX_CHARS:
                row[N_COUNTS + 2] = max(n_chars - CHAR_ORDER + 1, 0)
                row[N_COUNTS + 3] = frequent_chars(doc, n_chars, grams)

    listed = word_lists()  # too large to be frozen into the compiled code

    def with_lists(docs: Docs, words: Words, room: Room, out: Ints) -> None:
        run(docs, words.word, room.grams, out, listed, np.zeros(1, STATE))

    return with_lists


PASSES = (Pass(None, (*BIGSCIENCE, *BIGSCIENCE_WORDS, *BIGSCIENCE_CHARS), bigscience_kernel),)
