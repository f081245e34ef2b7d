"""Mirrors train/sampler.py: a permutation per epoch, a mixture by weights, no dependence on cuts or ranks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.errors import ConfigError
from train.sampler import BLOCK, Sampler, permute, rank_slice, unpermute

sizes = st.lists(st.integers(1, 60), min_size=1, max_size=5).map(tuple)


def pairs(sampler: Sampler, first: int, stop: int) -> list[tuple[int, int, int]]:
    samples = sampler.samples(first, stop)
    return list(zip(samples.source.tolist(), samples.window.tolist(), samples.epoch.tolist(), strict=True))


@given(n=st.integers(1, 5000), key=st.lists(st.integers(0, 2**63), max_size=3))
def test_permute_is_one_to_one(n: int, key: list[int]) -> None:
    assert sorted(permute(np.arange(n), n, *key).tolist()) == list(range(n))


@given(n=st.integers(1, 5000), key=st.lists(st.integers(0, 2**63), max_size=3))
def test_unpermute_takes_it_back(n: int, key: list[int]) -> None:
    assert unpermute(permute(np.arange(n), n, *key), n, *key).tolist() == list(range(n))


@given(n_windows=sizes, seed=st.integers(0, 99), n_samples=st.integers(0, 3000), weighted=st.booleans())
@settings(max_examples=30, deadline=None)
def test_places_are_where_samples_have_a_window(
    n_windows: tuple[int, ...], seed: int, n_samples: int, weighted: bool
) -> None:
    weights = tuple(float(k + 1) for k in range(len(n_windows))) if weighted else ()
    sampler = Sampler(n_windows, seed, weights)
    seen = pairs(sampler, 0, n_samples)
    for source, n in enumerate(n_windows):
        for window in {0, n // 2, n - 1}:
            expected = [k for k, (s, w, _) in enumerate(seen) if (s, w) == (source, window)]
            assert sampler.places(source, window, n_samples).tolist() == expected


def test_permute_spreads_like_a_random_order() -> None:
    n = 20_000
    place = permute(np.arange(n), n, 7)
    assert abs(np.corrcoef(np.arange(n), place)[0, 1]) < 0.03  # 4 standard deviations of a random order
    assert (permute(np.arange(n), n, 8) == place).sum() < 12  # a random order agrees in 1 place on average


def test_permute_refuses_what_is_outside() -> None:
    with pytest.raises(ValueError, match=r"\[0, 5\)"):
        permute(np.array([5]), 5, 0)


@given(n_windows=sizes, seed=st.integers(0, 2**40), epochs=st.integers(1, 3))
def test_each_window_comes_once_per_epoch(n_windows: tuple[int, ...], seed: int, epochs: int) -> None:
    total = sum(n_windows)
    seen = pairs(Sampler(n_windows, seed), 0, epochs * total)
    every = {(source, window) for source, n in enumerate(n_windows) for window in range(n)}
    for epoch in range(epochs):
        rows = seen[epoch * total : (epoch + 1) * total]
        assert {(source, window) for source, window, _ in rows} == every
        assert {e for *_, e in rows} == {epoch}


@pytest.mark.parametrize("weights", [(), (1.0,)])
def test_each_epoch_has_its_own_order(weights: tuple[float, ...]) -> None:
    seen = pairs(Sampler((500,), 1, weights), 0, 1000)
    orders = [[window for _, window, epoch in seen if epoch == e] for e in (0, 1)]
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])


@given(n_windows=sizes, weights=st.lists(st.floats(0.1, 10), min_size=5, max_size=5), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_a_mixture_keeps_to_its_weights_and_uses_a_source_up_before_it_repeats(
    n_windows: tuple[int, ...], weights: list[float], seed: int
) -> None:
    sampler = Sampler(n_windows, seed, tuple(weights[: len(n_windows)]))
    seen = pairs(sampler, 0, 2 * BLOCK)
    assert len(set(seen)) == len(seen)
    for source, weight in enumerate(sampler.weights):
        epochs = Counter(epoch for s, _, epoch in seen if s == source)
        assert abs(epochs.total() - 2 * BLOCK * weight / sum(sampler.weights)) <= 2
        assert epochs.total() <= n_windows[source] * len(epochs)


@given(
    weighted=st.booleans(),
    seed=st.integers(0, 99),
    first=st.integers(0, 3000),
    cut=st.integers(0, 64),
    world=st.sampled_from([1, 2, 4]),
)
@settings(max_examples=25, deadline=None)
def test_order_depends_on_neither_cuts_nor_ranks(weighted: bool, seed: int, first: int, cut: int, world: int) -> None:
    sampler = Sampler((40, 7, 300), seed, (1.0, 2.0, 3.0) if weighted else ())
    whole = pairs(sampler, first, first + 64)
    assert pairs(sampler, first, first + cut) + pairs(sampler, first + cut, first + 64) == whole
    shares = [pairs(sampler, *rank_slice(first, 64, rank, world)) for rank in range(world)]
    assert [pair for share in shares for pair in share] == whole


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of the number of ranks"):
        rank_slice(0, 10, 0, 4)


def test_a_weight_too_small_for_a_block_is_refused() -> None:
    with pytest.raises(ConfigError, match="below 1/1024"):
        Sampler((5, 5), 0, (1.0, 1e-5))


def test_the_order_is_the_one_of_version_1() -> None:
    """Runs of earlier releases must go on in their own order: a change here needs a new SAMPLER_VERSION."""
    assert permute(np.arange(10), 10, 1, 2, 3).tolist() == [7, 5, 1, 0, 3, 2, 6, 4, 9, 8]
    by_size = [(1, 1), (0, 0), (0, 2), (1, 3), (1, 2), (0, 1), (1, 0)]
    assert [(s, w) for s, w, _ in pairs(Sampler((3, 4), 5), 0, 7)] == by_size
