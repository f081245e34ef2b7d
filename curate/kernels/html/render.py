"""The text of the blocks that are kept: a line a block, a line a table row, and the lines of code as they are.

How rows are found: the kept blocks of one `<tr>` are a row where each stands in a cell of its own. A row with several
blocks in a cell lays out a page, and its blocks stay lines.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.html.entities import copy_decoded, room_for
from curate.kernels.html.scan import Page
from curate.kernels.html.state import (
    ELEMENT,
    I32,
    I64,
    U8,
    U64,
    Int,
    cached,
    compiled,
    source_digest,
)
from curate.kernels.html.tags import ANCESTOR_BIT, FLAGS, ID, PREFORMATTED

IN_PRE, _NO_MASK = np.uint64(1 << ANCESTOR_BIT["pre"]), np.uint64(0)
BLANK, TAB, NEWLINE = ord(" "), ord("\t"), ord("\n")

N_PLACES = 7
# Where an element stands: the nearest element of a kind, itself included, or 0; and how many quotes are around it.
ROW, CELL, TABLE, CODE, ITEM, LIST, N_QUOTES = range(N_PLACES)
_KIND_OF = {"tr": ROW, "td": CELL, "th": CELL, "table": TABLE, "li": ITEM}
_KIND_OF |= dict.fromkeys(("ul", "ol", "menu", "dir"), LIST)
_NO_KIND = -1
KIND = np.full(FLAGS.size, _NO_KIND, np.int64)
for _name, _kind in _KIND_OF.items():
    KIND[ID[_name]] = _kind
KIND[FLAGS & PREFORMATTED != 0] = CODE
KIND[ID["blockquote"]] = N_QUOTES


class Kept(NamedTuple):
    """The kept blocks, decoded; arrays have a row for each."""

    text: U8  # UTF-8: blocks one after the other; between them, unless `apart`, line breaks and tabs
    ends: I64  # of each block in `text`
    first: I64  # the block its row starts with, or itself
    elements: I64
    places: I32  # [n_elements, N_PLACES]


def render(page: Page, keep: npt.NDArray[np.bool_], *, markdown: bool) -> str:
    """Return the text of the kept blocks with references decoded; `keep` has a flag for each block of the page.

    Cells of a row are separated by tabs; Markdown says the same words with their structure (see `markdown`).
    """
    if len(keep) != len(page.block_text):
        raise ValueError(f"keep has {len(keep)} flags for {len(page.block_text)} blocks")
    kept = kept_blocks(page, np.flatnonzero(keep), apart=markdown)
    if markdown:
        from curate.kernels.html.markdown import markdown_of

        return markdown_of(page, np.flatnonzero(keep), kept)
    return kept.text.tobytes().decode("utf-8", "replace")


def kept_blocks(page: Page, which: npt.NDArray[np.intp], *, apart: bool) -> Kept:
    """Return the blocks `which`, decoded: `apart` with nothing between them, else as the lines of a text."""
    spans = page.block_text[which]
    n_bytes = int((spans[:, 1] - spans[:, 0]).sum())
    elements = page.counts[which, ELEMENT].astype(np.int64)
    kept = Kept(
        text=room_for(n_bytes + len(which)),
        ends=np.zeros(len(which), np.int64),
        first=np.empty(len(which), np.int64),
        elements=elements,
        places=np.empty((len(page.element_parent), N_PLACES), np.int32),
    )
    n_text = _kernel()(page.text, spans, page.ancestors[which], page.element_parent, page.element_tag, kept, apart)
    return kept._replace(text=kept.text[:n_text])


@compiled
def find_places(parent: I32, tag: U8, places: I32) -> None:
    """Fill in where each element stands. Parents come before their children, so one pass does it."""
    for k in range(N_PLACES):
        places[0, k] = 0
    for element in range(1, parent.size):
        kind = KIND[tag[element]]
        for k in range(N_PLACES):
            places[element, k] = places[parent[element], k]
        if kind == TABLE:  # its rows are not those of the table around it
            places[element, ROW] = places[element, CELL] = 0
        if kind == N_QUOTES:
            places[element, N_QUOTES] += 1
        elif kind != _NO_KIND:
            places[element, kind] = element


@compiled
def end_of_row(kept: Kept, k: Int) -> tuple[Int, bool]:
    """Return (end of the blocks that share the `<tr>` of block k, whether each has a cell of its own)."""
    row, cell = kept.places[kept.elements[k], ROW], kept.places[kept.elements[k], CELL]
    end = k + 1
    if row == 0:
        return end, False
    in_cells = cell > 0
    while end < kept.elements.size and kept.places[kept.elements[end], ROW] == row:
        before, cell = cell, kept.places[kept.elements[end], CELL]
        in_cells = in_cells and cell > 0 and cell != before
        end += 1
    return end, in_cells and end > k + 1


@compiled
def write_block(text: U8, spans: I64, k: Int, is_code: bool, in_row: bool, out: U8, at: Int) -> Int:
    """Write block k, decoded, to out[at:], in a row without line breaks and tabs of its own; return its end."""
    start = at
    at = copy_decoded(text, spans[k, 0], spans[k, 1], is_code, out, at)
    if in_row:
        for j in range(start, at):
            if out[j] == NEWLINE or out[j] == TAB:
                out[j] = BLANK
    return at


@functools.cache
def _kernel() -> Callable[[U8, I64, U64, I32, U8, Kept, bool], int]:
    digest = source_digest()

    def write_blocks(
        text: U8, spans: I64, ancestors: U64, parent: I32, tag: U8, kept: Kept, apart: bool
    ) -> int:  # fmt: skip
        if digest == 0:  # part of the key of Numba's cache
            return 0
        find_places(parent, tag, kept.places)
        at = end = row_start = 0
        in_row = False
        for k in range(spans.shape[0]):
            if k >= end:
                row_start = k
                end, in_row = end_of_row(kept, k)
            if k > 0 and not apart:
                kept.text[at] = TAB if in_row and k > row_start else NEWLINE
                at += 1
            is_code = ancestors[k] & IN_PRE != _NO_MASK
            at = write_block(text, spans, k, is_code, in_row, kept.text, at)
            kept.ends[k] = at
            kept.first[k] = row_start if in_row else k
        return at

    return cached(write_blocks)
