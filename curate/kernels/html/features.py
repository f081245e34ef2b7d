"""What the block model sees of each block of a scanned page: its text, its tags, its container, its neighbours.

Every number is taken from the arrays of one page; nothing is looked up by word or language.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.html.feature_columns import COLUMN, FLAG_BITS, N_FEATURES, NEAR, TAG_CLASS, TAG_CLASSES
from curate.kernels.html.scan import Page
from curate.kernels.html.state import (
    BREAKS,
    CAPITALS,
    CJK,
    COMMAS,
    DEPTH,
    DIGITS,
    ELEMENT,
    ENDS_WITH_MARK,
    LINK_UNITS,
    LINKS,
    OFFSET,
    SENTENCE_MARKS,
    SHORT_WORDS,
    TAG,
    TITLE_WORDS,
    UNITS,
    WORD_CHARS,
    WORDS,
    cached,
    compiled,
    source_digest,
)
from curate.kernels.html.tags import BLOCK, FLAGS, ID

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_FLAG_AT, _SCORE_AT, _PLACE_AT = (COLUMN[name] for name in ("in_nav", "score_sum", "units_before_frac"))
_PAGE_AT, _NEAR_AT = COLUMN["page_units"], COLUMN[f"log_units@{NEAR[0]:+d}"]

_LOG_UNITS, _LINK_FRAC, _DIGIT_FRAC, _TITLE_FRAC = (
    COLUMN[n] for n in ("log_units", "link_frac", "digit_frac", "title_frac")
)
_MARK, _TAG_CLASS = COLUMN["ends_with_mark"], COLUMN["tag_class"]
_HEADING_AT, _SIBLINGS_AT, _PROSE_AT, _MASS_4_AT = (
    COLUMN[name] for name in ("blocks_from_h1", "siblings", "blocks_after_prose", "mass_4")
)

_H1, _H4 = TAG_CLASSES.index("h1"), TAG_CLASSES.index("h4")
_ARTICLE = ID["article"]

# Text of a container counts as its mass where it is prose: long, or of some length and ended like a sentence.
_PROSE_UNITS, _SENTENCE_UNITS, _MOST_UNITS = 60.0, 20.0, 1500.0
_LONG_PROSE_UNITS = 140.0
_FAR = 40.0  # blocks; further away is as far
_N_GROUPS, _N_TEXTS, _N_SETS = 1 << 10, 1 << 12, 1 << 11
_MAX_CLIMB = 64  # elements; a bound for pages of nested inline elements


class Room(NamedTuple):
    """The arrays that `block_features` fills; kept from page to page."""

    features: F32  # [.., N_FEATURES]
    block: I64  # [.., 3]: of each block the nearest block element, and the two such above it
    text_hash: I64  # [..]
    group: I64  # [..]: of blocks of the same tags, depth and classes
    mass: F32  # [.. + 1], running sum
    of_element: F32  # [n_elements, _N_SUMS]
    last: I64  # [n_elements]: the last element inside
    item: I64  # [n_elements]: slot of the largest set of alike siblings it stands in, -1 without
    sets: F32  # [_N_SETS, 3]: siblings of one tag that hold several blocks: how many, units, link units
    groups: F32  # [_N_GROUPS, 2]: blocks, units
    texts: I64  # [_N_TEXTS]: blocks with the same text
    page: F32  # [_N_SUMS_OF_PAGE]


# Columns of Room.of_element; a container's own are summed over the blocks right under it, GRAND one level further
# down, INSIDE over all blocks inside.
_MASS, _N, _UNITS, _LINKED, _GRAND_MASS, _GRAND_UNITS, _GRAND_LINKED, _INSIDE_N, _INSIDE_UNITS, _INSIDE_LINKED = range(
    10
)
_N_SUMS = 10
# Columns of Room.page
(
    _ALL_UNITS,
    _ALL_LINKED,
    _LONGEST,
    _ALL_CJK,
    _TITLE_AT,
    _TOP,
    _TOP_PARENT,
    _TOP_FIRST,
    _TOP_LAST,
    _TOP_DEPTH,
    _ARTICLES,
) = range(11)
_N_SUMS_OF_PAGE = 11


def make_room(n_blocks: int, n_elements: int) -> Room:
    """Return room for a page of so many blocks and elements."""
    return Room(
        features=np.empty((n_blocks, N_FEATURES), np.float32),
        block=np.empty((n_blocks, 3), np.int64),
        text_hash=np.empty(n_blocks, np.int64),
        group=np.empty(n_blocks, np.int64),
        mass=np.empty(n_blocks + 1, np.float32),
        of_element=np.empty((n_elements, _N_SUMS), np.float32),
        last=np.empty(n_elements, np.int64),
        item=np.empty(n_elements, np.int64),
        sets=np.empty((_N_SETS, 3), np.float32),
        groups=np.empty((_N_GROUPS, 2), np.float32),
        texts=np.empty(_N_TEXTS, np.int64),
        page=np.empty(_N_SUMS_OF_PAGE, np.float32),
    )


@compiled
def _block_element(element: int, parent: Any, tag: Any, flags: Any) -> int:
    """Return the nearest block element at or above an element; 0 is the page."""
    for _ in range(_MAX_CLIMB):
        if element <= 0 or flags[tag[element]] & BLOCK:
            break
        element = parent[element]
    return element


@compiled
def _hash_texts(text: Any, block_text: Any, text_hash: Any) -> None:
    """Hash the text of every block, letters folded and digits left out, so that numbered copies are one text."""
    for i in range(len(block_text)):
        h = np.uint64(5381)
        for j in range(block_text[i, 0], block_text[i, 1]):
            byte = text[j]
            if not 48 <= byte <= 57:
                h = (h * np.uint64(33) + np.uint64(byte | 32)) & np.uint64(0xFFFFFFFF)
        text_hash[i] = np.int64((h * np.uint64(0x9E3779B1) >> np.uint64(13)) & np.uint64(_N_TEXTS - 1))


@compiled
def _mass_of(units: Any, linked: Any, ends_with_mark: Any) -> Any:
    """Return how much prose a block holds: its unlinked units, 0 where it is too short for prose."""
    unlinked = units - linked
    if unlinked < _PROSE_UNITS and not (unlinked > _SENTENCE_UNITS and ends_with_mark > 0):
        return np.float32(0)
    return min(unlinked, np.float32(_MOST_UNITS))


@compiled
def _add_up(page: Any, room: Any, flags: Any) -> None:
    """Sum what stands in each container, group and text, and over the page."""
    counts, parent, tag = page.counts, page.element_parent, page.element_tag
    room.of_element[: len(parent)] = 0
    room.groups[:] = 0
    room.texts[:] = 0
    room.page[:] = 0
    room.mass[0] = 0
    title_best = np.float32(0)
    room.page[_TITLE_AT] = -1
    for i in range(len(counts)):
        row = counts[i]
        units, linked = row[UNITS], row[LINK_UNITS]
        element = _block_element(int(row[ELEMENT]), parent, tag, flags)
        above = _block_element(parent[element], parent, tag, flags) if element > 0 else 0
        grand = _block_element(parent[above], parent, tag, flags) if above > 0 else 0
        room.block[i, 0], room.block[i, 1], room.block[i, 2] = element, above, grand
        mass = _mass_of(units, linked, row[ENDS_WITH_MARK])
        room.mass[i + 1] = room.mass[i] + mass
        sums = room.of_element
        sums[above, _MASS] += mass
        sums[above, _N] += 1
        sums[above, _UNITS] += units
        sums[above, _LINKED] += linked
        sums[grand, _GRAND_MASS] += mass
        sums[grand, _GRAND_UNITS] += units
        sums[grand, _GRAND_LINKED] += linked
        if element != above:
            sums[element, _MASS] += mass * np.float32(0.5)
        sums[element, _INSIDE_N] += 1
        sums[element, _INSIDE_UNITS] += units
        sums[element, _INSIDE_LINKED] += linked
        classes = int(page.token_scores[i, 0] * np.float32(16))
        path = int(row[TAG]) * 131 + tag[above] * 31 + tag[grand] * 7 + int(row[DEPTH]) * 517 + classes * 977
        room.group[i] = path & (_N_GROUPS - 1)
        room.groups[room.group[i], 0] += 1
        room.groups[room.group[i], 1] += units - linked
        room.texts[room.text_hash[i]] += 1
        room.page[_ALL_UNITS] += units
        room.page[_ALL_LINKED] += linked
        room.page[_ALL_CJK] += row[CJK]
        room.page[_LONGEST] = max(room.page[_LONGEST], units - linked)
        like_title = row[TITLE_WORDS] * row[TITLE_WORDS] / max(row[WORDS], np.float32(1))
        if like_title > title_best:
            title_best = like_title
            room.page[_TITLE_AT] = i


@compiled
def _find_sets(page: Any, room: Any) -> None:
    """Find sets of siblings that are alike: comments, teasers, posts, rows of cards."""
    parent, tag, sums = page.element_parent, page.element_tag, room.of_element
    n = len(parent)
    room.sets[:] = 0
    for e in range(n):
        room.last[e] = e
    for e in range(n - 1, 0, -1):
        above = parent[e]
        room.last[above] = max(room.last[above], room.last[e])
        for k in (_INSIDE_N, _INSIDE_UNITS, _INSIDE_LINKED):
            sums[above, k] += sums[e, k]
        if sums[e, _INSIDE_N] >= 2:
            one = room.sets[(above * 127 + tag[e]) & (_N_SETS - 1)]
            one[0] += 1
            one[1] += sums[e, _INSIDE_UNITS]
            one[2] += sums[e, _INSIDE_LINKED]
    room.item[0] = -1
    for e in range(1, n):
        room.item[e] = room.item[parent[e]]
        if tag[e] == _ARTICLE and sums[e, _INSIDE_N] > 0:
            room.page[_ARTICLES] += 1
        if sums[e, _INSIDE_N] >= 2:
            slot = (parent[e] * 127 + tag[e]) & (_N_SETS - 1)
            if room.item[e] < 0 or room.sets[slot, 0] > room.sets[room.item[e], 0]:
                room.item[e] = slot


@compiled
def _find_top(page: Any, room: Any, flags: Any) -> None:
    """Find the heaviest container and which blocks it holds."""
    parent, tag, sums = page.element_parent, page.element_tag, room.of_element
    top, most = 0, np.float32(-1)
    for e in range(1, len(parent)):
        mass = sums[e, _MASS] + sums[e, _GRAND_MASS] * np.float32(0.5)
        if mass > most:
            top, most = e, mass
    room.page[_TOP] = top
    room.page[_TOP_PARENT] = _block_element(parent[top], parent, tag, flags)
    room.page[_TOP_FIRST] = room.page[_TOP_LAST] = -1
    for i in range(len(page.counts)):
        if top <= page.counts[i, ELEMENT] <= room.last[top]:
            if room.page[_TOP_FIRST] < 0:
                room.page[_TOP_FIRST] = i
                room.page[_TOP_DEPTH] = page.counts[i, DEPTH]
            room.page[_TOP_LAST] = i


@compiled
def _fill_own(page: Any, room: Any, i: int) -> None:
    """Fill the features of a block's own text, tags and classes."""
    row, out = page.counts[i], room.features[i]
    units, words = row[UNITS], max(row[WORDS], np.float32(1))
    out[0] = np.log1p(units)
    out[1] = row[WORDS]
    out[2] = row[LINK_UNITS] / units
    out[3] = row[LINKS]
    out[4] = row[DIGITS] / units
    out[5] = row[COMMAS] * 100 / units
    out[6] = row[SENTENCE_MARKS] * 100 / units
    out[7] = row[ENDS_WITH_MARK]
    out[8] = row[SHORT_WORDS] / words
    out[9] = row[CAPITALS] / words
    out[10] = row[BREAKS]
    out[11] = row[WORD_CHARS] / words
    out[12] = row[CJK] / units
    out[13] = room.texts[room.text_hash[i]]
    out[14] = row[TITLE_WORDS] / words
    out[15] = row[TITLE_WORDS]
    out[16] = row[DEPTH]
    out[17] = TAG_CLASS[int(row[TAG])]
    for k in range(len(FLAG_BITS)):
        out[_FLAG_AT + k] = (page.ancestors[i] >> FLAG_BITS[k]) & np.uint64(1)
    for k in range(4):
        out[_SCORE_AT + k] = page.token_scores[i, k]


