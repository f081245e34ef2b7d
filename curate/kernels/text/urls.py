"""Whether a chunk is a URL, so that it stays one word: spaCy's URL expression as a scanner without backtracking."""

from __future__ import annotations

from curate.kernels.compiled import inner
from curate.kernels.text.primitives import Int, Records
from curate.kernels.text.tables import DIGIT, HOST, SCHEME, UNICODE_DIGIT, WORD_LOWER

HYPHEN, STOP, SLASH, ZERO, COLON = ord("-"), ord("."), ord("/"), ord("0"), ord(":")
QUESTION, AT, SHARP, UNDERSCORE = ord("?"), ord("@"), ord("#"), ord("_")
MAX_LABEL_CHARS, MAX_TLD_CHARS = 64, 63


@inner
def after_host(chars: Records, k: Int, end: Int) -> bool:
    """Return whether chars[k:end] is an optional port and an optional path."""
    if k < end and chars[k].code == COLON:
        n = 0
        while k + 1 + n < end and chars[k + 1 + n].flags & UNICODE_DIGIT:
            n += 1
        if n < 2 or n > 5:
            return False
        k += 1 + n
    return k == end or chars[k].code in (SLASH, QUESTION, SHARP)


@inner
def is_name(chars: Records, k: Int, end: Int) -> bool:
    """Return whether a host name with a lower-case top-level domain starts at k and a port or path may follow it."""
    n_labels = 0
    while True:
        label = k
        if n_labels > 0:
            n = 0
            while k + n < end and chars[k + n].flags & WORD_LOWER:
                n += 1
            if 2 <= n <= MAX_TLD_CHARS and after_host(chars, k + n, end):
                return True
        while k < end and (chars[k].flags & HOST or chars[k].code == HYPHEN or chars[k].code == UNDERSCORE):
            k += 1
        if k in (end, label) or chars[k].code != STOP or k - label > MAX_LABEL_CHARS:
            return False
        if not (chars[label].flags & HOST and chars[k - 1].flags & HOST):
            return False
        n_labels += 1
        k += 1


@inner
def is_address(chars: Records, k: Int, end: Int) -> bool:
    """Return whether a public dotted IPv4 address starts at k; private networks do not count, as in spaCy."""
    first = second = 0
    for octet in range(4):
        value = n = 0
        leading_zero = k < end and chars[k].code == ZERO
        while k < end and n < 4 and chars[k].flags & DIGIT:
            value = value * 10 + chars[k].code - ZERO
            n += 1
            k += 1
        outer = octet == 0 or octet == 3
        if n == 0 or value > 255 or (outer and (leading_zero or value > 254)) or (n == 3 and value < 100):
            return False
        if octet == 0:
            first = value
        elif octet == 1:
            second = value
        if octet < 3:
            if k >= end or chars[k].code != STOP:
                return False
            k += 1
    if first > 223 or first == 10 or first == 127 or (first == 172 and 16 <= second <= 31):
        return False
    if (first == 169 and second == 254) or (first == 192 and second == 168):
        return False
    return after_host(chars, k, end)


@inner
def is_url(chars: Records, start: Int, end: Int) -> bool:
    """Return whether the whole of chars[start:end] is a URL: optional scheme, optional user, host, port, path."""
    if is_name(chars, start, end) or is_address(chars, start, end):
        return True
    k = start
    while k < end and chars[k].flags & SCHEME:
        k += 1
    has_scheme = k - start >= 2 and k + 3 < end and chars[k].code == COLON
    has_scheme = has_scheme and chars[k + 1].code == SLASH and chars[k + 2].code == SLASH
    if has_scheme and (is_name(chars, k + 3, end) or is_address(chars, k + 3, end)):
        return True
    for k in range(start + 1, end - 1):
        if chars[k].code == AT and (is_name(chars, k + 1, end) or is_address(chars, k + 1, end)):
            return True
    return False
