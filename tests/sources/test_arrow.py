"""Mirrors curate/sources/arrow.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from curate.errors import InputError
from curate.source import doc_id
from curate.sources import source_of
from tests.helpers import ROOT
from tests.sources.build import read, whole

N, STEP = 300, 50


def _table() -> pa.Table:
    return pa.table(
        {
            "text": pa.array([None if n % 50 == 7 else f"text {n} {n**9}" for n in range(N)], pa.large_string()),
            "url": pa.array([f"https://site{n % 3}.example/" for n in range(N)]).dictionary_encode(),
            "id": pa.array(range(N), pa.int64()),
            "score": pa.array([n / 7 for n in range(N)], pa.float32()),
            "spans": pa.array([[n] for n in range(N)]),
            "view": pa.array([f"a view of {n}" for n in range(N)], pa.string_view()),
        }
    )


def _written(path: Path, form: str, table: pa.Table | None = None, **options: object) -> Path:
    table = _table() if table is None else table
    if form == "feather":
        feather.write_feather(table, path, chunksize=STEP)
        return path
    make = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with make(str(path), table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=STEP)
    return path


@pytest.mark.parametrize("form", ["file", "stream", "feather"])
def test_rows_become_docs_as_they_do_from_parquet(tmp_path: Path, form: str) -> None:
    table, tally = read(whole(_written(tmp_path / "a", form), "arrow"))
    pq.write_table(_table().drop_columns("view"), tmp_path / "b")
    expected, counts = read(whole(tmp_path / "b", "parquet", "a"))
    assert table.drop_columns("view").equals(expected)
    assert table["view"].to_pylist()[:2] == ["a view of 0", "a view of 1"]
    assert tally.records == counts.records == {"doc": 294, "no_text": 6}
    assert table["doc_id"][0].as_py() == doc_id("a", 0)
    assert table["offset_bytes"].to_pylist() == [n for n in range(N) if n % 50 != 7]
    assert tally.bytes_bad == 0


def test_a_damaged_batch_costs_its_rows_in_a_file_and_the_rest_in_a_stream(tmp_path: Path) -> None:
    table = pa.table({"text": [f"text {n} {n**9}" for n in range(N)]})
    for form, lost in (("file", range(100, 150)), ("stream", range(100, 300))):
        path = _written(tmp_path / form, form, table, compression="zstd")
        data = bytearray(path.read_bytes())
        at = [i for i in range(len(data)) if data.startswith(b"\x28\xb5\x2f\xfd", i)]
        place = at[2 * len(at) // 6]  # of six batches, in the third
        data[place : place + 4] = b"XXXX"
        path.write_bytes(data)
        found, tally = read(whole(path, "arrow"))
        assert tally.records["bad_batch"] == 1
        (span,) = tally.bad_spans
        assert span.offset_bytes <= place < span.offset_bytes + span.n_bytes
        texts = set(found["text"].to_pylist())
        assert texts == {f"text {n} {n**9}" for n in range(N) if n not in lost}


def test_offsets_that_point_outside_are_found_before_anybody_follows_them(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(["aaaa", "bbbb", "cccc"], pa.string())})
    path = _written(tmp_path / "a", "file", table)
    data = bytearray(path.read_bytes())
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 4, 8, 12))
    at = data.index(offsets)
    data[at + 4 : at + 8] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    found, tally = read(whole(path, "arrow"))
    assert (found.num_rows, tally.records) == (0, {"bad_batch": 1})


def test_strings_that_are_no_utf8_are_repaired_and_counted(tmp_path: Path) -> None:
    raw = pa.array([b"ok", b"caf\xe9"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    found, tally = read(whole(_written(tmp_path / "a", "file", pa.table({"text": broken})), "arrow"))
    assert found["text"].to_pylist() == ["ok", "caf\ufffd"]
    assert tally.records == {"doc": 2, "repaired_utf8": 1}


def test_a_cut_file_is_refused_and_a_cut_stream_read_up_to_the_cut(tmp_path: Path) -> None:
    path = _written(tmp_path / "a", "file")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="not a readable Arrow file"):
        source_of("arrow").schema_of(whole(path, "arrow"))
    path = _written(tmp_path / "b", "stream")
    path.write_bytes(path.read_bytes()[:-700])
    found, tally = read(whole(path, "arrow"))
    assert 0 < found.num_rows < 294
    assert tally.bytes_bad > 0


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("txt", "a", "needs a string column `text`.*found: txt"),
        ("text", 1, "`text` should hold strings, and has the type int64"),
        ("text", ["a"], "`text` should hold strings, and has the type list"),
    ],
)
def test_a_file_without_a_text_column_is_refused(tmp_path: Path, column: str, value: object, said: str) -> None:
    table = pa.table({column: [value]})
    with pytest.raises(InputError, match=said):
        source_of("arrow").schema_of(whole(_written(tmp_path / "a", "file", table), "arrow"))


def test_a_program_that_ends_at_once_over_a_broken_file_ends_in_order(tmp_path: Path) -> None:
    """Arrow's thread must have let go of the file by then: it aborted one program in five."""
    path = tmp_path / "a.arrow"
    path.write_bytes(b"ARROW1\0\0" + b"\xff" * 500 + b"ARROW1")
    told = f"import sys\nsys.path.append({str(ROOT)!r})\n"  # behind the installed package, if that is what is tested
    told += "from curate.sources import source_of\nfrom tests.sources.build import whole\nfrom pathlib import Path\n"
    told += f"source_of('arrow').schema_of(whole(Path({str(path)!r}), 'arrow'))"
    ends = [subprocess.run([sys.executable, "-c", told], capture_output=True, check=False) for _ in range(4)]
    assert [end.returncode for end in ends] == [1] * 4
    assert all(b"not a readable Arrow file" in end.stderr for end in ends)
