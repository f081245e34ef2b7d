"""What every stage of the registry must keep, whatever it does: the runner relies on nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.apply import Applied, apply_stage, check_verdict, text_bytes
from curate.registry import STEPS
from curate.stage import Verdict
from tests.helpers import measured_for
from tests.laws.specs import PAGES, PARAMETERS, TEXTS, URLS, docs, made, sweep, title

STAGES = pytest.mark.parametrize(("name", "params"), sweep("stage"), ids=[title(*row) for row in sweep("stage")])
EVERY_DOC = list(range(max(len(TEXTS), len(PAGES)) + len(URLS)))


def test_every_step_is_swept() -> None:
    assert set(PARAMETERS) == set(STEPS)


def _rows(verdict: Verdict, n_rows: int) -> list[tuple[Any, ...]]:
    reasons = [None] * n_rows if verdict.drop_reason is None else verdict.drop_reason.to_pylist()
    columns = [verdict.columns[name].to_pylist() for name in sorted(verdict.columns)]
    return list(zip(reasons, *columns, strict=True))


@STAGES
def test_columns_and_reasons_are_those_declared_and_the_input_is_left_alone(name: str, params: dict[str, Any]) -> None:
    step = made(name, params)
    batch, before = (measured_for(step, docs(EVERY_DOC)) for _ in range(2))
    check_verdict(step, batch, step.spec(batch))
    assert batch.equals(before)
    for kind in step.spec.writes.values():
        assert isinstance(kind, pa.DataType)
    assert step.spec.version >= 1


@STAGES
def test_no_doc_is_lost_made_or_raised_on(name: str, params: dict[str, Any]) -> None:
    batch = measured_for(made(name, params), docs(EVERY_DOC))
    for mode in ("drop", "tag"):
        applied: Applied = apply_stage(made(name, {**params, "mode": mode}), batch)
        left = [doc_id for gone in applied.leaving for doc_id in gone.batch["doc_id"].to_pylist()]
        assert sorted(left + applied.kept["doc_id"].to_pylist()) == sorted(batch["doc_id"].to_pylist())
        assert [gone.detail for gone in applied.leaving if gone.outcome == "quarantined"] == []
        if mode == "tag":
            assert not left
        n_bytes = text_bytes(applied.kept) + sum(text_bytes(gone.batch) for gone in applied.leaving)
        assert text_bytes(batch) + applied.rewritten_bytes == n_bytes


@STAGES
@settings(max_examples=12, deadline=None, derandomize=True)
@given(cuts=st.sets(st.integers(1, len(EVERY_DOC) - 1)), order=st.permutations(EVERY_DOC))
def test_neither_cuts_nor_neighbours_play_a_part(
    name: str, params: dict[str, Any], cuts: set[int], order: list[int]
) -> None:
    step = made(name, params)
    verdict = step.spec(measured_for(step, docs(EVERY_DOC)))
    whole = dict(zip(EVERY_DOC, _rows(verdict, len(EVERY_DOC)), strict=True))
    batch = measured_for(step, docs(order))
    found: list[tuple[Any, ...]] = []
    for start, end in pairwise([0, *sorted(cuts), len(order)]):
        found += _rows(step.spec(batch.slice(start, end - start)), end - start)  # slices: buffers do not begin at 0
    assert found == [whole[number] for number in order]


@STAGES
def test_an_empty_batch_and_one_of_nulls_work(name: str, params: dict[str, Any]) -> None:
    step = made(name, params)
    empty = measured_for(step, docs([]))
    verdict = step.spec(empty)
    check_verdict(step, empty, verdict)
    full = measured_for(step, docs(EVERY_DOC[:3]))
    nulls = [pa.nulls(3, field.type) if field.name != "doc_id" else full["doc_id"] for field in full.schema]
    batch = pa.RecordBatch.from_arrays(nulls, schema=full.schema)
    check_verdict(step, batch, step.spec(batch))
    columns = apply_stage(step, empty).kept.schema
    kept = apply_stage(made(name, {**params, "mode": "tag"}), full).kept.schema
    assert [f for f in kept if f.name != step.tag_column] == list(columns)  # the same schema with and without docs


@pytest.mark.slow
@STAGES
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.none() | st.text(max_size=400), min_size=1, max_size=6))
def test_any_text_is_measured_or_dropped_but_never_raised_on(
    name: str, params: dict[str, Any], texts: list[str | None]
) -> None:
    step, batch = made(name, params), docs(list(range(len(texts))))
    columns = {
        "text": pa.array(texts, pa.string()),
        "url": pa.array(texts, pa.string()),
        "html": pa.array([t and t.encode() for t in texts], pa.binary()),
    }
    for column, values in columns.items():
        batch = batch.set_column(batch.schema.get_field_index(column), column, values)
    batch = measured_for(step, batch)
    applied = apply_stage(step, batch)
    assert [gone.detail for gone in applied.leaving if gone.outcome == "quarantined"] == []
