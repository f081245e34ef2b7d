"""The scan between two tags: text is copied with its white space folded, and counted while it passes.

Why the text never outgrows the page: each byte written stands for bytes of the page that are read once. A character is
copied as it is; a numeric reference is never longer as UTF-8 than as written (`&#0` and U+FFFD are 3 bytes, `&#128` and
U+20AC 5 and 3, beyond U+FFFF 4 against at least 7); a blank stands for white space or for a `<br>`, and blanks of a
`<pre>` are copied one for one.
"""

from __future__ import annotations

import numpy as np

from curate.kernels.html.characters import (
    BYTE_CLASS,
    COMMA,
    DIGIT,
    DROPPED,
    IDEOGRAPH,
    OPENING,
    SENTENCE,
    SILENT,
    SPACE,
    UPPER,
)
from curate.kernels.html.chars import AND, REFERENCE, folded, read_other, starts_markup
from curate.kernels.html.entities import write_char
from curate.kernels.html.find import byte_at, find_byte
from curate.kernels.html.state import (
    BLANK,
    BLOCK_START,
    CAPITALS,
    CJK,
    COMMAS,
    DEPTH,
    DIGITS,
    ELEMENT,
    ENDS_WITH_MARK,
    IDEOGRAPH_UNITS,
    IN_TITLE,
    LINK_UNITS,
    N_BLOCKS,
    N_BREAKS,
    N_TEXT,
    N_TITLE_SLOTS,
    OFFSET,
    OPEN_WORD,
    PENDING,
    RAW_END,
    SENTENCE_MARKS,
    SHORT_WORD_CHARS,
    SHORT_WORDS,
    START,
    TAG,
    TITLE_WORDS,
    TOO_DEEP,
    TOP,
    U8,
    UNITS,
    WORD,
    WORD_CHARS,
    WORDS,
    Int,
    Room,
    compiled,
)
from curate.kernels.html.tags import ID

HEAD = ID["head"]
LESS, TAB, NEWLINE, RETURN = ord("<"), ord("\t"), ord("\n"), ord("\r")
_WORD_BASE, _NO_WORD = np.uint64(31), np.uint64(0)
_SLOT_MASK = np.uint64(N_TITLE_SLOTS - 1)


@compiled
def count_word(room: Room, length: Int, h: Int) -> None:
    """Count a word of `length` characters that is over; words of the title are kept, others looked up there."""
    room.now[WORDS] += 1
    room.now[WORD_CHARS] += length
    if length <= SHORT_WORD_CHARS:
        room.now[SHORT_WORDS] += 1
    match_title(room, h)


@compiled
def match_title(room: Room, h: Int) -> None:
    """Enter the hash of a word in the table of the title, or count it as found there."""
    slot = h & _SLOT_MASK
    if room.state[IN_TITLE]:
        room.hashes[slot] = h
    elif room.hashes[slot] == h:
        room.now[TITLE_WORDS] += 1


@compiled
def start_block(room: Room, i: Int, line_at: Int, n_text: Int) -> Int:
    """Note where a block starts and in which element; return the end of the text, with the indentation of a `<pre>`."""
    state, now = room.state, room.now
    if room.stack[state[TOP]].tag == HEAD:  # text ends the head
        state[TOP] -= 1
    place = room.stack[state[TOP]]
    state[START] = n_text
    now[TAG] = room.stack[place.block_at].tag
    now[DEPTH] = state[TOP] + state[TOO_DEEP]
    now[ELEMENT] = place.element
    now[OFFSET] = i
    block = state[N_BLOCKS]
    if block < room.ancestors.size:
        room.ancestors[block] = place.mask
        scores = room.token_scores
        scores[block, 0] = place.total
        scores[block, 1] = place.most
        scores[block, 2] = place.least
        scores[block, 3] = place.own
    if place.keeps_lines:
        for k in range(line_at, i):
            room.text[n_text] = room.html[k]
            n_text += 1
    return n_text


@compiled
def put_due(room: Room, i: Int, line_at: Int, n_text: Int, pending: Int) -> Int:
    """Write what is due before the character at byte i (`pending`, not 0); return the end of the text."""
    room.state[N_BREAKS] = 0
    if pending == BLOCK_START:
        return start_block(room, i, line_at, n_text)
    room.text[n_text] = pending
    return n_text + 1


@compiled
def put_kept_space(room: Room, i: Int, size: Int, code: Int, n_text: Int) -> Int:
    """Write the white space at byte i of a `<pre>`, CR LF and CR as LF; return the end of the text."""
    if code == RETURN:
        if size == 1 and i + 1 < room.html.size and room.html[i + 1] == NEWLINE:
            return n_text
        code = np.int64(NEWLINE)
    elif code != NEWLINE and code != TAB:
        code = np.int64(BLANK)
    room.text[n_text] = code
    return n_text + 1


