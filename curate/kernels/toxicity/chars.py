"""What each character does to a sentence, its words and its quotes: the one table that kernel and twin share."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from curate.kernels.shingles import ALONE as _ALONE
from curate.kernels.shingles import DIGIT as _DIGIT
from curate.kernels.shingles import LETTER as _LETTER
from curate.kernels.shingles import VANISHES as _VANISHES
from curate.kernels.shingles import simplify

GAP, LETTER, DIGIT, MASK, APOSTROPHE, QUOTE, STOP, NEWLINE, GONE, ALONE = range(10)

KIND_SHIFT = 24  # an entry of the table is kind << 24 | simple code point
TABLE_SIZE = 0x3000  # alphabets with upper case, and their marks, stand below
HANGUL, HANGUL_END = 0xAC00, 0xD7A4
WIDE, WIDE_END = 0xFF01, 0xFF5F  # full-width ASCII
WIDE_SHIFT = 0xFEE0
EMOJI, EMOJI_END = 0x1D000, 0x20000  # symbols and pictures
HAN_PLANES_END = 0x40000

_OWN: Mapping[int, str] = {
    MASK: "@$*#",
    APOSTROPHE: "'`\u2018\u2019\u201b\u00b4",
    QUOTE: '"\u201c\u201d\u201e\u201f\u00ab\u00bb',
    STOP: ".?!\u2026\u061f\u06d4\u0964",
    NEWLINE: "\n\r\x0b\x0c\x85\u2028\u2029",
}
# Characters that stand in for a letter, in a word that has letters on both sides of them.
LEET: Mapping[str, str] = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"}
WILDCARD = "*"  # `*` and `#` within a word hide letters
_KINDS = {_LETTER: LETTER, _DIGIT: DIGIT, _VANISHES: GONE, _ALONE: ALONE}


def kind_of(code_point: int) -> tuple[int, int]:
    """Return (kind, simple code point) of a code point: lower case, without marks, full width as ASCII."""
    if WIDE <= code_point < WIDE_END:
        code_point -= WIDE_SHIFT
    if code_point >= TABLE_SIZE:
        if HANGUL <= code_point < HANGUL_END:
            return LETTER, code_point
        spaced = EMOJI <= code_point < EMOJI_END or code_point >= HAN_PLANES_END
        return (GAP if spaced else ALONE), code_point
    for kind, chars in _OWN.items():
        if chr(code_point) in chars:
            return kind, code_point
    if chr(code_point) in "0123456789":
        return DIGIT, code_point  # shingles fold all digits to one; here they may stand for letters
    kind, simple = simplify(code_point)
    return (_KINDS[kind], simple) if kind in _KINDS else (GAP, code_point)


@functools.cache
def char_table() -> npt.NDArray[np.uint32]:
    """Return uint32[12288]: `kind_of` the code points below `TABLE_SIZE`, kind << 24 | simple code point."""
    entries = (kind_of(code_point) for code_point in range(TABLE_SIZE))
    return np.array([kind << KIND_SHIFT | simple for kind, simple in entries], np.uint32)


@functools.cache
def leet_table() -> npt.NDArray[np.uint32]:
    """Return uint32[128]: the letter that an ASCII character stands for within a word, else the character itself."""
    table = np.arange(128, dtype=np.uint32)
    for char, letter in LEET.items():
        table[ord(char)] = ord(letter)
    table[ord("#")] = ord(WILDCARD)
    return table
