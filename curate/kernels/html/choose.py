"""Decides which blocks of a page are kept, from their scores and sizes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Keep = Literal["recall", "balanced", "precision"]

# Blocks that score at least this are kept. F1 on held-out sites is flat between .4 and .6 (see the model card), so the
# threshold is free to trade recall for precision.
THRESHOLDS: dict[Keep, float] = {"recall": 0.4, "balanced": 0.5, "precision": 0.6}
COMMENT_THRESHOLD = 0.5

# A page that keeps less than this (80 ideographs) is tried again at the lower thresholds, and at last with half its
# best score, if that is not below LEAST_SCORE.
ENOUGH_UNITS = 240
LEAST_SCORE = 0.05


def choose(scores: npt.NDArray[np.float32], units: npt.NDArray[np.float32], keep: Keep) -> npt.NDArray[np.bool_]:
    """Return bool[n_blocks]: which blocks are main text; units[n_blocks] are the sizes of their texts.

    What precision keeps, balanced keeps, and what balanced keeps, recall: a second chance ends on the threshold of the
    next of them, or below that of all.
    """
    own = THRESHOLDS[keep]
    for threshold in sorted(THRESHOLDS.values(), reverse=True):
        kept = scores >= np.float32(threshold)
        if threshold <= own and units[kept].sum() >= ENOUGH_UNITS:
            return kept
    lowest = min(THRESHOLDS.values())
    half = scores.max() / 2 if len(scores) else 0.0
    return scores >= np.float32(min(lowest, max(LEAST_SCORE, half)))
