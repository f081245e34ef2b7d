"""DCLM's signals of lines and paragraphs: cut at newlines, stripped, empty ones left out, every copy counted."""

from __future__ import annotations

import functools

import numpy as np

from curate.kernels.compiled import inner, kernel
from curate.kernels.text.characters import count_newlines, is_spaced_ellipsis
from curate.kernels.text.lines import ends_in_stops
from curate.kernels.text.passes import Docs, Ints, Kernel, Pass, doc_of, source_digest
from curate.kernels.text.primitives import (
    Bytes,
    Int,
    Records,
    chars_in,
    find_byte,
    hash_piece,
    insert,
    is_at,
    slots_for,
    strip,
)
from curate.signals import MAX_LINES

NEWLINE, HYPHEN, STAR = ord("\n"), ord("-"), ord("*")
BULLET, CIRCLE, ELLIPSIS = ord("•"), ord("●"), ord("…")


@inner
def piece_end(doc: Bytes, i: Int, min_newlines: Int) -> Int:
    """Return where `min_newlines` (1 or 2) newlines in a row stand, from byte i on, or the end."""
    i = find_byte(doc, i, doc.size, NEWLINE)
    while min_newlines == 2 and i < doc.size and not (i + 1 < doc.size and doc[i + 1] == NEWLINE):
        i = find_byte(doc, i + 1, doc.size, NEWLINE)
    return i


@inner
def count_pieces(doc: Bytes, min_newlines: Int, table: Records, mask: Int, generation: Int, row: Ints) -> None:
    """Fill row[:6]: pieces, their characters, those with a bullet, with an ellipsis, all copies of repeated ones, …"""
    n = chars = bullets = ellipses = copied = copied_chars = 0
    i = 0
    while i < doc.size:
        stop = piece_end(doc, i, min_newlines)
        start, end = strip(doc, i, stop)
        i = stop + min_newlines
        if start == end:
            continue
        n_chars = chars_in(doc, start, end)
        n += 1
        chars += n_chars
        first = doc[start]
        if first in (HYPHEN, STAR) or is_at(doc, start, end, BULLET) or is_at(doc, start, end, CIRCLE):
            bullets += 1
        last = max(end - 3, start)
        spaced = is_spaced_ellipsis(doc, max(end - 5, start), end)
        ellipses += int(spaced or ends_in_stops(doc, start, end) or is_at(doc, last, end, ELLIPSIS))
        slot, was_there = insert(table, mask, generation, hash_piece(doc, start, end))
        if was_there:
            copies = 1 if table[slot].first else 2  # the first copy counts as soon as there is a second
            copied += copies
            copied_chars += copies * n_chars
        table[slot].first = int(was_there)
    row[0], row[1], row[2], row[3], row[4], row[5] = n, chars, bullets, ellipses, copied, copied_chars


@functools.cache
def pieces_kernel() -> Kernel:
    """Fill `count_pieces` of lines, then of paragraphs; nothing above MAX_LINES lines."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, table: Records, last: Ints, row: Ints, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if not docs.valid[d]:
                continue
            doc = doc_of(docs, d)
            n_lines = count_newlines(doc) + 1
            if n_lines > MAX_LINES:
                continue
            last[0] += 2
            mask = slots_for(n_lines) - 1
            count_pieces(doc, 1, table, mask, last[0] - 1, out[d])
            count_pieces(doc, 2, table, mask, last[0], row)
            out[d, 6], out[d, 7], out[d, 8], out[d, 9] = row[0], row[1], row[4], row[5]

    return lambda docs, words, room, out: run(docs, room.grams.table, room.grams.generation, np.zeros(6, np.int64), out)


PASSES = (
    Pass(
        None,
        (
            "n_lines_dclm", "line_chars_dclm", "n_bullet_lines_dclm", "n_ellipsis_lines_dclm", "n_dup_lines_dclm",
            "dup_line_chars_dclm",
            "n_paragraphs_dclm", "paragraph_chars_dclm", "n_dup_paragraphs_dclm", "dup_paragraph_chars_dclm",
        ),
        pieces_kernel,
    ),
)  # fmt: skip
