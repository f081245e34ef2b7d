"""The scan at a `<`: tags, comments, what is passed over whole, and the end of a block."""

from __future__ import annotations

import numpy as np

from curate.kernels.html.attributes import GREATER, LOWER_BYTE, read_attributes
from curate.kernels.html.characters import IS_BLANK
from curate.kernels.html.chars import EXCLAMATION, SLASH, is_letter
from curate.kernels.html.find import byte_at, find_byte, find_far
from curate.kernels.html.nesting import end_element, end_implied, is_repeated, push
from curate.kernels.html.runs import count_word
from curate.kernels.html.state import (
    BLOCK_START,
    BLOCKS_CAP,
    BREAKS,
    CAPS,
    COUNTS,
    IN_TITLE,
    LINE_BREAK,
    LINKS,
    N_BLOCKS,
    N_BREAKS,
    N_TEXT,
    N_TOKENS,
    OPEN_WORD,
    PENDING,
    RAW_END,
    START,
    TOP,
    U8,
    UNITS,
    WORD,
    Int,
    Room,
    compiled,
)
from curate.kernels.html.tags import (
    BLOCK,
    BREAK,
    FLAGS,
    HASH_BASE,
    ID,
    RAW,
    SKIPPED,
    SLOT_BITS,
    SLOT_ID,
    SLOT_KEY,
    SLOT_MULTIPLIER,
    VOID,
)

A, PLAINTEXT, TEMPLATE = ID["a"], ID["plaintext"], ID["template"]
TEXTAREA, TITLE = ID["textarea"], ID["title"]
LESS, DASH = ord("<"), ord("-")
_BASE = np.uint64(HASH_BASE)
_SHIFT = np.uint64(64 - SLOT_BITS)
_FIRST_HASH = np.uint64(0)
IN_TAG_NAME = np.where(IS_BLANK, 0, LOWER_BYTE).astype(np.uint8)  # 0 for what ends the name of a tag
IN_TAG_NAME[[SLASH, GREATER]] = 0


@compiled
def read_name(html: U8, i: Int) -> tuple[Int, Int]:
    """Return (hash, end) of the tag name at byte i."""
    h = _FIRST_HASH
    while i < html.size:
        small = IN_TAG_NAME[byte_at(html, i)]
        if small == 0:
            break
        h = h * _BASE + np.uint64(small)
        i += 1
    return h, i


@compiled
def tag_of(h: Int) -> Int:
    """Return the index in NAMES of the name with this hash, 0 for an unknown one."""
    slot = (h * SLOT_MULTIPLIER) >> _SHIFT
    return np.int64(SLOT_ID[slot] if SLOT_KEY[slot] == h else 0)


@compiled
def end_of_comment(html: U8, i: Int) -> Int:
    """Return the byte behind the comment whose `<!--` stands at byte i; one that never ends takes the rest."""
    j = i + 4
    if j < html.size and html[j] == GREATER:  # <!-->
        return j + 1
    if j + 1 < html.size and html[j] == DASH and html[j + 1] == GREATER:  # <!--->
        return j + 2
    while True:
        j = find_far(html, j, np.uint8(GREATER))
        if j >= html.size:
            return html.size
        back = j - 1 if html[j - 1] == EXCLAMATION else j  # --!> ends it too
        if back - 2 >= i + 4 and html[back - 1] == DASH and html[back - 2] == DASH:
            return j + 1
        j += 1


@compiled
def end_of_declaration(html: U8, i: Int) -> Int:
    """Return the byte behind a doctype, CDATA, processing instruction or other bogus comment at byte i."""
    return min(html.size, find_byte(html, i + 2, np.uint8(GREATER)) + 1)


@compiled
def find_end_tag(html: U8, i: Int, name: Int) -> Int:
    """Return where the next end tag of this name (its hash) opens, the size of the page if there is none."""
    while True:
        i = find_far(html, i, np.uint8(LESS))
        if i + 2 >= html.size:
            return html.size
        if html[i + 1] == SLASH:
            h, _ = read_name(html, i + 2)
            if h == name:
                return i
        i += 1


@compiled
def finish_block(room: Room) -> None:
    """End the block that is open, if one is: enter its counts, or take its text back where it says nothing."""
    state, now = room.state, room.now
    if state[PENDING] != BLOCK_START:
        if state[WORD] > 0:
            count_word(room, state[WORD], room.hashes[OPEN_WORD])
        state[WORD] = 0
        room.hashes[OPEN_WORD] = _FIRST_HASH
        block, start, end = state[N_BLOCKS], state[START], state[N_TEXT]
        while end > start and IS_BLANK[room.text[end - 1]]:  # only a <pre> has any here
            end -= 1
        if now[UNITS] == 0 or state[IN_TITLE]:
            end = start
        elif block == room.ancestors.size:
            end = start
            state[CAPS] |= BLOCKS_CAP
        else:
            room.block_text[block, 0] = start
            room.block_text[block, 1] = end
            for k in range(len(COUNTS)):
                room.counts[block, k] = now[k]
            state[N_BLOCKS] += 1
        state[N_TEXT] = end
    for k in range(now.size):
        now[k] = 0
    state[PENDING] = BLOCK_START
    state[N_BREAKS] = 0


