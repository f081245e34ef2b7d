"""Deciding a million docs again from stored signals, and by running the rules over their texts: seconds of each.

    python benchmarks/retune.py --docs 1000000

The docs are real pages' signals: the texts of `--input` are run once with every step tagging, then their rows are
written again and again under new ids and URLs until there are as many as asked for. The full run's time is measured
on the texts as they are, and scaled by the docs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate import api
from curate.dataset import DocsWriter, read_docs
from curate.receipts import sha256_of
from curate.rundir import open_run

STEPS = """
name: tagged
steps:
  - language: {mode: tag, keep: [en], min_score: 0.65}
  - quality: {rules: gopher_repetition, id: repetition, mode: tag}
  - quality: {rules: gopher, mode: tag}
  - quality: {rules: fineweb, id: fineweb, mode: tag}
"""
SETTINGS = ("quality.min_words=20", "quality.min_stop_words=1", "repetition.max_dup_line_frac=0.2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--input", type=Path, required=True, help="texts: JSONL or Parquet, or a run")
    parser.add_argument("--docs", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "recipe.yaml").write_text(STEPS)
        started = time.perf_counter()
        api.run(work / "recipe.yaml", [given.input], work / "run", workers=1)
        full_s = time.perf_counter() - started
        n_real = repeat(work / "run", given.docs)
        times = []
        for number in range(3):
            started = time.perf_counter()
            found = api.retune(work / "run", SETTINGS, work / f"again-{number}")
            times.append(time.perf_counter() - started)
        print(f"{given.docs:,} docs decided again: median {sorted(times)[1]:.2f} s of {[round(t, 2) for t in times]}")
        print(f"kept {found.totals['docs_before']:,} before, {found.totals['docs_after']:,} now")
        print(f"the full run over the texts of {n_real:,} docs: {full_s:.1f} s on one worker, start-up included")


def repeat(run: Path, n_docs: int) -> int:
    """Make the last docs file of a run hold `n_docs` rows, the same again under other ids; return its rows before."""
    opened = open_run(run)
    phase = [phase for phase in opened.phases if phase.writes_docs][-1]
    shard = opened.plan.shards[0]
    receipt = opened.shard_receipt(phase, shard)
    stored = json.loads(receipt.read_text())
    file = opened.docs_file(phase, shard)
    rows = pa.Table.from_batches(list(read_docs(file)))
    texts = pa.array(["text"] * rows.num_rows, pa.string())
    rows = rows.set_column(rows.column_names.index("text"), "text", texts)
    grown = file.with_name("grown.parquet")
    writer = DocsWriter(grown)
    written = 0
    while written < n_docs:
        part = rows.slice(0, min(rows.num_rows, n_docs - written))
        numbers = np.arange(written, written + part.num_rows)
        ids = pa.array([f"{(int(number) * 0x9E3779B97F4A7C15) % (1 << 128):032x}" for number in numbers], pa.string())
        part = part.set_column(part.column_names.index("doc_id"), "doc_id", ids)
        for batch in part.to_batches():
            writer.add(batch)
        written += part.num_rows
    writer.close(rows.schema)
    shutil.move(grown, file)
    stored["docs_file"] |= {"rows": n_docs, "bytes": file.stat().st_size, "sha256": sha256_of(file)}
    receipt.write_text(json.dumps(stored))
    for shown in (run / "documents").glob("*.parquet"):
        shown.unlink()
    assert pq.read_metadata(file).num_rows == n_docs
    return rows.num_rows


if __name__ == "__main__":
    main()
