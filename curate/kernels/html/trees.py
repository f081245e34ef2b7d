"""Scores blocks with a forest of small regression trees: compiled, a few blocks at a time through each tree."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]

# One node is 8 bytes, so that a forest of 120 trees of 16 leaves stays in the first-level cache.
NODE = np.dtype([("threshold", "f4"), ("feature", "u2"), ("left", "u2")])
_LANES = 8  # blocks that go through a tree together: their look-ups do not wait for each other


class Forest(NamedTuple):
    """Trees laid out one after the other; a block's score is the logistic of `base` plus a leaf of each tree.

    A node sends a block left if feature <= threshold, else to the node behind its left child. A leaf sends every
    block to itself: its threshold is infinite. Feature values must not be NaN.
    """

    nodes: npt.NDArray[np.void]  # NODE[n_nodes]; `left` counts from the tree's first node
    values: F32  # [n_nodes], 0 but in leaves
    first: npt.NDArray[np.int32]  # [n_trees + 1], first node of each tree
    depth: npt.NDArray[np.int32]  # [n_trees], of the deepest leaf
    base: np.float32


def forest_of(trees: list[list[tuple[int, float, int, int, float]]], base: float) -> Forest:
    """Return the forest of trees given as lists of (feature, threshold, left, right, value); a leaf has feature -1.

    The first entry of a list is its root. Thresholds are rounded down to float32, so that a float32 value compares
    as it does with the threshold given.
    """
    first = np.cumsum([0, *map(len, trees)]).astype(np.int32)
    nodes, values = np.zeros(first[-1], NODE), np.zeros(first[-1], np.float32)
    depth = np.zeros(len(trees), np.int32)
    for t, tree in enumerate(trees):
        order, level = [0], [0]  # breadth first: the children of a node stand side by side
        for place, k in enumerate(order):  # grows as it goes
            feature, threshold, left, right, value = tree[k]
            if feature < 0:
                nodes[first[t] + place] = (np.inf, 0, place)  # nothing is above it
                values[first[t] + place] = value
                continue
            nodes[first[t] + place] = (_float32_below(threshold), feature, len(order))
            order += [left, right]
            level += [level[place] + 1] * 2
        depth[t] = max(level)
    return Forest(nodes, values, first, depth, np.float32(base))


def _float32_below(value: float) -> np.float32:
    """Return the largest float32 that is not above a value."""
    rounded = np.float32(value)
    return rounded if float(rounded) <= value else np.nextafter(rounded, np.float32(-np.inf))


def plain_scores(forest: Forest, features: F32) -> F32:
    """Return float32[n_blocks] scores in (0, 1) by plain Python: the definition of `forest_scores`."""
    scores = np.empty(len(features), np.float32)
    for i, row in enumerate(features):
        total = np.float32(forest.base)
        for t, start in enumerate(forest.first[:-1]):
            node = 0
            for _ in range(forest.depth[t]):
                threshold, feature, left = forest.nodes[start + node]
                node = int(left) + int(row[feature] > threshold)
            total += forest.values[start + node]
        scores[i] = 1 / (1 + np.exp(-total))
    return scores


def forest_scores(forest: Forest, features: F32, scores: F32) -> F32:
    """Fill and return scores[:n_blocks] in (0, 1) for float32[n_blocks, n_features]."""
    _kernel()(forest.nodes, forest.values, forest.first, forest.depth, forest.base, features, scores)
    return scores[: len(features)]


@functools.cache
def _kernel() -> Callable[..., None]:
    def score(nodes: Any, values: Any, first: Any, depth: Any, base: Any, features: Any, scores: Any) -> None:
        n = len(features)
        for i in range(n):
            scores[i] = base
        at = np.zeros(_LANES, np.int64)
        for start in range(0, n - n % _LANES, _LANES):
            for t in range(len(depth)):
                root = first[t]
                for lane in range(_LANES):
                    at[lane] = 0
                for _ in range(depth[t]):
                    for lane in range(_LANES):
                        node = nodes[root + at[lane]]
                        at[lane] = node.left + np.int64(features[start + lane, node.feature] > node.threshold)
                for lane in range(_LANES):
                    scores[start + lane] += values[root + at[lane]]
        for i in range(n - n % _LANES, n):
            for t in range(len(depth)):
                k = np.int64(0)
                for _ in range(depth[t]):
                    node = nodes[first[t] + k]
                    k = node.left + np.int64(features[i, node.feature] > node.threshold)
                scores[i] += values[first[t] + k]
        for i in range(n):
            scores[i] = 1 / (1 + np.exp(-scores[i]))

    return cast(Callable[..., None], njit(cache=True, nogil=True)(score))
