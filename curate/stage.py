"""The contract of a stage: a pure function from a batch of docs to columns and drop reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Verdict:
    """What a stage says of a batch of n docs.

    `columns` adds or replaces columns, each of length n. `drop_reason` is string[n], null to keep;
    None keeps all. The stage never drops rows itself: the runner does, and so accounts for them.
    """

    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    drop_reason: pa.Array | None = None


class Stage(Protocol):
    """A registered, frozen dataclass; its fields are the step's parameters.

    A stage may also define `explain(reason, signals) -> str`: the numbers behind a reason, for `curate why`.
    """

    reads: tuple[str, ...]
    writes: Mapping[str, pa.DataType]
    reasons: tuple[str, ...]
    version: int

    def __call__(self, batch: pa.RecordBatch) -> Verdict: ...


def flag(mask: pa.Array, reason: str) -> pa.Array:
    """Return string[n]: `reason` where `mask` is true, null where it is false or null."""
    return pc.if_else(pc.fill_null(mask, False), pa.scalar(reason, pa.string()), pa.scalar(None, pa.string()))


def first_reason(*reasons: pa.Array) -> pa.Array:
    """Return string[n]: per row the first reason that is not null, in the order given."""
    return pc.coalesce(*reasons)
