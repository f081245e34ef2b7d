"""The contract of a stage: a pure function from a batch of docs to columns and drop reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Verdict:
    """What a stage says of a batch of n docs.

    `columns` adds or replaces columns, each of length n. `drop_reason` is string[n], null to keep;
    None keeps all. The stage never drops rows itself: the runner does, and so accounts for them.
    `fired` tells, by the name of a rule, how many of the n docs break it and how many break no rule before it;
    the runner adds these up, so that a rule which never or always fires is seen.
    """

    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    drop_reason: pa.Array | None = None
    fired: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class Stage(Protocol):
    """A registered, frozen dataclass; its fields are the step's parameters.

    What a stage may also define:

    - `explain(reason, signals) -> str`: the numbers behind a reason, for `curate why`.
    - `measures: tuple[str, ...]`, names of text signals (`curate.signals.SIGNALS`) that it reads as columns. The recipe
      puts a `signals` step above it that measures them, see `curate.measuring`. Such a stage has a field
      `suffix: str = ""`, which the recipe sets: a signal's column is called its name and the suffix.
    - `decides: tuple[str, ...]` and `decide(batch) -> pa.Array`, for a decision that can be made again from columns.
      `decides` names the parameters that play a part in `decide`, but in no column the stage writes. `decide` returns
      the drop_reason, string[n], from the columns that the stage reads or writes, never from `text`; `__call__` writes
      the columns and calls it.
    - `identity`: what else than its parameters makes its output what it is, as JSON; it enters the key of a phase.
    - `checks_columns(columns)`: given the type of each column that stands above (None where it is not known), raises
      InputError for one that is missing or of no use. It is asked before any data is read.
    """

    reads: tuple[str, ...]
    writes: Mapping[str, pa.DataType]
    reasons: tuple[str, ...]
    version: int

    def __call__(self, batch: pa.RecordBatch) -> Verdict: ...


def flag(mask: pa.Array, reason: str) -> pa.Array:
    """Return string[n]: `reason` where `mask` is true, null where it is false or null."""
    import pyarrow.compute as pc  # here, since who only asks what a stage reads and writes can do without

    return pc.if_else(pc.fill_null(mask, False), pa.scalar(reason, pa.string()), pa.scalar(None, pa.string()))


def first_reason(*reasons: pa.Array) -> pa.Array:
    """Return string[n]: per row the first reason that is not null, in the order given."""
    import pyarrow.compute as pc

    return pc.coalesce(*reasons)
