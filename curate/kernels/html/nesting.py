"""Open elements: a bounded stack, what a start tag ends unasked, and which element an end tag ends.

Every search goes from block element to block element, or over the inline elements above the nearest one, and stops
after a fixed number of steps: a page of n tags takes O(n).
"""

from __future__ import annotations

import numpy as np

from curate.kernels.html.state import (
    ALL_UNSEEN,
    CAPS,
    DEPTH_CAP,
    ELEMENTS_CAP,
    LINE_UNSEEN,
    MAX_DEPTH,
    N_ELEMENTS,
    N_TOKENS,
    SEEN_BODY,
    TOO_DEEP,
    TOP,
    Int,
    Records,
    Room,
    compiled,
)
from curate.kernels.html.tags import (
    ANCESTOR_MASK,
    BARRIER,
    BLOCK,
    CLOSES_P,
    END_OMITTED,
    FLAGS,
    HEADING,
    HIDDEN,
    ID,
    ITEM,
    NAMES,
    PREFORMATTED,
    TABLE_PART,
    TRANSPARENT,
    UNSEEN,
)

A, BODY, DD, DT, HEAD, HTML = (ID[name] for name in ("a", "body", "dd", "dt", "head", "html"))
LI, MATH, OL, P, TABLE, TITLE, UL = (ID[name] for name in ("li", "math", "ol", "p", "table", "title", "ul"))
MAX_END_STEPS = 48  # up which an end tag looks for its start tag
MAX_IMPLIED_STEPS = 16  # up which an item, cell or row looks for the one it ends
MAX_INLINE_DEPTH = 48  # above a block; deeper ones are not kept on the stack
_NO_MASK = np.uint64(0)

# A part of a table ends those of its own rank and below.
_CELL_RANK, _ROW_RANK, _GROUP_RANK, _TABLE_RANK = 1, 2, 3, 4
RANK = np.zeros(len(NAMES), np.int64)
for _names, _rank in (
    ("td th", _CELL_RANK),
    ("tr", _ROW_RANK),
    ("tbody thead tfoot caption colgroup", _GROUP_RANK),
    ("table", _TABLE_RANK),
):
    RANK[[ID[_name] for _name in _names.split()]] = _rank


@compiled
def open_item(stack: Records, top: Int, tag: Int) -> Int:
    """Return where the li, dd or dt stands that a new one ends, 0 for none."""
    at = stack[top].block_at
    for _ in range(MAX_IMPLIED_STEPS):
        if at == 0:
            break
        other = stack[at].tag
        if other == tag or (tag != LI and other in (DD, DT)):
            return np.int64(at)
        if not FLAGS[other] & TRANSPARENT:
            break
        at = stack[at - 1].block_at
    return np.int64(0)


@compiled
def open_table_part(stack: Records, top: Int, tag: Int) -> Int:
    """Return where the outermost part of the same table stands that a new cell, row or group ends, 0 for none."""
    found = np.int64(0)
    at = stack[top].block_at
    for _ in range(MAX_IMPLIED_STEPS):
        if at == 0 or RANK[stack[at].tag] > RANK[tag]:
            break
        if RANK[stack[at].tag] > 0:
            found = np.int64(at)
        at = stack[at - 1].block_at
    return found


@compiled
def end_links(stack: Records, top: Int) -> None:
    """Let the innermost <a> be over, though elements inside it stay open."""
    for k in range(stack[top].link_at, top + 1):
        stack[k].link_at = 0
        stack[k].is_linked = 0


@compiled
def end_implied(room: Room, tag: Int, flags: Int) -> None:
    """End what the start tag of `tag` ends unasked: head, paragraph, heading, item, cells and rows, link."""
    stack, state = room.stack, room.state
    top = state[TOP]
    if stack[top].tag == HEAD and tag != TITLE:
        top -= 1
    if flags & BLOCK:
        at = np.int64(stack[top].block_at)
        if flags & CLOSES_P and stack[at].tag == P:
            top = at - 1
        if flags & HEADING and FLAGS[stack[stack[top].block_at].tag] & HEADING:
            top = np.int64(stack[top].block_at) - 1
        at = np.int64(0)
        if flags & ITEM:
            at = open_item(stack, top, tag)
        elif flags & TABLE_PART:
            at = open_table_part(stack, top, tag)
        if at > 0:
            top = at - 1
    elif tag == A and stack[top].link_at > 0:
        if stack[top].link_at > stack[top].block_at:
            top = np.int64(stack[top].link_at) - 1
        else:
            end_links(stack, top)
    state[TOP] = top


