"""From what `extract` read of consent and licences to the keys that kept docs are counted by."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.html.robots import RESTRICTIONS

COLUMNS = ("robots", "tdm_reservation", "license")  # docs without them are not counted
RESERVED = "reserved"


def consent_axes(batch: pa.RecordBatch, kept: pa.Array) -> dict[str, pa.Array]:
    """Return string[n] per column the batch has: what the doc's page declares, "" for nothing, null where not counted.

    For robots it is the restrictions for all crawlers, such as `noai,noindex`: there are few combinations.
    """
    axes = {}
    if _is(batch, "robots", pa.types.is_string):
        axes["robots"] = pa.array([_restrictions(said) for said in batch["robots"].to_pylist()], pa.string())
    if _is(batch, "tdm_reservation", pa.types.is_boolean):
        axes["tdm_reservation"] = pc.if_else(pc.fill_null(batch["tdm_reservation"], False), RESERVED, "")
    if _is(batch, "license", pa.types.is_string):
        axes["license"] = pc.fill_null(pc.utf8_slice_codeunits(batch["license"], 0, 60), "")
    return {name: pc.if_else(kept, key, pa.scalar(None, pa.string())) for name, key in axes.items()}


def _is(batch: pa.RecordBatch, name: str, of_type: Any) -> bool:
    return name in batch.schema.names and bool(of_type(batch.schema.field(name).type))


def _restrictions(said: str | None) -> str:
    return ",".join(word for word in said.split(",") if word in RESTRICTIONS) if said else ""
