"""Signals of lines and paragraphs: bullets, ellipses, how lines end, and which of them repeat.

Four notions of a line are kept apart, as their sources do: str.splitlines (datatrove's bullets and ellipses, C4),
pieces between runs of newlines (datatrove's repetition), lines between single newlines (FineWeb, dolma), and these
stripped (DCLM, in `lines_dclm.py`). One table serves all that do not strip: equal lines are equal under each of them.
"""

from __future__ import annotations

import functools

import numpy as np

from curate.kernels.compiled import inner, kernel
from curate.kernels.text.characters import count_newlines
from curate.kernels.text.passes import Docs, Ints, Kernel, Pass, doc_of, source_digest
from curate.kernels.text.primitives import (
    FLAT_FLAGS,
    Bytes,
    Int,
    Records,
    chars_in,
    class_at,
    find_byte,
    hash_piece,
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

# Bytes that begin one of the characters str.splitlines breaks at.
MAY_BREAK = np.zeros(256, np.bool_)
MAY_BREAK[:128] = FLAT_FLAGS[:128] & LINE_BREAK != 0
MAY_BREAK[[char.encode()[0] for char in "\x85\u2028\u2029"]] = True


@inner
def ends_in_stops(doc: Bytes, start: Int, end: Int) -> bool:
    """Return whether doc[start:end] ends in three full stops."""
    if end - start < 3:
        return False
    return bool(doc[end - 1] == FULL_STOP and doc[end - 2] == FULL_STOP and doc[end - 3] == FULL_STOP)


@inner
def next_line(doc: Bytes, i: Int) -> tuple[Int, Int, Int]:
    """Return (start, end, next line) of the line at byte i as str.splitlines cuts it, white space stripped.

    A blank line has start == end. The caller asks only while i < doc.size.
    """
    first = i
    n_bytes = 0
    while i < doc.size:
        if not MAY_BREAK[doc[i]]:
            i += 1
            continue
        flags, n_bytes = class_at(doc, i)
        if flags & LINE_BREAK:
            if doc[i] == CARRIAGE_RETURN and i + 1 < doc.size and doc[i + 1] == NEWLINE:
                n_bytes = 2
            break
        i += n_bytes
        n_bytes = 0
    start, end = strip(doc, first, i)
    return start, end, i + n_bytes


@inner
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


@inner
def repeated_paragraphs(doc: Bytes, table: Records, mask: Int, generation: Int) -> tuple[Int, Int, Int]:
    """Return (paragraphs, repeated ones, their characters) of the stripped text.

    Paragraphs stand between two or more newlines; the first copy is not a repetition. A blank text has one, empty.
    """
    start, end = strip(doc, 0, doc.size)
    n = n_repeated = repeated_chars = 0
    while True:
        stop = find_byte(doc, start, end, NEWLINE)
        while stop < end and doc[stop + 1] != NEWLINE:  # a stripped text ends in no newline
            stop = find_byte(doc, stop + 1, end, NEWLINE)
        n += 1
        _, was_there = insert(table, mask, generation, hash_piece(doc, start, stop))
        if was_there:
            n_repeated += 1
            repeated_chars += chars_in(doc, start, stop)
        start = stop
        while start < end and doc[start] == NEWLINE:
            start += 1
        if start >= end:
            return n, n_repeated, repeated_chars


@inner
def is_blank(doc: Bytes, start: Int, end: Int) -> bool:
    """Return whether doc[start:end] is nothing but white space."""
    while start < end:
        flags, n_bytes = class_at(doc, start)
        if not flags & SPACE:
            return False
        start += n_bytes
    return True


@inner
def last_class(doc: Bytes, start: Int, end: Int) -> Int:
    """Return the class bits of the last character of doc[start:end], which is not empty."""
    k = end - 1
    while k > start and doc[k] & 0xC0 == 0x80:
        k -= 1
    flags, _ = class_at(doc, k)
    return flags


@inner
def walk_lines(doc: Bytes, table: Records, mask: Int, generation: Int, row: Ints) -> None:
    """Fill row[7:13] with FineWeb's and dolma's counts of lines, and, if mask >= 0, those of repeated lines.

    These are row[3:6] datatrove's, row[6] FineWeb's, row[13:15] dolma's.
    """
    n_pieces = n_dup = dup_chars = dup_filled_chars = n_copies = copies_chars = 0
    n_filled = n_terminal = n_short = n_lines = n_empty = n_bullets = n_ellipses = 0
    i = 0
    while i <= doc.size:
        start = i
        end = find_byte(doc, start, doc.size, NEWLINE)
        i = end + 1
        n_lines += 1
        if start == end:
            n_empty += 1
            continue
        n_chars = chars_in(doc, start, end)
        blank = is_blank(doc, start, end)
        if not blank:
            n_filled += 1
            n_terminal += int(last_class(doc, start, end) & TERMINAL != 0)
            n_short += int(n_chars <= MAX_SHORT_LINE_CHARS)
        n_pieces += 1
        n_bullets += int(doc[start] == STAR or doc[start] == HYPHEN)
        n_ellipses += int(is_at(doc, max(end - 3, start), end, ELLIPSIS))
        if mask < 0:
            continue
        slot, was_there = insert(table, mask, generation, hash_piece(doc, start, end))
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

    @kernel
    def run(docs: Docs, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if docs.valid[d]:
                out[d, 0], out[d, 1], out[d, 2] = count_marked_lines(doc_of(docs, d))

    return lambda docs, words, room, out: run(docs, out)


@functools.cache
def repeated_kernel() -> Kernel:
    """Fill what the lines between newlines and the paragraphs give; nothing on repetition above MAX_LINES lines."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, table: Records, last: Ints, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if not docs.valid[d]:
                continue
            doc = doc_of(docs, d)
            row = out[d]
            n_lines = count_newlines(doc) + 1
            mask = slots_for(n_lines) - 1 if n_lines <= MAX_LINES else -1
            last[0] += 2
            if mask >= 0:
                row[0], row[1], row[2] = repeated_paragraphs(doc, table, mask, last[0] - 1)
            walk_lines(doc, table, mask, last[0], row)

    return lambda docs, words, room, out: run(docs, room.grams.table, room.grams.generation, out)


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