@compiled
def _fill_place(page: Any, room: Any, i: int, before: Any) -> None:
    """Fill where a block stands: in the page, in its container, among its like."""
    n, row, out, of_page = len(page.counts), page.counts[i], room.features[i], room.page
    all_units, mass = max(of_page[_ALL_UNITS], np.float32(1)), max(room.mass[n], np.float32(1))
    above, grand = room.of_element[room.block[i, 1]], room.of_element[room.block[i, 2]]
    k = _PLACE_AT
    out[k] = before / all_units
    out[k + 1] = i / n
    out[k + 2] = row[OFFSET] / page.n_html_bytes
    out[k + 3] = room.mass[i] / mass
    out[k + 4] = np.log1p(above[_MASS])
    out[k + 5] = above[_MASS] / mass
    out[k + 6] = above[_N]
    out[k + 7] = above[_LINKED] / max(above[_UNITS], np.float32(1))
    out[k + 8] = above[_UNITS] / max(above[_N], np.float32(1))
    out[k + 9] = np.log1p(grand[_GRAND_MASS])
    out[k + 10] = grand[_GRAND_MASS] / mass
    out[k + 11] = grand[_GRAND_LINKED] / max(grand[_GRAND_UNITS], np.float32(1))
    element = int(row[ELEMENT])
    top, top_parent = int(of_page[_TOP]), int(of_page[_TOP_PARENT])
    out[k + 12] = 1 if top <= element <= room.last[top] else 0
    out[k + 13] = 1 if top_parent <= element <= room.last[top_parent] else 0
    first, last = of_page[_TOP_FIRST], of_page[_TOP_LAST]
    out[k + 14] = min(i - first, np.float32(0)) + max(i - last, np.float32(0))
    out[k + 15] = row[DEPTH] - of_page[_TOP_DEPTH]
    group = room.groups[room.group[i]]
    out[k + 16] = group[0]
    out[k + 17] = group[1] / group[0]
    out[k + 18] = group[1] / all_units
    slot = room.item[room.block[i, 0]]
    if slot >= 0:
        out[_SIBLINGS_AT] = room.sets[slot, 0]
        out[_SIBLINGS_AT + 1] = room.sets[slot, 1] / room.sets[slot, 0]
        out[_SIBLINGS_AT + 2] = room.sets[slot, 2] / max(room.sets[slot, 1], np.float32(1))
    else:
        out[_SIBLINGS_AT : _SIBLINGS_AT + 3] = 0
    out[_MASS_4_AT] = np.log1p(room.mass[min(n, i + 5)] - room.mass[max(0, i - 4)])
    out[_MASS_4_AT + 1] = np.log1p(room.mass[min(n, i + 13)] - room.mass[max(0, i - 12)])


