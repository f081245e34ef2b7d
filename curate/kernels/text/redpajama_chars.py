"""The lower case of UTF-8 text in Unicode's form NFD, hashed character by character without writing it down.

NFD sorts the marks behind a letter by combining class. A word keeps its hash as if they were sorted: only where they
are not does `end_marks` read them again, so that any run of marks costs a time that grows with its length.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from curate.kernels.compiled import inner
from curate.kernels.text.primitives import BASE, ONE, Bytes, Int, Record, Records, decode, mixed, power_of
from curate.kernels.text.redpajama_tables import (
    CASED,
    DROPPED,
    HANGUL,
    IGNORABLE,
    N_HANGUL,
    RANK_BITS,
    RANK_SHIFT,
    SEQUENCE_BITS,
    character_tables,
)

# Numba freezes global arrays into the code it compiles, which spares every call their dozens of arguments.
BLOCK_OF, FLAGS, CODES, RANKS = character_tables()
# Typed, since Numba compiles a function again for each literal it is called with.
CAPITAL_SIGMA, FINAL_SIGMA, NO_RANK = np.int64(ord("Σ")), np.int64(ord("ς")), np.int64(0)

# A word in the making: the hash and the number of its characters so far, and the run of marks it ends in.
STATE = np.dtype(
    [
        ("hash", "u8"),
        ("n_chars", "i8"),
        ("rank", "i8"),  # of the last mark; 0 where the last character is none
        ("unsorted", "i8"),  # whether the run's marks are out of order
        ("before", "u8"),  # hash in front of the run
        ("run_at", "i8"),  # byte of the character that the run begins in
    ]
)

Ints = npt.NDArray[np.int64]


@inner
def flags_at(code: Int) -> Int:
    """Return the class bits of a code point."""
    return np.int64(FLAGS[BLOCK_OF[code >> 7], code & 127])


@inner
def start_word(state: Record) -> None:
    """Begin a word."""
    state.hash = np.uint64(0)
    state.n_chars = 0
    state.rank = 0
    state.unsorted = 0


@functools.partial(inner, allocates=True)
def end_marks(state: Record, doc: Bytes, end: Int) -> None:
    """Put the hash right where the run of marks before byte `end` is out of order: class by class, as in NFD."""
    hashes = np.zeros(RANK_BITS + 1, np.uint64)
    counts = np.zeros(RANK_BITS + 1, np.int64)
    i = state.run_at
    while i < end:
        code, n_bytes = decode(doc, i)
        i += n_bytes
        flags = flags_at(code)
        index = flags & SEQUENCE_BITS
        for k in range(CODES.shape[1]):
            rank = np.int64(RANKS[index, k]) if index else (flags >> RANK_SHIFT) & RANK_BITS
            mark = np.int64(CODES[index, k]) if index else code
            if rank > 0:
                hashes[rank] = hashes[rank] * BASE + np.uint64(mark) + ONE
                counts[rank] += 1
            if index == 0:
                break
    h = state.before
    for rank in range(1, RANK_BITS + 1):
        if counts[rank] > 0:
            h = h * power_of(counts[rank]) + hashes[rank]
    state.hash = h
    state.unsorted = 0
    state.rank = 0


@inner
def add_code(state: Record, doc: Bytes, code: Int, rank: Int, i: Int) -> None:
    """Append a code point of the normal form, which comes from the character at byte i."""
    if rank == 0:
        if state.unsorted:
            end_marks(state, doc, i)
        state.rank = 0
    elif state.rank == 0:
        state.before = state.hash
        state.run_at = i
        state.rank = rank
    elif rank < state.rank:
        state.unsorted = 1
    else:
        state.rank = rank
    state.hash = state.hash * BASE + np.uint64(code) + ONE
    state.n_chars += 1


@inner
def is_final_sigma(doc: Bytes, i: Int, dropping: bool) -> bool:
    """Return whether str.lower makes `ς` of the capital sigma at byte i: a cased letter before it and none behind."""
    k = i
    before = 0
    while k > 0:
        k -= 1
        while k > 0 and doc[k] & 0xC0 == 0x80:
            k -= 1
        code, _ = decode(doc, k)
        before = flags_at(code)
        if not (before & IGNORABLE or (dropping and before & DROPPED)):
            break
    if not before & CASED:
        return False
    k = i + 2
    while k < doc.size:
        code, n_bytes = decode(doc, k)
        flags = flags_at(code)
        if not (flags & IGNORABLE or (dropping and flags & DROPPED)):
            return not flags & CASED
        k += n_bytes
    return True


@inner
def add_char(state: Record, doc: Bytes, i: Int, code: Int, flags: Int, dropping: bool) -> None:
    """Append the character at byte i in lower case and NFD; if `dropping`, ASCII punctuation is no character."""
    index = flags & SEQUENCE_BITS
    if index == 0:
        if HANGUL <= code < HANGUL + N_HANGUL:
            syllable = code - HANGUL
            add_code(state, doc, 0x1100 + syllable // 588, NO_RANK, i)
            add_code(state, doc, 0x1161 + syllable % 588 // 28, NO_RANK, i)
            if syllable % 28:
                add_code(state, doc, 0x11A7 + syllable % 28, NO_RANK, i)
        else:
            add_code(state, doc, code, (flags >> RANK_SHIFT) & RANK_BITS, i)
        return
    if code == CAPITAL_SIGMA and is_final_sigma(doc, i, dropping):
        add_code(state, doc, FINAL_SIGMA, NO_RANK, i)
        return
    for k in range(CODES.shape[1]):
        if CODES[index, k] == 0:
            break
        add_code(state, doc, np.int64(CODES[index, k]), np.int64(RANKS[index, k]), i)


@inner
def end_word(state: Record, doc: Bytes, end: Int) -> Int:
    """Return the hash of the word that ends before byte `end`."""
    if state.unsorted:
        end_marks(state, doc, end)
    return state.hash


@inner
def listed_slot(listed: Records, h: Int) -> Int:
    """Return the slot of a listed word or phrase, -1 where the hash is of none."""
    mask = listed.size - 1
    slot = np.int64(mixed(h)) & mask
    while listed[slot].used:
        if listed[slot].key == h:
            return slot
        slot = (slot + 1) & mask
    return -1


@inner
def count_languages(bits: Int, counts: Ints) -> None:
    """Add 1 to counts[k] for each bit k that is set, as far as there are counts."""
    k = 0
    while bits > 0 and k < counts.size:
        counts[k] += bits & 1
        bits >>= 1
        k += 1
