"""The scan inside a tag: its attributes, what they say of the element, and where its bytes end.

Of all attributes few matter: class, id, itemprop and role give tokens, which a model weighs; style, hidden and
aria-hidden say whether a reader sees the element; href makes a link of an <a>; shadowrootmode shows a <template>.
"""

from __future__ import annotations

import numpy as np

from curate.kernels.html.characters import IS_BLANK
from curate.kernels.html.find import byte_at, find_byte
from curate.kernels.html.state import (
    CAPS,
    N_TOKENS,
    TOKENS_CAP,
    U8,
    WANTS_SCORES,
    WANTS_TOKENS,
    Int,
    Room,
    compiled,
)
from curate.kernels.html.tags import ARIA_HIDDEN, HASH_BASE, HIDDEN, hash_of, perfect_table

SLASH, GREATER, EQUALS, QUOTE, APOSTROPHE, COLON = ord("/"), ord(">"), ord("="), ord('"'), ord("'"), ord(":")
_BASE = np.uint64(HASH_BASE)
_NO_MASK = np.uint64(0)

_NAMES = ("class", "id", "itemprop", "role", "style", "hidden", "aria-hidden", "href", "shadowrootmode")
CLASS, IDENTITY, ITEMPROP, ROLE, STYLE, HIDDEN_ATTRIBUTE, ARIA_ATTRIBUTE, HREF, SHADOW_ROOT = range(1, len(_NAMES) + 1)
_SLOT_BITS = 6
_multiplier, _KEYS, _found = perfect_table(_NAMES, _SLOT_BITS)
_MULTIPLIER = np.uint64(_multiplier)
_IDS = np.where(_KEYS > 0, _found + 1, 0).astype(np.uint8)
_SHIFT = np.uint64(64 - _SLOT_BITS)

LOWER_BYTE = np.arange(256, dtype=np.uint8)
LOWER_BYTE[65:91] += 32
IN_NAME = np.where(IS_BLANK, 0, LOWER_BYTE).astype(np.uint8)  # 0 for what ends the name of an attribute
IN_NAME[[SLASH, GREATER, EQUALS]] = 0
ENDS_VALUE = IS_BLANK.copy()
ENDS_VALUE[GREATER] = True

# ---- tokens of class and id. Form and limits are ours, chosen for the block model on labelled pages
MAX_VALUE_BYTES = 200
MIN_PIECE_CHARS, MAX_PIECE_CHARS = 2, 20
MIN_WHOLE_CHARS = 3
MAX_OWN_SCORE = 5.0
_PIECE_SEED, _WHOLE_SEED, _ROLE_SEED = np.uint64(0), np.uint64(0x77), np.uint64(0x7000)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_TOKEN_SHIFT = np.uint64(48)  # tokens have 16 bits

_DISPLAY, _VISIBILITY = np.uint64(hash_of("display")), np.uint64(hash_of("visibility"))
_NONE, _HIDDEN_VALUE = np.uint64(hash_of("none")), np.uint64(hash_of("hidden"))


@compiled
def lower(byte: Int) -> Int:
    """Return an ASCII letter as a small one, as the hash takes it."""
    return np.uint64(LOWER_BYTE[byte])


@compiled
def skip_blanks(html: U8, i: Int) -> Int:
    """Return where the white space at i ends."""
    while i < html.size and IS_BLANK[byte_at(html, i)]:
        i += 1
    return i


@compiled
def read_attribute_name(html: U8, i: Int) -> tuple[Int, Int]:
    """Return (which attribute, end) of the name at byte i; 0 for all that do not matter."""
    h = lower(html[i])  # whatever it is, also `=`: so each name has a byte
    i += 1
    while i < html.size:
        small = IN_NAME[byte_at(html, i)]
        if small == 0:
            break
        h = h * _BASE + np.uint64(small)
        i += 1
    slot = (h * _MULTIPLIER) >> _SHIFT
    return np.int64(_IDS[slot] if _KEYS[slot] == h else 0), i


@compiled
def read_value(html: U8, i: Int) -> tuple[Int, Int, Int]:
    """Return (start, end, next byte) of the value at byte i. A quote that never closes ends at the next `>`.

    That search is not repeated: where no quote of a kind is left, none can open a value later on.
    """
    if i >= html.size:
        return i, i, i
    quote = html[i]
    if quote in (QUOTE, APOSTROPHE):
        end = find_byte(html, i + 1, quote)
        if end < html.size:
            return i + 1, end, end + 1
        end = find_byte(html, i + 1, np.uint8(GREATER))
        return i + 1, end, end
    start = i
    while i < html.size and not ENDS_VALUE[byte_at(html, i)]:
        i += 1
    return start, i, i


