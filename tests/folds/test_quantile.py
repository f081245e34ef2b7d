"""Mirrors curate/folds/quantile; the fold laws run in tests/laws."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import CurateError, InputError
from curate.folds.quantile import Quantile, cuts
from curate.folds.quantile.rows import keys_of, value_of
from tests.folds.drive import run_fold, verdicts_of


def batch(scores: list[float | None], groups: list[str | None] | None = None, kind: Any = None) -> pa.RecordBatch:
    columns = {"score": pa.array(scores, kind or pa.float32())}
    if groups is not None:
        columns["language"] = pa.array(groups, pa.string())
    return pa.RecordBatch.from_pydict(columns)


def dropped(out: Path) -> dict[tuple[int, int], object]:
    return {place: row["drop_reason"] for place, row in verdicts_of(out).items() if row["drop_reason"]}


def told(out: Path) -> dict[str, Any]:
    return json.loads((out / "quantile.json").read_text("utf-8"))  # type: ignore[no-any-return]


def test_the_best_share_is_kept_and_the_cut_is_told(tmp_path: Path) -> None:
    out = run_fold(
        Quantile(by="score", keep_frac=0.3), [[batch([0.1, 0.9, 0.5]), batch([0.7])], [batch([0.3])]], tmp_path
    )
    assert dropped(out) == {(0, 0): "rank_too_low", (0, 2): "rank_too_low", (1, 0): "rank_too_low"}
    (group,) = told(out)["groups"]
    assert group == {"group": None, "n_docs": 5, "n_ranked": 5, "n_kept": 2, "cut": pytest.approx(0.7)}


def test_lowest_is_best_for_perplexity(tmp_path: Path) -> None:
    fold = Quantile(by="score", best="lowest", keep_frac=0.5)
    out = run_fold(fold, [[batch([300.0, 10.0, 200.0, 20.0])]], tmp_path)
    assert set(dropped(out)) == {(0, 0), (0, 2)}
    assert told(out)["groups"][0]["cut"] == 20.0


def test_equal_numbers_share_their_fate(tmp_path: Path) -> None:
    out = run_fold(Quantile(by="score", keep_frac=0.1), [[batch([1.0] * 50 + [0.5] * 50)]], tmp_path)
    assert set(dropped(out)) == {(0, row) for row in range(50, 100)}


def test_docs_without_a_number_have_no_place(tmp_path: Path) -> None:
    scores = [None, math.nan, math.inf, 0.9, 0.1, 0.2, 0.3]
    out = run_fold(Quantile(by="score", keep_frac=0.25), [[batch(scores)]], tmp_path)
    reasons = dropped(out)
    assert [reasons.get((0, row)) for row in range(7)] == ["not_ranked"] * 3 + [None] + ["rank_too_low"] * 3
    assert told(out)["groups"][0]["n_ranked"] == 4


def test_each_language_has_cuts_of_its_own(tmp_path: Path) -> None:
    groups = ["en"] * 4 + ["de"] * 4 + [None] * 2
    scores: list[float | None] = [0.9, 0.8, 0.7, 0.6, 0.04, 0.03, 0.02, 0.01, 0.5, 0.4]
    out = run_fold(Quantile(by="score", keep_frac=0.5, per="language"), [[batch(scores, groups)]], tmp_path)
    assert set(dropped(out)) == {(0, 2), (0, 3), (0, 6), (0, 7), (0, 9)}
    assert [group["group"] for group in told(out)["groups"]] == [None, "de", "en"]


def test_bands_name_shares_and_drop_nothing(tmp_path: Path) -> None:
    fold = Quantile(by="score", best="lowest", bands={"head": 0.3, "middle": 0.6, "tail": 1.0})
    out = run_fold(fold, [[batch([float(n) for n in range(10)]), batch([None])]], tmp_path)
    bands = [verdicts_of(out)[0, row]["score_band"] for row in range(11)]
    assert bands == ["head"] * 3 + ["middle"] * 3 + ["tail"] * 4 + [None]
    assert dropped(out) == {}
    assert [band["cut"] for band in told(out)["groups"][0]["bands"]] == [2.0, 5.0, 9.0]


def test_bands_and_a_share_to_keep_go_together(tmp_path: Path) -> None:
    fold = Quantile(by="score", keep_frac=0.5, bands={"best": 0.25, "rest": 1.0})
    out = run_fold(fold, [[batch([4.0, 3.0, 2.0, 1.0])]], tmp_path)
    rows = verdicts_of(out)
    assert [rows[0, n]["score_band"] for n in range(4)] == ["best", "rest", "rest", "rest"]
    assert set(dropped(out)) == {(0, 2), (0, 3)}


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0])),
    percent=st.integers(1, 99),
    best=st.sampled_from(["highest", "lowest"]),
)
def test_the_cut_is_that_of_a_full_sort(
    scores: list[float | None], percent: int, best: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    half = len(scores) // 2
    shards = [[batch(part, kind=pa.float64())] for part in (scores[:half], scores[half:])]
    fold = Quantile(by="score", best=best, keep_frac=percent / 100)  # type: ignore[arg-type]
    out = run_fold(fold, shards, tmp_path_factory.mktemp("fold"))
    ranked = sorted((s for s in scores if s is not None), reverse=best == "highest")
    gone = dropped(out)
    kept = [s for n, s in enumerate(scores) if (n >= half, n - half * (n >= half)) not in gone]
    if ranked:
        cut = ranked[-(-percent * len(ranked) // 100) - 1]
        wanted = [s for s in scores if s is not None and (s >= cut if best == "highest" else s <= cut)]
        assert kept == wanted
        assert told(out)["groups"][0]["cut"] == cut
    else:
        assert kept == []


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2))
def test_keys_are_in_the_order_of_the_numbers_and_lead_back(numbers: list[float]) -> None:
    keys = keys_of(np.array(numbers))
    assert [value_of(int(key), negated=False) for key in keys] == numbers
    assert np.array_equal(keys.argsort(kind="stable"), np.array(numbers).argsort(kind="stable"))


def test_a_column_that_names_docs_cannot_have_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "MAX_GROUPS", 3)
    with pytest.raises(CurateError, match="`per` has 4 values"):
        run_fold(Quantile(by="score", per="language"), [[batch([1.0] * 4, list("abcd"))]], tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keep_frac": 0.0}, "keep_frac is 0.0"),
        ({"keep_frac": 1.5}, "keep_frac is 1.5"),
        ({"bands": {"head": 0.3}}, "the last at 1"),
        ({"bands": {"head": 0.6, "tail": 0.3}}, "rising"),
        ({"bands": {}}, "rising"),
        ({"bands": {"a": math.nan, "b": 1.0}}, "rising"),
        ({"by": "x", "per": "x"}, "another one"),
        ({"best": "middle"}, "highest, lowest"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Quantile(**given)


def test_columns_of_the_wrong_type_are_refused_before_data_is_read() -> None:
    with pytest.raises(InputError, match="not numbers"):
        Quantile(by="url").checks_columns({"url": pa.string()})
    with pytest.raises(InputError, match="not words"):
        Quantile(by="n", per="m").checks_columns({"n": pa.int64(), "m": pa.int64()})
