"""Split UTF-8 text into the words of spaCy's English tokenizer, white space left out.

spaCy works chunk by chunk (a run without white space): it peels prefixes and suffixes off, looks the rest up in a list
of exceptions, keeps URLs whole, else cuts at infixes; at last it puts exceptions together again that the affix rules
had cut. Differences: a chunk of more than MAX_CHUNK_BYTES is one word, and spaCy may let an exception that spans a
space hide another one, which depends on the neighbours of a chunk and is not done here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.kernels.text.affixes import infix_chars, prefix_chars, suffix_chars
from curate.kernels.text.primitives import (
    BASE,
    ONE,
    Bytes,
    Records,
    class_of,
    decode,
    find_exception,
    power_of,
)
from curate.kernels.text.tables import (
    ICON,
    LETTER,
    MAX_CHUNK_BYTES,
    MAX_EXCEPTION_BYTES,
    MAX_PATTERN,
    MAX_PIECES,
    PATTERN,
    PREFIX,
    PUNCTUATION,
    SENTENCE_END,
    SPACE,
    SPECIAL,
    SUFFIX,
    SYMBOL,
    WORD_ALPHA,
    WORD_LOWER,
    Tables,
)
from curate.kernels.text.urls import is_url

# A decoded character of the chunk in hand; `hash` is of the chunk's bytes before it.
CHAR = np.dtype([("hash", "u8"), ("code", "i4"), ("flags", "i4"), ("offset", "i8")])
# A word of the doc: bytes start:end, hash and HASH_BASE ** bytes, characters, bits.
WORD = np.dtype([("hash", "u8"), ("power", "u8"), ("start", "i8"), ("end", "i8"), ("n_chars", "i4"), ("bits", "i4")])

HAS_LETTER = 1
HAS_NON_SYMBOL = 2
ALL_PUNCTUATION = 4
ENDS_SENTENCE = 8
SEEN = 16  # only while patterns are put together; the pattern's length in words stands above it
LENGTH_SHIFT = 8

TOO_MANY_WORDS = -1
FULL_STOP = ord(".")


@njit(nogil=True)
def bits_of(any_flags: int, all_flags: int, n_chars: int) -> int:
    """Return the bits of a word from the union and the intersection of its characters' classes."""
    bits = 0
    if any_flags & LETTER:
        bits |= HAS_LETTER
    if not all_flags & SYMBOL:
        bits |= HAS_NON_SYMBOL
    if all_flags & PUNCTUATION:
        bits |= ALL_PUNCTUATION
    if n_chars == 1 and any_flags & SENTENCE_END:
        bits |= ENDS_SENTENCE
    return bits


@njit(nogil=True)
def put(words: Records, n: int, chars: Records, start: int, end: int, tables: Tables) -> int:
    """Append chars[start:end] as word n; return n + 1."""
    any_flags = 0
    all_flags = -1
    for k in range(start, end):
        any_flags |= chars[k].flags
        all_flags &= chars[k].flags
    power = tables.powers[chars[end].offset - chars[start].offset]
    word = words[n]
    word.start = chars[start].offset
    word.end = chars[end].offset
    word.hash = chars[end].hash - chars[start].hash * power
    word.power = power
    word.n_chars = end - start
    word.bits = bits_of(any_flags, all_flags, end - start)
    return n + 1


@njit(nogil=True)
def put_bytes(words: Records, n: int, doc: Bytes, start: int, end: int, tables: Tables) -> int:
    """Append doc[start:end] as word n, without a decoded chunk; return n + 1."""
    any_flags = 0
    all_flags = -1
    n_chars = 0
    h = np.uint64(0)
    i = start
    while i < end:
        code, n_bytes = decode(doc, i)
        flags = np.int64(class_of(code, tables))
        any_flags |= flags
        all_flags &= flags
        n_chars += 1
        i += n_bytes
    for k in range(start, end):
        h = h * BASE + np.uint64(doc[k]) + ONE
    word = words[n]
    word.start = start
    word.end = end
    word.hash = h
    word.power = power_of(end - start)
    word.n_chars = n_chars
    word.bits = bits_of(any_flags, all_flags, n_chars)
    return n + 1


@njit(nogil=True)
def special_slot(chars: Records, start: int, end: int, tables: Tables) -> int:
    """Return the slot of the special case that chars[start:end] is, or -1."""
    n_bytes = chars[end].offset - chars[start].offset
    if n_bytes > MAX_EXCEPTION_BYTES:
        return np.int64(-1)
    slot = find_exception(chars[end].hash - chars[start].hash * tables.powers[n_bytes], tables)
    return slot if slot >= 0 and tables.kind[slot] & SPECIAL else np.int64(-1)


