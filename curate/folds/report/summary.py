"""From the totals of all axes to report.json: counts as integers, shares derived at the end, rounded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curate.folds.report.consent import consent
from curate.folds.report.counters import TAG_AXIS
from curate.folds.report.groups import NO_DOCS, Axis, Group, Sums, add_sums, first, in_order, share
from curate.folds.report.impact import IMPACT, impact
from curate.sites import PSL_VERSION

SCHEMA_NAME = "curate/report/1"
COMPOSITION = ("tld", "suffix", "site", "host", "language", "source")
TOP_SHARES = (1, 10, 25)
ALL_REASONS = 1_000
N_SIZES = 64  # size classes there can be: all are shown

UNITS = {
    "tokens": "Tokens are those of the run's tokenizer (column n_tokens), counted for kept docs.",
    "words": (
        "Words, since no step above wrote n_tokens: runs of Unicode letters, marks and digits, with apostrophes "
        "inside; each Han, Hiragana and Katakana character counts as one. Counted in the text of kept docs."
    ),
}


def summarise(axes: Mapping[str, Axis], steps: Sequence[str], top: int, min_docs: int) -> dict[str, Any]:
    """Return the report as JSON values. `steps` are the ids of the recipe's steps in order, () where unknown."""
    kept = _named(axes, "outcome").get("kept", Group("kept")).kept
    measured = {name: _named(axes, "unit").get(name, Group(name)).kept.docs for name in ("tokens", "words", "none")}
    unit = "tokens" if measured["tokens"] else "words"
    walk = _steps(axes, steps, kept)
    lost = {name: add_sums(_lost(axes, "outcome", name).values()) for name in ("dropped", "quarantined")}
    order = [step["step"] for step in walk]
    return {
        "schema": SCHEMA_NAME,
        "unit": unit,
        "unit_definition": UNITS[unit],
        "kept_docs_without_unit": kept.docs - measured[unit],
        "public_suffix_list": PSL_VERSION,
        "parameters": {"top": top, "min_docs": min_docs, "steps": list(steps)},
        "totals": {
            "in": _lengths(kept.plus(lost["dropped"]).plus(lost["quarantined"])),
            "kept": _lengths(kept) | {unit: getattr(kept, unit)},
            "dropped": _lengths(lost["dropped"]),
            "quarantined": _lengths(lost["quarantined"]),
        },
        "steps_in_order": set(order) <= set(steps),
        "steps": walk,
        "tagged": _tagged(axes, unit, kept),
        "composition": {name: _composition(axes.get(name, Axis(1)), unit, top) for name in COMPOSITION},
        "consent": consent(axes, unit, top),
        "lengths": _histograms(axes, unit),
        "impact": {
            name: impact(axes.get(name, Axis(1)), order, max(top, N_SIZES) if name == "chars" else top, min_docs)
            for name in IMPACT
        },
    }


def _named(axes: Mapping[str, Axis], name: str) -> dict[str, Group]:
    return {group.key: group for group in axes[name].pool} if name in axes else {}


def _lost(axes: Mapping[str, Axis], name: str, key: str) -> Mapping[str, Sums]:
    group = _named(axes, name).get(key)
    return group.lost if group else {}


def _lengths(sums: Sums) -> dict[str, int]:
    return {"docs": sums.docs, "chars": sums.chars, "bytes": sums.bytes}


def _steps(axes: Mapping[str, Axis], steps: Sequence[str], kept: Sums) -> list[dict[str, Any]]:
    """Return the way of the docs through the steps: reached = dropped + quarantined + left, each step."""
    dropped, quarantined = _lost(axes, "outcome", "dropped"), _lost(axes, "outcome", "quarantined")
    unmeasured = axes["chars"].unknown.lost if "chars" in axes else {}
    order = in_order(steps, {*dropped, *quarantined})
    lost = {step: dropped.get(step, NO_DOCS).plus(quarantined.get(step, NO_DOCS)) for step in order}
    left = add_sums([kept, *lost.values()])
    seen, found = left.docs, []
    for step in order:
        came, left = left, left.minus(lost[step])
        found.append(
            {
                "step": step,
                "reached": _lengths(came),
                "dropped": _lengths(dropped.get(step, NO_DOCS)),
                "quarantined": _lengths(quarantined.get(step, NO_DOCS)),
                "left": _lengths(left),
                "lost_docs_without_length": unmeasured.get(step, NO_DOCS).docs,
                "lost_docs_share_of_reached": share(lost[step].docs, came.docs),
                "lost_docs_share_of_all": share(lost[step].docs, seen),
                "lost_chars_share_of_reached": share(lost[step].chars, came.chars),
                "reasons": _reasons(axes, step, came.docs),
            }
        )
    return found


