"""What a language model is shown of a text, and the letters of each script in it: compiled, with plain Python twins.

A text of more than 2,048 bytes is cut to eight pieces of at most 256 bytes, spread evenly from its start to its end
and joined by spaces. A sample of which more than two thirds of the letters are capitals is put into lower case: lid.176
learned from ordinary text, and sentences in capitals cost it two thirds of its macro-F1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.kernels.compiled import untyped_inner
from curate.kernels.language.tables import N_CODES, N_LOWER, letters, scripts

N_PIECES, PIECE_BYTES = 8, 256  # of 5,473 real pages 99.8 % get the label of their whole text
LINE_BYTES = 2 * N_PIECES * (PIECE_BYTES + 1)  # room: lower case can be longer than the capitals
HAN_PLANES_END = 0x40000
HAN, JAPANESE = scripts().index("Hani"), scripts().index("Jpan")
MIN_KANA_SHARE = 10  # one in ten letters of Han and Kana: the text is Japanese, else Kana are decoration
_SPACE = np.uint8(32)


# ---- the definition, in plain Python


def sample_of(text: bytes, n_pieces: int = N_PIECES) -> bytes:
    """Return what a model sees of a text before capitals are looked for."""
    if len(text) <= n_pieces * PIECE_BYTES:
        return text
    starts = (number * (len(text) - PIECE_BYTES) // (n_pieces - 1) for number in range(n_pieces))
    pieces = (text[start : start + PIECE_BYTES] for start in starts)
    return b" ".join(piece.decode("utf-8", "ignore").encode() for piece in pieces)  # whole characters only


def script_of(char: str) -> str:
    """Return the script of a letter, "" of anything else."""
    code = ord(char)
    number = letters().script_of[code] if code < N_CODES else HAN if code < HAN_PLANES_END else 0
    return scripts()[number]


def script_counts_of(text: str) -> dict[str, int]:
    """Return how many letters of each script a text has; Han and Kana are one script."""
    counts: dict[str, int] = {}
    for script in filter(None, map(script_of, text)):
        counts[script] = counts.get(script, 0) + 1
    han, kana = counts.pop("Hani", 0), counts.pop("Jpan", 0)
    if han or kana:
        counts["Jpan" if kana * MIN_KANA_SHARE >= han + kana else "Hani"] = han + kana
    return counts


def lowered(text: str) -> str:
    """Return a text in lower case where more than two thirds of its letters are capitals, else as it is."""
    lower_of = letters().lower_of
    lower = "".join(chr(lower_of[ord(char)]) if ord(char) < N_LOWER else char for char in text)
    n_capitals = sum(script_of(char) != "" and char != low for char, low in zip(text, lower, strict=True))
    return lower if 3 * n_capitals > 2 * sum(script_of(char) != "" for char in text) else text


# ---- the compiled passes


@untyped_inner
def _continues(byte):  # type: ignore[no-untyped-def]
    return (byte & 0xC0) == 0x80


@untyped_inner
def take_sample(data, start, end, n_pieces, line):  # type: ignore[no-untyped-def]
    """Write the sample of `data[start:end]` to `line`; return its bytes."""
    size = end - start
    whole = size <= n_pieces * PIECE_BYTES
    n = 0
    for number in range(1 if whole else n_pieces):
        first, last = start, end
        if not whole:
            first = start + number * (size - PIECE_BYTES) // (n_pieces - 1)
            last = first + PIECE_BYTES
        while first < last and not whole and _continues(data[first]):
            first += 1
        while last > first and last < end and _continues(data[last]):
            last -= 1
        if number:
            line[n] = _SPACE
            n += 1
        for at in range(first, last):
            line[n] = data[at]
            n += 1
    return n


@untyped_inner
def _decoded(line, at, size):  # type: ignore[no-untyped-def]
    """Return (code point, bytes) of the character at `at`; one that is cut off is U+0000."""
    lead = np.int64(line[at])
    if lead < 0x80:
        return lead, 1
    n_bytes = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if at + n_bytes > size:
        return np.int64(0), 1
    code = lead & (0x1F if n_bytes == 2 else 0x0F if n_bytes == 3 else 0x07)
    for k in range(1, n_bytes):
        code = code << 6 | (np.int64(line[at + k]) & 0x3F)
    return code, n_bytes


@untyped_inner
def count_letters(line, size, tables, counts):  # type: ignore[no-untyped-def]
    """Write the letters of each script in `line[:size]` to counts[n_scripts]; return (letters, capitals)."""
    for number in range(counts.size):
        counts[number] = 0
    n_letters, n_capitals, at = 0, 0, np.int64(0)
    while at < size:
        code, n_bytes = _decoded(line, at, size)
        at += n_bytes
        script: Any = np.uint8(0)
        if code < N_CODES:
            script = tables.script_of[code]
        elif code < HAN_PLANES_END:
            script = np.uint8(HAN)
        if script:
            counts[script] += 1
            n_letters += 1
            n_capitals += code < N_LOWER and tables.lower_of[code] != code
    han, kana = counts[HAN], counts[JAPANESE]
    if kana * MIN_KANA_SHARE >= han + kana:
        counts[HAN], counts[JAPANESE] = 0, han + kana
    else:
        counts[HAN], counts[JAPANESE] = han + kana, 0
    return n_letters, n_capitals


@untyped_inner
def lower_letters(line, size, tables, lower):  # type: ignore[no-untyped-def]
    """Write `line[:size]` in lower case to `lower`; return its bytes."""
    n, at = np.int64(0), np.int64(0)
    while at < size:
        code, n_bytes = _decoded(line, at, size)
        if code >= N_LOWER or tables.lower_of[code] == code:
            for k in range(n_bytes):
                lower[n + k] = line[at + k]
            n += n_bytes
        else:
            n += _encode(np.int64(tables.lower_of[code]), lower, n)
        at += n_bytes
    return n


@untyped_inner
def _encode(code, out, at):  # type: ignore[no-untyped-def]
    """Write a character below U+10000 as UTF-8; return its bytes."""
    if code < 0x80:
        out[at] = code
        return 1
    if code < 0x800:
        out[at], out[at + 1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
        return 2
    out[at], out[at + 1], out[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
    return 3
