"""A fold of one's own whose verdicts cut spans: the runner applies them, also where nothing stands below."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from curate import api

FOLD = '''
"""Cut the first line of every doc that has more than one."""

import pyarrow as pa
import pyarrow.parquet as pq

from curate.fold import write_verdicts
from curate.registry import fold
from curate.schema import SPANS_TYPE

SKETCH = pa.schema([("part", pa.int32()), ("shard", pa.int32()), ("row", pa.int64()), ("end", pa.int64())])


@fold(version=1, reads=["text"], writes={"drop_spans": SPANS_TYPE})
class CutFirstLine:
    """Cut first lines."""

    def sketch(self, batch, at):
        ends = [(at.row + i, t.encode().find(b"\\n") + 1) for i, t in enumerate(batch["text"].to_pylist())]
        rows = [{"part": 0, "shard": at.shard, "row": row, "end": end} for row, end in ends if end]
        return pa.Table.from_pylist(rows, schema=SKETCH)

    def reduce(self, part, out):
        pq.write_table(pa.Table.from_batches(part.batches(), schema=SKETCH), out / "ends.parquet")

    def finish(self, parts, out):
        rows = [row for part in parts for row in pq.read_table(part / "ends.parquet").to_pylist()]
        verdicts = [{"shard": r["shard"], "row": r["row"], "drop_spans": [{"start": 0, "end": r["end"]}]} for r in rows]
        schema = pa.schema([("shard", pa.int32()), ("row", pa.int64()), ("drop_spans", SPANS_TYPE)])
        write_verdicts(out, pa.Table.from_pylist(verdicts, schema=schema))
'''


def test_spans_are_cut_and_their_bytes_accounted_for(tmp_path: Path) -> None:
    (tmp_path / "cutting.py").write_text(FOLD)
    (tmp_path / "recipe.yaml").write_text("name: cut\nsteps:\n  - cutting:CutFirstLine\n")
    texts = ["title\nbödy", "one line", "a\nb\nc"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    summary = api.run(tmp_path / "recipe.yaml", [tmp_path / "in.jsonl"], tmp_path / "out", workers=1)
    found = pq.read_table(tmp_path / "out" / "documents")["text"].to_pylist()
    assert found == ["bödy", "one line", "b\nc"]
    assert [phase["docs"]["kept"] for phase in summary.phases] == [3, 3]
    assert api.verify(tmp_path / "out", deep=True).ok