@njit(nogil=True)
def put_special(words: Records, n: int, doc: Bytes, start: int, slot: int, tables: Tables) -> int:
    """Append the words of the special case that starts at byte `start`."""
    for k in range(MAX_PIECES):
        n_bytes = np.int64(tables.pieces[slot, k])
        if n_bytes == 0:
            break
        n = put_bytes(words, n, doc, start, start + n_bytes, tables)
        start += n_bytes
    return n


@njit(nogil=True)
def put_core(words: Records, n: int, doc: Bytes, chars: Records, start: int, end: int, tables: Tables) -> int:
    """Append what is left of a chunk without its affixes: a special case, a URL, or pieces between infixes."""
    slot = special_slot(chars, start, end, tables)
    if slot >= 0:
        return put_special(words, n, doc, chars[start].offset, slot, tables)
    url_checked = False
    piece = k = start
    while k < end:
        length = infix_chars(chars, start, k, end)
        if length == 0:
            k += 1
            continue
        if not url_checked:
            if is_url(chars, start, end):
                break
            url_checked = True
        if k > start:  # spaCy passes over an infix at the very front
            if k > piece:
                n = put(words, n, chars, piece, k, tables)
            n = put(words, n, chars, k, k + length, tables)
            piece = k + length
        k += length
    return put(words, n, chars, piece, end, tables) if piece < end else n


@njit(nogil=True)
def put_chunk(words: Records, n: int, doc: Bytes, chars: Records, size: int, ends: Records, tables: Tables) -> int:
    """Append the words of the chunk chars[:size]; `ends` is room for the suffixes' ends."""
    first = n
    start, end, last_size, n_suffixes = 0, size, -1, 0
    while start < end and end - start != last_size and special_slot(chars, start, end, tables) < 0:
        last_size = end - start
        prefix = prefix_chars(chars, start, end)
        if prefix > 0 and start + prefix < end and special_slot(chars, start + prefix, end, tables) >= 0:
            n = put(words, n, chars, start, start + prefix, tables)
            start += prefix
            break
        suffix = suffix_chars(chars, start + prefix, end, tables)
        whole_before = suffix > 0 and end - suffix > start and special_slot(chars, start, end - suffix, tables) >= 0
        if suffix > 0:
            ends[n_suffixes] = end
            n_suffixes += 1
            end -= suffix
        if whole_before:
            break
        if prefix > 0:
            n = put(words, n, chars, start, start + prefix, tables)
            start += prefix
    if start < end:
        n = put_core(words, n, doc, chars, start, end, tables)
    for k in range(n_suffixes - 1, -1, -1):
        n = put(words, n, chars, end, ends[k], tables)
        end = ends[k]
    return join_patterns(words, first, n, doc, tables) if n - first > 2 else n


@njit(nogil=True)
def pattern_slot(words: Records, start: int, end: int, tables: Tables) -> int:
    """Return the slot of the special case that the affix rules cut into just words[start:end], or -1."""
    if words[end - 1].end - words[start].start > MAX_EXCEPTION_BYTES:
        return np.int64(-1)
    h = words[start].hash
    for k in range(start + 1, end):
        h = h * words[k].power + words[k].hash
    slot = find_exception(h, tables)
    if slot < 0 or not tables.kind[slot] & PATTERN:
        return np.int64(-1)
    for k in range(start, end):
        if tables.pattern[slot, k - start] != words[k].end - words[k].start:
            return np.int64(-1)
    if end - start < MAX_PATTERN and tables.pattern[slot, end - start] != 0:
        return np.int64(-1)
    return slot


@njit(nogil=True)
def mark_patterns(words: Records, first: int, n: int, tables: Tables) -> bool:
    """Mark the patterns in words[first:n] that spaCy puts together: longest first, then leftmost.

    A pattern counts as seen even where an overlap keeps it from being used.
    """
    found = False
    for length in range(min(MAX_PATTERN, n - first), 1, -1):
        for x in range(first, n - length + 1):
            if pattern_slot(words, x, x + length, tables) < 0:
                continue
            if not (words[x].bits | words[x + length - 1].bits) & SEEN:
                words[x].bits |= length << LENGTH_SHIFT
                found = True
            for k in range(x, x + length):
                words[k].bits |= SEEN
    return found


