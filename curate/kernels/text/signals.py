"""The border between Arrow and the text kernels: a column of text in, integer signals per doc out.

The first call in a process compiles, or loads from Numba's cache on disk what an earlier process compiled. That cache
does not notice a change in another file, so the digest of this package's sources and tables is a part of its key (a
closure's constants are). Compiled code releases the GIL and every call has its own scratch memory, so threads may call
at once.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from curate.kernels.text.c4 import LineRules, c4_lines
from curate.kernels.text.lines import count_chars, count_marked_lines, count_newlines, count_symbols, repeated_pieces
from curate.kernels.text.ngrams import count_words, repeated_ngrams, sum_chars, top_ngrams
from curate.kernels.text.primitives import SLOT, Bytes, Int, Records, slots_for, strip
from curate.kernels.text.tables import MAX_CHUNK_BYTES, PATH
from curate.kernels.text.words import CHAR, WORD, segment

# Gopher drops docs above 100,000 words; ten times that is room enough, and bounds the scratch memory.
MAX_WORDS = 1 << 20

Ints = npt.NDArray[np.int64]

# Column 0 of every kernel's output is n_words; -1 anywhere stands for "not measured".
GOPHER = (
    "n_words__spacy_en", "n_plain_words__spacy_en", "plain_word_chars__spacy_en", "n_alpha_words__spacy_en",
    "n_stop_words__spacy_en", "n_hash_signs", "n_ellipses", "n_lines", "n_bullet_lines", "n_ellipsis_lines",
)  # fmt: skip
REPETITION = (
    "n_words__spacy_en", "n_text_chars", "n_paragraphs", "n_dup_paragraphs", "dup_paragraph_chars",
    "n_newline_lines", "n_dup_lines", "dup_line_chars",
    *(f"top{n}_chars__spacy_en" for n in range(2, 5)),
    *(f"dup{n}_chars__spacy_en_greedy" for n in range(5, 11)),
)  # fmt: skip
C4 = (
    "n_words__spacy_en", "c4_lines", "c4_kept_lines", "c4_lorem_ipsum_lines", "c4_curly_bracket_lines",
    "c4_sentences__spacy_en",
)  # fmt: skip


def gopher_signals(text: pa.Array) -> dict[str, pa.Array]:
    """Return int64[n_docs] for each name in GOPHER; null where the text is null or has more than MAX_WORDS words."""
    return _named(GOPHER, _gopher_kernel(), text)


def repetition_signals(text: pa.Array) -> dict[str, pa.Array]:
    """Return int64[n_docs] for each name in REPETITION; nulls as in `gopher_signals`."""
    return _named(REPETITION, _repetition_kernel(), text)


def c4_signals(
    text: pa.Array, *, min_words: float, max_word_chars: float, terminal_punctuation: bool
) -> tuple[dict[str, pa.Array], pa.Array]:
    """Return int64[n_docs] for each name in C4, and string[n_docs]: the lines that C4 keeps.

    A kept line has at least `min_words` words between white space, none of more than `max_word_chars` characters, and
    ends like a sentence if `terminal_punctuation`. The new text is null where the signals are.
    """
    data, _, _ = _buffers(text)
    rules = LineRules(float(min_words), float(max_word_chars), terminal_punctuation)
    kept = np.empty(data.size + 1, np.uint8)
    bounds = np.zeros((len(text), 2), np.int64)
    signals = _named(C4, _c4_kernel(), text, rules, kept, bounds)
    sizes = bounds[:, 1] - bounds[:, 0]
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]).astype(np.int32)
    joined = b"".join(kept[start:end].tobytes() for start, end in bounds.tolist())
    rewritten = pa.StringArray.from_buffers(len(text), pa.py_buffer(ends.tobytes()), pa.py_buffer(joined))
    measured = signals["c4_lines"].is_valid()
    return signals, pc.if_else(measured, rewritten, pa.scalar(None, pa.string()))


def spacy_words(text: str) -> list[str]:
    """Return the words of a text as the kernels see them."""
    doc = np.frombuffer(text.encode(), np.uint8).copy()
    words = np.empty(doc.size + 2 * MAX_CHUNK_BYTES, WORD)
    n = segment(doc, words, *_chunk_room(), doc.size)
    return [doc[word["start"] : word["end"]].tobytes().decode() for word in words[:n]]


def _named(names: Sequence[str], kernel: Callable[..., None], text: pa.Array, *more: Any) -> dict[str, pa.Array]:
    data, offsets, valid = _buffers(text)
    out = np.full((len(text), len(names)), -1, np.int64)
    kernel(data, offsets, valid, out, *more)
    return {name: pa.array(out[:, k], pa.int64(), mask=out[:, k] < 0) for k, name in enumerate(names)}


def _buffers(text: pa.Array) -> tuple[Bytes, Ints, npt.NDArray[np.bool_]]:
    """Return (UTF-8 bytes, offsets[n + 1] into them, not null[n]) of a string array, which may be a slice."""
    _, raw_offsets, raw_data = text.buffers()
    wide = np.int64 if pa.types.is_large_string(text.type) else np.int32
    offsets = np.zeros(1, np.int64)
    if len(text):
        offsets = np.frombuffer(raw_offsets, wide)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    start, end = int(offsets[0]), int(offsets[-1])
    # A copy (0.1 ms a MB) is writable: kernels then see one type of array and compile once, not twice.
    data = np.frombuffer(raw_data, np.uint8)[start:end].copy() if end > start else np.zeros(0, np.uint8)
    valid = text.is_valid().to_numpy(zero_copy_only=False).astype(np.bool_)
    return data, offsets - start, valid


def _chunk_room() -> tuple[Records, Ints]:
    return np.empty(MAX_CHUNK_BYTES + 1, CHAR), np.empty(MAX_CHUNK_BYTES + 1, np.int64)


@functools.cache
def _source_digest() -> int:
    sources = [*sorted(Path(__file__).parent.glob("*.py")), PATH]
    return int(hashlib.blake2b(b"\0".join(path.read_bytes() for path in sources), digest_size=7).hexdigest(), 16)


@njit(nogil=True)
def _longest(offsets: Ints) -> Int:
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    return longest


@njit(nogil=True)
def _word_room(offsets: Ints) -> Int:
    return min(_longest(offsets), MAX_WORDS) + 2 * MAX_CHUNK_BYTES


@functools.cache
def _gopher_kernel() -> Callable[..., None]:
    digest = _source_digest()

    @njit(cache=True, nogil=True)
    def measure(data: Bytes, offsets: Ints, valid: Records, out: Ints) -> None:
        if digest == 0:
            return
        words = np.empty(_word_room(offsets), WORD)
        chars = np.empty(MAX_CHUNK_BYTES + 1, CHAR)
        ends = np.empty(MAX_CHUNK_BYTES + 1, np.int64)
        for d in range(valid.size):
            if valid[d]:
                doc = data[offsets[d] : offsets[d + 1]]
                row = out[d]
                n = segment(doc, words, chars, ends, MAX_WORDS)
                if n >= 0:
                    row[0] = n
                    row[1], row[2], row[3], row[4] = count_words(words, n)
                row[5], row[6] = count_symbols(doc)
                row[7], row[8], row[9] = count_marked_lines(doc)

    return measure


@functools.cache
def _repetition_kernel() -> Callable[..., None]:
    digest = _source_digest()

    @njit(cache=True, nogil=True)
    def measure(data: Bytes, offsets: Ints, valid: Records, out: Ints) -> None:
        if digest == 0:
            return
        words = np.empty(_word_room(offsets), WORD)
        chars = np.empty(MAX_CHUNK_BYTES + 1, CHAR)
        ends = np.empty(MAX_CHUNK_BYTES + 1, np.int64)
        total = np.empty(words.size + 1, np.int64)
        gram = np.empty(words.size, np.uint64)
        table = np.zeros(1 << 12, SLOT)
        generation = 0
        for d in range(valid.size):
            if not valid[d]:
                continue
            doc = data[offsets[d] : offsets[d + 1]]
            row = out[d]
            n = segment(doc, words, chars, ends, MAX_WORDS)
            row[0] = n
            row[1] = count_chars(doc)
            n_slots = slots_for(max(n, count_newlines(doc)) + 1)
            if n_slots > table.size:
                table = np.zeros(n_slots, SLOT)
            mask = n_slots - 1
            start, end = strip(doc, 0, doc.size)
            row[2], row[3], row[4] = repeated_pieces(doc, start, end, 2, table, mask, generation + 1)
            row[5], row[6], row[7] = repeated_pieces(doc, 0, doc.size, 1, table, mask, generation + 2)
            generation += 2
            if n >= 0:
                sum_chars(words, n, total)
                generation = top_ngrams(words, n, total, gram, table, mask, generation, row[8:11])
                generation = repeated_ngrams(words, n, total, gram, table, mask, generation, row[11:17])

    return measure


@functools.cache
def _c4_kernel() -> Callable[..., None]:
    digest = _source_digest()

    @njit(cache=True, nogil=True)
    def measure(
        data: Bytes, offsets: Ints, valid: Records, out: Ints,
        rules: LineRules, kept: Bytes, bounds: Ints,
    ) -> None:  # fmt: skip
        if digest == 0:
            return
        words = np.empty(_word_room(offsets), WORD)
        line_words = np.empty(words.size, WORD)
        chars = np.empty(MAX_CHUNK_BYTES + 1, CHAR)
        ends = np.empty(MAX_CHUNK_BYTES + 1, np.int64)
        for d in range(valid.size):
            if not valid[d]:
                continue
            first, last = offsets[d], offsets[d + 1]
            doc = data[first:last]
            n = segment(doc, words, chars, ends, MAX_WORDS)
            if n < 0:
                continue
            # One byte more than the doc: the newline before a line is reserved before the line is judged.
            room = kept[first : last + 1]
            start, end = c4_lines(
                doc, words, n, rules, line_words, chars, ends, room, out[d, 1:]
            )  # fmt: skip
            if start < 0:
                out[d] = -1
                continue
            out[d, 0] = n
            bounds[d, 0], bounds[d, 1] = first + start, first + end

    return measure
