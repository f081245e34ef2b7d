"""Loss curves as SVG: training and, per source, held out; drawn from numbers, with every name escaped."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT, MARGIN = 760, 320, 48
MAX_POINTS = 2_000  # of the curve; longer runs are thinned evenly
N_COLOURS = 6  # of sources; more take the same ones by turns
_HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cn", "Co", "Cs"})  # control, direction, line separators, no characters

Row = Mapping[str, Any]


class Frame(NamedTuple):
    """What of steps and losses the picture shows."""

    last_step: int
    low: float
    high: float

    def at(self, step: float, loss: float) -> tuple[float, float]:
        """Return the place of a point, in pixels from the upper left."""
        span = (self.high - self.low) or 1.0
        x = MARGIN + (step / self.last_step) * (WIDTH - 2 * MARGIN)
        return round(x, 1), round(HEIGHT - MARGIN - (loss - self.low) / span * (HEIGHT - 2 * MARGIN), 1)


def visible(text: str) -> str:
    """Return text for a page: escaped, and what steers a reader's eye or machine shown as its code."""
    shown = (c if c == "\n" or unicodedata.category(c) not in _HIDDEN else f"\\u{{{ord(c):x}}}" for c in text)
    return html.escape("".join(shown))


def draw(steps: Sequence[Row], scores: Sequence[Row]) -> str:
    """Return the picture of a run's steps (step, loss) and held-out scores (step, source, nats_per_token)."""
    if not steps:
        return "<p>No step was taken yet.</p>"
    losses = [float(row["loss"]) for row in steps] + [float(row["nats_per_token"]) for row in scores]
    frame = Frame(max(int(row["step"]) for row in steps), min(losses), max(losses))
    thinned = steps[:: -(-len(steps) // MAX_POINTS)]
    line = " ".join("{},{}".format(*frame.at(row["step"], row["loss"])) for row in thinned)
    sources = list(dict.fromkeys(str(row["source"]) for row in scores))
    curves = "".join(
        _source(frame, number % N_COLOURS, [row for row in scores if str(row["source"]) == source])
        for number, source in enumerate(sources)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss by step">{_axes(frame)}'
        f'<polyline class="loss" points="{line}"/>{curves}</svg>{_legend(sources)}'
    )


def _source(frame: Frame, colour: int, scores: Sequence[Row]) -> str:
    places = [frame.at(row["step"], row["nats_per_token"]) for row in scores]
    line = " ".join(f"{x},{y}" for x, y in places)
    told = [f"{row['source']}: {row['nats_per_token']:.4f} at step {row['step']:,}" for row in scores]
    dots = "".join(
        f'<circle class="c{colour}" r="3" cx="{x}" cy="{y}"><title>{visible(text)}</title></circle>'
        for (x, y), text in zip(places, told, strict=True)
    )
    return f'<polyline class="held c{colour}" points="{line}"/>{dots}'


def _axes(frame: Frame) -> str:
    bottom, right = HEIGHT - MARGIN, WIDTH - MARGIN
    heights = [frame.low + part * (frame.high - frame.low) for part in (0, 0.25, 0.5, 0.75, 1)]
    sides = [(*frame.at(0, loss), loss) for loss in heights]
    left = "".join(f'<text x="{x - 6}" y="{y + 4}" text-anchor="end">{loss:.2f}</text>' for x, y, loss in sides)
    under = "".join(
        f'<text x="{frame.at(step, frame.low)[0]}" y="{bottom + 18}" text-anchor="middle">{step:,}</text>'
        for step in round_steps(frame.last_step)
    )
    return (
        f'<path class="axis" fill="none" d="M{MARGIN},{MARGIN} V{bottom} H{right}"/>{left}{under}'
        f'<text x="{MARGIN}" y="{MARGIN - 14}">nats per token</text>'
        f'<text x="{right}" y="{bottom + 36}" text-anchor="end">step</text>'
    )


def round_steps(last: int) -> list[int]:
    """Return up to six round numbers from 0 to `last`."""
    wanted = last / 5
    unit = 10 ** math.floor(math.log10(wanted)) if wanted >= 1 else 1
    gap = next(unit * times for times in (1, 2, 5, 10) if unit * times >= wanted)
    return list(range(0, last + 1, gap))


def _legend(sources: Sequence[str]) -> str:
    keys = "".join(
        f'<span class="key"><i class="c{number % N_COLOURS}"></i>held out: {visible(source)}</span>'
        for number, source in enumerate(sources)
    )
    return f'<p class="legend"><span class="key"><i class="c-loss"></i>training</span>{keys}</p>'
