"""How good the scores of a classifier are: precision, recall, area under the curve, calibration, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

N_BINS = 10
PRECISIONS = (0.5, 0.8, 0.9, 0.95, 0.99)
TOP_FRACS = (0.01, 0.05, 0.1, 0.2, 0.5)

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AtThreshold:
    """What a threshold does: docs of this score and more are taken for positives."""

    threshold: float
    precision: float
    recall: float
    f1: float
    negative_frac: float  # of the negatives that pass


@dataclass(frozen=True)
class Bin:
    """Held-out docs whose score is in [low, high); the last bin has its end."""

    low: float
    high: float
    n_docs: int
    mean_score: float | None
    positive_frac: float | None


@dataclass(frozen=True)
class Figures:
    """All figures of a held-out set. Fractions are in [0, 1]."""

    n_positives: int
    n_negatives: int
    roc_auc: float
    average_precision: float
    brier: float  # mean squared distance of score and truth
    calibration_error: float  # mean |mean_score - positive_frac| over the bins, weighted by docs
    at_half: AtThreshold
    by_precision: tuple[tuple[float, AtThreshold | None], ...]  # the lowest threshold that reaches it
    by_top_frac: tuple[tuple[float, AtThreshold], ...]  # the threshold that this share of the negatives passes
    bins: tuple[Bin, ...]


def figures_of(scores: F64, is_positive: Bools) -> Figures:
    """Return the figures of n scores in [0, 1]; there must be positives and negatives."""
    curve = _Curve(scores, is_positive)
    bins = _bins(scores, is_positive)
    off = sum(b.n_docs * abs((b.mean_score or 0.0) - (b.positive_frac or 0.0)) for b in bins)
    negatives = np.sort(scores[~is_positive])[::-1]
    return Figures(
        n_positives=curve.n_positives,
        n_negatives=curve.n_negatives,
        roc_auc=curve.roc_auc(),
        average_precision=curve.average_precision(),
        brier=float(np.mean((scores - is_positive) ** 2)),
        calibration_error=off / len(scores),
        at_half=curve.at(0.5),
        by_precision=tuple((wanted, curve.reaching(wanted)) for wanted in PRECISIONS),
        by_top_frac=tuple((f, curve.at(float(negatives[max(0, round(f * len(negatives)) - 1)]))) for f in TOP_FRACS),
        bins=bins,
    )


class _Curve:
    """Counts of positives and negatives at each distinct score and above, highest score first."""

    def __init__(self, scores: F64, is_positive: Bools) -> None:
        order = np.argsort(-scores, kind="stable")
        ordered, hits = scores[order], is_positive[order]
        last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # of each distinct score
        self.scores = ordered[last]
        self.true = np.cumsum(hits)[last]
        self.false = np.cumsum(~hits)[last]
        self.n_positives, self.n_negatives = int(self.true[-1]), int(self.false[-1])

    def roc_auc(self) -> float:
        """Return the chance that a positive scores above a negative, ties half: whole numbers until the end."""
        true, false = np.diff(self.true, prepend=0), np.diff(self.false, prepend=0)
        twice = int(np.sum(true * (2 * (self.n_negatives - self.false) + false)))
        return twice / (2 * self.n_positives * self.n_negatives)

    def average_precision(self) -> float:
        """Return the mean of precision over the positives, at the score of each."""
        steps = np.diff(self.true, prepend=0)
        return float(np.sum(steps * (self.true / (self.true + self.false))) / self.n_positives)

    def at(self, threshold: float) -> AtThreshold:
        """Return what a threshold does. Precision of nothing taken is 1."""
        n = int(np.searchsorted(-self.scores, -threshold, side="right"))
        true, false = (int(self.true[n - 1]), int(self.false[n - 1])) if n else (0, 0)
        precision = true / (true + false) if n else 1.0
        recall = true / self.n_positives
        f1 = 2 * true / (true + false + self.n_positives)
        return AtThreshold(threshold, precision, recall, f1, false / self.n_negatives)

    def reaching(self, precision: float) -> AtThreshold | None:
        """Return what the lowest threshold of at least this precision does; None where none has it."""
        found = np.flatnonzero(self.true >= precision * (self.true + self.false))
        return self.at(float(self.scores[found[-1]])) if len(found) else None


def _bins(scores: F64, is_positive: Bools) -> tuple[Bin, ...]:
    place = np.minimum((scores * N_BINS).astype(np.int64), N_BINS - 1)
    found = []
    for number in range(N_BINS):
        here = place == number
        n = int(here.sum())
        mean = float(scores[here].mean()) if n else None
        frac = int(is_positive[here].sum()) / n if n else None
        found.append(Bin(number / N_BINS, (number + 1) / N_BINS, n, mean, frac))
    return tuple(found)


def plot(bins: Sequence[Bin]) -> str:
    """Return a calibration plot as SVG: mean score across, share of positives up, the area of a dot by its docs."""
    size, edge = 320, 40
    n_all = max(1, sum(b.n_docs for b in bins))

    def x(value: float) -> str:
        return f"{edge + value * size:.1f}"

    def y(value: float) -> str:
        return f"{edge + (1 - value) * size:.1f}"

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size + 2 * edge} {size + 2 * edge}" '
        'font-family="sans-serif" font-size="12" fill="#333">',
        "<title>Calibration on the held-out docs</title>",
        f'<rect x="{edge}" y="{edge}" width="{size}" height="{size}" fill="none" stroke="#999"/>',
        f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="#bbb" stroke-dasharray="4 4"/>',
    ]
    for b in bins:
        if b.mean_score is not None and b.positive_frac is not None:
            radius = 3 + 17 * (b.n_docs / n_all) ** 0.5
            lines.append(
                f'<circle cx="{x(b.mean_score)}" cy="{y(b.positive_frac)}" r="{radius:.1f}" fill="#3465a4" '
                f'fill-opacity="0.6"><title>{b.n_docs} docs</title></circle>'
            )
    middle = edge + size / 2
    lines += [
        f'<text x="{middle}" y="{size + 2 * edge - 10}" text-anchor="middle">mean score</text>',
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">share of positives</text>',
        *(f'<text x="{x(v)}" y="{edge + size + 15}" text-anchor="middle">{v:g}</text>' for v in (0.0, 0.5, 1.0)),
        *(f'<text x="{edge - 5}" y="{float(y(v)) + 4:.1f}" text-anchor="end">{v:g}</text>' for v in (0.0, 0.5, 1.0)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
