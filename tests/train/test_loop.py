"""Mirrors train/loop.py and train/api.py: learning, exact resumption after any stop, and refusals."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curate.shards import TokenShards
from tests.helpers import ROOT
from tests.train.corpus import fables, write_tokens
from tests.train.micro import SETTINGS, micro_config
from train import api
from train.errors import ConfigError, DataError, Diverged, Interrupted, Stopped
from train.loop import Trainer
from train.metrics import MetricsLog, read_metrics
from train.model import IGNORED
from train.parallel import World
from train.prefetch import Prefetcher
from train.runfolder import RunFolder
from train.sampler import Samples
from train.signals import StopSignals
from train.tensor_files import load_tensors

MEASURED = ("tokens_per_s", "data_wait_frac", "memory_bytes")
ALONE = World(0, 1, torch.device("cpu"))
OPTIONS: dict[str, Any] = {"seq_len": 32, "batch_size": 4, "steps": 20, "device": "cpu", "learning_rate": 0.01}


def train_micro(tokens: Path, out: Path, *more: str, **options: Any) -> api.Summary:
    return api.train(tokens, out, **{**OPTIONS, **options}, settings=(*SETTINGS, *more))


def weights_of(summary: api.Summary) -> dict[str, torch.Tensor]:
    names = ("model", "optimizer")
    return {f"{n}/{k}": t for n in names for k, t in load_tensors(summary.checkpoint, n).items()}


def assert_same_run(ours: api.Summary, theirs: api.Summary) -> None:
    left, right = weights_of(ours), weights_of(theirs)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    rows = [
        [
            {k: v for k, v in row.items() if k not in MEASURED}
            for row in read_metrics(run.run / "metrics.jsonl")
            if row.get("split") != "setup"  # one for each start
        ]
        for run in (ours, theirs)
    ]
    assert rows[0] == rows[1]


@pytest.fixture(scope="module")
def straight(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Summary:
    """Twenty steps without a stop."""
    return train_micro(tokens, tmp_path_factory.mktemp("run") / "straight")


def test_training_lowers_the_loss(tokens: Path, tmp_path: Path) -> None:
    summary = train_micro(tokens, tmp_path / "run", steps=150)
    assert summary.first_loss == pytest.approx(5.7, abs=0.1)  # ln 300: nothing known yet
    assert summary.last_loss < 2.0
    assert max(summary.held_out_nats.values()) < 2.0
    assert summary.n_tokens == 150 * 4 * 32 - lost_labels(tokens, tmp_path / "run")


def lost_labels(tokens: Path, run: Path) -> int:
    """Count the filled-up positions of the windows that the run read, from the shards alone."""
    _, corpus = micro_config(tokens)
    samples = corpus.sampler(0).samples(0, 150 * 4)
    last = [n - 1 for n in corpus.n_windows]
    fill = [n * 32 - (len(stream) - 1) for n, stream in zip(corpus.n_windows, corpus.streams, strict=True)]
    return sum(fill[s] for s, w in zip(samples.source.tolist(), samples.window.tolist(), strict=True) if w == last[s])


def test_one_batch_is_learnt_by_heart(tmp_path: Path) -> None:
    """The shards hold two windows, which are the batch of every step."""
    folder = write_tokens(tmp_path / "tokens", {"web": fables(1, seed=5)}, n_held_out=0)
    seq_len = len(TokenShards.open(folder).stream("web", "train")) // 2
    options: dict[str, Any] = {"steps": 120, "batch_size": 2, "seq_len": seq_len, "learning_rate": 0.02}
    summary = train_micro(folder, tmp_path / "run", **options)
    assert summary.epochs == pytest.approx(options["steps"], rel=0.02)
    assert summary.last_loss < 0.05
    assert summary.held_out_nats == {}


def test_the_same_run_gives_the_same_bits(tokens: Path, tmp_path: Path, straight: api.Summary) -> None:
    assert_same_run(train_micro(tokens, tmp_path / "again"), straight)


@pytest.mark.parametrize("crash_after", [3, 10, 13])
def test_a_crashed_run_goes_on_bit_for_bit(
    tokens: Path, tmp_path: Path, straight: api.Summary, monkeypatch: pytest.MonkeyPatch, crash_after: int
) -> None:
    real = Trainer._one_step

    def crashing(self: Trainer, *given: Any) -> bool:
        if self.progress.step == crash_after:
            raise MemoryError
        return real(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_one_step", crashing)
        with pytest.raises(MemoryError):
            train_micro(tokens, tmp_path / "run", "loop.checkpoint_every=5")
    resumed = train_micro(tokens, tmp_path / "run", "loop.checkpoint_every=5")
    assert resumed.status == "trained"
    assert_same_run(resumed, straight)


@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGTERM, Stopped, 75), (signal.SIGINT, Interrupted, 130)]
)
def test_a_signal_stops_after_a_checkpoint(
    tokens: Path,
    tmp_path: Path,
    straight: api.Summary,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    error: type[Stopped],
    code: int,
) -> None:
    real = Trainer._one_step

    def signalled(self: Trainer, *given: Any) -> bool:
        if self.progress.step == 6:
            os.kill(os.getpid(), number)
        return real(self, *given)

    before = signal.getsignal(number)
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_one_step", signalled)
        with pytest.raises(error, match="stopped after step 7 of 20") as caught:
            train_micro(tokens, tmp_path / "run")
    assert caught.value.exit_code == code
    assert signal.getsignal(number) == before
    assert_same_run(api.resume(tmp_path / "run"), straight)


@pytest.mark.slow
def test_a_killed_process_goes_on_bit_for_bit(tokens: Path, tmp_path: Path, straight: api.Summary) -> None:
    code = (
        "import os, signal, sys, torch; torch.set_num_threads(1); from pathlib import Path;"
        "from train.loop import Trainer; real = Trainer._one_step\n"
        "def step(self, *given):\n"
        "    asked = real(self, *given)\n"
        "    if self.progress.step == 12: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return asked\n"
        "Trainer._one_step = step\n"
        f"sys.path.append({str(ROOT)!r})  # behind an installed train, which is what is tested\n"
        "from tests.train.test_loop import train_micro\n"
        "train_micro(Path(sys.argv[1]), Path(sys.argv[2]), 'loop.checkpoint_every=4')"
    )
    run = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", code, str(tokens), str(run)], cwd=ROOT, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert (run / "checkpoints" / "latest").read_text() == "step-0000008\n"
    assert_same_run(api.resume(run), straight)


def test_a_finished_run_is_left_as_it_is(tokens: Path, straight: api.Summary) -> None:
    files = {path: path.stat().st_mtime_ns for path in straight.run.rglob("*") if path.name != ".lock"}
    again = train_micro(tokens, straight.run)
    assert again == dataclasses.replace(straight, status="already done")
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_resume_with_more_steps_goes_on(tokens: Path, tmp_path: Path, straight: api.Summary) -> None:
    run = tmp_path / "run"
    shutil.copytree(straight.run, run)
    (run / "run.json").write_text(
        (run / "run.json").read_text().replace(relative(tokens, straight.run), relative(tokens, run))
    )
    longer = api.resume(run, steps=25)
    assert longer.steps == 25
    assert [row["step"] for row in read_metrics(run / "metrics.jsonl") if "loss" in row] == list(range(1, 26))
    with pytest.raises(ConfigError, match="steps must be 25 or more: the run has done 25"):
        api.resume(run, steps=10)
    with pytest.raises(ConfigError, match="device 'tpu'"):
        api.resume(run, steps=30, device="tpu")


def relative(tokens: Path, run: Path) -> str:
    return json.dumps(os.path.relpath(tokens.resolve(), run.resolve()))


def test_other_options_shards_and_folders_are_refused(tokens: Path, tmp_path: Path, straight: api.Summary) -> None:
    with pytest.raises(ConfigError, match=r"another optim.learning_rate \(0.02, there 0.01\)"):
        train_micro(tokens, straight.run, learning_rate=0.02)
    with pytest.raises(ConfigError, match="`resume --steps` changes the number of steps"):
        train_micro(tokens, straight.run, steps=30)
    other = write_tokens(tmp_path / "tokens", {"fables": fables(30, seed=7)})
    with pytest.raises(DataError, match="no longer holds the token shards"):
        train_micro(other, straight.run)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").touch()
    with pytest.raises(ConfigError, match="not empty and not a training run"):
        train_micro(tokens, tmp_path / "thesis")
    with pytest.raises(ConfigError, match="not a training run; start one"):
        api.resume(tmp_path / "thesis")


@pytest.mark.parametrize("setting", ["model.vocab_size=299", "model.eos_id=1"])
def test_a_vocabulary_other_than_that_of_the_shards_is_refused(tokens: Path, tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match="but the token shards have"):
        train_micro(tokens, tmp_path / "run", setting)


def test_a_second_process_is_refused(tokens: Path, tmp_path: Path) -> None:
    with RunFolder(tmp_path).locked(), pytest.raises(ConfigError, match="in use by another process"):
        train_micro(tokens, tmp_path)


def test_shards_and_run_can_move_together(tokens: Path, tmp_path: Path) -> None:
    shutil.copytree(tokens, tmp_path / "a" / "tokens")
    train_micro(tmp_path / "a" / "tokens", tmp_path / "a" / "train", steps=2)
    (tmp_path / "a").rename(tmp_path / "b")
    assert api.resume(tmp_path / "b" / "train").status == "already done"


@pytest.mark.parametrize("micro", [1, 2])
def test_accumulation_does_not_matter(tokens: Path, tmp_path: Path, micro: int) -> None:
    """Four windows at once and in pieces; the last windows of the sources have fewer labels than the others."""
    results = []
    for cut in (0, micro):
        config, corpus = micro_config(tokens, data={"seq_len": 100, "micro_batch_size": cut})
        last = [n - 1 for n in corpus.n_windows]
        rows = Samples(np.array([0, 0, 1, 1]), np.array([0, last[0], last[1], 0]), np.zeros(4, np.int64))
        batch = corpus.read(rows)
        assert len({int((row != IGNORED).sum()) for row in batch.labels}) > 1
        results.append(Trainer(RunFolder(tmp_path), config, corpus, ALONE)._train(batch, batch.n_labels, False)[0])
    assert results[0].n_tokens == results[1].n_tokens
    assert results[0].loss == pytest.approx(results[1].loss, rel=1e-6)
    assert results[0].grad_norm == pytest.approx(results[1].grad_norm, rel=1e-4)


def test_an_update_uses_the_clipped_gradient_and_the_scheduled_rate(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optim = {"max_grad_norm": 0.01, "learning_rate": 0.5, "schedule": "linear", "warmup_steps": 0}
    config, corpus = micro_config(tokens, optim=optim, loop={"steps": 4})
    trainer = Trainer(RunFolder(tmp_path), config, corpus, ALONE)
    seen = []

    def step(scaler: torch.amp.GradScaler, *, leave_out: bool) -> None:
        assert not leave_out
        norms = [p.grad.norm() for p in trainer.model.parameters() if p.grad is not None]
        seen.append(
            (
                torch.stack(norms).norm().item(),
                {g["lr"] for part in trainer.optimizers.parts for g in part.param_groups},
            )
        )

    monkeypatch.setattr(trainer.optimizers, "step", step)
    metrics = MetricsLog(tmp_path / "metrics.jsonl", 0)
    batches = Prefetcher(trainer._read, 0, 4)
    for _ in range(4):
        trainer._one_step(batches, metrics, StopSignals())
    assert [norm for norm, _ in seen] == pytest.approx([0.01] * 4, rel=1e-3)
    assert [rates for _, rates in seen] == [{0.5}, {0.375}, {0.25}, {0.125}]
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["learning_rate"] for row in rows] == [0.5, 0.375, 0.25, 0.125]
    assert all(row["grad_norm"] > 0.1 for row in rows)  # as it was before the clip


def test_scores_and_checkpoints_come_when_they_are_due(tokens: Path, tmp_path: Path) -> None:
    more = ("loop.eval_every=8", "loop.checkpoint_every=4", "loop.keep_checkpoints=3")
    train_micro(tokens, tmp_path / "run", *more)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    scored = [(row["step"], row["source"]) for row in rows if row.get("split") == "val"]
    assert scored == [(step, source) for step in (8, 16, 20) for source in ("fables", "news")]
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("step-*"))
    assert names == ["step-0000012", "step-0000016", "step-0000020"]


def test_a_loss_that_is_not_finite_stops_before_it_does_harm(tokens: Path, tmp_path: Path) -> None:
    config, corpus = micro_config(tokens)
    trainer = Trainer(RunFolder(tmp_path), config, corpus, ALONE)
    with torch.no_grad():
        trainer.model.norm.weight[0] = float("inf")
    before = [p.clone() for p in trainer.model.parameters()]
    with pytest.raises(Diverged, match="step 1: loss nan"):
        trainer.run()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    assert not (tmp_path / "checkpoints").exists()


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(tokens: Path, tmp_path: Path, straight: api.Summary) -> None:
    """A limit on the size of a file stands in for the disk: the checkpoints pass it, the log does not."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        with pytest.raises(Stopped, match=r"no room to write: .*(model|optimizer)") as caught:
            train_micro(tokens, tmp_path / "run", "loop.checkpoint_every=5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.exit_code == 75
    assert_same_run(train_micro(tokens, tmp_path / "run", "loop.checkpoint_every=5"), straight)


def test_masked_documents_train(tokens: Path, tmp_path: Path) -> None:
    masked = train_micro(tokens, tmp_path / "run", "data.mask_documents=true", steps=60)
    assert masked.last_loss < masked.first_loss - 1.5


def test_bf16_runs_on_the_cpu_too(tokens: Path, tmp_path: Path, straight: api.Summary) -> None:
    half = train_micro(tokens, tmp_path / "run", "loop.precision=bf16")
    assert half.last_loss == pytest.approx(straight.last_loss, abs=0.1)
    assert half.last_loss != straight.last_loss


@pytest.mark.parametrize("device", ["gpu", "meta", *([] if torch.cuda.is_available() else ["cuda"])])
def test_a_device_that_is_not_there_is_refused(tokens: Path, tmp_path: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"device '{device}'"):
        train_micro(tokens, tmp_path / "run", device=device)
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("command", [getattr(api, name) for name in api.__all__ if name not in ("Plan", "Summary")])
def test_every_option_of_a_command_has_a_type_and_a_line_of_help(command: Callable[..., Any]) -> None:
    hints = typing.get_type_hints(command, include_extras=True)
    for name in inspect.signature(command).parameters:
        kind, text = typing.get_args(hints[name])
        assert kind is not None
        assert text
        assert "\n" not in text
    assert (command.__doc__ or "").splitlines()[0].endswith(".")


def test_the_front_door_is_light() -> None:
    code = "import sys, train, train.api; print('torch' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "False"]
