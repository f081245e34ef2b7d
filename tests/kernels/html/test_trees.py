"""Mirrors curate/kernels/html/trees.py: the forest must score as the trees it was made from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.html.trees import MAX_LEAVES, Forest, forest_of, forest_scores, plain_scores, splits_of

LEAF = -1
STUMP = [(0, 1.5, 1, 2, 0.0), (LEAF, 0.0, 0, 0, -1.0), (LEAF, 0.0, 0, 0, 2.0)]
DEEP = [
    (1, 0.0, 1, 2, 0.0),
    (LEAF, 0.0, 0, 0, 0.5),
    (0, -3.0, 3, 4, 0.0),
    (LEAF, 0.0, 0, 0, -4.0),
    (LEAF, 0.0, 0, 0, 0.25),
]


def scores_of(forest: Forest, features: np.ndarray) -> np.ndarray:
    return forest_scores(splits_of(forest), features, np.empty(len(features), np.float32))


def test_one_stump_by_hand() -> None:
    forest = forest_of([STUMP], base=0.0)
    found = scores_of(forest, np.array([[1.5], [1.6]], np.float32))  # the threshold itself goes left
    np.testing.assert_allclose(found, [1 / (1 + np.exp(1.0)), 1 / (1 + np.exp(-2.0))], rtol=1e-6)


def test_threshold_between_two_float32_sends_each_to_its_side() -> None:
    below = np.float32(0.1)
    above = np.nextafter(below, np.float32(1))
    threshold = (float(below) + float(above)) / 2
    tree = [(0, threshold, 1, 2, 0.0), (LEAF, 0.0, 0, 0, -1.0), (LEAF, 0.0, 0, 0, 1.0)]
    found = scores_of(forest_of([tree], 0.0), np.array([[below], [above]], np.float32))
    assert found[0] < 0.5 < found[1]


@pytest.mark.parametrize("n_blocks", [0, 1, 15, 16, 17, 47])
def test_kernel_is_its_plain_twin_for_whole_and_broken_groups(n_blocks: int) -> None:
    features = np.random.default_rng(n_blocks).normal(0, 3, (n_blocks, 2)).astype(np.float32)
    forest = forest_of([STUMP, DEEP, [(LEAF, 0.0, 0, 0, 0.125)]], base=-0.5)
    np.testing.assert_allclose(scores_of(forest, features), plain_scores(forest, features), rtol=1e-6)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2), st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_a_block_scores_alike_in_any_company(row: list[float], n_blocks: int) -> None:
    forest = forest_of([STUMP, DEEP], base=0.1)
    alone = scores_of(forest, np.array([row], np.float32))
    assert (scores_of(forest, np.array([row] * n_blocks, np.float32)) == alone[0]).all()


def chain(n_leaves: int) -> list[tuple[int, float, int, int, float]]:
    """Return a tree that leans to the right: leaf k is of the values in (k - 1, k]."""
    tree = []
    for k in range(n_leaves - 1):
        tree += [(0, float(k), 2 * k + 1, 2 * k + 2, 0.0), (LEAF, 0.0, 0, 0, float(k))]
    return [*tree, (LEAF, 0.0, 0, 0, float(n_leaves - 1))]


def test_every_leaf_of_the_largest_tree_is_reached() -> None:
    forest = forest_of([chain(MAX_LEAVES)], base=-16.0)
    features = np.arange(MAX_LEAVES, dtype=np.float32)[:, None]
    expected = 1 / (1 + np.exp(16 - np.arange(MAX_LEAVES)))
    np.testing.assert_allclose(scores_of(forest, features), expected, rtol=1e-5)


def test_a_tree_of_too_many_leaves_is_refused() -> None:
    with pytest.raises(ValueError, match="33 leaves"):
        splits_of(forest_of([chain(MAX_LEAVES + 1)], base=0.0))


def test_forest_is_what_scikit_learn_predicts() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("scipy")
    from benchmarks.extraction.forest import compact, fit_trees

    random = np.random.default_rng(3)
    features = random.normal(size=(2_000, 6)).astype(np.float32)
    is_positive = features[:, 0] * features[:, 1] + (features[:, 5] > 1) + random.normal(size=2_000) > 0
    model = fit_trees(features, is_positive, np.ones(2_000, np.float32), n_trees=20)
    found = scores_of(compact(model), features)
    np.testing.assert_allclose(found, model.predict_proba(features)[:, 1], atol=1e-6)
    assert found.std() > 0.1  # it has learned something
