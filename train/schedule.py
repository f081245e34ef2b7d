"""The learning rate of every step, as a pure function."""

from __future__ import annotations

import math

from train.config import OptimConfig


def n_warmup_steps(optim: OptimConfig, n_steps: int) -> int:
    """Steps of linear warm-up: as configured, else max(100, 1 %) but at most a tenth of the run."""
    if optim.warmup_steps >= 0:
        return min(optim.warmup_steps, n_steps)
    return min(max(100, n_steps // 100), n_steps // 10)


def learning_rate_at(step: int, optim: OptimConfig, n_steps: int) -> float:
    """Return the learning rate used in `step` (0 is the first).

    It ends at `final_lr_frac` of the peak, one step after the last.
    """
    warmup = n_warmup_steps(optim, n_steps)
    if step < warmup:
        return optim.learning_rate * (step + 1) / warmup
    return optim.learning_rate * _shape(step, warmup, optim, n_steps)


def _shape(step: int, warmup: int, optim: OptimConfig, n_steps: int) -> float:
    """Share of the peak after the warm-up, in [final_lr_frac, 1]."""
    floor = optim.final_lr_frac
    if optim.schedule == "constant":
        return 1.0
    if optim.schedule == "wsd":
        n_decay = max(1, round(optim.decay_frac * n_steps)) if optim.decay_frac else 0
        left = n_steps - step
        return 1.0 if left >= n_decay else floor + (1 - floor) * left / n_decay
    done = (step - warmup) / max(1, n_steps - warmup)
    if optim.schedule == "linear":
        return floor + (1 - floor) * (1 - done)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))
