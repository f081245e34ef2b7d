"""Deciding again: a run's rules held against its stored signals with other limits, and what that changes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.dataset import docs_schema
from curate.errors import InputError
from curate.phases import check_columns
from curate.retune.decisions import docs_files
from curate.retune.found import Retuned, read_mark
from curate.retune.rerun import run_again
from curate.retune.scope import parse_settings, retuned
from curate.retune.stored import decide_from_signals
from curate.rundir import Run, open_run
from curate.runner import RunOptions
from curate.schema import HTML_SCHEMA, TEXT_SCHEMA

__all__ = ["Retuned", "retune"]


def retune(
    run: str | Path,
    settings: Sequence[str],
    out: str | Path,
    *,
    documents: bool = False,
    workers: int | None = None,
    reporter: Any = None,
) -> Retuned:
    """Decide again which docs of a run are kept, with `settings` such as `quality.min_words=20`, into `out`.

    Stored signals are enough where every changed step tags and only its limits change: then no text is read (but
    for `documents`, which writes the kept docs), and `out` holds decisions/, ledger/ and report/. Otherwise the
    recipe runs again into `out`, taking over the phases that stay the same, and the comparison lies in out/retune/.
    Raises InputError for settings the recipe cannot have, an unfinished run, and an `out` that holds something else.
    """
    opened, out = open_run(Path(run)), Path(out)
    given = parse_settings(settings)
    files = docs_files(opened)
    if len(files) < len(opened.plan.shards):
        raise InputError(f"{run} is not finished; run it to its end, then decide again")
    schemas = [docs_schema(file) for file in files.values()]
    stored = frozenset(schemas[0].names).intersection(*(schema.names for schema in schemas))
    plan = retuned(opened, given, stored)
    check_columns(plan.recipe, _columns_of_inputs(opened, schemas))
    keys = [phase.key for phase in opened.phases]
    asked = {"run": os.path.abspath(run), "keys": keys, "given": given, "documents": documents}
    if (done := read_mark(out, asked)) is not None:
        return done
    if plan.beyond is None:
        return decide_from_signals(opened, plan, files, out, asked, documents=documents)
    return run_again(opened, plan, out, asked, RunOptions(workers=workers), reporter)


def _columns_of_inputs(run: Run, schemas: Sequence[pa.Schema]) -> dict[str, pa.DataType]:
    """Return the columns that the run's docs had before its first step; the inputs themselves may be gone."""
    made = {name for step in run.recipe.steps for name in (*step.spec.writes, step.tag_column)}
    found = {field.name: field.type for schema in schemas for field in schema if field.name not in made}
    return found | {field.name: field.type for schema in (HTML_SCHEMA, TEXT_SCHEMA) for field in schema}
