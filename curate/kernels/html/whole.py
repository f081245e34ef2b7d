"""Keeps lists and data tables whole: items and rows are decided together where their page keeps some of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.html.scan import Page
from curate.kernels.html.state import ELEMENT, LINK_UNITS, TAG, UNITS
from curate.kernels.html.tags import ID

LISTS = ("ul", "ol", "dl")
MIN_BLOCKS = 3
MIN_MEAN_SCORE = 0.3
MAX_BLOCK_UNITS = 600  # a longer one is a part of the page laid out as an item or a cell
MAX_LINK_FRAC = 0.5  # more is a menu
_FULL_WEIGHT_UNITS = 200  # a block of this size or more has the full weight in the mean

_NONE, _LIST, _TABLE = 0, 1, 2
_KINDS = np.zeros(max(ID.values()) + 1, np.uint8)
_KINDS[[ID[name] for name in LISTS]] = _LIST
_KINDS[ID["table"]] = _TABLE


def keep_whole(page: Page, scores: npt.NDArray[np.float32], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return bool[n_blocks]: what was kept, and the rest of each list and data table that is kept in part.

    A block belongs to the innermost list or table around it. One of MIN_BLOCKS or more is taken whole if any of it is
    kept and the mean of its scores is MIN_MEAN_SCORE or more; tables only if they have header cells, since others lay
    out pages. A half kept table says less than nothing. Held-out sites: snippets .918 → .919, pages with HTML gold
    .945 → .947, text gold .925 → .925 F1, recall up in each; with tables of all kinds text gold would fall to .918.
    """
    return _kernel()(page.element_parent, page.element_tag, page.counts, scores, kept, _KINDS, np.int64(ID["th"]))


@functools.cache
def _kernel() -> Callable[..., npt.NDArray[np.bool_]]:
    def whole(parent: Any, tag: Any, counts: Any, scores: Any, kept: Any, kinds: Any, header: int) -> Any:
        n_elements, n_blocks = len(parent), len(counts)
        around = np.zeros(n_elements, np.int32)  # the list or table an element is in; 0, the root, for none
        for e in range(1, n_elements):
            around[e] = e if kinds[tag[e]] != _NONE else around[parent[e]]
        blocks, weight = np.zeros(n_elements, np.int32), np.zeros(n_elements, np.float32)
        score, units = np.zeros(n_elements, np.float32), np.zeros(n_elements, np.float32)
        linked, longest = np.zeros(n_elements, np.float32), np.zeros(n_elements, np.float32)
        some, headed = np.zeros(n_elements, np.bool_), np.zeros(n_elements, np.bool_)
        for i in range(n_blocks):
            e = around[np.int64(counts[i, ELEMENT])]
            size = counts[i, UNITS]
            share = min(size, np.float32(_FULL_WEIGHT_UNITS))
            blocks[e] += 1
            weight[e] += share
            score[e] += share * scores[i]
            units[e] += size
            linked[e] += counts[i, LINK_UNITS]
            longest[e] = max(longest[e], size)
            some[e] |= kept[i]
            headed[e] |= np.int64(counts[i, TAG]) == header
        out = kept.copy()
        for i in range(n_blocks):
            e = around[np.int64(counts[i, ELEMENT])]
            if (
                e > 0
                and some[e]
                and blocks[e] >= MIN_BLOCKS
                and score[e] >= np.float32(MIN_MEAN_SCORE) * weight[e]
                and longest[e] <= MAX_BLOCK_UNITS
                and linked[e] <= np.float32(MAX_LINK_FRAC) * units[e]
                and (kinds[tag[e]] == _LIST or headed[e])
            ):
                out[i] = True
        return out

    return cast(Callable[..., npt.NDArray[np.bool_]], njit(cache=True, nogil=True)(whole))