@compiled
def _fill_order(page: Any, room: Any) -> None:
    """Fill what depends on the blocks before and behind: headings, the title, runs, prose."""
    n, x = len(page.counts), room.features
    h1, heading, prose, run_start = -1, -1, -1, 0
    title = int(room.page[_TITLE_AT])
    k = _HEADING_AT
    for i in range(n):
        tag_class = x[i, _TAG_CLASS]
        if tag_class == _H1:
            h1 = i
        x[i, k] = min(np.float32(i - h1), np.float32(_FAR)) if h1 >= 0 else -1
        x[i, k + 1] = h1 >= 0
        x[i, k + 2] = min(np.float32(i - heading), np.float32(_FAR)) if heading >= 0 else -1
        x[i, k + 3] = x[heading, _TAG_CLASS] if heading >= 0 else -1
        x[i, k + 4] = x[heading, _LINK_FRAC] if heading >= 0 else -1
        x[i, k + 5] = x[heading, _SCORE_AT] if heading >= 0 else 0
        x[i, k + 6] = x[heading, _TITLE_FRAC] if heading >= 0 else -1
        x[i, k + 7] = max(min(np.float32(i - title), np.float32(_FAR)), -np.float32(_FAR)) if title >= 0 else -99
        if _H1 <= tag_class <= _H4:
            heading = i
        x[i, _PROSE_AT] = min(np.float32(i - prose), np.float32(_FAR)) if prose >= 0 else np.float32(_FAR)
        if _is_long_prose(page.counts[i]):
            prose = i
        if i + 1 == n or room.group[i + 1] != room.group[i]:
            for j in range(run_start, i + 1):
                x[j, k - 1] = i + 1 - run_start
            run_start = i + 1
    prose = -1
    for i in range(n - 1, -1, -1):
        x[i, _PROSE_AT + 1] = min(np.float32(prose - i), np.float32(_FAR)) if prose >= 0 else np.float32(_FAR)
        if _is_long_prose(page.counts[i]):
            prose = i


