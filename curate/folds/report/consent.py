"""The section of report.json on consent and licences: what the pages of kept docs declare, summed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from curate.folds.report.declared import COLUMNS, RESERVED
from curate.folds.report.groups import NO_DOCS, Axis, Sums, add_sums, first, share
from curate.kernels.html.licences import OPEN, family_of
from curate.kernels.html.robots import RESTRICTIONS


def consent(axes: Mapping[str, Axis], unit: str, top: int) -> dict[str, Any] | None:
    """Return what kept docs declare; None where none of them has the columns.

    `docs` counts the docs that have them; shares are of these. `open` is the sum over the licences of the Open
    Definition.
    """
    known = {name: axes[name].kept.plus(axes[name].unknown.kept) for name in COLUMNS if name in axes}
    known = {name: sums for name, sums in known.items() if sums.docs}
    if not known:
        return None
    robots, reserved, licenses = (axes.get(name, Axis(1)) for name in COLUMNS)
    told = {word: _sum(g.kept for g in robots.pool if word in g.key.split(",")) for word in RESTRICTIONS}
    whole = max(known.values(), key=lambda sums: sums.docs)
    rows = {
        "robots": sorted(told.items(), key=lambda row: (-row[1].docs, row[0])),
        "tdm_reservation": [(RESERVED, reserved.kept)],
        "license": [(group.key, group.kept) for group in first(licenses.pool, top, lambda g: g.kept.docs)],
        "open_license": [("open", _sum(g.kept for g in licenses.pool if family_of(g.key) in OPEN))],
    }
    return {
        "docs": whole.docs, "chars": whole.chars, unit: getattr(whole, unit),
        **{name: [_row(key, sums, whole, unit) for key, sums in found if sums.docs] for name, found in rows.items()},
    }  # fmt: skip


def _sum(sums: Iterable[Sums]) -> Sums:
    return add_sums([NO_DOCS, *sums])


def _row(key: str, sums: Sums, whole: Sums, unit: str) -> dict[str, Any]:
    measure = getattr(sums, unit)
    return {
        "key": key, "docs": sums.docs, "chars": sums.chars, unit: measure,
        "docs_share": share(sums.docs, whole.docs), "chars_share": share(sums.chars, whole.chars),
        f"{unit}_share": share(measure, getattr(whole, unit)),
    }  # fmt: skip
