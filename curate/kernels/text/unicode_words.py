"""Cut UTF-8 text at Unicode's word boundaries (UAX #29, Unicode 16), keeping the segments that begin alphanumeric."""

from __future__ import annotations

from numba import njit

from curate.kernels.text.primitives import Bytes, Int, Records, class_of, decode
from curate.kernels.text.tables import ALNUM, PICTOGRAPH, WORD_BREAK_SHIFT, WORD_BREAKS
from curate.kernels.text.words import TOO_MANY_WORDS, put_bytes

(
    OTHER, CR, LF, NEWLINE, EXTEND, ZWJ, FORMAT, REGIONAL, KATAKANA, HEBREW, LETTER, SINGLE_QUOTE, DOUBLE_QUOTE,
    MID_NUM_LET, MID_LETTER, MID_NUM, NUMERIC, EXTEND_NUM_LET, BLANK,
) = range(len(WORD_BREAKS))  # fmt: skip


@njit(nogil=True)
def break_class(flags: Int) -> Int:
    """Return a character's Word_Break property."""
    return flags >> WORD_BREAK_SHIFT & 31


@njit(nogil=True)
def is_ignored(kind: Int) -> bool:
    """Return whether a character belongs to the one before it (rule WB4)."""
    return bool(kind == EXTEND or kind == ZWJ or kind == FORMAT)


@njit(nogil=True)
def is_letter(kind: Int) -> bool:
    """Return whether the property is AHLetter."""
    return bool(kind == LETTER or kind == HEBREW)


@njit(nogil=True)
def after_ignored(doc: Bytes, i: Int) -> Int:
    """Return where the next character that is not ignored stands, from byte i on."""
    while i < doc.size:
        code, n_bytes = decode(doc, i)
        if not is_ignored(break_class(class_of(code))):
            break
        i += n_bytes
    return i


@njit(nogil=True)
def class_at(doc: Bytes, i: Int) -> Int:
    """Return the property of the character at byte i, OTHER behind the end."""
    if i >= doc.size:
        return OTHER
    code, _ = decode(doc, i)
    return break_class(class_of(code))


@njit(nogil=True)
def bridges(before: Int, kind: Int, after: Int) -> bool:
    """Return whether a mark holds what stands around it together, as in `can't` and `3.14` (WB6, WB7, WB11, WB12)."""
    either = kind == MID_NUM_LET or kind == SINGLE_QUOTE
    if is_letter(before) and is_letter(after) and (kind == MID_LETTER or either):
        return True
    if before == NUMERIC and after == NUMERIC and (kind == MID_NUM or either):
        return True
    return bool(before == HEBREW and kind == DOUBLE_QUOTE and after == HEBREW)


@njit(nogil=True)
def joins(before: Int, kind: Int) -> bool:
    """Return whether there is no boundary between two neighbours (WB5, WB7a, WB8 to WB10, WB13)."""
    if is_letter(before) or before == NUMERIC:
        if is_letter(kind) or kind == NUMERIC or kind == EXTEND_NUM_LET:
            return True
        return bool(before == HEBREW and kind == SINGLE_QUOTE)
    if before == KATAKANA:
        return bool(kind == KATAKANA or kind == EXTEND_NUM_LET)
    if before == EXTEND_NUM_LET:
        return bool(is_letter(kind) or kind == NUMERIC or kind == KATAKANA or kind == EXTEND_NUM_LET)
    return False


@njit(nogil=True)
def segment_end(doc: Bytes, start: Int) -> Int:
    """Return where the segment at byte `start` ends."""
    code, n_bytes = decode(doc, start)
    before = class_at(doc, start)  # of the last character that is not ignored
    raw = before  # of the last character
    i = start + n_bytes
    if before == CR:
        return i + 1 if class_at(doc, i) == LF else i
    if before == LF or before == NEWLINE:
        return i
    half_flag = before == REGIONAL  # an odd number of regional indicators so far
    while i < doc.size:
        code, n_bytes = decode(doc, i)
        flags = class_of(code)
        kind = break_class(flags)
        if kind == CR or kind == LF or kind == NEWLINE:
            break
        if is_ignored(kind) or (raw == ZWJ and flags & PICTOGRAPH) or (raw == BLANK and kind == BLANK):
            if not is_ignored(kind):
                before = kind
            raw = kind
            i += n_bytes
            continue
        if joins(before, kind) or (kind == REGIONAL and half_flag):
            half_flag = False
        elif SINGLE_QUOTE <= kind <= MID_NUM:
            after = after_ignored(doc, i + n_bytes)
            if not bridges(before, kind, class_at(doc, after)):
                break
            i = after
            code, n_bytes = decode(doc, i)
            kind = break_class(class_of(code))
        else:
            break
        before = raw = kind
        i += n_bytes
    return i


@njit(nogil=True)
def unicode_words(doc: Bytes, words: Records, max_words: Int) -> Int:
    """Fill `words` with the segments that begin with a letter or digit; return their number, or TOO_MANY_WORDS."""
    n = i = 0
    while i < doc.size:
        code, n_bytes = decode(doc, i)
        end = segment_end(doc, i)
        if class_of(code) & ALNUM:
            if n == max_words:
                return TOO_MANY_WORDS
            n = put_bytes(words, n, doc, i, end)
        i = end
    return n