@compiled
def _is_long_prose(row: Any) -> bool:
    return bool(row[UNITS] - row[LINK_UNITS] >= _LONG_PROSE_UNITS and row[ENDS_WITH_MARK] > 0)


@compiled
def _fill_page_and_neighbours(page: Any, room: Any) -> None:
    """Fill what all blocks share, and copy what the neighbours are like."""
    n, x, of_page = len(page.counts), room.features, room.page
    all_units = max(of_page[_ALL_UNITS], np.float32(1))
    for i in range(n):
        out = x[i]
        out[_PAGE_AT] = np.log1p(all_units)
        out[_PAGE_AT + 1] = of_page[_ALL_LINKED] / all_units
        out[_PAGE_AT + 2] = n
        out[_PAGE_AT + 3] = np.log1p(of_page[_LONGEST])
        out[_PAGE_AT + 4] = room.mass[n] / all_units
        out[_PAGE_AT + 5] = of_page[_ARTICLES]
        out[_PAGE_AT + 6] = of_page[_ALL_CJK] / all_units
        k = _NEAR_AT
        for step in NEAR:
            j = i + step
            if 0 <= j < n:
                near = x[j]
                out[k], out[k + 1], out[k + 2] = near[_LOG_UNITS], near[_LINK_FRAC], near[_SCORE_AT]
                out[k + 3], out[k + 4], out[k + 5] = near[_TAG_CLASS], near[_MARK], near[_DIGIT_FRAC]
            else:
                out[k], out[k + 1], out[k + 2] = -1, -1, 0
                out[k + 3], out[k + 4], out[k + 5] = -1, -1, -1
            k += 6


def block_features(page: Page, room: Room) -> F32:
    """Return float32[n_blocks, N_FEATURES] of a page, a view of `room` valid until the next call.

    `room` must have space for the blocks and elements of the page.
    """
    _kernel()(page._replace(caps_hit=()), room)
    return room.features[: len(page.counts)]


@functools.cache
def _kernel() -> Callable[[Any, Room], None]:
    # Numba's cache looks at one file only; the columns here and those and the tags of the scan are compiled in too.
    own = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("features.py", "feature_columns.py"))
    digest = source_digest() ^ int(hashlib.blake2b(own, digest_size=7).hexdigest(), 16)

    def fill(page: Any, room: Room) -> None:
        if digest == 0 or len(page.counts) == 0:
            return
        _hash_texts(page.text, page.block_text, room.text_hash)
        _add_up(page, room, FLAGS)
        _find_sets(page, room)
        _find_top(page, room, FLAGS)
        before = np.float32(0)
        for i in range(len(page.counts)):
            _fill_own(page, room, i)
            _fill_place(page, room, i, before)
            before += page.counts[i, UNITS]
        _fill_order(page, room)
        _fill_page_and_neighbours(page, room)

    return cached(fill)
