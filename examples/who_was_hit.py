"""Read a run's ledger: what was dropped, by which rule, and by how much.

python examples/who_was_hit.py RUN
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main(run: Path) -> None:
    files = sorted((run / "ledger").glob("*.parquet"))  # a file has the signals that were measured up to its phase
    ledger = pa.concat_tables([pq.read_table(file) for file in files], promote_options="default")
    pairs = zip(ledger["step"].to_pylist(), ledger["reason"].to_pylist(), strict=True)
    for (step, reason), n_docs in Counter(pairs).most_common():
        print(f"{n_docs:6,}  {step:<12} {reason}")

    # Signals are kept for dropped docs, so a threshold can be judged without the text.
    short = ledger.filter(pc.equal(ledger["reason"], "too_few_words"))
    if short.num_rows:
        words = sorted(short["n_words__spacy_en"].to_pylist(), reverse=True)
        print(f"words of the docs that were too short: {', '.join(map(str, words[:8]))} …")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
