"""Mirrors train/copies.py: TensorBoard and W&B get what metrics.jsonl gets; a missing package is refused by name."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.train.micro import SETTINGS
from train import api
from train.copies import scalars
from train.errors import ConfigError
from train.metrics import read_metrics

OPTIONS: dict[str, Any] = {"seq_len": 32, "batch_size": 4, "device": "cpu"}

STUB = '''"""Stands for W&B: writes what it is told."""
import json, os

class Run:
    def __init__(self, **given):
        self.file = open(os.environ["SAID"], "a")
        self.say("init", given)

    def say(self, what, value):
        self.file.write(json.dumps([what, value]) + "\\n")

    def log(self, values, step):
        self.say("log", [step, values])

    def finish(self):
        self.say("finish", None)
        self.file.close()

def init(**given):
    return Run(**given)
'''


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stub of wandb that can be imported, and the file it writes."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "wandb.py").write_text(STUB)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setenv("SAID", str(tmp_path / "said"))
    return tmp_path / "said"


def test_weights_and_biases_get_every_number(tokens: Path, tmp_path: Path, said: Path) -> None:
    settings = (*SETTINGS, "loop.wandb_project=fables")
    api.train(tokens, tmp_path / "run", steps=5, settings=settings, **OPTIONS)
    api.resume(tmp_path / "run", steps=8)
    told = [json.loads(line) for line in said.read_text().splitlines()]
    starts = [value for what, value in told if what == "init"]
    assert [what for what, _ in told].count("finish") == len(starts) == 2
    assert starts[0]["project"] == "fables"
    assert starts[0]["id"] == starts[1]["id"]  # the second goes on with the first
    assert starts[0]["config"]["model"]["d_model"] == 32
    logged = [value for what, value in told if what == "log"]
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    losses = [(step, values["train/loss"]) for step, values in logged if "train/loss" in values]
    assert losses == [(row["step"], row["loss"]) for row in rows if "loss" in row]
    assert len(losses) == 8
    assert "val/fables/bits_per_byte" in {name for _, values in logged for name in values}


def test_names_tell_split_source_and_domain() -> None:
    row = {"step": 3, "split": "val-domain", "source": "web", "domain": "a.example", "nats_per_token": 2.0, "x": None}
    assert dict(scalars(row)) == {"val-domain/web/a.example/nats_per_token": 2.0}
    assert dict(scalars({"step": 3, "loss": 1.5, "n_tokens": 7})) == {"train/loss": 1.5, "train/n_tokens": 7.0}
    assert not dict(scalars({"step": 0, "split": "setup", "n_ranks": 1}))


@pytest.mark.parametrize(
    ("setting", "package"), [("loop.tensorboard=true", "tensorboard"), ("loop.wandb_project=fables", "wandb")]
)
def test_a_missing_package_is_refused_before_anything_is_written(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, package: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(ConfigError, match=f"needs {package}, which is not installed: pip install {package}"):
        api.train(tokens, tmp_path / "run", steps=2, settings=(*SETTINGS, setting), **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_a_run_may_turn_its_copies_off(tokens: Path, tmp_path: Path, said: Path) -> None:
    api.train(tokens, tmp_path / "run", steps=3, settings=(*SETTINGS, "loop.wandb_project=fables"), **OPTIONS)
    again = api.train(tokens, tmp_path / "run", steps=3, settings=SETTINGS, **OPTIONS)
    assert isinstance(again, api.Summary)
    assert again.status == "already done"


def test_tensorboard_reads_what_was_written(tokens: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = (*SETTINGS, "loop.tensorboard=true", "loop.checkpoint_every=4")
    api.train(tokens, tmp_path, steps=6, settings=settings, **OPTIONS)
    api.resume(tmp_path, steps=9)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [(e.step, pytest.approx(e.value)) for e in events.Scalars("train/loss")] == [
        (row["step"], row["loss"]) for row in rows if "loss" in row
    ]
    assert [e.step for e in events.Scalars("val/news/bits_per_byte")] == [6, 9]
    assert events.Tags()["tensors"] == ["sample/text_summary"]
