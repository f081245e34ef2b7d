"""The scan between two tags: text is copied with its white space folded, and counted while it passes.

Why the text never outgrows the page: each byte written stands for bytes of the page that are read once. A character is
copied as it is; a numeric reference is never longer as UTF-8 than as written (`&#0` and U+FFFD are 3 bytes, `&#128` and
U+20AC 5 and 3, beyond U+FFFF 4 against at least 7); a blank stands for white space or for a `<br>`, and blanks of a
`<pre>` are copied one for one.
"""

from __future__ import annotations

import numpy as np

from curate.kernels.html.characters import (
    AMPERSAND,
    BYTE_CLASS,
    CHAR_CLASS,
    COMMA,
    DIGIT,
    DROPPED,
    EMOJI_END,
    EMOJI_START,
    IDEOGRAPH,
    IDEOGRAPHS_END,
    LOWER,
    OPENING,
    OTHER,
    SENTENCE,
    SILENT,
    SPACE,
    UPPER,
)
from curate.kernels.html.entities import HASH, NOT_A_NUMBER, SEMICOLON, read_number, write_char
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
TAB, NEWLINE, RETURN = ord("\t"), ord("\n"), ord("\r")
LESS, SLASH, EXCLAMATION, QUESTION = ord("<"), ord("/"), ord("!"), ord("?")
REFERENCE = -1  # instead of a code point: a named reference, left as it is
MAX_NAME_BYTES = 33  # the longest name, `CounterClockwiseContourIntegral;`, and `&`
_WORD_BASE = np.uint64(31)
_SLOT_MASK = np.uint64(N_TITLE_SLOTS - 1)
_NO_WORD = np.uint64(0)


@compiled
def is_letter(byte: Int) -> bool:
    """Return whether a byte is an ASCII letter."""
    return bool(97 <= (byte | 0x20) <= 122)


@compiled
def starts_markup(html: Int, i: Int) -> bool:
    """Return whether the `<` at byte i opens a tag or a comment; else it is text."""
    if i + 1 >= html.size:
        return False
    byte = html[i + 1]
    if byte == SLASH:
        return bool(i + 2 < html.size)
    return is_letter(byte) or byte in (EXCLAMATION, QUESTION)


@compiled
def read_reference(html: Int, i: Int) -> tuple[Int, Int]:
    """Return (code point, bytes) of the `&` at byte i: a number, a space, a name (REFERENCE), or a plain `&`."""
    if i + 1 < html.size and html[i + 1] == HASH:
        code, end = read_number(html, i)
        if code == NOT_A_NUMBER:
            return np.int64(ord("&")), np.int64(1)
        # `&#38;` stays: decoded here, it could join what follows to a name
        return np.int64(REFERENCE) if code == 38 else np.int64(code), np.int64(end - i)
    if i + 4 < html.size and html[i + 1] == 110 and html[i + 2] == 98 and html[i + 3] == 115 and html[i + 4] == 112:
        return np.int64(0xA0), np.int64(6 if i + 5 < html.size and html[i + 5] == SEMICOLON else 5)  # &nbsp;
    j = i + 1
    end = min(html.size, i + MAX_NAME_BYTES)
    while j < end and BYTE_CLASS[html[j]] <= DIGIT:
        j += 1
    if j > i + 1 and j < end and html[j] == SEMICOLON:
        return np.int64(REFERENCE), np.int64(j + 1 - i)
    return np.int64(ord("&")), np.int64(1)


@compiled
def read_multibyte(html: Int, i: Int) -> tuple[Int, Int]:
    """Return (code point, bytes) of the character beyond ASCII at byte i; one cut off is U+FFFE, which is dropped."""
    lead = np.int64(html[i])
    size = np.int64(2 if lead < 0xE0 else 3 if lead < 0xF0 else 4)
    if lead < 0xC2 or i + size > html.size:
        return np.int64(0xFFFE), np.int64(1)
    code = lead & (0x1F if size == 2 else 0x0F if size == 3 else 0x07)
    for k in range(1, size):
        code = code << 6 | np.int64(html[i + k]) & 0x3F
    return code, size


