"""`run.html`: one self-contained page with loss curves, held-out scores, samples and what was trained with what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from train.curves import N_COLOURS, draw, visible

Row = Mapping[str, Any]

_LIGHT = ("#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2", "#65a30d")
_DARK = ("#fbbf24", "#34d399", "#f472b6", "#a78bfa", "#22d3ee", "#a3e635")
_STYLE = (
    """
:root { color-scheme: light dark; --line: #2563eb; --ink: #1f2937; --soft: #9ca3af; --page: #ffffff; LIGHT }
@media (prefers-color-scheme: dark) { :root {
  --line: #60a5fa; --ink: #e5e7eb; --soft: #6b7280; --page: #111827; DARK } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 820px; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; } .axis { stroke: var(--soft); }
.loss { fill: none; stroke: var(--line); stroke-width: 1.2; } .held { stroke-width: 1.5; }
polyline.held { fill: none; } .legend { font-size: 13px; } .key { margin-right: 1.2rem; }
.key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .3rem; border-radius: .2rem; }
i.c-loss { background: var(--line); }
table { border-collapse: collapse; margin: 1rem 0; } th, td { text-align: left; padding: .2rem 1rem .2rem 0; }
th { font-weight: 600; } .number { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--soft); padding-left: .8rem; }
td { overflow-wrap: anywhere; }
""".replace("LIGHT", " ".join(f"--c{n}: {colour};" for n, colour in enumerate(_LIGHT))).replace(
        "DARK", " ".join(f"--c{n}: {colour};" for n, colour in enumerate(_DARK))
    )
    + "\n".join(
        f"polyline.c{n} {{ stroke: var(--c{n}); }} circle.c{n} {{ fill: var(--c{n}); }}"
        f" i.c{n} {{ background: var(--c{n}); }}"
        for n in range(N_COLOURS)
    )
    + "\n"
)


def render_run(title: str, facts: Mapping[str, str], metrics: Sequence[Row]) -> str:
    """Return the page; `metrics` are the rows of metrics.jsonl, `facts` a table of names and values."""
    steps = [row for row in metrics if "loss" in row]
    scores = [row for row in metrics if row.get("split") == "val"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{visible(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{visible(title)}</h1>{_facts(facts)}"
        f"<h2>Loss</h2>{draw(steps, scores)}{_sources(scores)}{_domains(metrics)}{_samples(metrics)}</body></html>\n"
    )


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{visible(name)}</th><td>{visible(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"


def _sources(scores: Sequence[Row]) -> str:
    if not scores:
        return "<p>The shards hold no held-out documents.</p>"
    last = _latest(scores)
    told = f"<p>Scored after step {last[0]['step']:,}; the curves show the steps before.</p>"
    return f"<h2>Held-out documents by source</h2>{told}{_scores(('source',), last)}"


def _domains(metrics: Sequence[Row]) -> str:
    found = _latest([row for row in metrics if row.get("split") == "val-domain"])
    if not found:
        return ""
    return f"<h2>The largest domains of each source</h2>{_scores(('source', 'domain'), found)}"


def _scores(names: Sequence[str], rows: Sequence[Row]) -> str:
    numbers = ("nats per token", "perplexity", "bits per byte", "documents", "tokens")
    head = "".join(f"<th>{name}</th>" for name in names) + "".join(f'<th class="number">{n}</th>' for n in numbers)
    body = "".join(
        "<tr>" + "".join(f"<td>{visible(str(row[name]))}</td>" for name in names) + _cells(_figures(row)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _figures(row: Row) -> Iterable[str]:
    bits = row["bits_per_byte"]
    yield f"{row['nats_per_token']:.4f}"
    yield f"{row['perplexity']:,.2f}"
    yield "no text" if bits is None else f"{bits:.4f}"
    yield f"{row['n_docs']:,}"
    yield f"{row['n_tokens']:,}"


def _cells(texts: Iterable[str]) -> str:
    return "".join(f'<td class="number">{text}</td>' for text in texts)


def _samples(metrics: Sequence[Row]) -> str:
    found = _latest([row for row in metrics if row.get("split") == "sample"])
    if not found:
        return ""
    told = f"<p>Written after step {found[0]['step']:,}, at temperature 0.8 among the 50 likeliest tokens.</p>"
    texts = "".join(f"<p>{_prompt(str(row['prompt']))}</p><pre>{visible(str(row['text']))}</pre>" for row in found)
    return f"<h2>What the model writes</h2>{told}{texts}"


def _prompt(prompt: str) -> str:
    return f"After “{visible(prompt)}”:" if prompt else "From the start of a document:"


def _latest(rows: Sequence[Row]) -> list[Row]:
    last = max((row["step"] for row in rows), default=0)
    return [row for row in rows if row["step"] == last]
