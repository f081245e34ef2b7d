"""The smallest compiled parts: decoding UTF-8, character classes, rolling hashes, a hash table that is never cleared.

None of these is cached on disk by itself: only the kernels of passes are (`passes.py`).
Numba turns uint64 with int64 into float64, so every hash constant is a typed np.uint64.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from curate.kernels.compiled import inner
from curate.kernels.text.tables import HASH_BASE, HASH_MIX, SPACE, tables

# Numba freezes global arrays into the code it compiles, which spares every call their dozens of arguments.
BLOCK_OF, FLAGS, KEY, KIND, PIECES, PATTERNS, STOP_HASH, POWERS = tables()
FLAT_FLAGS = FLAGS.reshape(-1)  # begins with those of ASCII

BASE = np.uint64(HASH_BASE)
MIX = np.uint64(HASH_MIX)
ONE = np.uint64(1)
HALF = np.uint64(32)
BYTE = np.uint64(8)
EIGHT_ONES, EIGHT_TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
IS_LITTLE_ENDIAN = sys.byteorder == "little"
REPLACEMENT = 0xFFFD

# Numba infers the types inside a kernel; these names are for the reader, since NumPy's stubs know no record fields.
Int = Any  # int64, or uint64 for a hash
Bytes = npt.NDArray[np.uint8]
Ints = Any  # an array of whole numbers
Records = Any  # a structured array
Record = Any  # one element of it

# One slot of a hash table. A slot of another generation is empty: nothing is cleared until generations run out.
SLOT = np.dtype([("key", "u8"), ("generation", "i4"), ("first", "i4")])
MAX_GENERATION = 1 << 30
AHEAD = 12  # keys: they take about as long as the memory of a table that is in no cache


@inner
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


@intrinsic
def _load_eight(_context: Any, doc: Any, at: Any) -> Any:
    """Return doc[at:at + 8] as one number, the first byte lowest on most machines; the caller stays within the text."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, at = args
        base = context.make_array(signature.args[0])(context, builder, array).data
        place = builder.bitcast(builder.gep(base, [at]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(doc, types.int64), emit


load_eight: Any = _load_eight


@intrinsic
def _prefetch(_context: Any, array: Any, at: Any) -> Any:
    """Have the processor bring array[at] near, to be changed soon; nothing else happens, wherever that is."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(base, [args[1]]), ir.IntType(8).as_pointer())
        hints = [ir.IntType(32)(hint) for hint in (1, 3, 1)]  # for writing, to stay, data
        kind = ir.FunctionType(ir.VoidType(), [place.type, *(hint.type for hint in hints)])
        name = builder.module.declare_intrinsic("llvm.prefetch.p0", (), kind)
        builder.call(name, [place, *hints])
        return context.get_dummy_value()

    return types.void(array, types.int64), emit


prefetch: Any = _prefetch


@inner
def class_of(code: Int) -> Int:
    """Return the class bits of a code point."""
    return np.int64(FLAT_FLAGS[np.int64(BLOCK_OF[code >> 7]) << 7 | code & 127])


@inner
def class_at(doc: Bytes, i: Int) -> tuple[Int, Int]:
    """Return (class bits, bytes) of the character at byte i."""
    if doc[i] < 0x80:
        return np.int64(FLAT_FLAGS[doc[i]]), 1
    code, n_bytes = decode(doc, i)
    return class_of(code), n_bytes


@inner
def mixed(h: Int) -> Int:
    """Return a hash spread over all its bits; the twin is `tables.mix`."""
    h ^= h >> HALF
    h = h * MIX
    return h ^ (h >> HALF)


@inner
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


@inner
def hash_on(h: Int, doc: Bytes, start: Int, end: Int) -> Int:
    """Return the hash of some bytes, given that of those before doc[start:end], which are the last."""
    for k in range(start, end):
        h = h * BASE + np.uint64(doc[k]) + ONE
    return h


@inner
def find_exception(h: Int) -> Int:
    """Return the slot of the exception with this hash, -1 where there is none."""
    mask = np.int64(KEY.size - 1)
    slot = np.int64(mixed(h)) & mask
    while KIND[slot] != 0:
        if KEY[slot] == h:
            return slot
        slot = (slot + 1) & mask
    return -1


@inner
def eight_at(doc: Bytes, start: Int, n: Int) -> Int:
    """Return up to eight bytes doc[start:start + n] as a number, the first byte lowest."""
    if start + 8 <= doc.size and IS_LITTLE_ENDIAN:
        value = load_eight(doc, start)
        return value if n >= 8 else value & ((ONE << (BYTE * np.uint64(n))) - ONE)
    value = np.uint64(0)
    for k in range(min(n, 8)):
        value |= np.uint64(doc[start + k]) << (BYTE * np.uint64(k))
    return value


@inner
def hash_piece(doc: Bytes, start: Int, end: Int) -> Int:
    """Return a hash of doc[start:end], eight bytes at a time; it tells pieces apart, but hashes do not join."""
    h = np.uint64(end - start) * BASE
    while start < end:
        h = (h ^ eight_at(doc, start, end - start)) * MIX
        h ^= h >> HALF
        start += 8
    return h


@inner
def find_byte(doc: Bytes, i: Int, end: Int, byte: Int) -> Int:
    """Return where `byte` stands in doc[i:end], `end` where it does not."""
    if IS_LITTLE_ENDIAN:
        pattern = EIGHT_ONES * np.uint64(byte)
        while i + 8 <= end:
            differs = load_eight(doc, i) ^ pattern
            if (differs - EIGHT_ONES) & ~differs & EIGHT_TOPS:  # a zero byte: one of the eight is it
                break
            i += 8
    while i < end and doc[i] != byte:
        i += 1
    return i


@inner
def chars_in(doc: Bytes, start: Int, end: Int) -> Int:
    """Return the number of characters of doc[start:end]: bytes that do not continue one."""
    n = 0
    for k in range(start, end):
        n += int(doc[k] & 0xC0 != 0x80)
    return n


@inner
def slots_for(n: Int) -> Int:
    """Return the power of two that keeps a table of n keys at most half full."""
    size = 64
    while size < 2 * n:
        size *= 2
    return size


@inner
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


@inner
def look_ahead(table: Records, mask: Int, keys: Ints, at: Ints, j: Int, n_at: Int) -> None:
    """Have the slot of the key that is to be inserted AHEAD keys later, keys[at[j]], brought near."""
    if j < n_at:
        prefetch(table, np.int64(mixed(keys[at[j]])) & mask)


@inner
def strip(doc: Bytes, start: Int, end: Int) -> tuple[Int, Int]:
    """Return the bounds of doc[start:end] without white space at both ends."""
    while start < end:
        flags, n = class_at(doc, start)
        if flags & SPACE == 0:
            break
        start += n
    while end > start:
        k = end - 1
        while k > start and doc[k] & 0xC0 == 0x80:
            k -= 1
        flags, n = class_at(doc, k)
        if flags & SPACE == 0:
            break
        end = k
    return start, end


@inner
def is_at(doc: Bytes, k: Int, end: Int, code: Int) -> bool:
    """Return whether the three-byte character `code` stands at byte k, before `end`."""
    if k < 0 or k + 3 > end or doc[k] & 0xF0 != 0xE0:
        return False
    found, _ = decode(doc, k)
    return bool(found == code)
