"""Split a chunk of UTF-8 text (a run without white space) as spaCy's English tokenizer does.

spaCy peels prefixes and suffixes off, looks the rest up in a list of exceptions, keeps URLs whole, else cuts at
infixes; at last it puts exceptions together again that the affix rules had cut.
"""

from __future__ import annotations

import numpy as np

from curate.kernels.compiled import inner
from curate.kernels.text.affixes import infix_chars, prefix_chars, suffix_chars
from curate.kernels.text.primitives import (
    BASE,
    KIND,
    ONE,
    PATTERNS,
    PIECES,
    Bytes,
    Int,
    Record,
    Records,
    class_at,
    class_of,
    decode,
    find_exception,
    hash_on,
    power_of,
)
from curate.kernels.text.tables import (
    ALNUM,
    INFIX,
    LETTER,
    MAX_CHUNK_BYTES,
    MAX_EXCEPTION_BYTES,
    MAX_PATTERN,
    MAX_PIECES,
    PATTERN,
    PUNCTUATION,
    SENTENCE_END,
    SPACE,
    SPECIAL,
    SYMBOL,
)
from curate.kernels.text.tables import HASH_OR_ELLIPSIS as IS_HASH_OR_ELLIPSIS
from curate.kernels.text.urls import is_url

# A decoded character of the chunk in hand; `hash` is of the chunk's bytes before it.
CHAR = np.dtype([("hash", "u8"), ("code", "i4"), ("flags", "i4"), ("offset", "i8")])
# A word of the doc: its hash, bytes start:end of the doc, characters, bits.
WORD = np.dtype([("hash", "u8"), ("start", "i4"), ("end", "i4"), ("n_chars", "i4"), ("bits", "i4")])

HAS_LETTER = 1
HAS_NON_SYMBOL = 2
ALL_PUNCTUATION = 4
ENDS_SENTENCE = 8
HAS_HASH_OR_ELLIPSIS = 16
STARTS_ALNUM = 32
SEEN = 128  # only while patterns are put together; the pattern's length in words stands above it
LENGTH_SHIFT = 8

TOO_MANY_WORDS = -1

# For the quick ways through plain text: ASCII letters, and the bits of a word of them.
IS_LETTER = np.zeros(256, np.bool_)
IS_LETTER[:128] = [chr(byte).isalpha() for byte in range(128)]
LETTER_BITS = HAS_LETTER | HAS_NON_SYMBOL | STARTS_ALNUM


@inner
def bits_of(first_flags: Int, any_flags: Int, all_flags: Int, n_chars: Int) -> Int:
    """Return the bits of a word from the classes of its first, of any and of all of its characters."""
    bits = STARTS_ALNUM if first_flags & ALNUM else 0
    if any_flags & IS_HASH_OR_ELLIPSIS:
        bits |= HAS_HASH_OR_ELLIPSIS
    if any_flags & LETTER:
        bits |= HAS_LETTER
    if not all_flags & SYMBOL:
        bits |= HAS_NON_SYMBOL
    if all_flags & PUNCTUATION:
        bits |= ALL_PUNCTUATION
    if n_chars == 1 and any_flags & SENTENCE_END:
        bits |= ENDS_SENTENCE
    return bits


@inner
def fill(
    word: Record, start: Int, end: Int, h: Int, n_chars: Int, first_flags: Int, any_flags: Int, all_flags: Int
) -> None:
    """Write one word."""
    word.hash = h
    word.start = start
    word.end = end
    word.n_chars = n_chars
    word.bits = bits_of(first_flags, any_flags, all_flags, n_chars)


@inner
def letters_at(doc: Bytes, i: Int) -> tuple[Int, Int]:
    """Return (end, hash) of the run of ASCII letters at byte i, which may be empty."""
    h = np.uint64(0)
    while i < doc.size and IS_LETTER[doc[i]]:
        h = h * BASE + np.uint64(doc[i]) + ONE
        i += 1
    return i, h


@inner
def fill_letters(word: Record, start: Int, end: Int, h: Int) -> None:
    """Write one word of ASCII letters."""
    word.hash = h
    word.start = start
    word.end = end
    word.n_chars = end - start
    word.bits = LETTER_BITS


