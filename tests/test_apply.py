"""One stage on one batch: the contract is checked, the guilty doc is found, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.apply import apply_stage, concat, text_bytes, with_columns
from curate.errors import CurateError, InputError
from curate.ledger import ledger_rows
from curate.recipe import Step
from curate.registry import stage
from curate.stage import Verdict, first_reason, flag
from tests.helpers import batch_of

GUILTY = "raise"


@stage(version=1, reads=["text"], writes={"upper": pa.string(), "text": pa.string(), "n": pa.int64()}, reasons=["bad"])
class Shout:
    """Raise on some docs, drop some, rewrite the rest; hand its columns over in an order of its own."""

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        texts = batch["text"].to_pylist()
        if GUILTY in texts:
            raise ValueError(GUILTY)
        upper = pa.array([t and t.upper() for t in texts], pa.string())
        columns = {
            "n": pa.array([len(t or "") for t in texts], pa.int64()),
            "text": pc.binary_join_element_wise(pc.fill_null(batch["text"], ""), pa.scalar("!"), ""),
            "upper": upper,
        }
        return Verdict(columns, flag(pc.equal(batch["text"], "drop"), "bad"))


class _Says:
    """A stage that says what the test wants."""

    kind, version, reads, reasons = "stage", 1, ("text",), ("bad",)
    writes: Mapping[str, pa.DataType] = {"n": pa.int64()}

    def __init__(self, say: Callable[[pa.RecordBatch], Verdict]) -> None:
        self.say = say

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        return self.say(batch)


def _batch(texts: list[str | None]) -> pa.RecordBatch:
    return batch_of(doc_id=[f"{n:032x}" for n in range(len(texts))], text=texts)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([GUILTY, "drop", "keep", "", None]), max_size=30))
def test_the_guilty_are_quarantined_the_dropped_dropped_and_the_rest_kept_in_order(texts: list[str | None]) -> None:
    batch = _batch(texts)
    applied = apply_stage(Step("shout", "shout", Shout()), batch)
    by_outcome: dict[str, list[str]] = {"dropped": [], "quarantined": []}
    for gone in applied.leaving:
        assert gone.batch.num_rows == len(gone.reasons)
        assert gone.step == "shout"
        by_outcome[gone.outcome] += gone.batch["doc_id"].to_pylist()
    ids = batch["doc_id"].to_pylist()
    assert by_outcome["quarantined"] == [i for i, t in zip(ids, texts, strict=True) if t == GUILTY]
    assert by_outcome["dropped"] == [i for i, t in zip(ids, texts, strict=True) if t == "drop"]
    assert applied.kept["doc_id"].to_pylist() == [
        i for i, t in zip(ids, texts, strict=True) if t not in (GUILTY, "drop")
    ]
    n_bytes = text_bytes(applied.kept) + sum(text_bytes(gone.batch) for gone in applied.leaving)
    assert text_bytes(batch) + applied.rewritten_bytes == n_bytes
    assert applied.kept.schema.names == ["doc_id", "text", "upper", "n"]  # whatever was kept, were it nothing


def test_quarantine_names_the_exception_and_cuts_long_ones() -> None:
    def say(batch: pa.RecordBatch) -> Verdict:
        raise KeyError("x" * 5000)

    (gone,) = apply_stage(Step("s", "s", _Says(say)), _batch(["a"])).leaving
    assert gone.detail is not None
    assert gone.detail.startswith("KeyError: 'xxx")
    assert len(gone.detail) == 500


def test_an_exception_that_quotes_broken_text_can_be_written_down() -> None:
    def say(batch: pa.RecordBatch) -> Verdict:
        raise ValueError("half a pair: \ud83d")

    (gone,) = apply_stage(Step("s", "s", _Says(say)), _batch(["a"])).leaving
    assert gone.detail == "ValueError: half a pair: \\ud83d"
    assert ledger_rows(gone)["detail"].to_pylist() == [gone.detail]


def test_an_error_of_the_configuration_is_not_laid_on_a_doc() -> None:
    def say(batch: pa.RecordBatch) -> Verdict:
        raise InputError("no model file")

    with pytest.raises(InputError, match="no model file"):
        apply_stage(Step("s", "s", _Says(say)), _batch(["a", "b"]))


def test_a_tagging_stage_drops_nothing_and_writes_why() -> None:
    step = Step("shout", "shout", Shout(), mode="tag")
    applied = apply_stage(step, _batch(["drop", "keep", GUILTY]))
    assert applied.kept["shout_reason"].to_pylist() == ["bad", None]
    assert [gone.outcome for gone in applied.leaving] == ["quarantined"]
    assert apply_stage(step, _batch([])).kept.schema == applied.kept.schema


@pytest.mark.parametrize(
    ("columns", "reasons", "said"),
    [
        ({"n": pa.array([1], pa.int64())}, None, "n: int64[1]; it declares int64[2]"),
        ({"n": pa.array([1, 2], pa.int32())}, None, "n: int32[2]; it declares int64[2]"),
        ({}, None, "did not write ['n']"),
        ({"n": pa.array([1, 2], pa.int64()), "m": pa.array([1, 2])}, None, "no such column"),
        (None, pa.array(["bad"], pa.string()), "drop_reason is string[1], not string[2]"),
        (None, pa.nulls(2), "drop_reason is null[2], not string[2]"),
        (None, pa.array([None, "worse"], pa.string()), "gave the reason 'worse'"),
    ],
)
def test_a_broken_contract_is_said_in_one_line(columns: dict[str, Any] | None, reasons: Any, said: str) -> None:
    if columns is None:
        columns = {"n": pa.array([1, 2], pa.int64())}
    with pytest.raises(CurateError) as raised:
        apply_stage(Step("s", "s", _Says(lambda batch: Verdict(columns, reasons))), _batch(["a", "b"]))
    assert said in str(raised.value)


def test_columns_are_replaced_in_place_and_new_ones_come_last() -> None:
    batch = with_columns(_batch(["a"]), {"n": pa.array([1]), "doc_id": pa.array(["x"])})
    assert batch.schema.names == ["doc_id", "text", "n"]
    assert batch.to_pylist() == [{"doc_id": "x", "text": "a", "n": 1}]


def test_text_bytes_counts_utf8_and_null_as_nothing() -> None:
    assert text_bytes(_batch(["é", None, "", "東"])) == 5
    assert text_bytes(batch_of(doc_id=["x"])) == 0
    assert text_bytes(concat([_batch(["a"]), _batch(["bc"])])) == 3
    assert text_bytes(_batch(["aa", "b", "cc"]).slice(1, 1)) == 1


def test_reasons_from_masks_null_is_no_reason_and_the_first_one_counts() -> None:
    mask = pa.array([True, False, None], pa.bool_())
    assert flag(mask, "bad").to_pylist() == ["bad", None, None]
    assert flag(pa.array([], pa.bool_()), "bad").type == pa.string()
    other = pa.array(["x", "y", None], pa.string())
    assert first_reason(flag(mask, "bad"), other).to_pylist() == ["bad", "y", None]
