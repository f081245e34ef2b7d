"""From cuts to decisions: which docs a share keeps, which band they are in, and the sums that are published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.fold import write_verdicts
from curate.folds.quantile.cuts import Group, rows_of
from curate.folds.quantile.rows import value_of


@dataclass(frozen=True)
class Limits:
    """What is kept and how it is named."""

    keep_frac: float
    bands: tuple[tuple[str, float], ...]
    column: str | None
    negated: bool

    @property
    def drops(self) -> bool:
        return self.keep_frac < 1

    @property
    def shares(self) -> tuple[float, ...]:
        """The share to keep, then where each band ends."""
        return (self.keep_frac, *(end for _, end in self.bands))


def write_decisions(
    parts: Sequence[Path], out: Path, cuts: Mapping[Group, Sequence[int]], limits: Limits
) -> list[dict[str, Any]]:
    """Write the verdicts of all docs; return the sums of each group. Memory: one shard's rows."""
    sums: dict[Group, Counter[str]] = {group: Counter() for group in cuts}
    for _, batches in groupby(rows_of(parts), key=lambda batch: batch["shard"][0].as_py()):
        write_verdicts(out, pa.concat_tables([_decided(batch, cuts, limits, sums) for batch in batches]))
    order = sorted(sums, key=lambda group: (group is not None, group or ""))
    return [_told(group, sums[group], cuts.get(group), limits) for group in order]


def _decided(
    batch: pa.RecordBatch, cuts: Mapping[Group, Sequence[int]], limits: Limits, sums: dict[Group, Counter[str]]
) -> pa.Table:
    """Return the verdict rows of docs of one shard, and add them to the sums."""
    n = batch.num_rows
    keys = pc.fill_null(batch["key"], 0).to_numpy(zero_copy_only=False)
    ranked = batch["key"].is_valid().to_numpy(zero_copy_only=False)
    groups = batch["group"].dictionary_encode(null_encoding="encode")
    codes = groups.indices.to_numpy(zero_copy_only=False)
    kept = np.full(n, not limits.drops)
    band = np.full(n, -1)
    for code, group in enumerate(groups.dictionary.to_pylist()):
        inside = codes == code
        here = inside & ranked
        if group in cuts:
            ends = np.array(cuts[group], np.uint64)
            kept |= here & (keys <= ends[0])
            band = np.where(here, np.searchsorted(ends[1:], keys), band)
        total = sums.setdefault(group, Counter())
        total.update(n_docs=int(inside.sum()), n_ranked=int(here.sum()), n_kept=int((inside & kept).sum()))
        for number, (name, _) in enumerate(limits.bands):
            total[f"band {name}"] += int((here & (band == number)).sum())
    return _verdicts(batch, kept, ranked, band, limits)


def _verdicts(batch: pa.RecordBatch, kept: Any, ranked: Any, band: Any, limits: Limits) -> pa.Table:
    reason = pc.if_else(pa.array(ranked), "rank_too_low", "not_ranked")
    reason = pc.if_else(pa.array(kept), pa.scalar(None, pa.string()), reason)
    columns = {"shard": batch["shard"], "row": batch["row"], "drop_reason": reason}
    if limits.column is not None:
        names = pa.array([name for name, _ in limits.bands], pa.string())
        columns[limits.column] = names.take(pa.array(band, pa.int64(), mask=band < 0))
        return pa.table(columns)
    return pa.table(columns).filter(pa.array(~kept))


def _told(group: Group, total: Counter[str], cuts: Sequence[int] | None, limits: Limits) -> dict[str, Any]:
    values = [value_of(key, negated=limits.negated) for key in cuts] if cuts else [None] * len(limits.shares)
    told: dict[str, Any] = {"group": group, **{name: total[name] for name in ("n_docs", "n_ranked", "n_kept")}}
    told["cut"] = values[0]
    if limits.bands:
        told["bands"] = [
            {"name": name, "ends_at_frac": end, "cut": value, "n_docs": total[f"band {name}"]}
            for (name, end), value in zip(limits.bands, values[1:], strict=True)
        ]
    return told
