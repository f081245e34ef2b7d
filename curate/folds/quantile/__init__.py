"""The `quantile` fold: the best share of the docs by a column, or bands of them, exact over the whole corpus."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa

from curate.errors import InputError
from curate.fold import Position, Seen
from curate.folds.quantile.cuts import CutFinder, write_counted
from curate.folds.quantile.rows import sketch_rows
from curate.folds.quantile.shares import Limits, write_decisions
from curate.registry import fold
from curate.sketches import Part


# Reasons are declared though bands alone drop nothing: the docs of a run are written anew for a fold that has some, and
# so the bands reach them where no step stands below.
@fold(version=1, reads=(), reasons=("rank_too_low", "not_ranked"), publishes="quantile")
class Quantile:
    """Keep the best `keep_frac` of all docs by the numbers in a column, or name bands of them.

    Exact, whatever the order of the input and its cut into shards: the cut is the number of the doc at place
    ceil(keep_frac * n_docs), and every doc as good as that one is kept. So docs with equal numbers share their fate,
    more than the share is kept where many are equal, and the cut that `quantile.json` tells is the `min_score` (or
    the maximum, with `best: lowest`) that would have kept the same docs. With `per`, each value of that column
    (`language`, `source`) has its own cuts. Numbers are compared as float64. Docs without a number (null, NaN) have
    no place: they are dropped as `not_ranked` if anything is dropped at all, and have no band.

    `bands` names shares in order, each with where it ends: {head: 0.3, middle: 0.6, tail: 1.0}. The name goes into
    the column `<by>_band`, and without a `keep_frac` below 1 nothing is dropped.

    Reads `by` and `per`; writes `<by>_band` (string) where there are bands. A sketch has 24 bytes for each doc and its
    group, before compression; memory is a count for each distinct leading 16 bits of a number, and the decisions of
    one shard.

    Defaults: the best tenth by `model_quality` is DCLM-Baseline's share (Li et al. 2024, arXiv:2406.11794, section
    4.4). CCNet's bands are {head: 0.3, middle: 0.6, tail: 1} by perplexity, lowest best, per language (Wenzek et al.
    2020, arXiv:1911.00359, section 4.2; its code takes the percentiles of a sample, this the whole corpus).

    Raises InputError for parameters out of range.
    """

    by: Annotated[str, "the column of numbers that ranks the docs"] = "model_quality_score"
    best: Annotated[Literal["highest", "lowest"], "which end of the numbers is the best"] = "highest"
    keep_frac: Annotated[float | None, "share of the docs to keep, the best; 0.1 if no bands are given"] = None
    bands: Annotated[Mapping[str, float] | None, "each band, best first, and the share at which it ends"] = None
    per: Annotated[str | None, "a column of words, such as language: each of them has cuts of its own"] = None

    def __post_init__(self) -> None:
        if self.best not in ("highest", "lowest"):
            raise InputError(f"quantile: best is {self.best!r}; allowed: highest, lowest")
        if self.keep_frac is not None and not 0 < self.keep_frac <= 1:
            raise InputError(f"quantile: keep_frac is {self.keep_frac}; allowed: above 0, up to 1")
        if self.bands is not None:
            ends = list(self.bands.values())
            if not ends or not ends[0] > 0 or ends[-1] != 1 or sorted(set(ends)) != ends:
                raise InputError(f"quantile: bands end at {ends}; allowed: above 0, rising, the last at 1")
        if not self.by or self.by == self.per:
            raise InputError("quantile: by names a column, and per another one")

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.by,) if self.per is None else (self.by, self.per)

    @property
    def writes(self) -> dict[str, pa.DataType]:
        return {f"{self.by}_band": pa.string()} if self.bands else {}

    def checks_columns(self, columns: Mapping[str, pa.DataType | None]) -> None:
        """Raise InputError where `by` holds no numbers or `per` no words."""
        kind = columns.get(self.by)
        if kind is not None and not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise InputError(f"the column {self.by} holds {kind}, not numbers")
        kind = None if self.per is None else columns.get(self.per)
        if kind is not None and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(f"the column {self.per} holds {kind}, not words")

    def sketch(self, batch: pa.RecordBatch, at: Position) -> pa.Table:
        """Return a row for each doc; all docs of a shard go to one part, in their order."""
        return sketch_rows(batch, at, self.by, self.per, negated=self.best == "highest")

    def reduce(self, part: Part, out: Path) -> None:
        """Keep the rows as they are, and count them by group and leading bits."""
        write_counted(part, out)

    def finish(self, parts: Sequence[Path], out: Path) -> None:
        """Find the cuts of every group; write the verdicts shard by shard, and `quantile.json`."""
        limits = self._limits()
        cuts = CutFinder(parts).cuts(limits.shares)
        found: dict[str, Any] = {"by": self.by, "best": self.best, "per": self.per, "keep_frac": limits.keep_frac}
        found["groups"] = write_decisions(parts, out, cuts, limits)
        text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
        (out / "quantile.json").write_text(text + "\n", encoding="utf-8")

    def explain(self, reason: str, doc: Mapping[str, Any], seen: Seen) -> str:
        """Return the number and the cut: `model_quality_score = 0.2 < 0.7 (cut of the best 0.1 of language en)`."""
        names = [self.by, *([self.per] if self.per else [])]
        if any(doc.get(name) is None for name in names):  # not all columns are in a ledger
            doc = seen.docs([doc["doc_id"]], names).get(doc["doc_id"], {})
        value, group = doc.get(self.by), doc.get(self.per) if self.per else None
        if reason == "not_ranked":
            return f"{self.by} is {value}: only numbers have a place"
        told = json.loads((seen.out / "quantile.json").read_text(encoding="utf-8"))
        cut = next((row["cut"] for row in told["groups"] if row["group"] == group), None)
        if value is None or cut is None:
            return ""
        shown = next(
            both for digits in (4, 6, 9, 17) if len(set(both := (f"{value:.{digits}g}", f"{cut:.{digits}g}"))) > 1
        )
        of = f" of {self.per} {group}" if self.per else ""
        side = "<" if self.best == "highest" else ">"
        return f"{self.by} = {shown[0]} {side} {shown[1]} (cut of the best {told['keep_frac']:g}{of})"

    def _limits(self) -> Limits:
        keep_frac = self.keep_frac if self.keep_frac is not None else (1.0 if self.bands else 0.1)
        column = f"{self.by}_band" if self.bands else None
        return Limits(keep_frac, tuple((self.bands or {}).items()), column, negated=self.best == "highest")
