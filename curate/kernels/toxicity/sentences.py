"""Cut a text into sentences and those into words, in compiled code: what hides a word (case, marks, leet) is undone."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from curate.kernels.compiled import untyped_inner
from curate.kernels.toxicity.chars import (
    ALONE,
    APOSTROPHE,
    DIGIT,
    EMOJI,
    EMOJI_END,
    GAP,
    GONE,
    HAN_PLANES_END,
    HANGUL,
    HANGUL_END,
    KIND_SHIFT,
    LETTER,
    MASK,
    NEWLINE,
    QUOTE,
    STOP,
    TABLE_SIZE,
    WIDE,
    WIDE_END,
    WIDE_SHIFT,
)

MAX_CHARS = 1024  # of a sentence; a longer one is cut after a word if it can be, at twice as many if not
MAX_WORD_CHARS = 32  # the rest of a longer word is not looked at
MIN_SPACED_LETTERS = 3  # so many single letters in a row are one word: "i d i o t"
MIN_RUN = 3  # so many equal letters in a row are one: "looove"
IN_DOUBLE, IN_SINGLE = 1, 2  # bits of `quoted`
AT, STAR, ZERO = ord("@"), ord("*"), ord("0")  # words by themselves: an @name, letters that are hidden, a number
_AT, _STAR, _ZERO = np.uint32(AT), np.uint32(STAR), np.uint32(ZERO)

compiled: Any = functools.partial(untyped_inner, error_model="numpy")


@compiled
def _decode(data, at, end):  # type: ignore[no-untyped-def]
    """Return (code point, bytes) of the character at `at`; one that is cut off is a space."""
    point = np.uint32(data[at])
    if point < 0x80:
        return point, 1
    size = 2 if point < 0xE0 else (3 if point < 0xF0 else 4)
    if at + size > end:
        return np.uint32(32), end - at
    point = point & np.uint32(0x1F if size == 2 else (0x0F if size == 3 else 0x07))
    for k in range(1, size):
        point = (point << np.uint32(6)) | (np.uint32(data[at + k]) & np.uint32(0x3F))
    return (point - np.uint32(WIDE_SHIFT) if WIDE <= point < WIDE_END else point), size


@compiled
def read_sentence(data, at, end, table, kinds, points):  # type: ignore[no-untyped-def]
    """Write kind and simple code point of each character up to a sentence's end; return (their number, the end)."""
    n = 0
    stopped = False
    while at < end and n < 2 * MAX_CHARS:
        point, size = _decode(data, at, end)
        at += size
        blank = point <= 32 or point == 0xA0
        if point < TABLE_SIZE:
            entry = table[point]
            kind, point = entry >> np.uint32(KIND_SHIFT), entry & np.uint32((1 << KIND_SHIFT) - 1)
        elif HANGUL <= point < HANGUL_END:
            kind = np.uint32(LETTER)
        else:
            kind = np.uint32(GAP if EMOJI <= point < EMOJI_END or point >= HAN_PLANES_END else ALONE)
        if kind == GONE:
            continue
        kinds[n], points[n] = kind, point
        n += 1
        if kind == NEWLINE or (blank and (stopped or n >= MAX_CHARS)):
            break
        stopped = kind == STOP or (stopped and (APOSTROPHE <= kind <= QUOTE or point == 41))
    return n, at


@compiled
def _goes_on(kinds, points, i, n):  # type: ignore[no-untyped-def]
    """Say whether character i, between the letters of a word, belongs to it: a letter, or what hides one."""
    kind = kinds[i]
    if LETTER <= kind <= DIGIT:
        return True
    following = kinds[i + 1] if i + 1 < n else np.uint32(GAP)
    if kind == APOSTROPHE or points[i] == 33:
        return following == LETTER
    if kind != MASK:
        return False
    return LETTER <= following <= DIGIT or points[i - 1] == points[i] or (i + 1 < n and points[i + 1] == points[i])


@compiled
def _in_name(kind, point):  # type: ignore[no-untyped-def]
    return LETTER <= kind <= DIGIT or point == 95


@compiled
def _spell(chars, begin, end, leet):  # type: ignore[no-untyped-def]
    """Undo masks and long runs in the word chars[begin:end], in place; return its new end."""
    n_letters, first, last = 0, end, -1
    for i in range(begin, end):
        if chars[i] >= 97:
            n_letters, first, last = n_letters + 1, (i if last < 0 else first), i
    if n_letters == 0:
        chars[begin] = _ZERO
        return begin + 1
    while n_letters > 2 and chars[end - 1] < ZERO and chars[end - 1] != 36:
        end -= 1  # the stars behind "bold**"; not those of "f***"
    kept = begin
    i = begin
    while i < end:
        j = i
        while j < end and chars[j] == chars[i]:
            j += 1
        c = chars[i]
        if c < 97 and (first < i < last or c < ZERO or c == AT):
            c = leet[c]
        for _ in range(1 if j - i >= MIN_RUN or c == _STAR else j - i):
            chars[kept] = c
            kept += 1
        i = j
    return kept


@compiled
def _join_letters(chars, starts, quoted, n):  # type: ignore[no-untyped-def]
    """Join words of one letter that stand in a row; return the number of words."""
    kept = 0
    i = 0
    while i < n:
        j = i
        while j < n and starts[j + 1] - starts[j] == 1 and 97 <= chars[starts[j]] < TABLE_SIZE:
            j += 1
        if j - i < MIN_SPACED_LETTERS:
            j = i + 1
        starts[kept], quoted[kept] = starts[i], quoted[i]
        kept += 1
        i = j
    starts[kept] = starts[n]
    return kept


@compiled
def split_words(kinds, points, n, leet, chars, starts, quoted):  # type: ignore[no-untyped-def]
    """Write the words of n characters: word k is chars[starts[k]:starts[k + 1]]; return their number."""
    n_words, quote, i = 0, 0, 0
    starts[0] = 0
    while i < n:
        kind, begin = kinds[i], starts[n_words]
        filled = begin
        at_name = points[i] == _AT and i + 1 < n and kinds[i + 1] == LETTER
        if LETTER <= kind <= DIGIT or at_name:
            quoted[n_words] = quote
            j = i + 1
            while j < n and (_in_name(kinds[j], points[j]) if at_name else _goes_on(kinds, points, j, n)):
                j += 1
            while i < j:
                if kinds[i] != APOSTROPHE and filled - begin < MAX_WORD_CHARS:
                    chars[filled] = points[i]
                    filled += 1
                i += 1
            if at_name:
                chars[begin], filled = _AT, begin + 1
            elif i + 2 < n and points[i] == 58 and points[i + 1] == 47 and points[i + 2] == 47:  # a URL
                filled = begin
                while i < n and points[i] > 32:
                    i += 1
            else:
                filled = _spell(chars, begin, filled, leet)
            if i < n and kinds[i] == APOSTROPHE:
                quote &= ~IN_SINGLE
                i += 1
        else:
            if kind == ALONE:
                chars[filled], quoted[n_words] = points[i], quote
                filled += 1
            elif kind == QUOTE:
                quote ^= IN_DOUBLE
            elif kind == APOSTROPHE:
                opens = i + 1 < n and kinds[i + 1] == LETTER
                quote = quote | IN_SINGLE if opens else quote & ~IN_SINGLE
            i += 1
        if filled > begin:
            n_words += 1
            starts[n_words] = filled
    return _join_letters(chars, starts, quoted, n_words)
