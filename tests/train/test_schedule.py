"""Mirrors train/schedule.py: warm-up, plateau and decay against figures by hand and bounds for all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.config import OptimConfig
from train.schedule import learning_rate_at, n_warmup_steps

SCHEDULES = ("wsd", "cosine", "linear", "constant")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("wsd", [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),  # the last 40 % fall to zero after the last step
        ("linear", [0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("cosine", [0.5, 1, *(0.5 + 0.5 * math.cos(math.pi * i / 8) for i in range(8))]),
        ("constant", [0.5] + [1] * 9),
    ],
)
def test_ten_steps_by_hand(schedule: str, expected: list[float]) -> None:
    optim = OptimConfig(learning_rate=1.0, schedule=schedule, warmup_steps=2, decay_frac=0.4)  # type: ignore[arg-type]
    assert [learning_rate_at(step, optim, 10) for step in range(10)] == pytest.approx(expected)


@given(
    st.sampled_from(SCHEDULES), st.integers(1, 5000), st.integers(-1, 6000), st.floats(0, 1), st.floats(0, 1), st.data()
)
def test_rates_stay_between_zero_and_the_peak(
    schedule: str, n_steps: int, warmup: int, decay_frac: float, final: float, data: st.DataObject
) -> None:
    options = {"learning_rate": 3e-3, "warmup_steps": warmup, "decay_frac": decay_frac, "final_lr_frac": final}
    optim = OptimConfig(schedule=schedule, **options)  # type: ignore[arg-type]
    step = data.draw(st.integers(0, n_steps - 1))
    assert 0 < learning_rate_at(step, optim, n_steps) <= 3e-3 * (1 + 1e-12)


@pytest.mark.parametrize(("n_steps", "n_warmup"), [(5, 0), (60, 6), (2000, 100), (50_000, 500)])
def test_default_warmup(n_steps: int, n_warmup: int) -> None:
    assert n_warmup_steps(OptimConfig(), n_steps) == n_warmup
