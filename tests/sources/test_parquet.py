"""Mirrors curate/sources/parquet.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.schema import TEXT_SCHEMA
from curate.source import doc_id
from curate.sources import source_of
from tests.sources.build import read, whole


def _piece(path: Path):
    n_rows = pq.ParquetFile(path).metadata.num_rows
    return replace(whole(path, "parquet"), end=n_rows)


def _written(folder: Path, table: pa.Table, **options) -> Path:
    path = folder / "a.parquet"
    pq.write_table(table, path, **options)
    return path


def test_a_bare_text_column_is_enough(tmp_path: Path) -> None:
    path = _written(tmp_path, pa.table({"text": ["a", None, "", "b"]}))
    table, tally = read(_piece(path))
    assert table.schema == TEXT_SCHEMA
    assert table["text"].to_pylist() == ["a", "", "b"]
    assert table["offset_bytes"].to_pylist() == [0, 2, 3]
    assert table["doc_id"].to_pylist() == [doc_id("a.parquet", row) for row in (0, 2, 3)]
    assert table["source"].to_pylist() == ["web"] * 3
    assert tally.records == {"doc": 3, "no_text": 1}


def test_documents_of_a_run_read_again_with_all_columns(tmp_path: Path) -> None:
    n = 300
    documents = pa.table(
        {
            "doc_id": [doc_id("w", i) for i in range(n)],
            "url": pa.array(["https://a.example/", None] * (n // 2)),
            "source": ["wiki"] * n,
            "warc_file": ["w.warc.gz"] * n,
            "offset_bytes": pa.array([i * 1000 for i in range(n)], pa.int64()),
            "fetched_at": pa.array([datetime(2024, 1, 2, tzinfo=UTC)] * n, pa.timestamp("s", tz="UTC")),
            "id": pa.array([None] * n, pa.string()),
            "text": [f"text {i}" for i in range(n)],
            "language": ["en"] * n,
            "language_score": pa.array([0.5] * n, pa.float32()),
            "cluster_size": pa.array(range(n), pa.int32()),
            "tagged": pa.array([True, None] * (n // 2), pa.bool_()),
        }
    )
    table, _ = read(_piece(_written(tmp_path, documents, row_group_size=90)))
    assert table.equals(documents)


def test_other_types_of_the_same_thing_are_read(tmp_path: Path) -> None:
    found = pa.table(
        {
            "text": pa.array(["a", "b"], pa.large_string()),
            "url": pa.array(["u", "u"]).dictionary_encode(),
            "id": pa.array([1, 2], pa.int64()),
            "fetched_at": pa.array([datetime(2024, 1, 2), None], pa.timestamp("ns")),
            "topic": pa.array(["t", "t"]).dictionary_encode(),
            "html": pa.array([b"x", b"y"]),
            "spans": pa.array([[1], [2]]),
            "nothing": pa.nulls(2),
        }
    )
    table, _ = read(_piece(_written(tmp_path, found)))
    assert table.column_names == [*TEXT_SCHEMA.names, "topic"]
    assert table["id"].to_pylist() == ["1", "2"]
    assert table["topic"].to_pylist() == ["t", "t"]
    assert table["fetched_at"][0].as_py() == datetime(2024, 1, 2, tzinfo=UTC)


def test_the_url_is_found_in_metadata(tmp_path: Path) -> None:
    found = pa.table({"text": ["a", "b"], "metadata": [{"url": "https://a.example/", "n": 1}, None]})
    assert read(_piece(_written(tmp_path, found)))[0]["url"].to_pylist() == ["https://a.example/", None]


@settings(max_examples=20, deadline=None)
@given(n=st.integers(0, 200), group=st.integers(5, 120), shard_bytes=st.integers(1, 3000))
def test_pieces_give_what_the_whole_file_gives(n: int, group: int, shard_bytes: int, tmp_path_factory) -> None:
    found = pa.table({"text": pa.array([f"text {i}" * (i % 7) for i in range(n)], pa.string())})
    path = _written(tmp_path_factory.mktemp("parquet"), found, row_group_size=group)
    pieces = source_of("parquet").cut(str(path), path.stat().st_size, shard_bytes)
    assert [0, *(end for _, end in pieces)] == [*(start for start, _ in pieces), n]
    whole_table, whole_tally = read(_piece(path))
    parts = [read(replace(_piece(path), start=start, end=end)) for start, end in pieces]
    assert pa.concat_tables([table for table, _ in parts]).equals(whole_table)
    assert sum(tally.records["doc"] for _, tally in parts) == whole_tally.records["doc"] == n


def test_strings_that_are_no_utf8_are_repaired_and_counted(tmp_path: Path) -> None:
    raw = pa.array([b"ok", b"caf\xe9", b"caf\xc3\xa9"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    table, tally = read(_piece(_written(tmp_path, pa.table({"text": broken, "url": broken}))))
    assert table["text"].to_pylist() == table["url"].to_pylist() == ["ok", "caf\ufffd", "café"]
    assert tally.records == {"doc": 3, "repaired_utf8": 1}


def test_a_damaged_row_group_costs_only_its_rows(tmp_path: Path) -> None:
    found = pa.table({"text": [f"text number {i} {i**9}" for i in range(3000)]})
    path = _written(tmp_path, found, row_group_size=1000, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    data[start + 40 : start + 400] = b"\xff" * 360
    path.write_bytes(data)
    table, tally = read(_piece(path))
    assert tally.records["doc"] + tally.records["bad_row"] == 3000
    assert tally.records["bad_row"] == 1000
    assert [span.offset_bytes for span in tally.bad_spans] == [1000]
    assert table["offset_bytes"].to_pylist() == [*range(1000), *range(2000, 3000)]


@pytest.mark.parametrize(
    "found",
    [
        pa.table({"txt": ["a"]}),
        pa.table({"text": [1]}),
        pa.table([["a"], ["b"]], names=["text", "text"]),
        pa.table({"text": [["a"]]}),
    ],
)
def test_a_file_without_one_text_column_is_refused(tmp_path: Path, found: pa.Table) -> None:
    path = _written(tmp_path, found)
    with pytest.raises(InputError, match=r"`text`|two columns of one name"):
        source_of("parquet").schema_of(_piece(path))


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = _written(tmp_path, pa.table({"text": ["a"] * 100}))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        source_of("parquet").cut(str(path), 1, 1)


def test_large_rows_make_small_batches(tmp_path: Path) -> None:
    from curate.source import Tally

    path = _written(tmp_path, pa.table({"text": ["x" * (3 << 20)] * 20}))
    batches = list(source_of("parquet").batches(_piece(path), Tally()))
    assert sum(batch.num_rows for batch in batches) == 20
    assert max(batch.num_rows for batch in batches) <= 5
