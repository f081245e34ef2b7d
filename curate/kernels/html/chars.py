"""One character of a page: what it is, how many bytes it has, and whether a `<` or `&` is one at all."""

from __future__ import annotations

import numpy as np

from curate.kernels.html.characters import (
    AMPERSAND,
    BYTE_CLASS,
    CHAR_CLASS,
    DIGIT,
    EMOJI_END,
    EMOJI_START,
    IDEOGRAPH,
    IDEOGRAPHS_END,
    LOWER,
    OPENING,
    OTHER,
    SILENT,
)
from curate.kernels.html.entities import HASH, NOT_A_NUMBER, SEMICOLON, read_number
from curate.kernels.html.state import U8, Int, compiled

SLASH, EXCLAMATION, QUESTION = ord("/"), ord("!"), ord("?")
AND = ord("&")
REFERENCE = -1  # instead of a code point: a named reference, left as it is
MAX_NAME_BYTES = 33  # the longest name, `CounterClockwiseContourIntegral;`, and `&`
NO_CHARACTER = 0xFFFE  # is dropped


@compiled
def is_letter(byte: Int) -> bool:
    """Return whether a byte is an ASCII letter."""
    return bool(97 <= (byte | 0x20) <= 122)


@compiled
def starts_markup(html: U8, i: Int) -> bool:
    """Return whether the `<` at byte i opens a tag or a comment; else it is text."""
    if i + 1 >= html.size:
        return False
    byte = html[i + 1]
    if byte == SLASH:
        return bool(i + 2 < html.size)
    return is_letter(byte) or byte in (EXCLAMATION, QUESTION)


@compiled
def read_reference(html: U8, i: Int) -> tuple[Int, Int]:
    """Return (code point, bytes) of the `&` at byte i: a number, a space, a name (REFERENCE), or a plain `&`."""
    if i + 1 < html.size and html[i + 1] == HASH:
        code, end = read_number(html, i)
        if code == NOT_A_NUMBER:
            return np.int64(AND), np.int64(1)
        # `&#38;` stays: decoded here, it could join what follows to a name
        return np.int64(REFERENCE) if code == 38 else np.int64(code), np.int64(end - i)
    if i + 4 < html.size and html[i + 1] == 110 and html[i + 2] == 98 and html[i + 3] == 115 and html[i + 4] == 112:
        return np.int64(0xA0), np.int64(6 if i + 5 < html.size and html[i + 5] == SEMICOLON else 5)  # &nbsp;
    j = i + 1
    end = min(html.size, i + MAX_NAME_BYTES)
    while j < end and BYTE_CLASS[html[j]] <= DIGIT:
        j += 1
    if j > i + 1 and j < end and html[j] == SEMICOLON:
        return np.int64(REFERENCE), np.int64(j + 1 - i)
    return np.int64(AND), np.int64(1)


@compiled
def read_multibyte(html: U8, i: Int) -> tuple[Int, Int]:
    """Return (code point, bytes) of the character beyond ASCII at byte i; NO_CHARACTER if it is cut off."""
    lead = np.int64(html[i])
    size = np.int64(2 if lead < 0xE0 else 3 if lead < 0xF0 else 4)
    if lead < 0xC2 or i + size > html.size:
        return np.int64(NO_CHARACTER), np.int64(1)
    code = lead & (0x1F if size == 2 else 0x0F if size == 3 else 0x07)
    for k in range(1, size):
        code = code << 6 | np.int64(html[i + k]) & 0x3F
    return code, size


@compiled
def class_of(code: Int) -> Int:
    """Return the class of a code point."""
    if code == REFERENCE:
        return np.int64(SILENT)
    if code < 0x10000:
        return np.int64(CHAR_CLASS[code])
    if EMOJI_START <= code < EMOJI_END:
        return np.int64(OTHER)
    return np.int64(IDEOGRAPH if 0x20000 <= code < IDEOGRAPHS_END else LOWER)


@compiled
def folded(code: Int) -> Int:
    """Return the small letter of a capital, as far as it stands 32 further: ASCII, Latin-1, Greek, Cyrillic."""
    has_small = 0x41 <= code <= 0x5A or 0xC0 <= code <= 0xDE or 0x391 <= code <= 0x3A9 or 0x410 <= code <= 0x42F
    return code + 32 if has_small else code


@compiled
def read_other(html: U8, i: Int, kind: Int) -> tuple[Int, Int, Int]:
    """Return (code point, bytes, class) of a `<`, a `&` or a character beyond ASCII; `kind` is its byte's."""
    if kind == OPENING:
        return np.int64(html[i]), np.int64(1), np.int64(OTHER)
    code, size = read_reference(html, i) if kind == AMPERSAND else read_multibyte(html, i)
    return code, size, class_of(code)
