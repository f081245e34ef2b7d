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

from curate import api
from curate.errors import InputError
from curate.schema import TEXT_SCHEMA
from curate.source import doc_id
from curate.sources import source_of
from tests.runs import documents, recipe_file
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


def test_a_damaged_footer_is_refused_by_name_wherever_it_is_damaged(tmp_path: Path) -> None:
    path = _written(tmp_path, pa.table({"text": ["a"] * 100, "n": pa.array(range(100))}))
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    refused = 0
    for at in range(len(data) - 8 - length, len(data)):
        broken = bytearray(data)
        broken[at] ^= 0xFF
        path.write_bytes(broken)
        piece = replace(whole(path, "parquet"), end=100)
        try:
            source_of("parquet").cut(str(path), len(data), 1 << 30)
            source_of("parquet").schema_of(piece)
            table, _ = read(piece)
            assert table.num_rows <= 100
        except InputError as error:
            refused += "a.parquet" in str(error)
    assert refused > length // 10


def test_pages_whose_checksum_is_wrong_are_not_believed(tmp_path: Path) -> None:
    """Without a checksum this damage would go through: it changes letters, not the layout."""
    found = pa.table({"text": [f"text number {i}" for i in range(300)]})
    options = {"row_group_size": 100, "compression": "none", "use_dictionary": False}
    for checksums, n_bad in ((True, 100), (False, 0)):
        path = _written(tmp_path, found, write_page_checksum=checksums, **options)
        data = bytearray(path.read_bytes())
        at = data.index(b"text number 150")
        data[at : at + 4] = b"TEXT"
        path.write_bytes(data)
        _, tally = read(_piece(path))
        assert tally.records["bad_row"] == n_bad
        assert tally.records["doc"] == 300 - n_bad


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PARE" + bytes(100) + b"PARE")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        source_of("parquet").schema_of(whole(tmp_path / "a.parquet", "parquet"))


def test_dates_survive_the_milliseconds_they_are_stored_in(tmp_path: Path) -> None:
    dates = [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), None, datetime(1, 1, 1, tzinfo=UTC)]
    for unit in ("s", "ms", "us"):
        found = pa.table({"text": ["a", "b", "c"], "fetched_at": pa.array(dates, pa.timestamp(unit, tz="UTC"))})
        table, _ = read(_piece(_written(tmp_path, found)))
        assert table["fetched_at"].type == pa.timestamp("s", tz="UTC")
        assert table["fetched_at"].to_pylist() == dates


def test_columns_that_change_their_type_between_files_are_refused_before_any_work(tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path / "r", "normalize")
    (tmp_path / "in").mkdir()
    for name, score in (("a", [0.5]), ("b", ["high"])):
        pq.write_table(pa.table({"text": ["a"], "score": score}), tmp_path / "in" / f"{name}.parquet")
    with pytest.raises(InputError, match=r"b.parquet: its column `score` is string, in .*a.parquet it is double"):
        api.run(recipe, [tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_with_other_columns_and_other_widths_are_read_together(tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path / "r", "normalize")
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": ["a"], "n": pa.array([1], pa.int32())}), tmp_path / "in" / "a.parquet")
    pq.write_table(
        pa.table({"n": pa.array([2], pa.int64()), "text": ["b"], "m": [True]}), tmp_path / "in" / "b.parquet"
    )
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "in" / "c.parquet")
    api.run(recipe, [tmp_path / "in"], tmp_path / "out")
    rows = documents(tmp_path / "out").select(["text", "n", "m"]).to_pylist()
    assert rows == [{"text": "a", "n": 1, "m": None}, {"text": "b", "n": 2, "m": True}]


def test_other_names_for_text_and_url(tmp_path: Path) -> None:
    path = _written(tmp_path, pa.table({"text": ["no"], "body": ["yes"], "link": ["https://a.example/"], "n": [1]}))
    piece = replace(_piece(path), text_column="body", url_column="link")
    table, _ = read(piece)
    assert table.select(["text", "url", "n"]).to_pylist() == [{"text": "yes", "url": "https://a.example/", "n": 1}]
    assert "body" not in table.column_names
    with pytest.raises(InputError, match="no column `none`"):
        source_of("parquet").schema_of(replace(piece, url_column="none"))
