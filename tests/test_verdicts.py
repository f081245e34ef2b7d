"""Verdicts of folds are joined by row, their spans cut by byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import AccountingError, CurateError
from curate.fold import write_verdicts
from curate.schema import SPANS_TYPE
from curate.verdicts import Verdicts, cut_spans
from tests.helpers import batch_of


@st.composite
def _cut_texts(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]], str]:
    """Draw pieces of text that stay and go; return the text, the byte spans that go, and what stays."""
    text, spans, kept = "", [], ""
    for piece, goes in draw(st.lists(st.tuples(st.text(max_size=6), st.booleans()), max_size=8)):
        if goes:
            start = len(text.encode())
            spans.append((start, start + len(piece.encode())))
        else:
            kept += piece
        text += piece
    return text, spans, kept


@settings(max_examples=300, deadline=None)
@given(st.lists(_cut_texts(), max_size=5))
def test_cutting_spans_leaves_what_lies_between(drawn: list[tuple[str, list[tuple[int, int]], str]]) -> None:
    texts = pa.array([text for text, _, _ in drawn], pa.string())
    spans = pa.array([[{"start": a, "end": b} for a, b in spans] for _, spans, _ in drawn], SPANS_TYPE)
    assert cut_spans(texts, spans).to_pylist() == [kept for _, _, kept in drawn]


def test_a_null_text_and_null_or_no_spans_stay_as_they_are() -> None:
    texts = pa.array([None, "abc", "abc", "abc"], pa.string())
    spans = pa.array([[{"start": 0, "end": 1}], None, [], [{"start": 0, "end": 3}]], SPANS_TYPE)
    assert cut_spans(texts, spans).to_pylist() == [None, "abc", "abc", ""]


class _Spec:
    """A fold, as far as verdicts are concerned."""

    def __init__(self, writes: dict[str, pa.DataType], absent: dict[str, Any]) -> None:
        self.writes, self.absent, self.reasons = writes, absent, ("dup", "bad")


class _Named:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def _joiner(out: Path, *specs: tuple[str, _Spec], sha256: str = "one") -> Verdicts:
    steps = [_Named(id=name, name=name, spec=spec) for name, spec in specs]
    run = _Named(
        recipe=_Named(steps=steps),
        phases=[_Named()],
        fold_out=lambda name: (out / name, {"bound_to": {"00000": "one"}}),
        docs_entry=lambda phase, shard: {"rows": 6, "sha256": sha256},
    )
    phase = _Named(applies=tuple(name for name, _ in specs), upstream=0)
    return Verdicts(run, phase, _Named(name="00000"))  # type: ignore[arg-type]


def _write(out: Path, name: str, rows: list[dict[str, Any]], **kinds: pa.DataType) -> None:
    (out / name).mkdir(exist_ok=True)
    fields = [("shard", pa.int32()), ("row", pa.int64()), ("drop_reason", pa.string()), *kinds.items()]
    write_verdicts(out / name, pa.Table.from_pylist([{"shard": 0, **row} for row in rows], pa.schema(fields)))


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_verdicts_of_two_folds_find_their_rows_however_the_docs_are_cut(tmp_path: Path, n_rows: int) -> None:
    _write(tmp_path, "a", [{"row": 3, "drop_reason": "dup", "size": 2}, {"row": 0, "size": 2}], size=pa.int32())
    _write(tmp_path, "b", [{"row": 4, "drop_reason": "bad"}, {"row": 3, "drop_reason": "bad"}])
    joiner = _joiner(tmp_path, ("a", _Spec({"size": pa.int32()}, {"size": 1})), ("b", _Spec({}, {})))
    docs = batch_of(text=["t0", "t1", "t2", "t3", "t4", "t5"])
    kept, rows, left = [], [], []
    for start in range(0, 6, n_rows):
        joined = joiner.join(docs.slice(start, n_rows), start)
        kept += joined.batch.to_pylist()
        rows += joined.rows.to_pylist()
        left += [(g.step, g.batch["text"].to_pylist(), g.reasons.to_pylist()) for g in joined.leaving]
        assert joined.rewritten_bytes == 0
    assert kept == [{"text": f"t{n}", "size": 2 if n == 0 else 1} for n in (0, 1, 2, 5)]
    assert rows == [0, 1, 2, 5]
    assert left == [("a", ["t3"], ["dup"]), ("b", ["t4"], ["bad"])]  # the first fold of the recipe has the word


def test_a_shard_without_verdicts_gets_the_columns_with_their_absent_values(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    spec = _Spec({"cluster_id": pa.string(), "size": pa.int32()}, {"size": 1})
    joined = _joiner(tmp_path, ("a", spec)).join(batch_of(text=["x", "y"]), 0)
    assert joined.batch.schema.field("cluster_id").type == pa.string()
    assert joined.batch.to_pylist() == [{"text": t, "cluster_id": None, "size": 1} for t in "xy"]
    empty = _joiner(tmp_path, ("a", spec)).join(batch_of(text=["x"]).slice(0, 0), 0)
    assert empty.batch.schema == joined.batch.schema


def test_spans_are_cut_and_counted_and_leave_no_column(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 3}]
    _write(tmp_path, "a", [{"row": 1, "drop_spans": spans}], drop_spans=SPANS_TYPE)
    joined = _joiner(tmp_path, ("a", _Spec({"drop_spans": SPANS_TYPE}, {}))).join(batch_of(text=["éb", "éb"]), 0)
    assert joined.batch.to_pylist() == [{"text": "éb"}, {"text": ""}]
    assert joined.rewritten_bytes == -3


def test_verdicts_are_written_per_shard_in_row_order(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = [{"shard": s, "row": r, "drop_reason": None} for s, r in ((7, 2), (0, 9), (7, 1), (0, 3))]
    schema = pa.schema([("shard", pa.int32()), ("row", pa.int64()), ("drop_reason", pa.string())])
    write_verdicts(tmp_path, pa.Table.from_pylist(rows, schema))
    found = {f.name: pq.read_table(f)["row"].to_pylist() for f in (tmp_path / "verdicts").iterdir()}
    assert found == {"00000.parquet": [3, 9], "00007.parquet": [1, 2]}
    write_verdicts(tmp_path, schema.empty_table())


def test_a_span_inside_a_character_is_never_cut_into_broken_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        cut_spans(pa.array(["é"], pa.string()), pa.array([[{"start": 0, "end": 1}]], SPANS_TYPE))


def test_verdicts_for_other_docs_are_never_applied(tmp_path: Path) -> None:
    _write(tmp_path, "a", [{"row": 1, "drop_reason": "dup"}])
    with pytest.raises(AccountingError, match="another version of shard 00000"):
        _joiner(tmp_path, ("a", _Spec({}, {})), sha256="two")


@pytest.mark.parametrize(
    ("rows", "kinds", "said"),
    [
        ([{"row": 1, "drop_reason": "because"}], {}, "because"),
        ([{"row": 6}], {}, "none of the 6 docs"),
        ([{"row": -1}], {}, "none of the 6 docs"),
        ([{"row": None}], {}, "none of the 6 docs"),
        ([{"row": 2}, {"row": 2}], {}, "a row twice"),
        ([{"row": 2, "size": 1}], {"size": pa.int64()}, "size: int64; it declares int32"),
        ([{"row": 2, "size": 1, "more": 1}], {"size": pa.int32(), "more": pa.int32()}, "declares no such column"),
        ([{"row": 2}], {}, "size: nothing; it declares int32"),
    ],
)
def test_verdicts_that_break_the_contract_of_a_fold_are_an_error(
    tmp_path: Path, rows: list[dict[str, Any]], kinds: dict[str, pa.DataType], said: str
) -> None:
    _write(tmp_path, "a", rows, **kinds)
    spec = _Spec({"size": pa.int32()} if "size" in said or kinds else {}, {})
    with pytest.raises(CurateError, match=said):
        _joiner(tmp_path, ("a", spec))


@pytest.mark.parametrize("spans", [[(2, 3), (0, 1)], [(0, 2), (1, 3)], [(2, 1)], [(-1, 2)], [(2, 9)]])
def test_spans_out_of_order_or_beyond_the_text_are_an_error(spans: list[tuple[int, int]]) -> None:
    column = pa.array([[{"start": a, "end": b} for a, b in spans]], SPANS_TYPE)
    with pytest.raises(CurateError, match="drop_spans"):
        cut_spans(pa.array(["abcd"], pa.string()), column)
