"""Signals that characters alone decide: how many there are, and of which kind."""

from __future__ import annotations

import functools

from curate.kernels.compiled import inner, kernel
from curate.kernels.text.passes import Docs, Ints, Kernel, Pass, doc_of, source_digest
from curate.kernels.text.primitives import Bytes, Int, chars_in, class_at, is_at
from curate.kernels.text.tables import LETTER, MARK, SPACE, SYMBOL, UNICODE_DIGIT, UPPER

NEWLINE, SHARP, FULL_STOP, BLANK = ord("\n"), ord("#"), ord("."), ord(" ")
ELLIPSIS = ord("…")


@inner
def count_newlines(doc: Bytes) -> Int:
    """Return the number of newlines, which bounds the number of lines and paragraphs."""
    n = 0
    for k in range(doc.size):
        n += int(doc[k] == NEWLINE)
    return n


@inner
def is_spaced_ellipsis(doc: Bytes, k: Int, end: Int) -> bool:
    """Return whether `. . .` stands at byte k, before `end`."""
    if k < 0 or k + 5 > end:
        return False
    stops = doc[k] == FULL_STOP and doc[k + 2] == FULL_STOP and doc[k + 4] == FULL_STOP
    return bool(stops and doc[k + 1] == BLANK and doc[k + 3] == BLANK)


@inner
def count_symbols(doc: Bytes) -> tuple[Int, Int, Int]:
    """Return (hash signs, ellipses, spaced ellipses).

    `…` and every three full stops in a row count as one ellipsis; `. . .` is a spaced one, overlaps not counted.
    """
    n_hashes = n_ellipses = n_spaced = stops = spaced_end = 0
    for k in range(doc.size):
        byte = doc[k]
        if byte == FULL_STOP:
            stops += 1
            if stops == 3:
                n_ellipses += 1
                stops = 0
            if k >= spaced_end and is_spaced_ellipsis(doc, k, doc.size):
                n_spaced += 1
                spaced_end = k + 5
            continue
        stops = 0
        if byte == SHARP:
            n_hashes += 1
        elif byte == 0xE2 and is_at(doc, k, doc.size, ELLIPSIS):
            n_ellipses += 1
    return n_hashes, n_ellipses, n_spaced


@functools.cache
def characters_kernel() -> Kernel:
    """Fill characters, newlines, characters without newlines, hash signs, ellipses, DCLM's symbols."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if not docs.valid[d]:
                continue
            doc = doc_of(docs, d)
            row = out[d]
            row[0] = chars_in(doc, 0, doc.size)
            row[1] = count_newlines(doc)
            row[2] = row[0] - row[1]
            row[3], row[4], n_spaced = count_symbols(doc)
            row[5] = row[3] + row[4] + n_spaced

    return lambda docs, words, room, out: run(docs, out)


@functools.cache
def classes_kernel() -> Kernel:
    """Fill letters, upper-case letters, decimal digits, white space, symbols, marks."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, out: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            if not docs.valid[d]:
                continue
            doc = doc_of(docs, d)
            row = out[d]
            row[:] = 0
            i = 0
            while i < doc.size:
                flags, n_bytes = class_at(doc, i)
                row[0] += int(flags & LETTER != 0)
                row[1] += int(flags & UPPER != 0)
                row[2] += int(flags & UNICODE_DIGIT != 0)
                row[3] += int(flags & SPACE != 0)
                row[4] += int(flags & SYMBOL != 0)
                row[5] += int(flags & MARK != 0)
                i += n_bytes

    return lambda docs, words, room, out: run(docs, out)


PASSES = (
    Pass(
        None,
        ("n_text_chars", "n_newlines", "n_chars_without_newlines", "n_hash_signs", "n_ellipses", "n_symbols_dclm"),
        characters_kernel,
    ),
    Pass(
        None,
        ("n_letters", "n_upper_chars", "n_digit_chars", "n_white_space_chars", "n_symbol_chars", "n_mark_chars"),
        classes_kernel,
    ),
)
