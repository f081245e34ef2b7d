"""One pass over a doc for RedPajama-v2: its normalised words, and all it counts in characters, raw words and lines.

Two notions of a word run side by side. A normalised word is what stands between white space once ASCII punctuation is
deleted, in lower case and NFD. A raw word is what NLTK's WordPunctTokenizer finds: a run of letters, digits and
underscores, or a run of anything else that is no white space.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.text.lines import NEWLINE, ends_in_stops
from curate.kernels.text.primitives import BASE, ONE, Bytes, Int, Record, Records, decode, is_at, power_of
from curate.kernels.text.redpajama_chars import (
    BLOCK_OF,
    FLAGS,
    add_char,
    count_languages,
    end_marks,
    end_word,
    flags_at,
    listed_slot,
    start_word,
)
from curate.kernels.text.redpajama_tables import (
    DROPPED,
    LOWER,
    MAX_LISTED_CHARS,
    NUMERIC,
    REDPAJAMA_LANGUAGES,
    SPACE,
    UPPER,
    WORD,
    word_hash,
)

# What the pass counts, in its order; the next N_LANGUAGES counts are stop words by language.
(
    N_WORDS, WORD_CHARS, NUMERIC_CHARS, N_RAW_WORDS, N_NO_LETTER, N_ALL_CAPS, N_SYMBOLS, N_BRACKETS, N_SENTENCES,
    N_UPPER, N_CHARS, N_LOREM_IPSUM, N_JAVASCRIPT, N_LINES, N_ELLIPSIS_LINES, N_TERMINAL_LINES, N_BULLET_LINES,
    N_UPPER_LINES, N_NUMERIC_LINES, N_SHORT_LINES, LINE_CHARS, IN_SENTENCE, STOP_WORDS,
) = range(23)  # fmt: skip
N_LANGUAGES = len(REDPAJAMA_LANGUAGES)
N_COUNTS = STOP_WORDS + N_LANGUAGES

ASCII_LETTER = 1 << 30
SENTENCE_STOP = 1 << 31
ASCII = np.zeros(256, np.int64)  # class bits of an ASCII byte, 0 for any other
ASCII[:128] = FLAGS[BLOCK_OF[0]][:128]
ASCII[[*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]] |= ASCII_LETTER
ASCII[[ord("."), ord("!"), ord("?")]] |= SENTENCE_STOP
LOWERED = np.array([ord(chr(byte).lower()) + 1 if byte < 128 else 0 for byte in range(256)], np.uint64)

JAVASCRIPT = np.uint64(word_hash("javascript"))
LOREM = np.frombuffer(b"lorem", np.uint8).copy()
IPSUM = np.frombuffer(b"ipsum", np.uint8).copy()
SHARP, FULL_STOP, OPEN, CLOSE, ELLIPSIS = ord("#"), ord("."), ord("{"), ord("}"), ord("…")
CLOSING_QUOTE = ord("”")
BULLETS = np.array([ord(bullet) for bullet in "•‣▶◀◦■□▪▫–"], np.int64)
SHORT_LINE = 3  # C4 as datatrove has it drops lines of fewer words

Ints = npt.NDArray[np.int64]


@njit(nogil=True)
def end_raw_word(state: Record, flags: Int, hash_before: Int, chars_before: Int, listed: Records, found: Ints) -> None:
    """Count a raw word, whose characters have the classes `flags` and began at this hash of the normalised word."""
    found[N_RAW_WORDS] += 1
    if not flags & ASCII_LETTER:
        found[N_NO_LETTER] += 1
    if flags & UPPER:
        if not flags & LOWER:
            found[N_ALL_CAPS] += 1
        return
    n_chars = state.n_chars - chars_before
    if flags & WORD and 0 < n_chars <= MAX_LISTED_CHARS:
        slot = listed_slot(listed, state.hash - hash_before * power_of(n_chars))
        if slot >= 0:
            count_languages(np.int64(listed[slot].stop), found[STOP_WORDS:N_COUNTS])


@njit(nogil=True)
def read_chunk(doc: Bytes, i: Int, state: Record, listed: Records, found: Ints) -> Int:
    """Read what stands at byte i up to white space into `state`, the normalised word; return its end.

    Counts raw words, symbols and sentences on the way.
    """
    start_word(state)
    zero: Int = np.int64(0)
    kind = flags = seen = chars_before = stops = zero
    hash_before = np.uint64(0)
    first = True
    while i < doc.size:
        byte = doc[i]
        code, n_bytes = np.int64(byte), np.int64(1)
        if byte < 128:
            flags = ASCII[byte]
        else:
            code, n_bytes = decode(doc, i)
            flags = flags_at(code)
        if flags & SPACE:
            break
        if first or flags & WORD != kind:
            if not first:
                end_raw_word(state, seen, hash_before, chars_before, listed, found)
            first = False
            kind = flags & WORD
            seen = np.int64(0)
            if kind and state.unsorted:
                end_marks(state, doc, i)
            hash_before, chars_before = state.hash, state.n_chars
        seen |= flags
        if byte < 128 and kind:
            i, more = read_ascii_word(doc, i, state, found)
            seen |= more
            found[IN_SENTENCE] = 1
            stops = np.int64(0)
            continue
        found[N_CHARS] += 1
        if byte >= 128:
            stops = np.int64(0)
            found[N_UPPER] += (flags & UPPER) // UPPER
            found[NUMERIC_CHARS] += (flags & NUMERIC) // NUMERIC
            if kind:
                found[IN_SENTENCE] = 1
            elif code == ELLIPSIS:
                found[N_SYMBOLS] += 1
            add_char(state, doc, i, code, flags, True)
        else:
            stops = count_mark(code, flags, stops, found)
            if not flags & DROPPED:  # a control character
                add_char(state, doc, i, code, flags, True)
        i += n_bytes
    if not first:
        end_raw_word(state, seen, hash_before, chars_before, listed, found)
    return i


@njit(nogil=True)
def count_mark(byte: Int, flags: Int, stops: Int, found: Ints) -> Int:
    """Count an ASCII character that is of no word; return how many full stops now stand in a row."""
    if flags & SENTENCE_STOP:
        found[N_SENTENCES] += found[IN_SENTENCE]
        found[IN_SENTENCE] = 0
    if byte == SHARP:
        found[N_SYMBOLS] += 1
    elif byte in (OPEN, CLOSE):
        found[N_BRACKETS] += 1
    elif byte == FULL_STOP:
        if stops == 2:
            found[N_SYMBOLS] += 1
            return np.int64(0)
        return stops + 1
    return np.int64(0)


@njit(nogil=True)
def read_ascii_word(doc: Bytes, i: Int, state: Record, found: Ints) -> tuple[Int, Int]:
    """Append the run of ASCII letters, digits and underscores at byte i; return (its end, union of their classes)."""
    if state.unsorted:
        end_marks(state, doc, i)
    state.rank = 0
    start = i
    h = state.hash
    zero: Int = np.int64(0)
    n_upper = n_dropped = n_numeric = seen = zero
    while i < doc.size:
        byte = doc[i]
        flags = ASCII[byte]
        if not flags & WORD:
            break
        seen |= flags
        n_upper += flags & UPPER
        n_numeric += flags & NUMERIC
        if flags & DROPPED:
            n_dropped += 1
        else:
            h = h * BASE + LOWERED[byte]
        i += 1
    state.hash = h
    state.n_chars += i - start - n_dropped
    found[N_UPPER] += n_upper // UPPER
    found[NUMERIC_CHARS] += n_numeric // NUMERIC
    found[N_CHARS] += i - start
    return i, seen


@njit(nogil=True)
def ends_in_lorem(doc: Bytes, start: Int, end: Int) -> bool:
    """Return whether the normalised word of doc[start:end] ends in `lorem`."""
    left = LOREM.size
    while end > start and left > 0:
        end -= 1
        byte = doc[end]
        if ASCII[byte] & DROPPED:
            continue
        if LOWERED[byte] != LOREM[left - 1] + ONE:
            return False
        left -= 1
    return left == 0


@njit(nogil=True)
def starts_with_ipsum(doc: Bytes, start: Int, end: Int) -> bool:
    """Return whether the normalised word of doc[start:end] starts with `ipsum`."""
    n = 0
    while start < end and n < IPSUM.size:
        byte = doc[start]
        start += 1
        if ASCII[byte] & DROPPED:
            continue
        if LOWERED[byte] != IPSUM[n] + ONE:
            return False
        n += 1
    return n == IPSUM.size


@njit(nogil=True)
def end_line(doc: Bytes, start: Int, end: Int, before: Ints, found: Ints) -> None:
    """Count the line whose first and last chunk begin and end at these bytes; `before` held the counts at its start."""
    n_words = found[N_WORDS] - before[N_WORDS]
    n_chars = found[WORD_CHARS] - before[WORD_CHARS] + max(n_words - 1, 0)
    found[N_LINES] += 1
    found[LINE_CHARS] += n_chars
    if 2 * (found[N_UPPER] - before[N_UPPER]) > found[N_CHARS] - before[N_CHARS]:
        found[N_UPPER_LINES] += 1
    if 2 * (found[NUMERIC_CHARS] - before[NUMERIC_CHARS]) > n_chars:
        found[N_NUMERIC_LINES] += 1
    if n_words < SHORT_LINE:
        found[N_SHORT_LINES] += 1
    if start < end:
        last = doc[end - 1]
        if ends_in_stops(doc, start, end) or is_at(doc, max(end - 3, start), end, ELLIPSIS):
            found[N_ELLIPSIS_LINES] += 1
        if ASCII[last] & SENTENCE_STOP or is_at(doc, max(end - 3, start), end, CLOSING_QUOTE):
            found[N_TERMINAL_LINES] += 1
        if doc[start] == 0xE2:
            first, _ = decode(doc, start)
            for bullet in BULLETS:
                if first == bullet:
                    found[N_BULLET_LINES] += 1
    for k in range(N_COUNTS):  # a slice would compile the handling of overlaps for seconds
        before[k] = found[k]


@njit(nogil=True)
def read_doc(
    doc: Bytes, words: Records, max_words: Int, listed: Records, state: Record, found: Ints, before: Ints
) -> None:
    """Fill found[:N_COUNTS], and hash and n_chars of the first `max_words` normalised words.

    `before` is room for as many counts.
    """
    found[:] = 0
    before[:] = 0
    line_start = line_end = i = np.int64(0)
    after_lorem = False
    while i < doc.size:
        byte = doc[i]
        flags, n_bytes = ASCII[byte], np.int64(1)
        if byte >= 128:
            code, n_bytes = decode(doc, i)
            flags = flags_at(code)
        if flags & SPACE:
            found[N_CHARS] += 1
            i += n_bytes
            if byte == NEWLINE:
                end_line(doc, line_start, line_end, before, found)
                line_start = line_end = i
            continue
        start = i
        if line_end == line_start:
            line_start = start
        i = read_chunk(doc, start, state, listed, found)
        line_end = i
        if state.n_chars == 0:
            continue
        k = found[N_WORDS]
        h = end_word(state, doc, i)
        if k < max_words:
            words[k].hash = h
            words[k].n_chars = state.n_chars
        found[N_WORDS] += 1
        found[WORD_CHARS] += state.n_chars
        found[N_JAVASCRIPT] += int(h == JAVASCRIPT)
        found[N_LOREM_IPSUM] += int(after_lorem and starts_with_ipsum(doc, start, i))
        after_lorem = ends_in_lorem(doc, start, i)
    found[N_SENTENCES] += found[IN_SENTENCE]
    if doc.size > 0 and doc[doc.size - 1] != NEWLINE:
        end_line(doc, line_start, line_end, before, found)
