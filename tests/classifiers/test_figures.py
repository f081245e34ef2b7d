"""Mirrors curate/classifiers/figures.py; scikit-learn is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from curate.classifiers.figures import N_BINS, figures_of

SCORED = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5, 0.9, 1.0]) | st.floats(0, 1), st.booleans()))


@given(SCORED.filter(lambda rows: len({truth for _, truth in rows}) == 2))
def test_figures_are_those_of_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows])
    truth = np.array([is_positive for _, is_positive in rows])
    found = figures_of(scores, truth)
    assert found.roc_auc == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found.average_precision == pytest.approx(metrics.average_precision_score(truth, scores))
    assert found.brier == pytest.approx(metrics.brier_score_loss(truth, scores))
    taken = scores >= 0.5
    assert found.at_half.precision == pytest.approx(metrics.precision_score(truth, taken, zero_division=1.0))
    assert found.at_half.recall == pytest.approx(metrics.recall_score(truth, taken))
    assert found.at_half.f1 == pytest.approx(metrics.f1_score(truth, taken, zero_division=0.0))


@given(SCORED.filter(lambda rows: len({truth for _, truth in rows}) == 2))
def test_thresholds_do_what_they_promise(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows])
    truth = np.array([is_positive for _, is_positive in rows])
    found = figures_of(scores, truth)
    for wanted, at in found.by_precision:
        reached = [t for t in np.unique(scores) if truth[scores >= t].mean() >= wanted]
        assert (at is None) == (not reached)
        if at is not None:
            assert at.threshold == min(reached)
            assert at.precision >= wanted
    for _, at in found.by_top_frac:
        assert at.negative_frac == pytest.approx((scores[~truth] >= at.threshold).mean())


def test_a_hand_counted_table() -> None:
    scores = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    truth = np.array([False, True, False, True, True])
    bins = figures_of(scores, truth).bins
    assert [b.n_docs for b in bins] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert (bins[1].mean_score, bins[1].positive_frac) == (pytest.approx(0.15), 0.5)
    assert bins[2].mean_score is None
    assert len(bins) == N_BINS
    assert figures_of(scores, truth).calibration_error == pytest.approx((0.05 + 2 * 0.35 + 2 * 0.025) / 5)
