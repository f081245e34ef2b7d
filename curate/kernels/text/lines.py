"""Signals that need no words: characters, symbols, repeated lines and paragraphs, bullets and ellipses.

Two notions of a line are kept apart, as in datatrove: pieces between runs of newlines (repetition), and
str.splitlines (bullets, ellipses, C4).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.kernels.text.primitives import BASE, ONE, Bytes, Int, Records, class_of, decode, insert
from curate.kernels.text.tables import LINE_BREAK, SPACE

NEWLINE, CARRIAGE_RETURN, SHARP, HYPHEN, FULL_STOP = ord("\n"), ord("\r"), ord("#"), ord("-"), ord(".")
BULLET, ELLIPSIS = ord("•"), ord("…")


@njit(nogil=True)
def count_chars(doc: Bytes) -> Int:
    """Return the number of characters: bytes that do not continue one."""
    n = 0
    for k in range(doc.size):
        n += int(doc[k] & 0xC0 != 0x80)
    return n


@njit(nogil=True)
def count_newlines(doc: Bytes) -> Int:
    """Return the number of newlines, which bounds the number of lines and paragraphs."""
    n = 0
    for k in range(doc.size):
        n += int(doc[k] == NEWLINE)
    return n


@njit(nogil=True)
def repeated_pieces(
    doc: Bytes, start: Int, end: Int, min_newlines: Int, table: Records, mask: Int, generation: Int
) -> tuple[Int, Int, Int]:
    """Return (pieces, repeated pieces, characters in repeated pieces) of doc[start:end].

    Pieces stand between runs of at least `min_newlines` newlines; the first copy of a piece is not a repetition.
    An empty piece before or behind the text counts, as it does for re.split.
    """
    n = n_repeated = repeated_chars = 0
    i = start
    while True:
        h = np.uint64(0)
        n_chars = 0
        run = 0
        while i < end:
            if doc[i] == NEWLINE:
                run = 1
                while i + run < end and doc[i + run] == NEWLINE:
                    run += 1
                if run >= min_newlines:
                    break
            n_bytes = max(run, 1)
            for k in range(i, i + n_bytes):
                h = h * BASE + np.uint64(doc[k]) + ONE
                n_chars += int(doc[k] & 0xC0 != 0x80)
            i += n_bytes
            run = 0
        n += 1
        _, was_there = insert(table, mask, generation, h)
        if was_there:
            n_repeated += 1
            repeated_chars += n_chars
        if run == 0:
            return n, n_repeated, repeated_chars
        i += run


@njit(nogil=True)
def count_symbols(doc: Bytes) -> tuple[Int, Int]:
    """Return (hash signs, ellipses): `…` and every three full stops in a row count as one ellipsis."""
    n_hashes = n_ellipses = stops = 0
    for k in range(doc.size):
        byte = doc[k]
        if byte == FULL_STOP:
            stops += 1
            if stops == 3:
                n_ellipses += 1
                stops = 0
            continue
        stops = 0
        if byte == SHARP:
            n_hashes += 1
        elif byte == 0xE2 and is_at(doc, k, doc.size, ELLIPSIS):
            n_ellipses += 1
    return n_hashes, n_ellipses


@njit(nogil=True)
def is_at(doc: Bytes, k: Int, end: Int, code: Int) -> bool:
    """Return whether the three-byte character `code` stands at byte k, before `end`."""
    if k < 0 or k + 3 > end or doc[k] & 0xF0 != 0xE0:
        return False
    found, _ = decode(doc, k)
    return bool(found == code)


@njit(nogil=True)
def ends_in_stops(doc: Bytes, start: Int, end: Int) -> bool:
    """Return whether doc[start:end] ends in three full stops."""
    if end - start < 3:
        return False
    return bool(doc[end - 1] == FULL_STOP and doc[end - 2] == FULL_STOP and doc[end - 3] == FULL_STOP)


@njit(nogil=True)
def next_line(doc: Bytes, i: Int) -> tuple[Int, Int, Int]:
    """Return (start, end, next line) of the line at byte i as str.splitlines cuts it, white space stripped.

    A blank line has start == end. The caller asks only while i < doc.size.
    """
    start = -1
    end = i
    while i < doc.size:
        byte = doc[i]
        if 0x20 < byte < 0x7F:
            n_bytes = 1
            flags = 0
        else:
            code, n_bytes = decode(doc, i)
            flags = class_of(code)
        if flags & LINE_BREAK:
            if byte == CARRIAGE_RETURN and i + 1 < doc.size and doc[i + 1] == NEWLINE:
                n_bytes = 2
            i += n_bytes
            break
        if not flags & SPACE:
            if start < 0:
                start = i
            end = i + n_bytes
        i += n_bytes
    return (start if start >= 0 else end), end, i


@njit(nogil=True)
def count_marked_lines(doc: Bytes) -> tuple[Int, Int, Int]:
    """Return (lines, lines that start with `•` or `-`, lines that end in `...` or `…`)."""
    n = n_bullets = n_ellipses = 0
    i = 0
    while i < doc.size:
        start, end, i = next_line(doc, i)
        n += 1
        if start == end:
            continue
        if doc[start] == HYPHEN or is_at(doc, start, end, BULLET):
            n_bullets += 1
        if ends_in_stops(doc, start, end) or (end - 3 >= start and is_at(doc, end - 3, end, ELLIPSIS)):
            n_ellipses += 1
    return n, n_bullets, n_ellipses
