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

# A page that keeps less than this (80 ideographs) is given a second chance: half its best score is enough, if that is
# not below FEWEST_SCORE.
ENOUGH_UNITS = 240
FEWEST_SCORE = 0.05


def choose(scores: npt.NDArray[np.float32], units: npt.NDArray[np.float32], keep: Keep) -> npt.NDArray[np.bool_]:
    """Return bool[n_blocks]: which blocks are main text; units[n_blocks] are the sizes of their texts."""
    kept = scores >= np.float32(THRESHOLDS[keep])
    if len(scores) and units[kept].sum() < ENOUGH_UNITS:
        # Never above the threshold, so that recall keeps what balanced keeps, and that what precision keeps.
        kept = scores >= min(np.float32(THRESHOLDS[keep]), max(np.float32(FEWEST_SCORE), scores.max() / 2))
    return kept
