"""The contract of a fold: what needs the whole corpus, written so that no process ever holds it.

A fold runs in three acts. `sketch` turns each batch into rows that carry a `part` number; the runner
stores them in one file per shard, sorted by part. `reduce` sees one part of all shards at a time, parts
run in parallel. `finish` joins the little that `reduce` left and writes the results: files to publish,
and verdicts per shard that the runner applies when it next reads the docs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from curate.sketches import Part


class Position(NamedTuple):
    """Where a batch stands: its first row `row` in the docs of shard `shard`; rows are consecutive.

    `n_parts` is the number of parts of this fold, fixed by the plan: route a row with `key % n_parts`
    or, to keep parts in key order, `(key * n_parts) >> 64`.
    """

    shard: int
    row: int
    n_parts: int


class Seen(NamedTuple):
    """What a fold's `explain` may ask: `out` is what `finish` wrote, `docs(doc_ids, columns)` gives docs as the fold
    saw them, by doc_id, with those of the columns they have; docs that cannot be found again are left out.
    """

    out: Path
    docs: Callable[[Sequence[str], Sequence[str]], Mapping[str, Mapping[str, Any]]]


class Fold(Protocol):
    """A registered, frozen dataclass; its fields are the step's parameters.

    `reads` must exist, `may_read` are given where they exist. `sees="all"` also shows the docs that were
    dropped or quarantined above: batches then carry `step` and `reason`, null for docs that are kept, and
    the `<id>_reason` columns of steps that tag.
    `writes` and `reasons` are what the verdicts add and why they drop; both empty for most folds.
    `absent` gives the value of a written column for docs that have no verdict row (null otherwise).
    `needs` fills parameters from the steps above: {"tokenizer": "train_tokenizer/tokenizer.json"} is the
    file of the nearest such step, {"steps": "@steps"} the ids of the steps above, in order. {"rules": "@rules"} is
    filled for `finish` only: how often the rules of steps above fired, see `curate.rule_counts`.
    `publishes` names the folder of the run that shows what `finish` wrote; for a second fold of that name in a
    recipe it is `<publishes>-<id>`.

    A fold that drops docs may also define `explain(reason, doc, seen) -> str`: the numbers behind a reason, for `curate
    why`, from the columns of a dropped doc and what `Seen` tells.
    """

    reads: tuple[str, ...]
    may_read: tuple[str, ...]
    writes: Mapping[str, pa.DataType]
    absent: Mapping[str, object]
    reasons: tuple[str, ...]
    sees: Literal["kept", "all"]
    needs: Mapping[str, str]
    publishes: str | None
    version: int

    def sketch(self, batch: pa.RecordBatch, at: Position) -> pa.Table:
        """Return rows of one fixed schema with an int32 column `part` in [0, at.n_parts)."""
        ...

    def reduce(self, part: Part, out: Path) -> None:
        """Stream one part of all shards; write whatever files into the empty folder `out`."""
        ...

    def finish(self, parts: Sequence[Path], out: Path) -> None:
        """Join the folders that `reduce` wrote (part order) into files under the empty folder `out`."""
        ...


def write_verdicts(out: Path, verdicts: pa.Table) -> None:
    """Write `out/verdicts/<shard>.parquet` from rows (shard int32, row int64, drop_reason string, columns…).

    One row per doc at most; rows may come in any order. Shards without rows get no file.
    """
    folder = out / "verdicts"
    folder.mkdir(exist_ok=True)
    if verdicts.num_rows == 0:
        return
    ordered = verdicts.sort_by([("shard", "ascending"), ("row", "ascending")]).combine_chunks()
    shards = ordered["shard"].to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
    for start, end in pairwise(starts):
        rows = ordered.slice(start, end - start).drop_columns(["shard"])
        pq.write_table(rows, folder / f"{shards[start]:05d}.parquet", compression="zstd")


def adopt(file: Path, target: Path) -> None:
    """Make `file` appear as `target` without copying its bytes where the file system allows it."""
    try:
        os.link(file, target)
    except OSError:  # another device, or a file system without hard links
        shutil.copyfile(file, target)
