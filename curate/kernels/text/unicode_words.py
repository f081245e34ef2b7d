"""Cut UTF-8 text at Unicode's word boundaries (UAX #29, Unicode 16), keeping the segments that begin alphanumeric."""

from __future__ import annotations

import numpy as np

from curate.kernels.compiled import inner
from curate.kernels.text.primitives import FLAT_FLAGS, Bytes, Int, Records, class_at
from curate.kernels.text.tables import ALNUM, PICTOGRAPH, WORD_BREAK_SHIFT, WORD_BREAKS
from curate.kernels.text.words import TOO_MANY_WORDS, fill_letters, letters_at, put_bytes

(
    OTHER, CR, LF, NEWLINE, EXTEND, ZWJ, FORMAT, REGIONAL, KATAKANA, HEBREW, LETTER, SINGLE_QUOTE, DOUBLE_QUOTE,
    MID_NUM_LET, MID_LETTER, MID_NUM, NUMERIC, EXTEND_NUM_LET, BLANK,
) = range(len(WORD_BREAKS))  # fmt: skip

BLANK_BYTE = ord(" ")

# ASCII bytes that always end a run of ASCII letters.
ENDS_LETTERS = np.zeros(256, np.bool_)
ENDS_LETTERS[:128] = np.isin(
    FLAT_FLAGS[:128] >> WORD_BREAK_SHIFT & 31, [OTHER, CR, LF, NEWLINE, DOUBLE_QUOTE, MID_NUM, BLANK]
)


@inner
def break_class(flags: Int) -> Int:
    """Return a character's Word_Break property."""
    return flags >> WORD_BREAK_SHIFT & 31


@inner
def is_ignored(kind: Int) -> bool:
    """Return whether a character belongs to the one before it (rule WB4)."""
    return bool(kind in (EXTEND, ZWJ, FORMAT))


@inner
def is_letter(kind: Int) -> bool:
    """Return whether the property is AHLetter."""
    return bool(kind in (LETTER, HEBREW))


@inner
def after_ignored(doc: Bytes, i: Int) -> Int:
    """Return where the next character that is not ignored stands, from byte i on."""
    while i < doc.size:
        flags, n_bytes = class_at(doc, i)
        if not is_ignored(break_class(flags)):
            break
        i += n_bytes
    return i


@inner
def break_class_at(doc: Bytes, i: Int) -> Int:
    """Return the property of the character at byte i, OTHER behind the end."""
    if i >= doc.size:
        return OTHER
    flags, _ = class_at(doc, i)
    return break_class(flags)


@inner
def bridges(before: Int, kind: Int, after: Int) -> bool:
    """Return whether a mark holds what stands around it together, as in `can't` and `3.14` (WB6, WB7, WB11, WB12)."""
    either = kind in (MID_NUM_LET, SINGLE_QUOTE)
    if is_letter(before) and is_letter(after) and (kind == MID_LETTER or either):
        return True
    if before == NUMERIC and after == NUMERIC and (kind == MID_NUM or either):
        return True
    return bool(before == HEBREW and kind == DOUBLE_QUOTE and after == HEBREW)


@inner
def joins(before: Int, kind: Int) -> bool:
    """Return whether there is no boundary between two neighbours (WB5, WB7a, WB8 to WB10, WB13)."""
    if is_letter(before) or before == NUMERIC:
        if is_letter(kind) or kind in (NUMERIC, EXTEND_NUM_LET):
            return True
        return bool(before == HEBREW and kind == SINGLE_QUOTE)
    if before == KATAKANA:
        return bool(kind in (KATAKANA, EXTEND_NUM_LET))
    if before == EXTEND_NUM_LET:
        return bool(is_letter(kind) or kind in (NUMERIC, KATAKANA, EXTEND_NUM_LET))
    return False


@inner
def segment_end(doc: Bytes, start: Int) -> Int:
    """Return where the segment at byte `start` ends."""
    flags, n_bytes = class_at(doc, start)
    before = break_class(flags)  # of the last character that is not ignored
    raw = before  # of the last character
    i = start + n_bytes
    if before == CR:
        return i + 1 if break_class_at(doc, i) == LF else i
    if before in (LF, NEWLINE):
        return i
    half_flag = before == REGIONAL  # an odd number of regional indicators so far
    while i < doc.size:
        flags, n_bytes = class_at(doc, i)
        kind = break_class(flags)
        if kind in (CR, LF, NEWLINE):
            break
        if is_ignored(kind) or (raw == ZWJ and flags & PICTOGRAPH) or (raw == BLANK and kind == BLANK):
            if not is_ignored(kind):
                before = kind
            raw = kind
            i += n_bytes
            continue
        after = after_ignored(doc, i + n_bytes) if SINGLE_QUOTE <= kind <= MID_NUM else doc.size
        if after < doc.size and bridges(before, kind, break_class_at(doc, after)):
            i = after
            flags, n_bytes = class_at(doc, i)
            kind = break_class(flags)
        elif joins(before, kind) or (kind == REGIONAL and half_flag):
            half_flag = False
        else:
            break
        before = raw = kind
        i += n_bytes
    return i


@inner
def put_letters(words: Records, n: Int, doc: Bytes, i: Int, max_words: Int) -> tuple[Int, Int]:
    """Append runs of ASCII letters that nothing behind them can belong to, from byte i on: most of English text.

    Returns (new n, where something else starts, or the text ends).
    """
    while i < doc.size and n <= max_words:
        if doc[i] == BLANK_BYTE:  # what may follow in its segment begins no word
            i += 1
            continue
        start = i
        i, h = letters_at(doc, start)
        if i == start or (i < doc.size and not ENDS_LETTERS[doc[i]]):
            return n, start
        fill_letters(words[n], start, i, h)
        n += 1
    return n, i


@inner
def unicode_words(doc: Bytes, words: Records, max_words: Int, scratch: tuple[()]) -> Int:
    """Fill `words` with the segments that begin with a letter or digit; return their number, or TOO_MANY_WORDS."""
    n = i = 0
    while i < doc.size and n <= max_words:
        n, start = put_letters(words, n, doc, i, max_words)
        if start == doc.size or n > max_words:
            break
        flags, _ = class_at(doc, start)
        i = segment_end(doc, start)
        if flags & ALNUM:
            n = put_bytes(words, n, doc, start, i)
    return n if n <= max_words else TOO_MANY_WORDS