@compiled
def hides(html: U8, start: Int, end: Int) -> bool:
    """Return whether a style, html[start:end], says display:none or visibility:hidden."""
    name = value = _NO_MASK
    behind_colon = False
    for k in range(start, end + 1):
        byte = html[k] if k < end else np.uint8(ord(";"))
        if byte == ord(";") or byte == ord("!"):
            if (name == _DISPLAY and value == _NONE) or (name == _VISIBILITY and value == _HIDDEN_VALUE):
                return True
            name = value = _NO_MASK
            behind_colon = False
        elif byte == COLON:
            behind_colon = True
        elif not IS_BLANK[byte]:
            if behind_colon:
                value = value * _BASE + lower(byte)
            else:
                name = name * _BASE + lower(byte)
    return False


@compiled
def add_token(room: Room, h: Int) -> Int:
    """Keep a token, if tokens are wanted; return its weight."""
    token = (h * _SPREAD) >> _TOKEN_SHIFT
    state = room.state
    if state[WANTS_TOKENS]:
        if state[N_TOKENS] < room.token_ids.size:
            room.token_ids[state[N_TOKENS]] = token
            state[N_TOKENS] += 1
        else:
            state[CAPS] |= TOKENS_CAP
    return room.weights[token]


@compiled
def add_tokens(room: Room, start: Int, end: Int, seed: Int) -> Int:
    """Keep the tokens of a value, html[start:end]; return the sum of their weights.

    A token is either a piece, letters between other characters or changes from small letters to capitals, or a whole
    name between white space, without its digits.
    """
    html = room.html
    end = min(end, start + MAX_VALUE_BYTES)
    total = np.float32(0)
    piece, whole = seed + _PIECE_SEED, seed + _WHOLE_SEED
    n_piece = n_whole = 0
    was_small = False
    for k in range(start, end + 1):
        byte = byte_at(html, k) if k < end else np.uint8(32)
        small, capital = 97 <= byte <= 122, 65 <= byte <= 90
        if not small and (was_small or not capital):
            if MIN_PIECE_CHARS <= n_piece <= MAX_PIECE_CHARS:
                total += add_token(room, piece)
            piece, n_piece = seed + _PIECE_SEED, 0
        if IS_BLANK[byte]:
            if n_whole >= MIN_WHOLE_CHARS:
                total += add_token(room, whole)
            whole, n_whole = seed + _WHOLE_SEED, 0
        elif not 48 <= byte <= 57:
            whole = whole * _BASE + lower(byte)
            n_whole += 1
        if small or capital:
            piece = piece * _BASE + lower(byte)
            n_piece += 1
        was_small = bool(small)
    return total


@compiled
def is_true(html: U8, start: Int, end: Int) -> bool:
    """Return whether a value is `true`, in small letters."""
    if end - start != 4:
        return False
    return bool(html[start] == 116 and html[start + 1] == 114 and html[start + 2] == 117 and html[start + 3] == 101)


@compiled
def read_attributes(room: Room, i: Int, matter: bool) -> tuple[Int, bool, Int, Int, bool]:
    """Return (byte behind the tag, closes itself, ancestor bits, own score, is marked) from the attributes at byte i.

    Where they do not `matter` (end tags, void elements) only their end is sought.
    """
    html, state = room.html, room.state
    weighs = matter and (state[WANTS_TOKENS] != 0 or state[WANTS_SCORES] != 0)
    closes_itself = is_marked = False
    mask = _NO_MASK
    own = np.float32(0)
    while i < html.size:
        byte = byte_at(html, i)
        if byte == GREATER:
            i += 1
            break
        if byte == SLASH or IS_BLANK[byte]:
            closes_itself |= byte == SLASH
            i += 1
            continue
        closes_itself = False
        which, i = read_attribute_name(html, i)
        i = skip_blanks(html, i)
        start = end = i
        if i < html.size and html[i] == EQUALS:
            start, end, i = read_value(html, skip_blanks(html, i + 1))
        if which == 0 or not matter:
            continue
        if which <= ROLE:
            if weighs:
                own += add_tokens(room, start, end, _ROLE_SEED if which >= ITEMPROP else _PIECE_SEED)
        elif which == STYLE:
            if hides(html, start, end):
                mask |= HIDDEN
        elif which == HIDDEN_ATTRIBUTE:
            mask |= HIDDEN
        elif which == ARIA_ATTRIBUTE:
            if is_true(html, start, end):
                mask |= ARIA_HIDDEN
        else:  # href or shadowrootmode: they do not meet on one element
            is_marked = True
    own = min(max(own, np.float32(-MAX_OWN_SCORE)), np.float32(MAX_OWN_SCORE))
    return i, closes_itself, mask, own, is_marked
