"""Where the bars of the page's charts lie: numbers for the SVG that the template draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 960  # of every chart, in SVG units
LABEL_WIDTH = 210  # left of the bars
VALUE_WIDTH = 170  # right of them
BAR_WIDTH = WIDTH - LABEL_WIDTH - VALUE_WIDTH
PLOT_HEIGHT = 220
MAX_LABEL_CHARS = 26  # what LABEL_WIDTH holds
HEAT_STEPS = 8
MAX_HEAT_ROWS = 50  # on the page; report.json holds as many as were asked for


@dataclass(frozen=True)
class Bar:
    """A bar of one or two segments (kept, lost), in SVG units from the left edge of the bars."""

    label: str
    width: float
    lost_width: float = 0.0
    docs_width: float = 0.0
    row: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Column:
    """A column of a histogram, in SVG units from the top of the plot."""

    x: float
    width: float
    kept_y: float
    kept_height: float
    lost_y: float
    lost_height: float
    row: Mapping[str, Any]


def scaled(value: float | None, largest: float, units: float) -> float:
    """Return value / largest × units to one place; 0 for nothing."""
    return round((value or 0) / largest * units, 1) if largest else 0.0


def paired(rows: Sequence[Mapping[str, Any]], unit: str) -> list[Bar]:
    """Return a bar per row: width is the share of the unit, docs_width that of the docs, one scale for both."""
    largest = max((row[name] or 0.0 for row in rows for name in (f"{unit}_share", "docs_share")), default=0.0)
    return [
        Bar(
            row["key"],
            scaled(row[f"{unit}_share"], largest, BAR_WIDTH),
            0.0,
            scaled(row["docs_share"], largest, BAR_WIDTH),
            row,
        )
        for row in rows
    ]


def waterfall(report: Mapping[str, Any]) -> list[Bar]:
    """Return a bar per step that some docs reached: what it left, and beside it what it took."""
    n_in = report["totals"]["in"]["docs"]
    return [
        Bar(
            step["step"],
            scaled(step["left"]["docs"], n_in, BAR_WIDTH),
            scaled(step["dropped"]["docs"] + step["quarantined"]["docs"], n_in, BAR_WIDTH),
            row=step,
        )
        for step in report["steps"]
    ]


def histogram(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return a column per bin between the first and the last that hold docs; empty bins in between stay."""
    by_bin = {row["bin"]: row for row in rows}
    if not by_bin:
        return []
    bins = range(min(by_bin), max(by_bin) + 1)
    step = WIDTH / len(bins)
    largest = max(row["kept_docs"] + row.get("lost_docs", 0) for row in rows)
    columns = []
    for i, number in enumerate(bins):
        row = by_bin.get(number) or {"bin": number, "from": 2 ** (number - 1) if number else 0, "kept_docs": 0}
        kept = scaled(row["kept_docs"], largest, PLOT_HEIGHT)
        lost = scaled(row.get("lost_docs"), largest, PLOT_HEIGHT)
        kept_y = round(PLOT_HEIGHT - kept, 1)
        columns.append(
            Column(round(i * step + 2, 1), round(step - 4, 1), kept_y, kept, round(kept_y - lost, 1), lost, row)
        )
    return columns


def concentration(shares: Mapping[str, float | None]) -> list[tuple[str, float, float, float]]:
    """Return (name, x, width, share) of the bands: the largest, the next nine, the next fifteen, all others."""
    if shares["top_1_share"] is None:
        return []
    edges = [0.0, *(shares[f"top_{n}_share"] or 0.0 for n in (1, 10, 25)), 1.0]
    names = ("largest", "2nd–10th", "11th–25th", "all others")
    whole = WIDTH - LABEL_WIDTH
    return [
        (name, round(low * whole, 1), round((high - low) * whole, 1), round(high - low, 6))
        for name, low, high in zip(names, edges, edges[1:], strict=False)
    ]


def heat(share: float | None) -> int:
    """Return the shade of a heat cell: 0 for nothing lost, then 1 to 8."""
    return min(HEAT_STEPS, 1 + int(share * HEAT_STEPS)) if share else 0


def size_name(key: str) -> str:
    """Return the lengths of a bin by its number: "11" is 1,024–2,047."""
    bits = int(key)
    low, high = (2 ** (bits - 1) if bits else 0), 2**bits - 1
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def losing(report: Mapping[str, Any]) -> list[str]:
    """Return the steps that lost any doc, in order."""
    return [step["step"] for step in report["steps"] if step["dropped"]["docs"] or step["quarantined"]["docs"]]
