"""What goes wrong around a run: overflowing fp16, a full disk under the log, lost pointers, weights that are gone."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import typer

from curate.commands import guarded
from curate.errors import InputError
from curate.shards import TokenShards
from tests.train.corpus import fables, write_tokens
from tests.train.micro import micro_config, micro_model
from tests.train.test_loop import ALONE, assert_same_run, train_micro
from train import api
from train.checkpoint import read_progress
from train.config import LoopConfig, OptimConfig
from train.errors import CheckpointError, ConfigError, Diverged, PeerLost, Stopped
from train.generate import Drawing
from train.loop import Trainer, _dropout_seed
from train.metrics import read_metrics
from train.model import Decoder, init_weights
from train.optim import Optimizers
from train.parallel import joined
from train.runfolder import RunFolder, read_card

EVERY = ("loop.checkpoint_every=3",)


def crash_before_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    real = Trainer._one_step

    def crashing(self: Trainer, *given: Any) -> bool:
        if self.progress.step == step:
            raise MemoryError
        return real(self, *given)

    monkeypatch.setattr(Trainer, "_one_step", crashing)


@pytest.mark.parametrize(
    "settings",
    [
        ("model.dropout=0.1", "optim.optimizer=muon", "data.micro_batch_size=1"),
        ("loop.precision=fp16", "model.dropout=0.1", "loop.recompute=full"),
        ("loop.precision=fp16", "optim.optimizer=muon", "data.packing=best_fit"),
    ],
)
def test_a_crashed_run_goes_on_bit_for_bit_whatever_it_is_made_of(
    tokens: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    straight = train_micro(tokens, tmp_path / "straight", *settings, steps=8, seed=1 << 40)
    with pytest.MonkeyPatch.context() as patched:
        crash_before_step(patched, 5)
        with pytest.raises(MemoryError):
            train_micro(tokens, tmp_path / "run", *settings, *EVERY, steps=8, seed=1 << 40)
    assert_same_run(train_micro(tokens, tmp_path / "run", *settings, *EVERY, steps=8, seed=1 << 40), straight)


def test_dropout_differs_by_seed_step_and_rank() -> None:
    seeds = {_dropout_seed(s, t, r) for s in (0, 1, (1 << 63) - 1) for t in range(5000) for r in range(3)}
    assert len(seeds) == 3 * 5000 * 3
    torch.manual_seed(max(seeds))
    with pytest.raises(ConfigError, match=r"seed must be below 2\^63"):
        LoopConfig(seed=1 << 63)


@pytest.mark.parametrize("attention", ["flex", "varlen"])
def test_dropout_goes_with_the_attention_that_can_drop(attention: Any) -> None:
    assert LoopConfig().attention_on("cuda") == "flex"
    assert LoopConfig().attention_on("cuda", 0.1) == "sdpa"
    with pytest.raises(ConfigError, match="cannot drop attention weights"):
        LoopConfig(attention=attention, precision="bf16").attention_on("cuda", 0.1)


def test_an_overflow_leaves_out_the_update_of_both_optimizers() -> None:
    model = Decoder(micro_model())
    init_weights(model, 0)
    optimizers = Optimizers(model, OptimConfig(optimizer="muon"))
    scaler = torch.amp.GradScaler("cpu")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    scaler.scale(sum(p.sum() for p in model.parameters())).backward()  # type: ignore[union-attr]
    model.norm.weight.grad[0] = float("nan")  # AdamW's alone
    for part in optimizers.parts:
        scaler.unscale_(part)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizers.step(scaler, leave_out=True)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert scaler.get_scale() == 2.0**15


def test_gradients_that_overflow_at_every_scale_end_the_run(tokens: Path, tmp_path: Path) -> None:
    config, corpus = micro_config(tokens, loop={"precision": "fp16", "steps": 100})
    trainer = Trainer(RunFolder(tmp_path), config, corpus, ALONE)
    trainer.model.norm.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = [p.detach().clone() for p in trainer.model.parameters()]
    with pytest.raises(Diverged, match="gradient norm"):
        trainer.run()
    assert all(torch.equal(p, was) for p, was in zip(trainer.model.parameters(), before, strict=True))
    assert 25 < len(read_metrics(tmp_path / "metrics.jsonl")) < 40  # 2^16 halved down to 1e-4


@pytest.mark.parametrize("n_bytes", [1_000, 2_500])
def test_a_disk_too_full_for_the_card_or_the_log_stops_the_run(tokens: Path, tmp_path: Path, n_bytes: int) -> None:
    straight = train_micro(tokens, tmp_path / "straight", steps=8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        with pytest.raises(Stopped, match="no room to write"):
            train_micro(tokens, tmp_path / "run", steps=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "run" / "run.json").exists() == (n_bytes == 2_500)
    assert_same_run(train_micro(tokens, tmp_path / "run", steps=8), straight)


@pytest.mark.parametrize("pointer", [None, "", "step-0000009\n", "../elsewhere\n"])
def test_a_pointer_that_is_lost_costs_nothing(
    tokens: Path, tmp_path: Path, pointer: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    straight = train_micro(tokens, tmp_path / "straight", *EVERY, steps=8)
    with pytest.MonkeyPatch.context() as patched:
        crash_before_step(patched, 7)
        with pytest.raises(MemoryError):
            train_micro(tokens, tmp_path / "run", *EVERY, steps=8)
    latest = tmp_path / "run" / "checkpoints" / "latest"
    latest.unlink() if pointer is None else latest.write_text(pointer)
    caplog.clear()
    assert_same_run(train_micro(tokens, tmp_path / "run", *EVERY, steps=8), straight)
    assert any("names no checkpoint that is there" in record.getMessage() for record in caplog.records)
    assert sorted(path.name for path in latest.parent.glob("step-*")) == ["step-0000006", "step-0000008"]
    assert read_progress(latest.parent / "step-0000008").step == 8


def test_weights_to_start_from_are_not_needed_again(tokens: Path, tmp_path: Path) -> None:
    first = train_micro(tokens, tmp_path / "first", steps=2)
    straight = train_micro(tokens, tmp_path / "straight", *EVERY, steps=6, init=first.run)
    with pytest.MonkeyPatch.context() as patched:
        crash_before_step(patched, 4)
        with pytest.raises(MemoryError):
            train_micro(tokens, tmp_path / "run", *EVERY, steps=6, init=first.run)
    shutil.rmtree(first.run)
    assert_same_run(api.resume(tmp_path / "run"), straight)


def test_a_run_that_trains_elsewhere_is_not_given_other_steps(tokens: Path, tmp_path: Path) -> None:
    train_micro(tokens, tmp_path / "run", steps=2)
    folder = RunFolder(tmp_path / "run")
    with folder.locked(), pytest.raises(ConfigError, match="in use by another process"):
        api.resume(folder.path, steps=4)
    card = read_card(folder)
    assert card is not None
    assert card.config.loop.steps == 2


def test_a_changed_byte_in_the_shards_is_found_before_the_first_step(tokens: Path, tmp_path: Path) -> None:
    shutil.copytree(tokens, tmp_path / "tokens")
    body = min((tmp_path / "tokens").glob("fables-train-*.ds"))
    raw = bytearray(body.read_bytes())
    raw[0] ^= 1
    body.write_bytes(raw)
    with pytest.raises(InputError, match="its sha256 is not the one in the manifest"):
        train_micro(tmp_path / "tokens", tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_text_is_drawn_at_any_temperature() -> None:
    logits = torch.tensor([1.0, 3.0, 2.0])
    generator = torch.Generator().manual_seed(0)
    for options in ({}, {"top_k": 2}, {"top_k": 0, "top_p": 0.9}, {"top_k": 0}):
        assert Drawing(temperature=1e-300, **options).pick(logits, generator) == 1
        assert {Drawing(temperature=1e300, **options).pick(logits, generator) for _ in range(50)} >= {1, 2}


def test_shards_of_another_tokenizer_are_not_scored(tokens: Path, tmp_path: Path, caplog: Any) -> None:
    run = train_micro(tokens, tmp_path / "run", steps=2).run
    other = write_tokens(tmp_path / "tokens", {"fables": fables(40, seed=9)})
    assert TokenShards.open(other).manifest.vocab_size == TokenShards.open(tokens).manifest.vocab_size
    with pytest.raises(ConfigError, match="another tokenizer"):
        api.eval(run, tokens=other)
    assert api.eval(run, per_document=tmp_path / "new" / "folder" / "losses.parquet")
    assert (tmp_path / "new" / "folder" / "losses.parquet").is_file()
    train_micro(other, tmp_path / "next", steps=1, init=run)
    assert any("another tokenizer.json" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("name", "value"), [("use_sliding_window", True), ("vocab_size", 10), ("hidden_size", 16), ("hidden_act", "gelu")]
)
def test_an_exported_folder_that_does_not_fit_is_refused(tokens: Path, tmp_path: Path, name: str, value: Any) -> None:
    run = train_micro(tokens, tmp_path / "run", steps=1).run
    out = api.export(run, tmp_path / "exported")
    described = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(described | {name: value}))
    with pytest.raises((CheckpointError, ConfigError)) as caught:
        train_micro(tokens, tmp_path / "next", steps=1, init=out)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rank", "error", "said"),
    [
        ("0", ConfigError("no"), "error: no\n"), ("1", ConfigError("no"), ""), ("1", Stopped("later"), ""),
        ("1", Diverged("nan"), ""),
    ],
)  # fmt: skip
def test_what_all_processes_find_wrong_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str, error: Exception, said: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setenv("RANK", rank)
    with pytest.raises(typer.Exit):
        guarded(fail)()
    assert capsys.readouterr().err == said


def test_a_process_that_is_lost_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    with pytest.raises(PeerLost, match="another process ended"), joined("cpu"):
        raise RuntimeError("[pair.cc:553] Connection closed by peer [127.0.0.1]:40151")
    with pytest.raises(RuntimeError, match="shapes"), joined("cpu"):
        raise RuntimeError("shapes differ")