@compiled
def push(room: Room, tag: Int, flags: Int, mask: Int, own: Int, is_link: bool, first_token: Int) -> None:
    """Open an element. One that finds no room leaves no trace but TOO_DEEP, which its end tag takes back."""
    stack, state = room.stack, room.state
    top = state[TOP]
    is_block = flags & BLOCK
    if top == MAX_DEPTH or (not is_block and top - stack[top].block_at >= MAX_INLINE_DEPTH):
        state[N_TOKENS] = first_token
        state[CAPS] |= DEPTH_CAP
        if is_block and not flags & END_OMITTED:
            state[TOO_DEEP] += 1
        return
    above, entry = stack[top], stack[top + 1]
    element = np.int64(above.element)
    if state[N_ELEMENTS] < room.element_parent.size:
        element = state[N_ELEMENTS]
        room.element_parent[element] = above.element
        room.element_tag[element] = tag
        room.element_first_token[element] = first_token
        state[N_ELEMENTS] += 1
    else:
        state[N_TOKENS] = first_token
        state[CAPS] |= ELEMENTS_CAP
    state[TOP] = top + 1
    entry.tag = tag
    entry.element = element
    entry.mask = above.mask | mask | ANCESTOR_MASK[tag]
    entry.block_at = top + 1 if is_block else above.block_at
    entry.link_at = top + 1 if tag == A else above.link_at
    entry.is_linked = 1 if is_link else above.is_linked
    entry.keeps_lines = 1 if flags & PREFORMATTED else above.keeps_lines
    if flags & UNSEEN or above.is_unseen == ALL_UNSEEN:
        entry.is_unseen = ALL_UNSEEN
    elif is_block or tag == MATH:  # Wikipedia hides the formula whose picture it shows
        entry.is_unseen = 0
    elif mask & HIDDEN and not above.mask & HIDDEN:
        entry.is_unseen = LINE_UNSEEN
    else:
        entry.is_unseen = above.is_unseen
    entry.own = own
    entry.total = above.total + own
    entry.most = max(above.most, own)
    entry.least = min(above.least, own)


@compiled
def open_block(stack: Records, top: Int, tag: Int, flags: Int) -> Int:
    """Return where the block element stands that the end tag of `tag` ends, 0 for none."""
    at = stack[top].block_at
    if tag == P:  # whatever starts behind a paragraph has ended it
        return np.int64(at if stack[at].tag == P else 0)
    for _ in range(MAX_END_STEPS):
        if at == 0:
            break
        other = stack[at].tag
        if other == tag or (flags & HEADING and FLAGS[other] & HEADING):
            return np.int64(at)
        if other == TABLE or (FLAGS[other] & BARRIER and not (flags & TABLE_PART or tag == TABLE)):
            break
        if tag == LI and other in (UL, OL):
            break
        at = stack[at - 1].block_at
    return np.int64(0)


@compiled
def open_inline(stack: Records, top: Int, tag: Int) -> Int:
    """Return where the inline element stands, above the nearest block, that the end tag of `tag` ends; 0 for none."""
    for at in range(top, max(stack[top].block_at, top - MAX_END_STEPS), -1):
        if stack[at].tag == tag:
            return np.int64(at)
    return np.int64(0)


@compiled
def end_element(room: Room, tag: Int, flags: Int) -> None:
    """End the element that an end tag means, with all that is open inside it; nothing where there is none."""
    stack, state = room.stack, room.state
    if tag in (BODY, HTML):
        return
    if flags & BLOCK:
        if state[TOO_DEEP] > 0:
            state[TOO_DEEP] -= 0 if flags & END_OMITTED else 1
            return
        at = open_block(stack, state[TOP], tag, flags)
    else:
        at = open_inline(stack, state[TOP], tag)
        if tag == A and at == 0 and stack[state[TOP]].link_at > 0:
            end_links(stack, state[TOP])
    if at > 0:
        state[TOP] = at - 1


@compiled
def is_repeated(room: Room, tag: Int) -> bool:
    """Return whether this is a second <html> or <body>, which opens nothing; note the first <body>."""
    if tag == HTML:
        return bool(room.state[TOP] > 0)
    if tag != BODY:
        return False
    seen = room.state[SEEN_BODY] != 0
    room.state[SEEN_BODY] = 1
    return bool(seen)
