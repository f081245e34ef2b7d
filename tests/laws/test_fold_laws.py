"""What every fold of the registry must keep: cuts into shards and batches, and the order of shards, play no part."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.fold import Position
from curate.recipe import Step
from curate.sketches import Part, SketchWriter
from tests.folds.drive import run_fold, verdicts_of
from tests.laws.specs import TEXTS, byte_tokenizer, docs, made, read_by, sweep, title

FOLDS = pytest.mark.parametrize(("name", "params"), sweep("fold"), ids=[title(*row) for row in sweep("fold")])
N_DOCS = 3 * len(TEXTS)
EVERY_DOC = list(range(N_DOCS))


def _step(name: str, params: dict[str, Any], folder: Path) -> Step:
    if name == "tokenize":
        params = {**params, "tokenizer": str(byte_tokenizer(folder))}
    return made(name, params)


def _shown(step: Step, rows: Sequence[int]) -> pa.RecordBatch:
    batch = read_by(step, docs(rows))
    if step.spec.sees == "all":
        nothing = pa.nulls(batch.num_rows, pa.string())
        batch = batch.append_column("step", nothing).append_column("reason", nothing)
    return batch


def _cut(rows: Sequence[int], n_shards: int, draw: random.Random) -> list[list[Sequence[int]]]:
    """Cut rows into shards, and each shard into batches, anywhere; shards and batches may be empty."""
    ends = sorted(draw.randint(0, len(rows)) for _ in range(n_shards - 1))
    shards = []
    for start, end in pairwise([0, *ends, len(rows)]):
        inner = sorted(draw.randint(start, end) for _ in range(3))
        shards.append([rows[a:b] for a, b in pairwise([start, *inner, end])])
    return shards


def _result(step: Step, shards: list[list[Sequence[int]]], folder: Path) -> tuple[dict[str, bytes], dict[int, Any]]:
    """Return the files a fold writes, and its verdicts by doc number."""
    folder.mkdir()
    out = run_fold(step.spec, [[_shown(step, rows) for rows in batches] for batches in shards], folder)
    files = {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and "verdicts" not in path.parts
    }
    flat = [[number for rows in batches for number in rows] for batches in shards]
    verdicts = {flat[shard][row]: verdict for (shard, row), verdict in verdicts_of(out).items()}
    return files, verdicts


@FOLDS
def test_neither_shards_nor_batches_play_a_part(name: str, params: dict[str, Any], tmp_path: Path) -> None:
    step, draw = _step(name, params, tmp_path), random.Random(3)
    whole = _result(step, [[EVERY_DOC]], tmp_path / "whole")
    assert whole[0] or whole[1]
    for n_shards in (2, 5):
        assert _result(step, _cut(EVERY_DOC, n_shards, draw), tmp_path / str(n_shards)) == whole


@FOLDS
def test_the_order_of_shards_plays_no_part(name: str, params: dict[str, Any], tmp_path: Path) -> None:
    if params.get("keep") == "first":
        pytest.skip("keeps the first of the input, so the order is its point")
    step, draw = _step(name, params, tmp_path), random.Random(4)
    shards = _cut(EVERY_DOC, 4, draw)
    first = _result(step, shards, tmp_path / "first")
    assert _result(step, shards[::-1], tmp_path / "turned") == first


@FOLDS
def test_sketches_have_one_schema_and_parts_in_range(name: str, params: dict[str, Any], tmp_path: Path) -> None:
    step = _step(name, params, tmp_path)
    empty = step.spec.sketch(_shown(step, []), Position(0, 0, 3))
    full = step.spec.sketch(_shown(step, EVERY_DOC), Position(0, 0, 3))
    assert empty.num_rows == 0
    assert empty.schema.equals(full.schema)
    assert full.schema.field("part").type == pa.int32()
    assert set(full["part"].to_pylist()) <= {0, 1, 2}


@FOLDS
def test_verdicts_are_those_declared(name: str, params: dict[str, Any], tmp_path: Path) -> None:
    step = _step(name, params, tmp_path)
    _, verdicts = _result(step, [[EVERY_DOC]], tmp_path / "run")
    assert set(verdicts) <= set(EVERY_DOC)
    for verdict in verdicts.values():
        reason = verdict.pop("drop_reason", None)
        assert reason is None or reason in step.spec.reasons
        assert set(verdict) == set(step.spec.writes)
    if step.spec.reasons:
        assert verdicts


@FOLDS
def test_a_corpus_without_docs_is_no_error(name: str, params: dict[str, Any], tmp_path: Path) -> None:
    step = _step(name, params, tmp_path)
    if name == "train_tokenizer":
        pytest.skip("a tokenizer cannot be trained on nothing; its own tests say what happens then")
    (tmp_path / "run").mkdir()
    assert verdicts_of(run_fold(step.spec, [[_shown(step, [])], []], tmp_path / "run")) == {}


@FOLDS
def test_a_sketch_file_gives_back_what_was_sketched(name: str, params: dict[str, Any], tmp_path: Path) -> None:
    step = _step(name, params, tmp_path)
    sketched = step.spec.sketch(_shown(step, EVERY_DOC), Position(0, 0, 3))
    writer = SketchWriter(tmp_path / "00000.arrow")
    writer.add(sketched)
    assert writer.close() == sketched.num_rows
    parts = [Part([writer.path], index, 3) for index in range(3)]
    found = [row for part in parts for batch in part.batches() for row in batch.to_pylist()]
    assert found == sorted(sketched.to_pylist(), key=lambda row: row["part"])
