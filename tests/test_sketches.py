"""The sort behind every fold: what goes in comes out, by part, sorted, in bounded memory; keys are spread evenly."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import sketches
from curate.sketches import PART_BYTES, Part, SketchWriter, keyed_hashes, n_parts_for, parts_in_order

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 99)), max_size=120)


def _table(rows: list[tuple[int, int, int]]) -> pa.Table:
    part, key, value = ([row[i] for row in rows] for i in range(3))
    return pa.table(
        {"part": pa.array(part, pa.int32()), "key": pa.array(key, pa.uint64()), "v": pa.array(value, pa.int64())}
    )


def _write(folder: Path, shards: list[list[tuple[int, int, int]]], n_rows: int = 7) -> list[Path]:
    files = []
    for number, rows in enumerate(shards):
        writer = SketchWriter(folder / f"{number}.arrow")
        writer.add(_table([]))
        for start in range(0, len(rows), n_rows):
            writer.add(_table(rows[start : start + n_rows]))
        assert writer.close() == len(rows)
        files.append(writer.path)
    return files


def _rows(batches: object) -> list[tuple[int, int, int]]:
    return [(row["part"], row["key"], row["v"]) for batch in batches for row in batch.to_pylist()]  # type: ignore[attr-defined]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shards=st.lists(ROWS, min_size=1, max_size=4))
def test_a_part_gives_its_rows_in_shard_order(tmp_path: Path, shards: list[list[tuple[int, int, int]]]) -> None:
    files = _write(tmp_path, shards)
    for index in range(3):
        expected = [row for rows in shards for row in rows if row[0] == index]
        assert _rows(Part(files, index, 3).batches()) == expected


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shards=st.lists(ROWS, min_size=1, max_size=4),
    budget=st.sampled_from([1, 100, 500, 1 << 20]),
    block_rows=st.sampled_from([1, 2, 5, 1000]),
)
def test_sorting_in_runs_gives_what_sorting_in_memory_gives(
    tmp_path: Path, shards: list[list[tuple[int, int, int]]], budget: int, block_rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketches, "BLOCK_ROWS", block_rows)
        files = _write(tmp_path, shards)
        for index in range(3):
            batches = list(Part(files, index, 3).sorted("key", then=["v"], budget_bytes=budget))
            expected = sorted(row for rows in shards for row in rows if row[0] == index)
            assert _rows(batches) == expected
            keys = [key for batch in batches for key in set(batch["key"].to_pylist())]
            assert max(Counter(keys).values(), default=1) == 1  # all rows of a key in one batch


def test_a_sort_beyond_its_budget_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = tmp_path / "spill"
    spill.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spill))
    monkeypatch.setattr(sketches, "BLOCK_ROWS", 1000)
    draw = np.random.default_rng(1)
    rows = [(0, int(key), n) for n, key in enumerate(draw.integers(0, 1 << 63, 20_000))]
    files = _write(tmp_path, [rows], n_rows=1000)
    found = Part(files, 0, 1).sorted("key", budget_bytes=50_000)
    first = next(found)
    assert list(spill.iterdir())
    assert [*_rows([first]), *_rows(found)] == sorted(rows, key=lambda row: row[1])
    assert list(spill.iterdir()) == []


def test_a_file_that_nobody_added_to_is_read_as_empty(tmp_path: Path) -> None:
    writer = SketchWriter(tmp_path / "a.arrow")
    assert not writer.has_schema
    assert writer.close() == 0
    assert list(Part([writer.path], 0, 1).batches()) == []
    assert list(Part([writer.path], 0, 1).sorted("key")) == []


def test_the_number_of_parts_depends_on_the_plan_alone() -> None:
    assert [n_parts_for(n) for n in (0, 1, PART_BYTES, PART_BYTES + 1, 1 << 62)] == [1, 1, 1, 2, sketches.MAX_PARTS]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=20), st.integers(1, 4096))
def test_parts_are_in_key_order_and_as_in_long_arithmetic(keys: list[int], n_parts: int) -> None:
    found = parts_in_order(np.array(keys, np.uint64), n_parts).tolist()
    assert found == [(key * n_parts) >> 64 for key in keys]
    assert all(a <= b for a, b in pairwise(part for _, part in sorted(zip(keys, found, strict=True))))


def test_keyed_hashes_are_pinned_spread_and_independent() -> None:
    values = [str(n) for n in range(4000)]
    first, other = keyed_hashes(values, 0, "a"), keyed_hashes(values, 0, "b")
    assert first[:2].tolist() == keyed_hashes(["0", "1"], 0, "a").tolist()
    assert len(set(first.tolist())) == 4000
    assert not set(first.tolist()) & set(other.tolist())
    assert not set(first.tolist()) & set(keyed_hashes(values, 1, "a").tolist())
    counts = np.bincount(parts_in_order(first, 8))
    assert counts.min() > 400  # 500 expected; 400 is five standard deviations away
    assert keyed_hashes([], 0, "a").dtype == np.uint64
