"""Finds which words of a page are words of its gold: a longest common subsequence that rewards runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from benchmarks.extraction.words import words_of

# A match that goes on a run is worth 2, one that starts a run 0.2: a stray "share" in a menu then does not match.
GOES_ON, STARTS = 2.0, 0.2
MAX_CELLS = 400_000_000  # page words × gold words; a table of bytes, so 400 MB at most
MIN_MOVED_WORDS = 4
MIN_MOVED_FRAC = 0.6

_STARTS_RUN, _SKIP_PAGE, _SKIP_GOLD, _END_RUN_ABOVE, _END_RUN_LEFT = 1, 0, 1, 2, 3


@njit(cache=True, nogil=True)
def _matched(page: npt.NDArray[np.int32], gold: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return int32[n_page]: the index of the gold word that a page word is matched to, or -1."""
    n, m = len(page), len(gold)
    steps = np.zeros((n + 1, m + 1), np.uint8)
    apart, run = np.zeros(m + 1, np.float32), np.full(m + 1, -1e9, np.float32)
    next_apart, next_run = apart.copy(), run.copy()
    for i in range(1, n + 1):
        next_apart[0] = 0.0
        next_run[0] = -1e9
        word = page[i - 1]
        for j in range(1, m + 1):
            step = 0
            longer = np.float32(-1e9)
            if word == gold[j - 1]:
                longer = run[j - 1] + np.float32(GOES_ON)
                if longer < apart[j - 1] + np.float32(STARTS):
                    longer = apart[j - 1] + np.float32(STARTS)
                    step = _STARTS_RUN
            next_run[j] = longer
            best, how = apart[j], _SKIP_PAGE
            if next_apart[j - 1] > best:
                best, how = next_apart[j - 1], _SKIP_GOLD
            if run[j] > best:
                best, how = run[j], _END_RUN_ABOVE
            if next_run[j - 1] > best:
                best, how = next_run[j - 1], _END_RUN_LEFT
            next_apart[j] = best
            steps[i, j] = step | how << 1
        apart, next_apart = next_apart, apart
        run, next_run = next_run, run
    found = np.full(n, -1, np.int32)
    i, j, in_run = n, m, run[m] > apart[m]
    while i > 0 and j > 0:
        if in_run:
            found[i - 1] = j - 1
            in_run = steps[i, j] & 1 == 0
            i -= 1
            j -= 1
            continue
        how = steps[i, j] >> 1
        in_run = how >= _END_RUN_ABOVE
        if how in (_SKIP_PAGE, _END_RUN_ABOVE):
            i -= 1
        else:
            j -= 1
    return found


def matched_frac(blocks: list[list[str]], gold_text: str) -> npt.NDArray[np.float32]:
    """Return float32[n_blocks]: which part of each block's words the gold has too, in order; -1 for wordless blocks.

    A block of MIN_MOVED_WORDS whose place differs matches by the share of its trigrams among those of the gold that are
    still unmatched, if above MIN_MOVED_FRAC. All are -1 where the page is too large (MAX_CELLS) or the gold is empty.
    """
    gold = words_of(gold_text)
    sizes = np.array([len(words) for words in blocks], np.int64)
    n_page = int(sizes.sum())
    if not gold or not n_page:
        return np.full(len(blocks), -1, np.float32)
    ids: dict[str, int] = {}
    gold_ids = np.array([ids.setdefault(word, len(ids)) for word in gold], np.int32)
    page_ids = np.array([ids.get(word, -1) for words in blocks for word in words], np.int32)
    # Of words in a row that the gold lacks one is enough to end a run.
    matters = np.concatenate([[True], (page_ids[1:] >= 0) | (page_ids[:-1] >= 0)])
    if int(matters.sum()) * len(gold) > MAX_CELLS:
        return np.full(len(blocks), -1, np.float32)
    found = np.full(n_page, -1, np.int32)
    found[matters] = _matched(page_ids[matters], gold_ids)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    hits = np.concatenate([[0], np.cumsum(found >= 0)])
    frac = ((hits[ends[1:]] - hits[ends[:-1]]) / np.maximum(sizes, 1)).astype(np.float32)
    _add_moved(frac, blocks, gold, found)
    frac[sizes == 0] = -1
    return frac


def _add_moved(frac: Any, blocks: list[list[str]], gold: list[str], found: Any) -> None:
    used = np.zeros(len(gold), bool)
    used[found[found >= 0]] = True
    free = {tuple(gold[j : j + 3]) for j in range(len(gold) - 2) if not used[j] and not used[j + 2]}
    for k, words in enumerate(blocks if free else []):
        if frac[k] < 0.3 and len(words) >= MIN_MOVED_WORDS:
            n_free = sum(tuple(words[j : j + 3]) in free for j in range(len(words) - 2))
            if n_free > MIN_MOVED_FRAC * (len(words) - 2):
                frac[k] = n_free / (len(words) - 2)