@inner
def put(words: Records, n: Int, chars: Records, start: Int, end: Int) -> Int:
    """Append chars[start:end] as word n; return n + 1."""
    any_flags = 0
    all_flags = -1
    for k in range(start, end):
        any_flags |= chars[k].flags
        all_flags &= chars[k].flags
    first, last = chars[start].offset, chars[end].offset
    h = chars[end].hash - chars[start].hash * power_of(last - first)
    fill(words[n], first, last, h, end - start, np.int64(chars[start].flags), any_flags, all_flags)
    return n + 1


@inner
def put_bytes(words: Records, n: Int, doc: Bytes, start: Int, end: Int) -> Int:
    """Append doc[start:end] as word n, without a decoded chunk; return n + 1."""
    first_flags, any_flags, all_flags, n_chars = 0, 0, -1, 0
    h = np.uint64(0)
    i = start
    while i < end:
        flags, n_bytes = class_at(doc, i)
        h = hash_on(h, doc, i, i + n_bytes)
        if n_chars == 0:
            first_flags = flags
        any_flags |= flags
        all_flags &= flags
        n_chars += 1
        i += n_bytes
    fill(words[n], start, end, h, n_chars, first_flags, any_flags, all_flags)
    return n + 1


@inner
def special_slot(chars: Records, start: Int, end: Int) -> Int:
    """Return the slot of the special case that chars[start:end] is, or -1."""
    n_bytes = chars[end].offset - chars[start].offset
    if n_bytes > MAX_EXCEPTION_BYTES:
        return -1
    slot = find_exception(chars[end].hash - chars[start].hash * power_of(n_bytes))
    return slot if slot >= 0 and KIND[slot] & SPECIAL else -1


@inner
def put_special(words: Records, n: Int, doc: Bytes, start: Int, slot: Int) -> Int:
    """Append the words of the special case that starts at byte `start`."""
    for k in range(MAX_PIECES):
        n_bytes = np.int64(PIECES[slot, k])
        if n_bytes == 0:
            break
        n = put_bytes(words, n, doc, start, start + n_bytes)
        start += n_bytes
    return n


@inner
def put_core(words: Records, n: Int, doc: Bytes, chars: Records, start: Int, end: Int) -> Int:
    """Append what is left of a chunk without its affixes: a special case, a URL, or pieces between infixes."""
    slot = special_slot(chars, start, end)
    if slot >= 0:
        return put_special(words, n, doc, chars[start].offset, slot)
    url_checked = False
    piece = k = start
    while k < end:
        length = infix_chars(chars, start, k, end) if chars[k].flags & INFIX else 0
        if length == 0:
            k += 1
            continue
        if not url_checked:
            if is_url(chars, start, end):
                break
            url_checked = True
        if k > start:  # spaCy passes over an infix at the very front
            if k > piece:
                n = put(words, n, chars, piece, k)
            n = put(words, n, chars, k, k + length)
            piece = k + length
        k += length
    return put(words, n, chars, piece, end) if piece < end else n


@inner
def put_chunk(words: Records, n: Int, doc: Bytes, chars: Records, size: Int, ends: Records) -> Int:
    """Append the words of the chunk chars[:size]; `ends` is room for the suffixes' ends."""
    first = n
    start, end, last_size, n_suffixes = 0, size, -1, 0
    while start < end and end - start != last_size and special_slot(chars, start, end) < 0:
        last_size = end - start
        prefix = prefix_chars(chars, start, end)
        if prefix > 0 and start + prefix < end and special_slot(chars, start + prefix, end) >= 0:
            n = put(words, n, chars, start, start + prefix)
            start += prefix
            break
        suffix = suffix_chars(chars, start + prefix, end)
        whole_before = suffix > 0 and end - suffix > start and special_slot(chars, start, end - suffix) >= 0
        if suffix > 0:
            ends[n_suffixes] = end
            n_suffixes += 1
            end -= suffix
        if whole_before:
            break
        if prefix > 0:
            n = put(words, n, chars, start, start + prefix)
            start += prefix
    if start < end:
        n = put_core(words, n, doc, chars, start, end)
    for k in range(n_suffixes - 1, -1, -1):
        n = put(words, n, chars, end, ends[k])
        end = ends[k]
    return join_patterns(words, first, n, doc) if n - first > 2 else n


