"""One pass over a doc for RedPajama-v2: its normalised words, and all it counts in characters, raw words and lines.

Two notions of a word run side by side. A normalised word is what stands between white space once ASCII punctuation is
deleted, in lower case and NFD. A raw word is what NLTK's WordPunctTokenizer finds: a run of letters, digits and
underscores, or a run of anything else that is no white space.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curate.kernels.compiled import inner
from curate.kernels.text.lines import NEWLINE, ends_in_stops
from curate.kernels.text.primitives import BASE, ONE, Bytes, Int, Record, Records, decode, is_at, power_of
from curate.kernels.text.redpajama_chars import (
    BLOCK_OF,
    FLAGS,
    add_char,
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
PLAIN = 1 << 32  # a letter or digit
ASCII[[byte for byte in range(128) if chr(byte).isalnum()]] |= PLAIN
LOWERED = np.array([ord(chr(byte).lower()) + 1 if byte < 128 else 0 for byte in range(256)], np.uint64)

JAVASCRIPT = np.uint64(word_hash("javascript"))
LOREM = np.frombuffer(b"lorem", np.uint8).copy()
IPSUM = np.frombuffer(b"ipsum", np.uint8).copy()
BLANK = np.uint8(ord(" "))
SHARP, FULL_STOP, OPEN, CLOSE = ord("#"), ord("."), ord("{"), ord("}")
ELLIPSIS, CLOSING_QUOTE = np.int64(ord("…")), np.int64(ord("”"))  # typed: one is_at serves both
BULLETS = np.array([ord(bullet) for bullet in "•‣▶◀◦■□▪▫–"], np.int64)
SHORT_LINE = 3  # C4 as datatrove has it drops lines of fewer words

Ints = npt.NDArray[np.int64]


@inner
def end_raw_word(flags: Int, h: Int, n_chars: Int, listed: Records, found: Ints) -> None:
    """Count a raw word: the union of its characters' classes, and its hash and size as a normalised word."""
    found[N_RAW_WORDS] += 1
    if not flags & ASCII_LETTER:
        found[N_NO_LETTER] += 1
    if flags & UPPER:
        if not flags & LOWER:
            found[N_ALL_CAPS] += 1
    elif flags & WORD and not flags & DROPPED and n_chars <= MAX_LISTED_CHARS:  # `the_` is not `the`
        slot = listed_slot(listed, h)
        if slot >= 0:
            bits = np.int64(listed[slot].stop)
            for k in range(N_LANGUAGES):
                found[STOP_WORDS + k] += bits >> k & 1


@inner
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


@inner
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
                n = state.n_chars - chars_before
                end_raw_word(seen, state.hash - hash_before * power_of(n), n, listed, found)
            first = False
            kind = flags & WORD
            seen = np.int64(0)
            if kind and state.unsorted:
                end_marks(state, doc, i)
            hash_before, chars_before = state.hash, state.n_chars
        seen |= flags
        found[N_CHARS] += 1
        found[N_UPPER] += (flags & UPPER) // UPPER
        found[NUMERIC_CHARS] += (flags & NUMERIC) // NUMERIC
        if kind:
            found[IN_SENTENCE] = 1
            stops = np.int64(0)
        elif byte < 128:
            stops = count_mark(code, flags, stops, found)
        else:
            stops = np.int64(0)
            found[N_SYMBOLS] += int(code == ELLIPSIS)
        if byte < 128 and kind and not flags & DROPPED:  # the commonest characters, without a call
            state.rank = 0
            state.hash = state.hash * BASE + LOWERED[byte]
            state.n_chars += 1
        elif not flags & DROPPED:
            add_char(state, doc, i, code, flags, True)
        i += n_bytes
    if not first:
        n = state.n_chars - chars_before
        end_raw_word(seen, state.hash - hash_before * power_of(n), n, listed, found)
    return i


@inner
def read_plain(doc: Bytes, i: Int, words: Records, max_words: int, listed: Records, found: Ints) -> Int:
    """Read the commonest chunks from byte i on: ASCII letters and digits, perhaps one mark, then white space.

    Returns the start of the first chunk that is of no such kind, or whose white space is no blank.
    """
    zero: Int = np.int64(0)
    n_words = found[N_WORDS]
    word_chars = n_marks = n_blanks = n_upper = n_numeric = zero
    start = i
    while i < doc.size:
        byte: Int = doc[i]
        flags = ASCII[byte]
        h: Int = np.uint64(0)
        upper = numeric = seen = zero
        while flags & PLAIN:
            seen |= flags
            upper += flags & UPPER
            numeric += flags & NUMERIC
            h = h * BASE + LOWERED[byte]
            i += 1
            byte = doc[i] if i < doc.size else BLANK
            flags = ASCII[byte]
        n_chars = i - start
        if n_chars == 0:
            break
        mark = zero
        if flags & DROPPED and not flags & WORD and (i + 1 == doc.size or ASCII[doc[i + 1]] & SPACE):
            mark += 1
        elif not flags & SPACE:
            break
        if h == JAVASCRIPT or (n_chars >= LOREM.size and doc[i - 1] | 0x20 == LOREM[-1]):
            break
        end_raw_word(seen, h, n_chars, listed, found)
        found[IN_SENTENCE] = 1
        if mark:
            count_mark(np.int64(byte), flags, zero, found)
            n_marks += 1
        if n_words < max_words:
            words[n_words].hash = h
            words[n_words].n_chars = n_chars
        n_words += 1
        word_chars += n_chars
        n_upper += upper
        n_numeric += numeric
        i += mark
        start = i
        if i < doc.size and doc[i] == BLANK:
            n_blanks += 1
            i += 1
            start = i
        else:
            break
    found[N_RAW_WORDS] += n_marks
    found[N_NO_LETTER] += n_marks
    found[N_WORDS] = n_words
    found[WORD_CHARS] += word_chars
    found[N_CHARS] += word_chars + n_marks + n_blanks
    found[N_UPPER] += n_upper // UPPER
    found[NUMERIC_CHARS] += n_numeric // NUMERIC
    return start


@inner
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


@inner
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


@inner
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


@inner
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
        if line_end == line_start:
            line_start = i
        start = i
        if flags & PLAIN and not after_lorem:
            i = read_plain(doc, i, words, max_words, listed, found)
            if i > start:
                line_end = i
                while doc[line_end - 1] == BLANK:
                    line_end -= 1
                continue
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
