"""Scores blocks with a forest of small regression trees: compiled, sixteen blocks at a time through each tree.

No block walks down a tree: each split that sends a block right takes the leaves left of it away, and of those that
remain the first is the block's. That is three times as fast, since splits then need not wait for each other, and one
comparison serves sixteen blocks. Source: Lucchese et al., QuickScorer, SIGIR 2015, and its vectorised form of 2016.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

F32 = npt.NDArray[np.float32]

NODE = np.dtype([("threshold", "f4"), ("feature", "u2"), ("left", "u2")])
MAX_LEAVES = 32  # of a tree: a bit for each
_LANES = 16  # blocks that go through a tree together


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


class Splits(NamedTuple):
    """A forest as `forest_scores` goes through it: the splits and the leaves of one tree after the other."""

    threshold: F32  # [n_splits]
    feature: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int32]  # without the bits of the leaves that a block which goes right cannot reach
    first: npt.NDArray[np.int64]  # [n_trees + 1], first split of each tree
    value: F32  # [n_leaves], of each tree from left to right
    first_leaf: npt.NDArray[np.int64]  # [n_trees + 1]
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


def splits_of(forest: Forest) -> Splits:
    """Return a forest in the form that is scored with; raises ValueError where a tree has more than MAX_LEAVES."""
    found: list[tuple[float, int, int]] = []  # threshold, feature, mask
    leaves: list[float] = []
    first, first_leaf = [0], [0]
    for start, stop in zip(forest.first[:-1].tolist(), forest.first[1:].tolist(), strict=True):
        _walk(forest.nodes[start:stop].tolist(), forest.values[start:stop].tolist(), 0, first_leaf[-1], found, leaves)
        first.append(len(found))
        first_leaf.append(len(leaves))
        if first_leaf[-1] - first_leaf[-2] > MAX_LEAVES:
            raise ValueError(f"a tree has {first_leaf[-1] - first_leaf[-2]} leaves, allowed are {MAX_LEAVES}")
    threshold, feature, mask = zip(*found, strict=True) if found else ((), (), ())
    return Splits(
        np.array(threshold, np.float32),
        np.array(feature, np.int64),
        np.array(mask, np.int64).astype(np.int32),
        np.array(first, np.int64),
        np.array(leaves, np.float32),
        np.array(first_leaf, np.int64),
        forest.base,
    )


def _walk(
    nodes: list[Any], values: list[float], k: int, first: int, found: list[tuple[float, int, int]], leaves: list[float]
) -> None:
    """Add the splits and leaves below node k; `first` is the tree's first leaf."""
    threshold, feature, left = nodes[k]
    if left == k:
        leaves.append(values[k])
        return
    low = len(leaves) - first
    _walk(nodes, values, left, first, found, leaves)
    high = len(leaves) - first
    found.append((threshold, feature, ~((1 << high) - (1 << low))))
    _walk(nodes, values, left + 1, first, found, leaves)


def forest_scores(splits: Splits, features: F32, scores: F32) -> F32:
    """Fill and return scores[:n_blocks] in (0, 1) for float32[n_blocks, n_features]."""
    _kernel()(splits, features, scores)
    return scores[: len(features)]


@intrinsic
def _emitted_leaves(_context: Any, feature: Any, threshold: Any, mask: Any, span: Any, lanes: Any, out: Any) -> Any:
    """Write the leaf of each lane in the tree whose splits are at span[0]:span[1] to `out`, see `_plain_leaves`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32, f32 = ir.IntType(32), ir.FloatType()
        ints, floats = ir.VectorType(i32, _LANES), ir.VectorType(f32, _LANES)

        def data(k: int) -> Any:
            return context.make_array(signature.args[k])(context, builder, args[k]).data

        def all_lanes(vector: Any, value: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(i32, 0))
            zeros = ir.Constant(ints, [0] * _LANES)
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

        every = ir.Constant(ints, [-1] * _LANES)
        left = cgutils.alloca_once_value(builder, every)  # type: ignore[no-untyped-call]
        table = builder.bitcast(data(4), floats.as_pointer())
        start, stop = (builder.extract_value(args[3], k) for k in range(2))
        step = ir.Constant(ir.IntType(64), 1)
        with cgutils.for_range_slice(builder, start, stop, step) as (k, _):
            which = builder.load(builder.gep(data(0), [k]))
            values = builder.load(builder.gep(table, [which]), align=4)
            above = builder.fcmp_ordered(">", values, all_lanes(floats, builder.load(builder.gep(data(1), [k]))))
            masks = builder.select(above, all_lanes(ints, builder.load(builder.gep(data(2), [k]))), every)
            builder.store(builder.and_(builder.load(left), masks), left)
        kind = ir.FunctionType(ints, [ints, ir.IntType(1)])
        first_bit = cgutils.get_or_insert_function(builder.module, kind, f"llvm.cttz.v{_LANES}i32")  # type: ignore[no-untyped-call]
        leaf = builder.call(first_bit, [builder.load(left), ir.Constant(ir.IntType(1), 1)])
        builder.store(leaf, builder.bitcast(data(5), ints.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(feature, threshold, mask, span, lanes, out), emit


@njit(cache=True, nogil=True)
def _compiled_leaves(feature, threshold, mask, span, lanes, out):  # type: ignore[no-untyped-def]
    _emitted_leaves(feature, threshold, mask, span, lanes, out)  # type: ignore[call-arg]


def _plain_leaves(feature: Any, threshold: Any, mask: Any, span: Any, lanes: Any, out: Any) -> None:
    """Write the leaf of each lane to `out`: the first whose bit no split takes away. lanes[n_features, _LANES]."""
    for lane in range(_LANES):
        left = -1
        for k in range(*span):
            if lanes[feature[k], lane] > threshold[k]:
                left &= int(mask[k])
        out[lane] = (left & -left).bit_length() - 1


# Where numba is told not to compile, all kernels run as plain Python, which checks every index.
_config: Any = numba.config
_leaves = _plain_leaves if _config.DISABLE_JIT else _compiled_leaves


@functools.cache
def _kernel() -> Callable[..., None]:
    def score(splits: Any, features: Any, scores: Any) -> None:
        n = len(features)
        lanes = np.zeros((features.shape[1], _LANES), np.float32)
        leaf = np.zeros(_LANES, np.int32)
        for start in range(0, n, _LANES):
            n_here = min(_LANES, n - start)
            for lane in range(n_here):
                scores[start + lane] = splits.base
                for k in range(features.shape[1]):
                    lanes[k, lane] = features[start + lane, k]
            for t in range(len(splits.first) - 1):
                span = (splits.first[t], splits.first[t + 1])
                _leaves(splits.feature, splits.threshold, splits.mask, span, lanes, leaf)
                for lane in range(n_here):
                    scores[start + lane] += splits.value[splits.first_leaf[t] + leaf[lane]]
        for i in range(n):
            scores[i] = 1 / (1 + np.exp(-scores[i]))

    return cast(Callable[..., None], njit(cache=True, nogil=True)(score))
