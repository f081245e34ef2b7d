"""Small things many tests need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.schema import HTML_SCHEMA, LEDGER_FIELDS, TEXT_SCHEMA

ROOT = Path(__file__).resolve().parent.parent
_TYPES: dict[str, pa.DataType] = {f.name: f.type for f in [*LEDGER_FIELDS, *HTML_SCHEMA, *TEXT_SCHEMA]}


def batch_of(**columns: list[Any]) -> pa.RecordBatch:
    """Return a batch with the given columns; known columns get their declared type, others the inferred one."""
    arrays = {name: pa.array(values, _TYPES.get(name)) for name, values in columns.items()}
    return pa.RecordBatch.from_pydict(arrays)


def measured_for(step: Any, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with the columns that a recipe measures above a step."""
    from curate.apply import with_columns
    from curate.measuring import with_signals

    for above in with_signals((step,))[:-1]:
        batch = with_columns(batch, above.spec(batch).columns)
    return batch


def shared_data(*parts: str) -> Path:
    """Return a path in the larger data set that lies beside the repository; skip the test where it is absent."""
    path = ROOT.parent / "shared" / "data" / Path(*parts)
    if not path.exists():
        pytest.skip(f"needs {Path('shared', 'data', *parts)} beside the repository")
    return path