@compiled
def class_of(code: Int) -> Int:
    """Return the class of a code point."""
    if code == REFERENCE:
        return np.int64(SILENT)
    if code < 0x10000:
        return np.int64(CHAR_CLASS[code])
    if EMOJI_START <= code < EMOJI_END:
        return np.int64(OTHER)
    return np.int64(IDEOGRAPH if 0x20000 <= code < IDEOGRAPHS_END else LOWER)


@compiled
def folded(code: Int) -> Int:
    """Return the small letter of a capital, as far as it stands 32 further: Latin-1, Greek, Cyrillic."""
    has_small = 0xC0 <= code <= 0xDE or 0x391 <= code <= 0x3A9 or 0x410 <= code <= 0x42F
    return code + 32 if has_small else code


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
    if room.html[i] == ord("&") and code != REFERENCE:
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
def read_text(room: Room, i: Int) -> Int:
    """Write and count the text from byte i on, up to the next markup or the end; return where that is."""
    html, text, state, now = room.html, room.text, room.state, room.now
    keeps_lines = room.stack[state[TOP]].keeps_lines
    if room.stack[state[TOP]].is_unseen:
        return next_markup(room, i)
    raw_end = state[RAW_END]
    n_text, pending, length, h = state[N_TEXT], state[PENDING], state[WORD], room.hashes[OPEN_WORD]
    units = digits = np.int64(0)
    line_at = i
    while i < html.size:
        byte = byte_at(html, i)
        kind = np.int64(BYTE_CLASS[byte])
        code, size = np.int64(byte), np.int64(1)
        if kind >= OPENING:
            if kind == OPENING:
                if i >= raw_end and starts_markup(html, i):
                    break
                kind = np.int64(OTHER)
            else:
                code, size = read_reference(html, i) if kind == AMPERSAND else read_multibyte(html, i)
                kind = class_of(code)
        if kind == SPACE:
            if length > 0:
                count_word(room, length, h)
                length, h = np.int64(0), _NO_WORD
            if pending == BLOCK_START:
                if byte != BLANK and byte != TAB:
                    line_at = i + size
            elif keeps_lines:
                n_text = put_kept_space(room, i, size, code, n_text)
            elif pending == 0:
                pending = np.int64(BLANK)
            i += size
            continue
        if kind == DROPPED:
            line_at = i + size
            i += size
            continue
        if pending != 0:
            n_text = put_due(room, i, line_at, n_text, pending)
            pending = np.int64(0)
        if kind <= DIGIT:
            now[ENDS_WITH_MARK] = 0
            if length == 0 and kind == UPPER:
                now[CAPITALS] += 1
            if size == 1:
                first = i
                while kind <= DIGIT:
                    text[np.uint64(n_text)] = byte
                    n_text += 1
                    digits += kind == DIGIT
                    h = h * _WORD_BASE + np.uint64(byte | 0x20)
                    i += 1
                    if i == html.size:
                        break
                    byte = byte_at(html, i)
                    kind = np.int64(BYTE_CLASS[byte])
                length += i - first
                units += i - first
                continue
            digits += kind == DIGIT
            h = h * _WORD_BASE + np.uint64(folded(code))
            length += 1
            units += 1
        elif kind != SILENT:
            if length > 0:
                count_word(room, length, h)
                length, h = np.int64(0), _NO_WORD
            units += 1
            if kind == IDEOGRAPH:
                units += IDEOGRAPH_UNITS - 1
                now[CJK] += 1
                now[WORDS] += 1
                now[ENDS_WITH_MARK] = 0
                match_title(room, np.uint64(code))
            elif kind == SENTENCE:
                now[SENTENCE_MARKS] += 1
                now[ENDS_WITH_MARK] = 1
            elif kind == COMMA:
                now[COMMAS] += 1
                now[ENDS_WITH_MARK] = 0
        elif code == REFERENCE:
            units += 1
        n_text = put_char(room, i, size, code, n_text)
        i += size
    now[UNITS] += units
    now[DIGITS] += digits
    if room.stack[state[TOP]].is_linked:
        now[LINK_UNITS] += units
    state[N_TEXT], state[PENDING], state[WORD], room.hashes[OPEN_WORD] = n_text, pending, length, h
    return i
