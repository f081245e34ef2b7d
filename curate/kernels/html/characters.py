"""What each character is to the scanner: letter, mark, white space, part of a word or a word by itself.

Fixed tables by code point, so that a page gives the same counts under every version of Python's Unicode data.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Classes; what is at most DIGIT is part of a word. Only bytes, not code points, have the last four.
LOWER, UPPER, DIGIT, IDEOGRAPH, COMMA, SENTENCE, OTHER, SILENT, SPACE, DROPPED = range(10)
OPENING, AMPERSAND, LEAD, CONTINUATION = range(10, 14)
# LOWER stands for every letter that is not known as a capital; SILENT is written, but counts for nothing (joiners,
# marks of direction); DROPPED is not written at all.

COMMAS = ",،՝፣᠂᠈、，﹐﹑､၊߸，"
SENTENCE_MARKS = (
    ".!?;:…‼‽⁇⁈⁉"
    "؟؛۔"  # Arabic, Urdu
    "।॥"  # Devanagari and its neighbours
    "։՜՞"  # Armenian
    "።፤፥፦፧፨"  # Ethiopic
    "။"  # Myanmar
    "។៕"  # Khmer
    "ฯ๚๛"  # Thai
    "།༎༏"  # Tibetan
    "᠃᠉"  # Mongolian
    "\u037e\u0387"  # Greek question mark and colon
    "׃܀܁܂߹"  # Hebrew, Syriac, N'Ko
    "。．！？；：｡﹒﹔﹕﹖﹗︒"  # CJK
)

_SPACES = (
    (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
_DROPPED = ((0x80, 0x84), (0x86, 0x9F), (0xD800, 0xDFFF), (0xFEFF, 0xFEFF), (0xFFFE, 0xFFFF))
_SILENT = ((0xAD, 0xAD), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFE00, 0xFE0F))
_DIGITS = ((0x660, 0x669), (0x6F0, 0x6F9), (0x966, 0x96F), (0x9E6, 0x9EF), (0xE50, 0xE59), (0xFF10, 0xFF19))
_OTHERS = (
    (0xA1, 0xA9), (0xAB, 0xAC), (0xAE, 0xB4), (0xB6, 0xB9), (0xBB, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7),
    (0x55A, 0x55F), (0x58A, 0x58F), (0x5BE, 0x5BE), (0x5F3, 0x5F4), (0x66A, 0x66D),
    (0x2010, 0x205E), (0x20A0, 0x20CF), (0x2190, 0x245F), (0x2500, 0x2BFF), (0x2E00, 0x2E7F),
    (0x3001, 0x3004), (0x3008, 0x3020), (0x3030, 0x3030), (0x303D, 0x303F), (0x30FB, 0x30FB),
    (0xE000, 0xF8FF),  # private: icons
    (0xFE10, 0xFE1F), (0xFE30, 0xFE6F), (0xFF01, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65),
    (0xFFE0, 0xFFFD),
)  # fmt: skip
_IDEOGRAPHS = (
    (0x3005, 0x3007), (0x3021, 0x302F), (0x3031, 0x303C), (0x3040, 0x30FA), (0x30FC, 0x312F), (0x31A0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9D),
)  # fmt: skip
_LAST_WITH_CASE = 0x058F  # capitals are told from small letters up to Armenian: Latin, Greek, Cyrillic


def _classes() -> npt.NDArray[np.uint8]:
    table = np.full(0x10000, LOWER, np.uint8)
    for ranges, name in (
        (_OTHERS, OTHER),
        (_IDEOGRAPHS, IDEOGRAPH),
        (_DIGITS, DIGIT),
        (_SILENT, SILENT),
        (_SPACES, SPACE),
        (_DROPPED, DROPPED),
    ):
        for first, last in ranges:
            table[first : last + 1] = name
    for code in range(0xC0, _LAST_WITH_CASE):
        if table[code] == LOWER and chr(code).isupper():
            table[code] = UPPER
    table[0:0x80] = OTHER
    table[0:0x20] = DROPPED
    table[0x7F] = DROPPED
    for chars, name in (
        ("abcdefghijklmnopqrstuvwxyz", LOWER),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", UPPER),
        ("0123456789", DIGIT),
        ("\t\n\v\f\r ", SPACE),
        (COMMAS, COMMA),
        (SENTENCE_MARKS, SENTENCE),
    ):
        table[[ord(char) for char in chars]] = name
    return table


CHAR_CLASS = _classes()
IDEOGRAPHS_END = 0x40000  # of the characters from U+10000: planes 2 and 3 hold ideographs, the first mixes
EMOJI_START, EMOJI_END = 0x1F000, 0x1FB00

BYTE_CLASS = CHAR_CLASS[:256].copy()
BYTE_CLASS[ord("<")] = OPENING
BYTE_CLASS[ord("&")] = AMPERSAND
BYTE_CLASS[0x80:0xC0] = CONTINUATION
BYTE_CLASS[0xC0:] = LEAD

# White space of the HTML standard: what separates attributes.
IS_BLANK = np.zeros(256, np.bool_)
IS_BLANK[[ord(char) for char in "\t\n\f\r "]] = True
