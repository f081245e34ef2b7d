"""Finds the places in a page where UTF-8 may have been encoded twice, a memory search at a time."""

from __future__ import annotations

import numpy as np

from curate.kernels.html.tag_reader import compiled, next_of

_FIRST = 0xC3  # Ã, â and the like: what the first byte of a character has become
_MIN_BYTES = 4
# What may stand behind it: the rest of that character, and the first byte of what a byte 80 to BF has become.
_SECOND, _THIRD = np.zeros(256, np.bool_), np.zeros(256, np.bool_)
_SECOND[0x82:0xB0] = True
_THIRD[[0xC2, 0xC5, 0xC6, 0xCB, 0xE2]] = True


def next_twice(utf8: bytes, at: int) -> int:
    """Return the offset of the next place from `at` on where a pattern of `curate.charset` may match, or -1."""
    return int(_next(np.frombuffer(utf8, np.uint8), at))


@compiled()
def _next(page, at):  # type: ignore[no-untyped-def]
    n = page.size - _MIN_BYTES + 1
    while True:
        at = next_of(page, at, n, _FIRST)
        if at >= n:
            return -1
        if _SECOND[page[at + 1]] and _THIRD[page[at + 2]]:
            return at
        at += 1
