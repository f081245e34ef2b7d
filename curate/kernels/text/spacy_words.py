"""Split UTF-8 text into the words of spaCy's English tokenizer, white space left out.

spaCy works chunk by chunk (a run without white space), see `words.py`; plain chunks, which are nearly all, take a
quicker way. Differences: a chunk of more than MAX_CHUNK_BYTES is one word, and spaCy may let an exception that spans a
space hide another one, which depends on the neighbours of a chunk and is not done here.
"""

from __future__ import annotations

import numpy as np

from curate.kernels.compiled import inner
from curate.kernels.text.primitives import (
    BASE,
    FLAT_FLAGS,
    KIND,
    ONE,
    Bytes,
    Int,
    Records,
    class_at,
    class_of,
    decode,
    find_exception,
    hash_on,
    power_of,
)
from curate.kernels.text.tables import (
    BEFORE_STOP,
    DIGIT,
    ICON,
    MAX_EXCEPTION_BYTES,
    PREFIX,
    SPACE,
    SPECIAL,
    SUFFIX,
    WORD_ALPHA,
)
from curate.kernels.text.words import (
    TOO_MANY_WORDS,
    fill,
    fill_letters,
    letters_at,
    put_bytes,
    put_chunk,
    read_chunk,
)

FULL_STOP = ord(".")

# What ASCII bytes are, for the quick way through plain text.
IS_LOWER, IS_BLANK, IS_SUFFIX = (np.zeros(256, np.bool_) for _ in range(3))
IS_LOWER[:128] = [chr(byte).islower() for byte in range(128)]
IS_BLANK[:128] = FLAT_FLAGS[:128] & SPACE != 0
IS_SUFFIX[:128] = FLAT_FLAGS[:128] & SUFFIX != 0


@inner
def is_chunk_end(doc: Bytes, i: Int) -> bool:
    """Return whether the text ends at byte i or white space stands there."""
    if i >= doc.size:
        return True
    code, _ = decode(doc, i)
    return bool(class_of(code) & SPACE)


@inner
def is_special(h: Int, n_bytes: Int) -> bool:
    """Return whether bytes with this hash are a special case."""
    if n_bytes > MAX_EXCEPTION_BYTES:
        return False
    slot = find_exception(h)
    return bool(slot >= 0 and KIND[slot] & SPECIAL)


@inner
def put_plain(words: Records, n: Int, doc: Bytes, start: Int) -> tuple[Int, Int]:
    """Append the commonest chunks in one quick pass: letters, then digits, then perhaps one mark.

    Returns (new n, end of the chunk), or (n, start) where the chunk is of no such kind.
    """
    i = start
    first_flags, any_flags, all_flags, last_flags, n_chars = 0, 0, -1, 0, 0
    h = np.uint64(0)
    code = n_bytes = flags = 0
    while i < doc.size:
        code, n_bytes = decode(doc, i)
        flags = class_of(code)
        kind = flags & (WORD_ALPHA | DIGIT | PREFIX | SUFFIX | ICON | SPACE)
        # A letter behind a digit may be a unit, which the suffix rules must see.
        if kind != DIGIT and (kind != WORD_ALPHA or last_flags & DIGIT):
            break
        h = hash_on(h, doc, i, i + n_bytes)
        if n_chars == 0:
            first_flags = flags
        any_flags |= flags
        all_flags &= flags
        last_flags = flags
        n_chars += 1
        i += n_bytes
    if n_chars == 0 or is_special(h, i - start):
        return n, start
    end = i
    marked = i < doc.size and not flags & SPACE
    if marked:
        splits = flags & SUFFIX or (code == FULL_STOP and last_flags & BEFORE_STOP)
        if not splits or not is_chunk_end(doc, i + n_bytes):
            return n, start
        mark_hash = hash_on(np.uint64(0), doc, i, i + n_bytes)
        if is_special(h * power_of(n_bytes) + mark_hash, i + n_bytes - start):
            return n, start
        end = i + n_bytes
        fill(words[n + 1], i, end, mark_hash, 1, flags, flags, flags)
    fill(words[n], start, i, h, n_chars, first_flags, any_flags, all_flags)
    return n + (2 if marked else 1), end


@inner
def put_letters(words: Records, n: Int, doc: Bytes, i: Int, max_words: Int) -> tuple[Int, Int]:
    """Append chunks of ASCII letters, each with perhaps one ASCII mark behind it, from byte i on: most of English text.

    Returns (new n, where the first chunk of another kind starts, or the text ends).
    """
    while i < doc.size and n <= max_words:
        if IS_BLANK[doc[i]]:
            i += 1
            continue
        start = i
        i, h = letters_at(doc, start)
        if i == start or is_special(h, i - start):
            return n, start
        end = i
        if i < doc.size and not IS_BLANK[doc[i]]:
            byte = doc[i]
            splits = IS_SUFFIX[byte] or (byte == FULL_STOP and IS_LOWER[doc[i - 1]])
            mark_hash = np.uint64(byte) + ONE
            if not splits or not (i + 1 == doc.size or IS_BLANK[doc[i + 1]]):
                return n, start
            if is_special(h * BASE + mark_hash, i + 1 - start):
                return n, start
            flags = np.int64(FLAT_FLAGS[byte])
            fill(words[n + 1], i, i + 1, mark_hash, 1, flags, flags, flags)
            end = i + 1
        fill_letters(words[n], start, i, h)
        n += 1 + end - i
        i = end
    return n, i


@inner
def segment(doc: Bytes, words: Records, max_words: Int, scratch: tuple[Records, Records]) -> Int:
    """Fill `words` with the words of `doc`; return their number, or TOO_MANY_WORDS.

    `words` has room for max_words + 2 * MAX_CHUNK_BYTES, `scratch` (characters, ends) for MAX_CHUNK_BYTES + 1 each.
    """
    chars, ends = scratch
    n = i = 0
    while i < doc.size and n <= max_words:
        flags, n_bytes = class_at(doc, i)
        if flags & SPACE:
            i += n_bytes
            continue
        start = i
        n, i = put_letters(words, n, doc, start, max_words)
        if i == start:
            n, i = put_plain(words, n, doc, start)
        if i == start:
            i, size = read_chunk(doc, start, chars)
            n = put_bytes(words, n, doc, start, i) if size < 0 else put_chunk(words, n, doc, chars, size, ends)
    return n if n <= max_words else TOO_MANY_WORDS
