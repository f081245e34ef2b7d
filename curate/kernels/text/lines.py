"""Signals of lines and paragraphs: bullets, ellipses, how lines end, and which of them repeat.

Four notions of a line are kept apart, as their sources do: str.splitlines (datatrove's bullets and ellipses, C4), pieces
between runs of newlines (datatrove's repetition), lines between single newlines (FineWeb, dolma), and these stripped
(DCLM, in `lines_dclm.py`). One table serves all that do not strip, since equal lines are equal under each of them.
"""

from __future__ import annotations

import functools

import numpy as np
from numba import njit

from curate.kernels.text.characters import count_newlines
from curate.kernels.text.passes import Docs, Ints, Kernel, Pass, Room, Words, doc_of, source_digest
from curate.kernels.text.primitives import (
    BASE,
    ONE,
    Bytes,
    Int,
    Records,
    class_of,
    decode,
    insert,
    is_at,
    slots_for,
    strip,
)
from curate.kernels.text.tables import LINE_BREAK, SPACE, TERMINAL
from curate.signals import MAX_LINES

NEWLINE, CARRIAGE_RETURN, HYPHEN, FULL_STOP, STAR = ord("\n"), ord("\r"), ord("-"), ord("."), ord("*")
BULLET, ELLIPSIS = ord("•"), ord("…")
MAX_SHORT_LINE_CHARS = 30  # FineWeb's short_line_length


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
        if ends_in_stops(doc, start, end) or is_at(doc, max(end - 3, start), end, ELLIPSIS):
            n_ellipses += 1
    return n, n_bullets, n_ellipses


@njit(nogil=True)
def repeated_paragraphs(doc: Bytes, table: Records, mask: Int, generation: Int) -> tuple[Int, Int, Int]:
    """Return (paragraphs, repeated ones, their characters) of the stripped text.

    Paragraphs stand between two or more newlines; the first copy is not a repetition. A blank text has one, empty.
    """
    start, end = strip(doc, 0, doc.size)
    n = n_repeated = repeated_chars = 0
    i = start
    while True:
        h = np.uint64(0)
        n_chars = 0
        while i < end and not (doc[i] == NEWLINE and doc[i + 1] == NEWLINE):  # a stripped text ends in no newline
            h = h * BASE + np.uint64(doc[i]) + ONE
            n_chars += int(doc[i] & 0xC0 != 0x80)
            i += 1
        n += 1
        _, was_there = insert(table, mask, generation, h)
        if was_there:
            n_repeated += 1
            repeated_chars += n_chars
        if i >= end:
            return n, n_repeated, repeated_chars
        while doc[i] == NEWLINE:
            i += 1


@njit(nogil=True)
def read_line(doc: Bytes, start: Int) -> tuple[Int, Int, Int, bool, bool]:
    """Return (end, hash, characters, whether blank, whether it ends in terminal punctuation) up to the next newline."""
    h = np.uint64(0)
    n_chars = 0
    blank = True
    i = last = start
    while i < doc.size and doc[i] != NEWLINE:
        byte = doc[i]
        h = h * BASE + np.uint64(byte) + ONE
        if byte & 0xC0 != 0x80:
            n_chars += 1
            last = i
            if blank:
                code, _ = decode(doc, i)
                blank = class_of(code) & SPACE != 0
        i += 1
    if i == start:
        return i, h, 0, True, False
    code, _ = decode(doc, last)
    return i, h, n_chars, blank, class_of(code) & TERMINAL != 0


@njit(nogil=True)
def walk_lines(doc: Bytes, table: Records, mask: Int, generation: Int, row: Ints) -> None:
    """Fill row[7:13] with FineWeb's and dolma's counts of lines, and, if mask >= 0, those of repeated lines.

    These are row[3:6] datatrove's, row[6] FineWeb's, row[13:15] dolma's.
    """
    n_pieces = n_dup = dup_chars = dup_filled_chars = n_copies = copies_chars = 0
    n_filled = n_terminal = n_short = n_lines = n_empty = n_bullets = n_ellipses = 0
    i = 0
    while i <= doc.size:
        start = i
        end, h, n_chars, blank, terminal = read_line(doc, start)
        i = end + 1
        n_lines += 1
        if not blank:
            n_filled += 1
            n_terminal += int(terminal)
            n_short += int(n_chars <= MAX_SHORT_LINE_CHARS)
        if n_chars == 0:
            n_empty += 1
            continue
        n_pieces += 1
        n_bullets += int(doc[start] == STAR or doc[start] == HYPHEN)
        n_ellipses += int(is_at(doc, max(end - 3, start), end, ELLIPSIS))
        if mask < 0:
            continue
        slot, was_there = insert(table, mask, generation, h)
        if not was_there:
            table[slot].first = 0
            continue
        n_dup += 1
        dup_chars += n_chars
        dup_filled_chars += 0 if blank else n_chars
        copies = 1 if table[slot].first else 2  # the first copy counts as soon as there is a second
        table[slot].first = 1
        n_copies += copies
        copies_chars += copies * n_chars
    row[7], row[8], row[9] = n_filled, n_terminal, n_short
    row[10], row[11], row[12] = n_lines, n_bullets, n_ellipses
    if mask >= 0:
        # A text that starts or ends with newlines has an empty piece there.
        n_ends = 1 if doc.size == 0 else int(doc[0] == NEWLINE) + int(doc[doc.size - 1] == NEWLINE)
        row[3], row[4], row[5], row[6] = n_pieces + n_ends, n_dup + int(n_ends == 2), dup_chars, dup_filled_chars
        row[13], row[14] = n_copies + (n_empty if n_empty > 1 else 0), copies_chars


@functools.cache
def marked_kernel() -> Kernel:
    """Fill lines, bullet lines, ellipsis lines as str.splitlines cuts."""
    digest = source_digest()

    @njit(cache=True, nogil=True)
    def run(docs: Docs, words: Words, room: Room, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if docs.valid[d]:
                out[d, 0], out[d, 1], out[d, 2] = count_marked_lines(doc_of(docs, d))

    return run


@functools.cache
def repeated_kernel() -> Kernel:
    """Fill what the lines between newlines and the paragraphs give; nothing on repetition above MAX_LINES lines."""
    digest = source_digest()

    @njit(cache=True, nogil=True)
    def run(docs: Docs, words: Words, room: Room, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if not docs.valid[d]:
                continue
            doc = doc_of(docs, d)
            row = out[d]
            n_lines = count_newlines(doc) + 1
            mask = slots_for(n_lines) - 1 if n_lines <= MAX_LINES else -1
            room.generation[0] += 2
            if mask >= 0:
                row[0], row[1], row[2] = repeated_paragraphs(doc, room.table, mask, room.generation[0] - 1)
            walk_lines(doc, room.table, mask, room.generation[0], row)

    return run


PASSES = (
    Pass(None, ("n_lines", "n_bullet_lines", "n_ellipsis_lines"), marked_kernel),
    Pass(
        None,
        (
            "n_paragraphs", "n_dup_paragraphs", "dup_paragraph_chars",
            "n_newline_lines", "n_dup_lines", "dup_line_chars", "dup_filled_line_chars",
            "n_filled_lines", "n_terminal_lines", "n_short_lines",
            "n_lines_dolma", "n_bullet_lines_dolma", "n_ellipsis_lines_dolma", "n_dup_lines_dolma",
            "dup_line_chars_dolma",
        ),
        repeated_kernel,
    ),
)  # fmt: skip
