"""Runs one fold over shards held in memory, through real sketch files, as the runner does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.fold import Position
from curate.sketches import Part, SketchWriter


def run_fold(fold: Any, shards: Sequence[Sequence[pa.RecordBatch]], tmp_path: Path, n_parts: int = 3) -> Path:
    """Run all three acts of a `Fold`; return the folder that `finish` wrote. `tmp_path` must be empty."""
    files = []
    for number, batches in enumerate(shards):
        writer = SketchWriter(tmp_path / f"{number:05d}.arrow")
        row = 0
        for batch in batches:
            columns = [name for name in (*fold.reads, *fold.may_read) if name in batch.schema.names]
            if fold.sees == "all":  # also the tags of steps with `mode: tag`
                columns += [name for name in batch.schema.names if name.endswith("_reason")]
            writer.add(fold.sketch(batch.select(columns), Position(number, row, n_parts)))
            row += batch.num_rows
        writer.close()
        files.append(writer.path)
    parts = []
    for index in range(n_parts):
        parts.append(tmp_path / f"part-{index}")
        parts[-1].mkdir()
        fold.reduce(Part(files, index, n_parts), parts[-1])
    out = tmp_path / "out"
    out.mkdir()
    fold.finish(parts, out)
    return out


def verdicts_of(out: Path) -> dict[tuple[int, int], dict[str, object]]:
    """Return {(shard, row): the verdict's columns} of a folder that `finish` wrote."""
    found = {}
    for file in sorted((out / "verdicts").glob("*.parquet")) if (out / "verdicts").exists() else []:
        for verdict in pq.read_table(file).to_pylist():
            found[int(file.stem), verdict.pop("row")] = verdict
    return found