@compiled
def put_char(room: Room, i: Int, size: Int, code: Int, n_text: Int) -> Int:
    """Write the character of bytes i to i + size; return the end of the text."""
    if room.html[i] == AND and code != REFERENCE:
        return write_char(room.text, n_text, code)
    for k in range(i, i + size):
        room.text[n_text] = room.html[k]
        n_text += 1
    return n_text


@compiled
def next_markup(room: Room, i: Int) -> Int:
    """Return where the next markup at or behind byte i opens, the size of the page if nowhere."""
    html = room.html
    while True:
        i = find_byte(html, i, np.uint8(LESS))
        if i >= html.size or (i >= room.state[RAW_END] and starts_markup(html, i)):
            return i
        i += 1


@compiled
def count_mark(room: Room, kind: Int, code: Int) -> Int:
    """Count a character that is no part of a word; return its units."""
    now = room.now
    if kind == SILENT:
        return np.int64(1 if code == REFERENCE else 0)
    if kind == SENTENCE:
        now[SENTENCE_MARKS] += 1
        now[ENDS_WITH_MARK] = 1
    elif kind == COMMA:
        now[COMMAS] += 1
        now[ENDS_WITH_MARK] = 0
    elif kind == IDEOGRAPH:
        now[CJK] += 1
        now[WORDS] += 1
        now[ENDS_WITH_MARK] = 0
        match_title(room, np.uint64(code))
        return np.int64(IDEOGRAPH_UNITS)
    return np.int64(1)


@compiled
def end_of_spaces(html: U8, i: Int) -> tuple[Int, Int]:
    """Return (where the ASCII white space at byte i ends, where its last line starts)."""
    line_at = i
    while i < html.size:
        byte = byte_at(html, i)
        if BYTE_CLASS[byte] != SPACE:
            break
        i += 1
        if byte != BLANK and byte != TAB:
            line_at = i
    return i, line_at


@compiled
def put_ascii_word(html: U8, i: Int, text: U8, n_text: Int, h: Int) -> tuple[Int, Int, Int]:
    """Copy the ASCII letters and digits at byte i; return (number of them, number of digits, hash of the word)."""
    n = digits = 0
    while i + n < html.size:
        byte = byte_at(html, i + n)
        kind = BYTE_CLASS[byte]
        if kind > DIGIT:
            break
        text[np.uint64(n_text + n)] = byte
        digits += kind == DIGIT
        h = h * _WORD_BASE + np.uint64(byte | 0x20)
        n += 1
    return n, digits, h


@compiled
def read_text(room: Room, i: Int) -> Int:
    """Write and count the text from byte i on, up to the next markup or the end; return where that is."""
    html, state, now = room.html, room.state, room.now
    if room.stack[state[TOP]].is_unseen:
        return next_markup(room, i)
    n_text, pending, length, h = state[N_TEXT], state[PENDING], state[WORD], room.hashes[OPEN_WORD]
    raw_end, keeps_lines = state[RAW_END], room.stack[state[TOP]].keeps_lines
    line_at, units = i, 0
    while i < html.size:
        byte = byte_at(html, i)
        kind, code, size = np.int64(BYTE_CLASS[byte]), np.int64(byte), np.int64(1)
        if kind >= OPENING:
            if kind == OPENING and i >= raw_end and starts_markup(html, i):
                break
            code, size, kind = read_other(html, i, kind)
        if kind == DROPPED:
            line_at = i + size
            i += size
            continue
        if kind > DIGIT and kind != SILENT and length > 0:
            count_word(room, length, h)
            length, h = np.int64(0), _NO_WORD
        if kind == SPACE:
            if keeps_lines and pending != BLOCK_START:
                n_text = put_kept_space(room, i, size, code, n_text)
                i += size
                continue
            pending = np.int64(BLANK) if pending == 0 else pending
            i, line_at = end_of_spaces(html, i) if size == 1 else (i + size, i + size)
            continue
        if pending != 0:
            n_text, pending = put_due(room, i, line_at, n_text, pending), np.int64(0)
        if kind <= DIGIT:
            now[ENDS_WITH_MARK] = 0
            now[CAPITALS] += length == 0 and kind == UPPER
            if size == 1:
                n, digits, h = put_ascii_word(html, i, room.text, n_text, h)
                n_text += n
                i += n
                length += n
                units += n
                now[DIGITS] += digits
                continue
            now[DIGITS] += kind == DIGIT
            h = h * _WORD_BASE + np.uint64(folded(code))
            length += 1
            units += 1
        else:
            units += count_mark(room, kind, code)
        n_text = put_char(room, i, size, code, n_text)
        i += size
    now[UNITS] += units
    if room.stack[state[TOP]].is_linked:
        now[LINK_UNITS] += units
    state[N_TEXT], state[PENDING], state[WORD], room.hashes[OPEN_WORD] = n_text, pending, length, h
    return i
