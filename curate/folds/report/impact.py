"""Whom each step hit: what it took of each group that came there, beside what it took of all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curate.folds.report.groups import NO_DOCS, Axis, Group, Sums, first, loss_rate, reached, share

IMPACT = ("language", "tld", "site", "chars")
FOUR_FIFTHS = 0.8  # a group kept at under 4/5 of the others' rate is flagged: US EEOC, 29 CFR 1607.4(D)


def impact(axis: Axis, steps: Sequence[str], top: int, min_docs: int) -> dict[str, Any]:
    """Return the losses of the `top` largest groups at each step, and per step the groups hit hardest.

    Lost means dropped or quarantined. The loss is in docs and in chars: lost docs have no tokens. Hardest hit
    are the groups with at least `min_docs` docs at the step that lost a larger share there than all others did.
    """
    everyone = Group("", axis.kept, axis.lost)
    largest = first(axis.pool, top, lambda group: group.seen.docs)
    hardest = {}
    for step in steps:
        worst = first(axis.pool, top, loss_rate(step, steps, min_docs)) if step in axis.lost else []
        hits = [_hit(group, everyone, step, steps) for group in worst]
        hardest[step] = [
            hit for hit in hits if hit["others_lost_share"] is not None and hit["lost_share"] > hit["others_lost_share"]
        ]
    return {
        "rows": [_row(group, steps) for group in largest],
        "unknown": _row(axis.unknown, steps),
        "all": _row(everyone, steps),
        "hardest_hit": hardest,
    }


def _row(group: Group, steps: Sequence[str]) -> dict[str, Any]:
    came = reached(group, steps)
    return {
        "key": group.key,
        "seen_docs": group.seen.docs,
        "seen_chars": group.seen.chars,
        "kept_docs": group.kept.docs,
        "kept_docs_share": share(group.kept.docs, group.seen.docs),
        "kept_chars_share": share(group.kept.chars, group.seen.chars),
        "steps": {step: _cell(came[step], group.lost.get(step, NO_DOCS)) for step in steps},
    }


def _cell(came: Sums, lost: Sums) -> dict[str, Any]:
    return {
        "reached_docs": came.docs,
        "lost_docs": lost.docs,
        "lost_docs_share": share(lost.docs, came.docs),
        "lost_chars": lost.chars,
        "lost_chars_share": share(lost.chars, came.chars),
    }


def _hit(group: Group, everyone: Group, step: str, steps: Sequence[str]) -> dict[str, Any]:
    """Return one group's loss at a step, and its keep rate over that of all other docs that came there."""
    came, lost = reached(group, steps)[step].docs, group.lost[step].docs
    others = reached(everyone, steps)[step].docs - came
    others_lost = everyone.lost[step].docs - lost
    others_kept = others - others_lost
    ratio = round((came - lost) * others / (came * others_kept), 6) if others_kept else None
    return {
        "key": group.key,
        "reached_docs": came,
        "lost_docs": lost,
        "lost_share": share(lost, came),
        "others_lost_share": share(others_lost, others),
        "keep_ratio": ratio,
        "below_four_fifths": ratio is not None and ratio < FOUR_FIFTHS,
    }
