"""`run.html`: one self-contained page with the loss curve, the held-out scores and what was trained."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, MARGIN = 760, 320, 48
MAX_POINTS = 2_000  # of the curve; longer runs are thinned evenly

Row = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark;
  --line: #2563eb; --dot: #d97706; --ink: #1f2937; --soft: #9ca3af; --page: #ffffff; }
@media (prefers-color-scheme: dark) { :root {
  --line: #60a5fa; --dot: #fbbf24; --ink: #e5e7eb; --soft: #6b7280; --page: #111827; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 820px; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; } .axis { stroke: var(--soft); }
.loss { fill: none; stroke: var(--line); stroke-width: 1.5; } .val { fill: var(--dot); }
table { border-collapse: collapse; margin: 1rem 0; } th, td { text-align: left; padding: .2rem 1rem .2rem 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
"""


def render_run(title: str, facts: Mapping[str, str], metrics: Sequence[Row]) -> str:
    """Return the page; `metrics` are the rows of metrics.jsonl, `facts` a table of names and values."""
    steps = [row for row in metrics if "loss" in row]
    scores = [row for row in metrics if row.get("split") == "val"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>{_facts(facts)}"
        f"<h2>Loss</h2>{_chart(steps, scores)}{_scores(scores)}</body></html>\n"
    )


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _scores(scores: Sequence[Row]) -> str:
    if not scores:
        return "<p>The shards hold no held-out documents.</p>"
    rows = "".join(
        f'<tr><td class="number">{row["step"]:,}</td><td>{html.escape(str(row["source"]))}</td>'
        f'<td class="number">{row["nats_per_token"]:.4f}</td><td class="number">{_bits(row["bits_per_byte"])}</td>'
        f'<td class="number">{row["n_docs"]:,}</td><td class="number">{row["n_tokens"]:,}</td></tr>'
        for row in scores
    )
    names = ("step", "source", "nats per token", "bits per byte", "documents", "tokens")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<h2>Held-out documents</h2><table><tr>{head}</tr>{rows}</table>"


def _bits(value: float | None) -> str:
    return "no text" if value is None else f"{value:.4f}"


def _chart(steps: Sequence[Row], scores: Sequence[Row]) -> str:
    if not steps:
        return "<p>No step was taken yet.</p>"
    losses = [float(row["loss"]) for row in steps] + [float(row["nats_per_token"]) for row in scores]
    low, high = min(losses), max(losses)
    span, last = (high - low) or 1.0, max(int(row["step"]) for row in steps)

    def at(step: float, loss: float) -> tuple[float, float]:
        x = MARGIN + (step / last) * (WIDTH - 2 * MARGIN)
        return round(x, 1), round(HEIGHT - MARGIN - (loss - low) / span * (HEIGHT - 2 * MARGIN), 1)

    thinned = steps[:: -(-len(steps) // MAX_POINTS)]
    points = " ".join("{},{}".format(*at(row["step"], row["loss"])) for row in thinned)
    dots = "".join(
        '<circle class="val" r="4" cx="{}" cy="{}"><title>{}</title></circle>'.format(
            *at(row["step"], row["nats_per_token"]),
            html.escape(f"{row['source']}: {row['nats_per_token']:.4f} at step {row['step']}"),
        )
        for row in scores
    )
    labels = "".join(_label(*at(0, low + part * span), f"{low + part * span:.2f}") for part in (0, 0.25, 0.5, 0.75, 1))
    bottom, right = HEIGHT - MARGIN, WIDTH - MARGIN
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss by step">'
        f'<path class="axis" fill="none" d="M{MARGIN},{MARGIN} V{bottom} H{right}"/>{labels}'
        f'<text x="{right}" y="{bottom + 20}" text-anchor="end">step {last:,}</text>'
        f'<text x="{MARGIN}" y="{MARGIN - 14}">nats per token: line = training, dots = held out</text>'
        f'<polyline class="loss" points="{points}"/>{dots}</svg>'
    )


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x - 6}" y="{y + 4}" text-anchor="end">{text}</text>'
