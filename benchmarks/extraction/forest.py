"""Fits the trees of the block model and turns them into the compact forest that ships."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from curate.kernels.html.trees import Forest, forest_of

N_TREES, N_LEAVES = 120, 16
N_COMMENT_TREES, N_COMMENT_LEAVES = 30, 12


def fit_trees(
    features: npt.NDArray[np.float32],
    is_positive: npt.NDArray[np.bool_],
    weight: npt.NDArray[np.float32],
    n_trees: int = N_TREES,
    n_leaves: int = N_LEAVES,
    learning_rate: float = 0.1,
) -> HistGradientBoostingClassifier:
    """Return boosted trees; the same bytes in give the same trees out on one thread."""
    model = HistGradientBoostingClassifier(
        max_iter=n_trees,
        max_leaf_nodes=n_leaves,
        max_depth=7,  # blocks go through a tree by its depth
        learning_rate=learning_rate,
        min_samples_leaf=40,
        l2_regularization=5,
        max_bins=127,
        early_stopping=False,
        random_state=0,
    )
    return model.fit(features, is_positive, sample_weight=weight / weight.mean())


def compact(model: Any) -> Forest:
    """Return the trees of a fitted classifier as a forest."""
    trees = [
        [
            (-1, 0.0, 0, 0, float(node["value"]))
            if node["is_leaf"]
            else (int(node["feature_idx"]), float(node["num_threshold"]), int(node["left"]), int(node["right"]), 0.0)
            for node in stage[0].nodes
        ]
        for stage in model._predictors
    ]
    return forest_of(trees, float(np.ravel(model._baseline_prediction)[0]))
