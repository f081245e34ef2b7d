"""Mirrors curate/stages/model_quality.py; the stage laws run in tests/laws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import InputError
from curate.stages.model_quality import MAX_CHARS, ModelQuality, line_of
from tests.helpers import batch_of
from tests.laws.specs import CLASSIFIER

MODEL = Path(CLASSIFIER)
GOOD = "The treaty was signed after long talks between both sides."
BAD = "Buy cheap pills now, click here, free shipping!"


def test_good_text_scores_higher_and_no_text_has_no_score() -> None:
    scores = ModelQuality(model=MODEL)(batch_of(text=[GOOD, BAD, "", None, " \n\x0b"])).columns["model_quality_score"]
    good, bad, *rest = scores.to_pylist()
    assert good > 0.9 > 0.1 > bad
    assert rest == [None, None, None]


def test_the_threshold_itself_is_kept_and_docs_without_a_score_are_dropped() -> None:
    batch = batch_of(text=[GOOD, BAD, ""])
    scores = ModelQuality(model=MODEL)(batch).columns["model_quality_score"].to_pylist()
    exact = ModelQuality(model=MODEL, min_score=scores[1])(batch).drop_reason
    above = ModelQuality(model=MODEL, min_score=scores[1] * 1.001)(batch).drop_reason
    assert exact is not None
    assert above is not None
    assert exact.to_pylist() == [None, None, "model_score_too_low"]
    assert above.to_pylist() == [None, "model_score_too_low", "model_score_too_low"]


def test_decisions_are_made_again_from_the_column() -> None:
    batch = batch_of(text=[GOOD, BAD, ""])
    for min_score in (None, 0.0, 0.5, 1.0):
        stage = ModelQuality(model=MODEL, min_score=min_score)
        verdict = stage(batch)
        stored = pa.RecordBatch.from_pydict(dict(verdict.columns))
        assert verdict.drop_reason is not None
        assert stage.decide(stored).equals(verdict.drop_reason)
    assert stage.decides_by == ("model_quality_score",)


def test_the_two_labels_share_the_probability() -> None:
    batch = batch_of(text=[GOOD, BAD])
    good = ModelQuality(model=MODEL)(batch).columns["model_quality_score"].to_pylist()
    other = ModelQuality(model=MODEL, label="cc", column="other")(batch).columns["other"].to_pylist()
    assert [a + b for a, b in zip(good, other, strict=True)] == pytest.approx([1.0, 1.0], abs=1e-4)


def test_a_label_or_model_that_is_not_there_is_said_before_data_is_read() -> None:
    with pytest.raises(InputError, match=r"label 'hqq' is none of the model's; did you mean 'hq'\?"):
        ModelQuality(model=MODEL, label="hqq").checks_columns({})
    with pytest.raises(InputError, match="not a file"):
        ModelQuality(model=MODEL.with_name("no.bin")).checks_columns({})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, ""),
        ("\0 \n", ""),
        ("a\nb\r\n\n c ", "a b   c"),
        ("x" * (MAX_CHARS + 5), "x" * MAX_CHARS),
        ("one </s> two", "one < /s> two"),
    ],
)
def test_a_text_becomes_one_line(text: str | None, line: str) -> None:
    assert line_of(text) == line


@pytest.mark.parametrize("given", [{"min_score": -0.1}, {"min_score": 1.1}, {"column": "a b"}])
def test_wrong_parameters_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ModelQuality(model=MODEL, **given)