@inner
def pattern_slot(words: Records, start: Int, end: Int) -> Int:
    """Return the slot of the special case that the affix rules cut into just words[start:end], or -1."""
    if words[end - 1].end - words[start].start > MAX_EXCEPTION_BYTES:
        return -1
    h = words[start].hash
    for k in range(start + 1, end):
        h = h * power_of(np.int64(words[k].end) - words[k].start) + words[k].hash
    slot = find_exception(h)
    if slot < 0 or not KIND[slot] & PATTERN:
        return -1
    for k in range(start, end):
        if PATTERNS[slot, k - start] != words[k].end - words[k].start:
            return -1
    if end - start < MAX_PATTERN and PATTERNS[slot, end - start] != 0:
        return -1
    return slot


@inner
def mark_patterns(words: Records, first: Int, n: Int) -> bool:
    """Mark the patterns in words[first:n] that spaCy puts together: longest first, then leftmost.

    A pattern counts as seen even where an overlap keeps it from being used.
    """
    found = False
    for length in range(min(MAX_PATTERN, n - first), 1, -1):
        for x in range(first, n - length + 1):
            if pattern_slot(words, x, x + length) < 0:
                continue
            if not (words[x].bits | words[x + length - 1].bits) & SEEN:
                words[x].bits |= length << LENGTH_SHIFT
                found = True
            for k in range(x, x + length):
                words[k].bits |= SEEN
    return found


@inner
def has_pattern(words: Records, first: Int, n: Int) -> bool:
    """Return whether any run of words[first:n] may be a pattern; nearly always not, and this is cheap."""
    for x in range(first, n - 1):
        h = words[x].hash
        for y in range(x + 1, min(x + MAX_PATTERN, n)):
            if words[y].end - words[x].start > MAX_EXCEPTION_BYTES:
                break
            h = h * power_of(np.int64(words[y].end) - words[y].start) + words[y].hash
            slot = find_exception(h)
            if slot >= 0 and KIND[slot] & PATTERN:
                return True
    return False


@inner
def join_patterns(words: Records, first: Int, n: Int, doc: Bytes) -> Int:
    """Replace patterns in words[first:n] by the words of their special case; return the new n."""
    if not has_pattern(words, first, n):
        return n
    mark_patterns(words, first, n)
    out = n  # the new words are written behind the old ones, then moved down
    x = first
    while x < n:
        length = words[x].bits >> LENGTH_SHIFT
        if length > 0:
            slot = pattern_slot(words, x, x + length)
            out = put_special(words, out, doc, np.int64(words[x].start), slot)
            x += length
        else:
            words[out] = words[x]
            words[out].bits &= SEEN - 1
            out += 1
            x += 1
    for k in range(n, out):
        words[first + k - n] = words[k]
    return first + out - n


@inner
def read_chunk(doc: Bytes, i: Int, chars: Records) -> tuple[Int, Int]:
    """Decode the chunk at byte i; return (its end, its characters or -1 where it is too long)."""
    stop = min(doc.size, i + MAX_CHUNK_BYTES)
    size = 0
    h = np.uint64(0)
    while i < stop:
        code, n_bytes = decode(doc, i)
        flags = class_of(code)
        if flags & SPACE:
            break
        char = chars[size]
        char.hash = h
        char.code = code
        char.flags = flags
        char.offset = i
        size += 1
        h = hash_on(h, doc, i, i + n_bytes)
        i += n_bytes
    chars[size].hash = h
    chars[size].offset = i
    end = skip_chunk(doc, i)
    return end, size if end == i else -1


@inner
def skip_chunk(doc: Bytes, i: Int) -> Int:
    """Return where the run without white space at byte i ends."""
    while i < doc.size:
        code, n_bytes = decode(doc, i)
        if class_of(code) & SPACE:
            break
        i += n_bytes
    return i
