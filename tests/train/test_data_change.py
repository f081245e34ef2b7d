"""Mirrors the part of train/launch.py that keeps a run to its shards: others are refused, or allowed and noted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.train.corpus import fables, write_tokens
from tests.train.test_loop import assert_same_run, train_micro
from train import api
from train.errors import ConfigError, DataError
from train.launch import launch
from train.metrics import read_metrics
from train.runfolder import RunFolder, read_card

TEXTS = {"fables": fables(60, seed=1), "news": fables(24, seed=2)}


def changed(tokens: Path) -> None:
    """Write other documents of the same vocabulary in the place of the shards."""
    tokenizer = (tokens / "tokenizer.json").read_bytes()
    shutil.rmtree(tokens)
    write_tokens(tokens, TEXTS | {"news": fables(40, seed=3)})
    assert (tokens / "tokenizer.json").read_bytes() != tokenizer


def begun(folder: Path, **options: Any) -> tuple[Path, Path]:
    """Return the shards and the folder of a run of twelve steps."""
    tokens = write_tokens(folder / "tokens", TEXTS)
    train_micro(tokens, folder / "run", steps=12, **options)
    return tokens, folder / "run"


def test_changed_shards_are_refused_with_the_field_named(tmp_path: Path) -> None:
    tokens, run = begun(tmp_path)
    manifest = json.loads((tokens / "manifest.json").read_text())
    manifest["seed"] = 5
    (tokens / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"no longer holds .*: seed is 5, was 0; --allow-data-change goes on"):
        api.resume(run, steps=20)
    assert read_card(RunFolder(run)).data_changes == ()  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"seed is 5, was 0$"):
        api.trace(run, step=1)


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_a_change_that_is_allowed_is_noted_and_training_goes_on(tmp_path: Path, packing: str) -> None:
    tokens, run = begun(tmp_path)
    before = read_card(RunFolder(run))
    assert before is not None
    changed(tokens)
    longer = api.resume(run, steps=20, allow_data_change=True)
    assert longer.steps == 20
    assert [row["step"] for row in read_metrics(run / "metrics.jsonl") if "loss" in row] == list(range(1, 21))
    card = read_card(RunFolder(run))
    assert card is not None
    (change,) = card.data_changes
    assert (change.step, change.field, change.manifest_sha256) == (12, "tokenizer_sha256", before.manifest_sha256)
    assert card.facts["totals.news.train.n_docs"] == 36
    assert api.resume(run, steps=22).steps == 22  # allowed once, and for these shards
    assert api.trace(run, step=13)
    with pytest.raises(ConfigError, match="step 12 was trained on other token shards, which were replaced after it"):
        api.trace(run, step=12)
    doc = next(traced.doc_id for traced in api.trace(run, step=14))
    assert {seen.step for seen in api.trace(run, doc=doc)} <= set(range(13, 23))


def test_a_checkpoint_of_the_former_shards_is_gone_on_from_again(tmp_path: Path) -> None:
    """The run is stopped after the change was noted and before the next checkpoint."""
    tokens, run = begun(tmp_path / "a")
    changed(tokens)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    straight = api.resume(run, steps=20, allow_data_change=True)
    other = tmp_path / "b" / "run"
    first = api.resume(other, steps=16, allow_data_change=True)
    shutil.rmtree(first.checkpoint)
    assert_same_run(api.resume(other, steps=20), straight)


def test_a_run_of_before_the_facts_were_kept_is_told_apart_by_its_fingerprint(tmp_path: Path) -> None:
    tokens, run = begun(tmp_path)
    plain = json.loads((run / "run.json").read_text())
    del plain["facts"], plain["data_changes"]
    (run / "run.json").write_text(json.dumps(plain))
    assert api.resume(run, steps=13).steps == 13
    changed(tokens)
    card = read_card(RunFolder(run))
    assert card is not None
    with pytest.raises(DataError, match=r"manifest_sha256 is [0-9a-f]{64}, was [0-9a-f]{64}"):
        launch(tokens, RunFolder(run), card.config)


def test_another_vocabulary_is_never_allowed(tmp_path: Path) -> None:
    tokens, run = begun(tmp_path)
    shutil.rmtree(tokens)
    write_tokens(tokens, TEXTS, vocab_size=310)
    with pytest.raises(ConfigError, match="vocab_size"):
        api.resume(run, steps=20, allow_data_change=True)