def _reasons(axes: Mapping[str, Axis], step: str, came: int) -> list[dict[str, Any]]:
    if "reason" not in axes:
        return []
    groups = [group for group in (*axes["reason"].pool, axes["reason"].unknown) if step in group.lost]
    groups.sort(key=lambda group: (-group.lost[step].docs, group.key))
    return [
        {"reason": g.key, **_lengths(g.lost[step]), "docs_share_of_reached": share(g.lost[step].docs, came)}
        for g in groups
    ]


def _tagged(axes: Mapping[str, Axis], unit: str, kept: Sums) -> list[dict[str, Any]]:
    """Return the kept docs that steps with `mode: tag` marked, by step and reason. A doc may have several tags."""
    return [
        {
            "step": name.removeprefix(TAG_AXIS), "reason": group.key, **_lengths(group.kept),
            unit: getattr(group.kept, unit), "docs_share_of_kept": share(group.kept.docs, kept.docs),
        }
        for name, axis in sorted(axes.items()) if name.startswith(TAG_AXIS)
        for group in first(axis.pool, ALL_REASONS, lambda g: g.kept.docs)
    ]  # fmt: skip


def _composition(axis: Axis, unit: str, top: int) -> dict[str, Any]:
    """Return the largest groups by docs and by unit; shares are of the kept docs whose key is known."""
    by_docs = first(axis.pool, top, lambda g: g.kept.docs)
    by_unit = first(axis.pool, top, lambda g: getattr(g.kept, unit))

    seen = axis.kept.docs + add_sums(axis.lost.values()).docs

    def row(group: Group) -> dict[str, Any]:
        measure = getattr(group.kept, unit)
        return {
            "key": group.key, **_lengths(group.kept), unit: measure,
            "seen_docs": group.seen.docs, "seen_docs_share": share(group.seen.docs, seen),
            "docs_share": share(group.kept.docs, axis.kept.docs),
            f"{unit}_share": share(measure, getattr(axis.kept, unit)),
        }  # fmt: skip

    return {
        "n_keys": axis.n_keys,
        "n_keys_seen": axis.n_keys_seen,
        "known": _lengths(axis.kept) | {unit: getattr(axis.kept, unit)},
        "unknown": _lengths(axis.unknown.kept) | {unit: getattr(axis.unknown.kept, unit)},
        "by_docs": [row(group) for group in by_docs],
        f"by_{unit}": [row(group) for group in by_unit],
        "concentration": {name: _concentration(axis, name) for name in ("docs", unit)},
    }


def _concentration(axis: Axis, measure: str) -> dict[str, float | None]:
    """Return the shares of the largest groups, the HHI (sum of squared shares) and 1 / HHI, the effective number."""
    whole, squares = getattr(axis.kept, measure), getattr(axis.squares, measure)
    ranked = [getattr(g.kept, measure) for g in first(axis.pool, max(TOP_SHARES), lambda g: getattr(g.kept, measure))]
    found = {f"top_{n}_share": share(sum(ranked[:n]), whole) for n in TOP_SHARES}
    found["hhi"] = round(squares / (whole * whole), 8) if whole else None
    found["effective_number"] = round(whole * whole / squares, 2) if squares else None
    return found


def _histograms(axes: Mapping[str, Axis], unit: str) -> dict[str, Any]:
    """Return lengths in powers of two: bin n holds lengths from 2^(n-1) to 2^n - 1, bin 0 the empty texts."""
    chars = axes.get("chars", Axis(1))
    unknown = chars.unknown
    by_unit = [(g.key.split(" ")[1], g) for g in _named(axes, "units").values() if g.key.startswith(f"{unit} ")]
    return {
        "chars": [
            _bin(group.key)
            | {"kept_docs": group.kept.docs, "lost_docs": _lost_docs(group), "kept_chars": group.kept.chars}
            for group in sorted(chars.pool, key=lambda group: group.key)
        ],
        "docs_without_length": {"kept": unknown.kept.docs, "lost": _lost_docs(unknown)},
        unit: [
            _bin(key) | {"kept_docs": group.kept.docs, f"kept_{unit}": getattr(group.kept, unit)}
            for key, group in sorted(by_unit)
        ],
    }


def _lost_docs(group: Group) -> int:
    return group.seen.docs - group.kept.docs


def _bin(key: str) -> dict[str, int]:
    bits = int(key)
    return {"bin": bits, "from": 2 ** (bits - 1) if bits else 0, "to": 2**bits - 1}
