"""The smallest compiled parts: decoding UTF-8, character classes, rolling hashes, a hash table that is never cleared.

None of these is cached on disk by itself: only the kernels of passes are (`passes.py`).
Numba turns uint64 with int64 into float64, so every hash constant is a typed np.uint64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.text.tables import HASH_BASE, HASH_MIX, SPACE, tables

# Numba freezes global arrays into the code it compiles, which spares every call their dozens of arguments.
BLOCK_OF, FLAGS, KEY, KIND, PIECES, PATTERNS, STOP_HASH, POWERS = tables()

BASE = np.uint64(HASH_BASE)
MIX = np.uint64(HASH_MIX)
ONE = np.uint64(1)
HALF = np.uint64(32)
REPLACEMENT = 0xFFFD

# Numba infers the types inside a kernel; these names are for the reader, since NumPy's stubs know no record fields.
Int = Any  # int64, or uint64 for a hash
Bytes = npt.NDArray[np.uint8]
Records = Any  # a structured array
Record = Any  # one element of it

# One slot of a hash table. A slot of another generation is empty: nothing is cleared until generations run out.
SLOT = np.dtype([("key", "u8"), ("generation", "i4"), ("first", "i4")])
MAX_GENERATION = 1 << 30


@njit(nogil=True)
def decode(doc: Bytes, i: Int) -> tuple[Int, Int]:
    """Return (code point, bytes) of the character at byte i; a character cut off by the end is U+FFFD."""
    lead = np.int64(doc[i])
    if lead < 0x80:
        return lead, 1
    n = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if i + n > doc.size:
        return REPLACEMENT, 1
    second = np.int64(doc[i + 1]) & 0x3F
    if n == 2:
        return (lead & 0x1F) << 6 | second, 2
    third = np.int64(doc[i + 2]) & 0x3F
    if n == 3:
        return (lead & 0x0F) << 12 | second << 6 | third, 3
    code = (lead & 0x07) << 18 | second << 12 | third << 6 | (np.int64(doc[i + 3]) & 0x3F)
    return (code, 4) if code < 0x110000 else (REPLACEMENT, 4)


@njit(nogil=True)
def class_of(code: Int) -> Int:
    """Return the class bits of a code point."""
    return np.int64(FLAGS[BLOCK_OF[code >> 7], code & 127])


@njit(nogil=True)
def mixed(h: Int) -> Int:
    """Return a hash spread over all its bits; the twin is `tables.mix`."""
    h ^= h >> HALF
    h = h * MIX
    return h ^ (h >> HALF)


@njit(nogil=True)
def power_of(n: Int) -> Int:
    """Return BASE ** n modulo 2 ** 64."""
    if n < POWERS.size:
        return POWERS[n]
    result = ONE
    square = BASE
    while n > 0:
        if n & 1:
            result = result * square
        square = square * square
        n >>= 1
    return result


@njit(nogil=True)
def find_exception(h: Int) -> Int:
    """Return the slot of the exception with this hash, -1 where there is none."""
    mask = np.int64(KEY.size - 1)
    slot = np.int64(mixed(h)) & mask
    while KIND[slot] != 0:
        if KEY[slot] == h:
            return slot
        slot = (slot + 1) & mask
    return -1


@njit(nogil=True)
def slots_for(n: Int) -> Int:
    """Return the power of two that keeps a table of n keys at most half full."""
    size = 64
    while size < 2 * n:
        size *= 2
    return size


@njit(nogil=True)
def insert(table: Records, mask: Int, generation: Int, key: Int) -> tuple[Int, bool]:
    """Return (slot, whether the key was there before); the first `mask + 1` slots are used."""
    slot = np.int64(mixed(key)) & mask
    while table[slot].generation == generation:
        if table[slot].key == key:
            return slot, True
        slot = (slot + 1) & mask
    table[slot].generation = generation
    table[slot].key = key
    return slot, False


@njit(nogil=True)
def strip(doc: Bytes, start: Int, end: Int) -> tuple[Int, Int]:
    """Return the bounds of doc[start:end] without white space at both ends."""
    while start < end:
        code, n = decode(doc, start)
        if class_of(code) & SPACE == 0:
            break
        start += n
    while end > start:
        k = end - 1
        while k > start and doc[k] & 0xC0 == 0x80:
            k -= 1
        code, n = decode(doc, k)
        if class_of(code) & SPACE == 0:
            break
        end = k
    return start, end


@njit(nogil=True)
def is_at(doc: Bytes, k: Int, end: Int, code: Int) -> bool:
    """Return whether the three-byte character `code` stands at byte k, before `end`."""
    if k < 0 or k + 3 > end or doc[k] & 0xF0 != 0xE0:
        return False
    found, _ = decode(doc, k)
    return bool(found == code)
