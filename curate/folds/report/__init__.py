"""The audit of a corpus: where its text comes from, in which languages, and what was dropped on the way, from whom."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa

from curate.errors import InputError
from curate.fold import Position
from curate.registry import BY_RECIPE, fold
from curate.sites import PSL_ASSET

if TYPE_CHECKING:
    from curate.folds.report.groups import Axis
    from curate.sketches import Part

MIN_TOP = 25  # named per part at least: the concentration needs the 25 largest
NAMED = 250  # languages, TLDs, suffixes … in a part's pool
ALL = 10_000  # reasons, outcomes, size classes: closed sets
LIMITS = {"site": MIN_TOP, "host": MIN_TOP, "suffix": MIN_TOP, "tld": NAMED, "language": NAMED, "source": NAMED}
PRUNE_AT = 8  # × the axis's limit: how far a pool grows between two prunings


@fold(
    version=3,
    reads=["url"],
    may_read=[
        "text",
        "language",
        "source",
        "n_tokens",
        "n_chars",
        "text_bytes",
        "outcome",
        "step",
        "reason",
        "robots",
        "tdm_reservation",
        "license",
    ],
    sees="all",
    needs={"steps": "@steps", "rules": "@rules"},
    publishes="report",
    assets=[PSL_ASSET],
)
class Report:
    """Write report.json and report.html: composition, concentration, what was dropped where, and who was hit.

    The composition (TLDs, largest sites, languages, what filters remove) follows Dodge et al. 2021
    (arXiv:2104.08758, sections 3 and 5), by docs and by tokens, since the two rank differently. All counts
    are exact integers. Sites are registrable domains of the pinned Public Suffix List.
    """

    top: Annotated[int, "groups named in each table; the C4 study of the Washington Post (2023) names 25"] = 25
    min_docs: Annotated[int, "groups with fewer docs are not ranked by loss: one doc would move it by over 3 %"] = 30
    steps: Annotated[tuple[str, ...], "ids of the steps above, in order", BY_RECIPE] = ()
    rules: Annotated[Mapping[str, Any] | None, "how often each rule fired, by step", BY_RECIPE] = None

    def __post_init__(self) -> None:
        if not 1 <= self.top <= 250:
            raise InputError(f"report: top is {self.top}; allowed are 1 to 250")
        if self.min_docs < 1:
            raise InputError(f"report: min_docs is {self.min_docs}; allowed are 1 and more")

    def sketch(self, batch: pa.RecordBatch, at: Position) -> pa.Table:
        """Return the batch's docs summed per (axis, key, step): see `counters.count`."""
        from curate.folds.report.counters import count

        return count(batch, at.n_parts)

    def reduce(self, part: Part, out: Path) -> None:
        """Write `axes.json`: per axis the totals of this part's keys and the groups worth naming."""
        from curate.folds.report.groups import Axis, groups_of

        axes: dict[str, Axis] = {}
        for name, group in groups_of(part.batches()):
            axis = axes.setdefault(name, Axis(self._limit(name)))
            axis.add(group)
            self._prune(axis, PRUNE_AT)
        self._write(axes, out / "axes.json")

    def finish(self, parts: Sequence[Path], out: Path) -> None:
        """Write `report.json` and `report.html`."""
        from curate.folds.report.groups import Axis
        from curate.folds.report.page import render
        from curate.folds.report.summary import summarise

        axes: dict[str, Axis] = {}
        for part in parts:
            for name, found in json.loads((part / "axes.json").read_text("ascii")).items():
                axis = axes.setdefault(name, Axis(self._limit(name)))
                axis.merge(Axis.from_json(found))
                self._prune(axis, PRUNE_AT)
        for axis in axes.values():
            self._prune(axis, 0)
        report = summarise(axes, self.steps, self.top, self.min_docs) | {"rules": dict(self.rules or {})}
        (out / "report.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", "ascii")
        (out / "report.html").write_text(render(report), "utf-8")

    def _limit(self, axis: str) -> int:
        return max(self.top, LIMITS.get(axis, ALL))

    def _prune(self, axis: Axis, slack: int) -> None:
        if len(axis.pool) > slack * axis.limit:
            axis.prune(self.steps, self.min_docs)

    def _write(self, axes: dict[str, Axis], file: Path) -> None:
        for axis in axes.values():
            self._prune(axis, 0)
        file.write_text(json.dumps({name: axes[name].to_json() for name in sorted(axes)}), "ascii")