@njit(nogil=True)
def has_pattern(words: Records, first: int, n: int, tables: Tables) -> bool:
    """Return whether any run of words[first:n] may be a pattern; nearly always not, and this is cheap."""
    for x in range(first, n - 1):
        h = words[x].hash
        for y in range(x + 1, min(x + MAX_PATTERN, n)):
            if words[y].end - words[x].start > MAX_EXCEPTION_BYTES:
                break
            h = h * words[y].power + words[y].hash
            slot = find_exception(h, tables)
            if slot >= 0 and tables.kind[slot] & PATTERN:
                return True
    return False


@njit(nogil=True)
def join_patterns(words: Records, first: int, n: int, doc: Bytes, tables: Tables) -> int:
    """Replace patterns in words[first:n] by the words of their special case; return the new n."""
    if not has_pattern(words, first, n, tables):
        return n
    mark_patterns(words, first, n, tables)
    out = n  # the new words are written behind the old ones, then moved down
    x = first
    while x < n:
        length = words[x].bits >> LENGTH_SHIFT
        if length > 0:
            slot = pattern_slot(words, x, x + length, tables)
            out = put_special(words, out, doc, words[x].start, slot, tables)
            x += length
        else:
            words[out] = words[x]
            words[out].bits &= SEEN - 1
            out += 1
            x += 1
    for k in range(n, out):
        words[first + k - n] = words[k]
    return first + out - n


@njit(nogil=True)
def read_chunk(doc: Bytes, i: int, chars: Records, tables: Tables) -> tuple[int, int, int]:
    """Decode the chunk at byte i: return (its end, characters or -1 where it is too long, plain letters it starts with)."""
    first_byte = i
    size = plain = 0
    h = np.uint64(0)
    while i < doc.size and i - first_byte <= MAX_CHUNK_BYTES - 4:
        code, n_bytes = decode(doc, i)
        flags = np.int64(class_of(code, tables))
        if flags & SPACE:
            break
        char = chars[size]
        char.hash = h
        char.code = code
        char.flags = flags
        char.offset = i
        if plain == size and flags & (WORD_ALPHA | PREFIX | SUFFIX | ICON) == WORD_ALPHA:
            plain += 1
        size += 1
        for k in range(i, i + n_bytes):
            h = h * BASE + np.uint64(doc[k]) + ONE
        i += n_bytes
    chars[size].hash = h
    chars[size].offset = i
    if i < doc.size:
        code, n_bytes = decode(doc, i)
        if not class_of(code, tables) & SPACE:
            return skip_chunk(doc, i, tables), -1, 0
    return i, size, plain


@njit(nogil=True)
def skip_chunk(doc: Bytes, i: int, tables: Tables) -> int:
    """Return where the run without white space at byte i ends."""
    while i < doc.size:
        code, n_bytes = decode(doc, i)
        if class_of(code, tables) & SPACE:
            break
        i += n_bytes
    return i


@njit(nogil=True)
def segment(doc: Bytes, words: Records, chars: Records, ends: Records, max_words: int, tables: Tables) -> int:
    """Fill `words` with the words of `doc`; return their number, or TOO_MANY_WORDS.

    `words` has room for max_words + 2 * MAX_CHUNK_BYTES, `chars` and `ends` for MAX_CHUNK_BYTES + 1.
    """
    n = i = 0
    while i < doc.size:
        code, n_bytes = decode(doc, i)
        if class_of(code, tables) & SPACE:
            i += n_bytes
            continue
        start = i
        i, size, plain = read_chunk(doc, start, chars, tables)
        if size < 0:
            n = put_bytes(words, n, doc, start, i, tables)
        elif plain >= size - 1 and special_slot(chars, 0, size, tables) < 0:
            n = put_plain(words, n, doc, chars, size, plain, ends, tables)
        else:
            n = put_chunk(words, n, doc, chars, size, ends, tables)
        if n > max_words:
            return TOO_MANY_WORDS
    return n


@njit(nogil=True)
def put_plain(
    words: Records, n: int, doc: Bytes, chars: Records, size: int, plain: int, ends: Records, tables: Tables
) -> int:
    """Append the commonest chunks without the affix loop: letters, or letters and one mark behind them."""
    if plain == size:
        return put(words, n, chars, 0, size, tables)
    mark = chars[size - 1]
    splits = mark.flags & SUFFIX or (mark.code == FULL_STOP and size > 1 and chars[size - 2].flags & WORD_LOWER)
    if size > 1 and splits and special_slot(chars, 0, size - 1, tables) < 0:
        n = put(words, n, chars, 0, size - 1, tables)
        return put(words, n, chars, size - 1, size, tables)
    return put_chunk(words, n, doc, chars, size, ends, tables)
