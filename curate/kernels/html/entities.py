"""Character references: numeric ones read in place, named ones decoded where text is kept. Linear in the text.

As in the HTML standard, section "Character reference state": the longest known name wins, some names need no
semicolon, numbers 0x80 to 0x9F mean windows-1252, and what is no character becomes U+FFFD. An unknown name stays as
it is.
"""

from __future__ import annotations

import functools
import html.entities
from collections.abc import Callable

import numpy as np

from curate.kernels.html.find import byte_at
from curate.kernels.html.state import I32, U8, U64, Int, cached, compiled, source_digest
from curate.kernels.html.tags import HASH_BASE, hash_of

AMPERSAND, HASH, SEMICOLON = ord("&"), ord("#"), ord(";")
REPLACEMENT = 0xFFFD
_TOO_LARGE = 0x110000
NOT_A_NUMBER = -1

WINDOWS_1252 = np.arange(0x80, 0xA0, dtype=np.int64)  # the five bytes it leaves open stay controls
for _byte in range(0x80, 0xA0):
    WINDOWS_1252[_byte - 0x80] = ord(bytes([_byte]).decode("windows-1252", "replace"))
WINDOWS_1252[WINDOWS_1252 == REPLACEMENT] = 0x81  # a control, like the five


@compiled
def digit_value(byte: Int, base: Int) -> Int:
    """Return the value of a decimal or hexadecimal digit, -1 for any other byte."""
    if 48 <= byte <= 57:
        return np.int64(byte) - 48
    lower = np.int64(byte) | 0x20
    return lower - 87 if base == 16 and 97 <= lower <= 102 else -1


@compiled
def read_number(text: U8, i: Int) -> tuple[Int, Int]:
    """Return (code point, end) of the numeric reference whose `&#` stands at byte i, or (NOT_A_NUMBER, i)."""
    j = i + 2
    base = 10
    if j < text.size and (text[j] | 0x20) == 120:  # x
        base = 16
        j += 1
    first = j
    code = 0
    while j < text.size:
        digit = digit_value(text[j], base)
        if digit < 0:
            break
        code = min(code * base + digit, _TOO_LARGE)
        j += 1
    if j == first:
        return NOT_A_NUMBER, i
    if j < text.size and text[j] == SEMICOLON:
        j += 1
    if 0x80 <= code < 0xA0:
        code = WINDOWS_1252[code - 0x80]
    elif code == 0 or code >= _TOO_LARGE or 0xD800 <= code < 0xE000:
        code = REPLACEMENT
    return code, j


@compiled
def write_char(out: U8, at: Int, code: Int) -> Int:
    """Write a code point as UTF-8 to out[at:]; return where it ends."""
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at] = 0xC0 | code >> 6
        out[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        out[at] = 0xE0 | code >> 12
        out[at + 1] = 0x80 | code >> 6 & 0x3F
        out[at + 2] = 0x80 | code & 0x3F
        return at + 3
    out[at] = 0xF0 | code >> 18
    out[at + 1] = 0x80 | code >> 12 & 0x3F
    out[at + 2] = 0x80 | code >> 6 & 0x3F
    out[at + 3] = 0x80 | code & 0x3F
    return at + 4


# ---- named references

MAX_NAME_BYTES = max(map(len, html.entities.html5))
MAX_GROWTH = 1.2  # `&nLt;` is 5 bytes, its two characters are 6: the worst of all names
_N_SLOTS = 1 << 13
_SLOT_MASK = _N_SLOTS - 1
_BASE, _NO_HASH, _SPREAD, _SLOT_SHIFT = np.uint64(HASH_BASE), np.uint64(0), np.uint64(0x9E3779B97F4A7C15), np.uint64(51)
_NEWLINE, _BLANK, _FIRST_PRINTED = ord("\n"), ord(" "), ord(" ")


def _name_table() -> tuple[U64, I32]:
    """Return (hash of the name in each slot, 0 for none; its one or two characters): open addressing."""
    keys = np.zeros(_N_SLOTS, np.uint64)
    chars = np.zeros((_N_SLOTS, 2), np.int32)
    for name, text in html.entities.html5.items():
        h = hash_of(name)
        slot = (h * int(_SPREAD) & ((1 << 64) - 1)) >> int(_SLOT_SHIFT)
        while keys[slot]:
            slot = (slot + 1) & _SLOT_MASK
        keys[slot] = h
        chars[slot, : len(text)] = [ord(char) for char in text]
    return keys, chars


_KEYS, _CHARS = _name_table()


@compiled
def find_name(text: U8, i: Int, end: Int) -> tuple[Int, Int]:
    """Return (slot, end) of the longest known name at byte i of text[:end], (-1, i) if there is none."""
    found, found_end = np.int64(-1), i
    h = _NO_HASH
    for j in range(i, min(end, i + MAX_NAME_BYTES)):
        byte = text[j]
        h = h * _BASE + np.uint64(byte)
        slot = np.int64((h * _SPREAD) >> _SLOT_SHIFT)
        while _KEYS[slot] != _NO_HASH and _KEYS[slot] != h:
            slot = (slot + 1) & _SLOT_MASK
        if _KEYS[slot] == h:
            found, found_end = slot, j + 1
        if not (97 <= (byte | 0x20) <= 122 or 48 <= byte <= 57):
            break
    return found, found_end


@compiled
def decode_reference(text: U8, i: Int, end: Int, keeps_lines: bool, out: U8, at: Int) -> tuple[Int, Int]:
    """Write what the `&` at byte i of text[:end] means to out[at:]; return (byte behind it, end in out)."""
    if i + 1 < end and text[i + 1] == HASH:
        code, behind = read_number(text[:end], i)
        if code != NOT_A_NUMBER:
            if code >= _FIRST_PRINTED and not 0x7F <= code < 0xA0:
                at = write_char(out, at, code)
            return behind, at
    else:
        slot, behind = find_name(text, i + 1, end)
        if slot >= 0:
            for k in range(2):
                code = np.int64(_CHARS[slot, k])
                if code == _NEWLINE and not keeps_lines:
                    code = np.int64(_BLANK)
                if code != 0:
                    at = write_char(out, at, code)
            return behind, at
    out[at] = AMPERSAND
    return i + 1, at + 1


@compiled
def copy_decoded(text: U8, start: Int, end: Int, keeps_lines: bool, out: U8, at: Int) -> Int:
    """Write text[start:end] to out[at:] with its references decoded; return where it ends. For the room: `room_for`."""
    i = start
    while i < end:
        byte = byte_at(text, i)
        if byte == AMPERSAND:
            i, at = decode_reference(text, i, end, keeps_lines, out, at)
        else:
            out[np.uint64(at)] = byte
            i += 1
            at += 1
    return at


def room_for(n_bytes: int) -> U8:
    """Return a buffer that decoded text of `n_bytes` fits into."""
    return np.empty(int(n_bytes * MAX_GROWTH) + 1, np.uint8)


def decode_entities(text: bytes) -> bytes:
    """Return UTF-8 text with its character references decoded; line breaks that a reference writes stay."""
    if b"&" not in text:
        return text
    out = room_for(len(text))
    n_out = _decode_kernel()(np.frombuffer(text, np.uint8), out)
    return out[:n_out].tobytes()


@functools.cache
def _decode_kernel() -> Callable[[U8, U8], int]:
    digest = source_digest()

    def decode(text: U8, out: U8) -> int:
        keeps_lines = digest != 0  # always: it is part of the key of Numba's cache
        return int(copy_decoded(text, 0, text.size, keeps_lines, out, 0))

    return cached(decode)
