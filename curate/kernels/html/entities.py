"""Character references: numeric ones read in place, named ones decoded where text is kept. Linear in the text.

As in the HTML standard, section "Character reference state": the longest known name wins, some names need no
semicolon, numbers 0x80 to 0x9F mean windows-1252, and what is no character becomes U+FFFD. An unknown name stays as
it is.
"""

from __future__ import annotations

import functools
import html.entities

import numpy as np

from curate.kernels.html.state import U8, Int, compiled

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


@functools.cache
def _names() -> dict[bytes, bytes]:
    return {name.encode(): text.encode() for name, text in html.entities.html5.items()}


def decode_entities(text: bytes) -> bytes:
    """Return UTF-8 text with its character references decoded."""
    return html.unescape(text.decode("utf-8", "replace")).encode() if b"&" in text else text