@compiled
def end_word(room: Room) -> None:
    """End the word that is open, if one is."""
    if room.state[WORD] > 0:
        count_word(room, room.state[WORD], room.hashes[OPEN_WORD])
        room.state[WORD] = 0
        room.hashes[OPEN_WORD] = _FIRST_HASH


@compiled
def break_line(room: Room) -> None:
    """Take in a `<br>`: a line break, but two in a row end the block. In a <pre> each is a line break."""
    state = room.state
    end_word(room)
    if state[PENDING] == BLOCK_START:
        return
    room.now[BREAKS] += 1
    if room.stack[state[TOP]].keeps_lines:
        room.text[state[N_TEXT]] = np.uint8(LINE_BREAK)
        state[N_TEXT] += 1
        return
    state[N_BREAKS] += 1
    if state[N_BREAKS] >= 2:
        finish_block(room)
    else:
        state[PENDING] = LINE_BREAK


@compiled
def read_markup(room: Room, i: Int) -> Int:
    """Take in the markup at byte i, a `<`; return where the page goes on."""
    html = room.html
    byte = html[i + 1]
    if is_letter(byte):
        return read_start_tag(room, i)
    if byte == SLASH:
        if is_letter(html[i + 2]):
            return read_end_tag(room, i)
        if html[i + 2] == GREATER:
            return i + 3
    elif byte == EXCLAMATION and i + 3 < html.size and html[i + 2] == DASH and html[i + 3] == DASH:
        return end_of_comment(html, i)
    return end_of_declaration(html, i)


@compiled
def read_end_tag(room: Room, i: Int) -> Int:
    """Take in the end tag at byte i; return where the page goes on."""
    h, j = read_name(room.html, i + 2)
    if j < room.html.size and room.html[j] == GREATER:
        j += 1
    else:
        j = read_attributes(room, j, False)[0]
    tag = tag_of(h)
    flags = FLAGS[tag]
    if flags & BREAK:
        break_line(room)  # browsers take </br> for <br>
    if flags & BLOCK:
        finish_block(room)
    if tag == TITLE:
        room.state[IN_TITLE] = 0
    if not flags & VOID:
        end_element(room, tag, flags)
    return j


@compiled
def read_start_tag(room: Room, i: Int) -> Int:
    """Take in the start tag at byte i, and all of an element that is passed over; return where the page goes on."""
    html, state = room.html, room.state
    h, j = read_name(html, i + 1)
    tag = tag_of(h)
    flags = FLAGS[tag]
    first_token = state[N_TOKENS]
    matters = tag == TEMPLATE or not flags & (VOID | SKIPPED)
    j, closes_itself, mask, own, is_marked = read_attributes(room, j, matters)
    if flags & SKIPPED and not is_shown(room, tag, is_marked):
        state[N_TOKENS] = first_token
        return pass_over(room, j, h, tag, flags, closes_itself)
    if flags & BREAK:
        break_line(room)
        return j
    if flags & BLOCK:
        finish_block(room)
    if flags & VOID:
        return j
    if flags & RAW and not start_raw(room, j, h, tag):
        return j
    if is_repeated(room, tag):
        state[N_TOKENS] = first_token
        return j
    end_implied(room, tag, flags)
    if closes_itself and not flags & BLOCK:
        state[N_TOKENS] = first_token
        return j
    is_link = tag == A and is_marked
    if is_link and not room.stack[state[TOP]].is_unseen:
        room.now[LINKS] += 1
    push(room, tag, flags, mask, own, is_link, first_token)
    return j


@compiled
def is_shown(room: Room, tag: Int, is_marked: bool) -> bool:
    """Return whether an element is text though others of its name are not: textarea in a <pre>, a shadow root."""
    in_pre = room.stack[room.state[TOP]].keeps_lines != 0
    return bool((tag == TEXTAREA and in_pre) or (tag == TEMPLATE and is_marked))


@compiled
def pass_over(room: Room, i: Int, h: Int, tag: Int, flags: Int, closes_itself: bool) -> Int:
    """Return the byte behind the end tag of an element that is no text and whose content starts at byte i.

    Without end tag the rest of the page is passed over if browsers take it for raw text; else the element is as good
    as empty, and its end is not sought again.
    """
    html = room.html
    if room.missing[tag] or (closes_itself and not flags & RAW):
        return i
    end = find_end_tag(html, i, h)
    if end < html.size:
        return min(html.size, find_byte(html, end, np.uint8(GREATER)) + 1)
    if flags & RAW:
        return html.size
    room.missing[tag] = 1
    return i


@compiled
def start_raw(room: Room, i: Int, h: Int, tag: Int) -> bool:
    """Let `<` be text up to the end tag of a title, xmp, plaintext or of a textarea in a <pre>.

    A title that never ends opens nothing (browsers: the page is all title): return whether the element opens.
    """
    if tag == PLAINTEXT:
        room.state[RAW_END] = room.html.size
        return True
    if tag == TITLE and room.missing[TITLE]:
        return False
    room.state[RAW_END] = find_end_tag(room.html, i, h)
    if tag == TITLE:
        if room.state[RAW_END] == room.html.size:
            room.state[RAW_END] = 0
            room.missing[TITLE] = 1
            return False
        room.state[IN_TITLE] = 1
    return True
