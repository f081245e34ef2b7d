"""The one writer of docs: its bytes depend on the rows alone; what it wrote is read back as it was."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.dataset import (
    ROW_GROUP_DOCS,
    ROW_GROUP_TEXT_BYTES,
    DocsWriter,
    as_jsonl,
    docs_schema,
    read_docs,
    write_jsonl,
)
from tests.helpers import batch_of

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=40)


def _docs(texts: list[str | None]) -> pa.RecordBatch:
    return batch_of(
        doc_id=[f"{n:032x}" for n in range(len(texts))],
        fetched_at=[None if n % 3 else n for n in range(len(texts))],
        text=texts,
    )


def _written(path: Path, batches: list[pa.RecordBatch], schema: pa.Schema) -> str:
    writer = DocsWriter(path)
    for batch in batches:
        writer.add(batch)
    assert writer.close(schema) == sum(batch.num_rows for batch in batches)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, cuts=st.sets(st.integers(0, 40)))
def test_the_bytes_do_not_depend_on_how_rows_came_in(tmp_path: Path, texts: list[str | None], cuts: set[int]) -> None:
    docs = _docs(texts)
    places = [0, *sorted(min(c, len(texts)) for c in cuts), len(texts)]
    pieces = [docs.slice(a, b - a) for a, b in pairwise(places)]
    whole = _written(tmp_path / "a.parquet", [docs], docs.schema)
    assert _written(tmp_path / "b.parquet", pieces, docs.schema) == whole
    found = [row["text"] for batch in read_docs(tmp_path / "b.parquet") for row in batch.to_pylist()]
    assert found == texts


def test_row_groups_are_cut_by_docs_and_by_text_never_by_batches(tmp_path: Path) -> None:
    docs = _docs(["x"] * 2500)
    whole = _written(tmp_path / "a.parquet", [docs], docs.schema)
    pieces = [docs.slice(a, b - a) for a, b in pairwise([0, 1, 1023, 1024, 1025, 2300, 2500])]
    assert _written(tmp_path / "b.parquet", pieces, docs.schema) == whole
    meta = pq.read_metadata(tmp_path / "a.parquet")
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [ROW_GROUP_DOCS, ROW_GROUP_DOCS, 452]
    big = _docs(["y" * (ROW_GROUP_TEXT_BYTES // 2)] * 5)
    whole = _written(tmp_path / "c.parquet", [big], big.schema)
    assert _written(tmp_path / "d.parquet", [big.slice(0, 1), big.slice(1, 3), big.slice(4)], big.schema) == whole
    meta = pq.read_metadata(tmp_path / "c.parquet")
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [2, 2, 1]


def test_a_file_without_docs_has_their_columns(tmp_path: Path) -> None:
    docs = _docs(["x"])
    assert _written(tmp_path / "a.parquet", [], docs.schema) == _written(
        tmp_path / "b.parquet", [docs.slice(0, 0)], docs.schema
    )
    assert list(read_docs(tmp_path / "a.parquet")) == []
    assert docs_schema(tmp_path / "a.parquet").names == docs.schema.names


def test_columns_that_are_there_are_read_in_the_files_order(tmp_path: Path) -> None:
    docs = _docs(["x", "y"])
    _written(tmp_path / "a.parquet", [docs], docs.schema)
    (batch,) = read_docs(tmp_path / "a.parquet", ["text", "doc_id", "nonsense"])
    assert batch.schema.names == ["doc_id", "text"]


def test_a_file_that_lost_rows_on_its_way_to_disk_is_an_error(tmp_path: Path) -> None:
    writer = DocsWriter(tmp_path / "a.parquet")
    writer.add(_docs(["x"]))
    writer.n_rows += 1
    with pytest.raises(OSError, match="does not hold the 2 rows"):
        writer.close(_docs([]).schema)


def test_jsonl_is_what_datatrove_reads(tmp_path: Path) -> None:
    pytest.importorskip("datatrove")
    from datatrove.pipeline.readers import JsonlReader

    docs = _docs(["plain", 'with "quotes" and\nlines', "東京 \u2028 \x00"])
    docs = docs.append_column("url", pa.array(["https://a.example/", None, "https://b.example/"]))
    _written(tmp_path / "a.parquet", [docs], docs.schema)
    (tmp_path / "out").mkdir()
    assert write_jsonl(tmp_path / "a.parquet", tmp_path / "out" / "a.jsonl.zst") == 3
    first = (tmp_path / "out" / "a.jsonl.zst").read_bytes()
    write_jsonl(tmp_path / "a.parquet", tmp_path / "b.jsonl.zst")
    assert (tmp_path / "b.jsonl.zst").read_bytes() == first
    found = list(JsonlReader(str(tmp_path / "out"), compression="zstd", glob_pattern="*.zst").run())
    assert [doc.text for doc in found] == docs["text"].to_pylist()
    assert [doc.id for doc in found] == docs["doc_id"].to_pylist()
    assert [doc.metadata.get("url") for doc in found] == docs["url"].to_pylist()


def test_a_line_of_jsonl() -> None:
    (row,) = _docs(["a"]).to_pylist()
    line = as_jsonl({**row, "n_words": 3, "language": None})
    expected = {"text": "a", "id": "0" * 32, "metadata": {"fetched_at": "1970-01-01T00:00:00Z", "n_words": 3}}
    assert line == expected
    json.dumps(line)
