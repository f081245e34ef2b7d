"""What spaCy's English rules split off a chunk of text: prefixes, suffixes and infixes.

spaCy writes these as regular expressions; here each is a few comparisons on a decoded chunk. `chars` is a record
array (see `words.CHAR`), a chunk is chars[start:end], lengths are in characters and 0 means no match.
"""

from __future__ import annotations

from curate.kernels.compiled import inner
from curate.kernels.text.primitives import KIND, Int, Records, find_exception, power_of
from curate.kernels.text.tables import (
    BEFORE_STOP,
    DIGIT,
    ICON,
    PREFIX,
    QUOTE,
    SUFFIX,
    UNIT,
    WORD_ALPHA,
    WORD_LOWER,
    WORD_UPPER,
)

PLUS, COMMA, HYPHEN, STOP, SLASH, COLON = ord("+"), ord(","), ord("-"), ord("."), ord("/"), ord(":")
STAR, CARET, TILDE, DOLLAR, APOSTROPHE, CURLY_APOSTROPHE = ord("*"), ord("^"), ord("~"), ord("$"), ord("'"), ord("’")
ELLIPSIS, EN_DASH, EM_DASH, DEGREE = ord("…"), ord("–"), ord("—"), ord("°")
LESS, EQUALS, GREATER = ord("<"), ord("="), ord(">")
UPPER_A, UPPER_C, UPPER_S, UPPER_U, LOWER_S = ord("A"), ord("C"), ord("S"), ord("U"), ord("s")
MAX_UNIT_CHARS = 4


@inner
def stops_from(chars: Records, k: Int, end: Int) -> Int:
    """Return how many full stops stand in a row from k on."""
    n = 0
    while k + n < end and chars[k + n].code == STOP:
        n += 1
    return n


@inner
def prefix_chars(chars: Records, start: Int, end: Int) -> Int:
    """Return the length of the prefix to split off chars[start:end]."""
    code = chars[start].code
    if chars[start].flags & PREFIX:
        return 1
    if code == PLUS:
        return 0 if start + 1 < end and chars[start + 1].flags & DIGIT else 1
    if code == STOP:
        n = stops_from(chars, start, end)
        return n if n >= 2 else 0
    if code == UPPER_U and start + 2 < end and chars[start + 1].code == UPPER_S and chars[start + 2].code == DOLLAR:
        return 3
    if code in (UPPER_C, UPPER_A) and start + 1 < end and chars[start + 1].code == DOLLAR:
        return 2
    return 0


@inner
def stop_suffix(chars: Records, start: Int, end: Int) -> Int:
    """Return the length of the suffix of a chunk that ends in a full stop."""
    n = 1
    while end - n > start and chars[end - n - 1].code == STOP:
        n += 1
    if n >= 2:
        return n
    if end - 2 < start:
        return 0
    before = chars[end - 2]
    if before.flags & BEFORE_STOP:
        return 1
    if end - 3 < start:
        return 0
    if before.flags & WORD_UPPER and chars[end - 3].flags & WORD_UPPER:
        return 1
    lower = before.code | 0x20
    return 1 if chars[end - 3].code == DEGREE and (lower == 0x66 or lower == 0x63 or lower == 0x6B) else 0


@inner
def unit_suffix(chars: Records, start: Int, end: Int) -> Int:
    """Return the length of a unit or currency that stands right behind a digit at the end of the chunk."""
    for n in range(1, MAX_UNIT_CHARS + 1):
        k = end - n
        if k <= start or chars[k].flags & DIGIT:
            return 0
        if chars[k - 1].flags & DIGIT:
            slot = find_exception(chars[end].hash - chars[k].hash * power_of(chars[end].offset - chars[k].offset))
            return n if slot >= 0 and KIND[slot] & UNIT else 0
    return 0


@inner
def suffix_chars(chars: Records, start: Int, end: Int) -> Int:
    """Return the length of the suffix to split off chars[start:end]; of several the longest."""
    if end <= start:
        return 0
    last = chars[end - 1]
    if last.code == STOP:
        return stop_suffix(chars, start, end)
    if end - 2 >= start:
        before = chars[end - 2].code
        if last.code == ELLIPSIS and before == ELLIPSIS:
            return 2
        if last.code in (LOWER_S, UPPER_S) and before in (APOSTROPHE, CURLY_APOSTROPHE):
            return 2
        if last.code == PLUS and chars[end - 2].flags & DIGIT:
            return 1
    n = unit_suffix(chars, start, end)
    return max(n, 1) if last.flags & SUFFIX else n


@inner
def hyphen_infix(chars: Records, k: Int, end: Int) -> Int:
    """Return the length of the hyphens at k if a letter follows them."""
    code = chars[k].code
    if chars[k + 1].flags & WORD_ALPHA:
        return 1
    if code == HYPHEN and chars[k + 1].code == HYPHEN:
        if k + 2 < end and chars[k + 2].flags & WORD_ALPHA:
            return 2
        if k + 3 < end and chars[k + 2].code == HYPHEN and chars[k + 3].flags & WORD_ALPHA:
            return 3
    if code == EM_DASH and chars[k + 1].code == EM_DASH and k + 2 < end and chars[k + 2].flags & WORD_ALPHA:
        return 2
    return 0


@inner
def infix_chars(chars: Records, start: Int, k: Int, end: Int) -> Int:
    """Return the length of the infix at k inside chars[start:end]."""
    code = chars[k].code
    if chars[k].flags & ICON or code == ELLIPSIS:
        return 1
    if code == STOP:
        n = stops_from(chars, k, end)
        if n >= 2:
            return n
    if k == start or k + 1 >= end:
        return 0
    before, after = chars[k - 1].flags, chars[k + 1].flags
    if code == STOP:
        return 1 if before & (WORD_LOWER | QUOTE) and after & (WORD_UPPER | QUOTE) else 0
    if code == COMMA:
        return 1 if before & WORD_ALPHA and after & WORD_ALPHA else 0
    between_digits = before & DIGIT and (after & DIGIT or chars[k + 1].code == HYPHEN)
    if between_digits and code in (PLUS, HYPHEN, STAR, CARET):
        return 1
    if before & (WORD_ALPHA | DIGIT):
        if code in (HYPHEN, EN_DASH, EM_DASH, TILDE):
            return hyphen_infix(chars, k, end)
        if code in (COLON, LESS, GREATER, EQUALS, SLASH):
            return 1 if after & WORD_ALPHA else 0
    return 0
