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
from tests.train.test_loop import ALONE, assert_same_run, train_micro, weights_of
from train import api
from train.checkpoint import find_checkpoint, read_progress
from train.config import LoopConfig, OptimConfig
from train.errors import CheckpointError, ConfigError, Diverged, PeerLost, Stopped
from train.generate import Drawing
from train.loop import Trainer, _dropout_seed
from train.metrics import read_metrics
from train.model import Decoder, init_weights
from train.optim import Optimizers
from train.parallel import joined
from train.progress import describe
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
    rows = [row for row in read_metrics(tmp_path / "metrics.jsonl") if "loss" in row]
    assert 25 < len(rows) < 40  # 2^16 halved down to 1e-4
    assert {row["grad_norm"] for row in rows} == {None}
    assert [row["skipped"] for row in rows] == [row["step"] for row in rows]
    assert f"  {len(rows)} skipped  " in describe(rows)


def test_updates_left_out_are_counted_over_a_restart(tokens: Path, tmp_path: Path) -> None:
    """The first scales are too large by far, and tried again from where they were."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.amp.GradScaler, "__init__", _scaler_from(2.0**40))
        for steps in (3, 6):
            crash_before_step(patched, steps)
            with pytest.raises(MemoryError):
                train_micro(tokens, tmp_path / "run", "loop.precision=fp16", "loop.checkpoint_every=1", steps=60)
            patched.undo()
            patched.setattr(torch.amp.GradScaler, "__init__", _scaler_from(2.0**40))
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss" in row]
    assert [(row["grad_norm"], row["skipped"]) for row in rows] == [(None, n) for n in range(1, 7)]
    assert read_progress(find_checkpoint(tmp_path / "run")).skipped == 6
    state = find_checkpoint(tmp_path / "run") / "state.json"
    older = {name: value for name, value in json.loads(state.read_text()).items() if name != "skipped"}
    state.write_text(json.dumps(older))  # as it was before they were counted
    assert read_progress(state.parent).skipped == 0


def _scaler_from(scale: float) -> Any:
    real = torch.amp.GradScaler.__init__

    def init(self: torch.amp.GradScaler, device: str, *, enabled: bool) -> None:
        real(self, device, init_scale=scale, enabled=enabled)

    return init


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


def test_what_only_says_how_to_compute_may_change_within_a_run(tokens: Path, tmp_path: Path) -> None:
    straight = train_micro(tokens, tmp_path / "straight", *EVERY, steps=8)
    more = ("data.micro_batch_size=2", "loop.recompute=full", "loop.parallel=fsdp", "loop.attention=sdpa")
    with pytest.MonkeyPatch.context() as patched:
        crash_before_step(patched, 4)
        with pytest.raises(MemoryError):
            train_micro(tokens, tmp_path / "run", *EVERY, steps=8)
    with pytest.raises(
        ConfigError, match=r"another loop.precision \(bf16, there auto\), which cannot change within a run"
    ):
        train_micro(tokens, tmp_path / "run", *EVERY, "loop.precision=bf16", steps=8)
    resumed = train_micro(tokens, tmp_path / "run", *EVERY, *more, steps=8)
    ours, theirs = weights_of(resumed), weights_of(straight)
    assert all((ours[name] - theirs[name]).norm() <= 1e-5 * theirs[name].norm() for name in theirs)


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_passed_over_by_all_that_read_a_run(
    tokens: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    run = train_micro(tokens, tmp_path / "run", *EVERY, steps=6).run
    before, newest = run / "checkpoints" / "step-0000003", run / "checkpoints" / "step-0000006"
    file = next((newest / "model").iterdir())
    content = file.read_bytes()
    if harm == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if harm == "cut" else bytes([*content[:-1], content[-1] ^ 1]))
    answers: dict[str, Any] = {
        "generate": lambda path: api.generate(path, "The", max_new_tokens=5),
        "eval": lambda path: api.eval(path, tokens=tokens),
        "export": lambda path: (api.export(path, tmp_path / f"{path.name}-hf") / "model.safetensors").read_bytes(),
        "init": lambda path: train_micro(tokens, tmp_path / f"from-{path.name}", init=path, steps=1).last_loss,
    }
    for name, answer in answers.items():
        caplog.clear()
        assert answer(run) == answer(before), name
        said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert any(file.name in line and "going back to the checkpoint before it" in line for line in said), name
        with pytest.raises(CheckpointError, match="is missing, damaged or foreign"):
            answer(newest)  # named itself, it is not replaced by another


def test_settings_win_over_weights_to_start_from_where_these_leave_a_choice(tokens: Path, tmp_path: Path) -> None:
    run = train_micro(tokens, tmp_path / "run", steps=1).run
    more = train_micro(tokens, tmp_path / "more", "model.dropout=0.1", "model.rope_theta=5e4", init=run, steps=1).run
    card = read_card(RunFolder(more))
    assert card is not None
    assert (card.config.model.dropout, card.config.model.rope_theta, card.config.model.n_layers) == (0.1, 5e4, 2)
    for setting, said in (("n_layers=3", "n_layers is 3, but the weights at .* have 2"), ("n_heads=2", "n_heads is 2")):
        with pytest.raises(ConfigError, match=f"^model.{said}"):
            train_micro(tokens, tmp_path / "other", f"model.{setting}", init=run, steps=1)


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


@pytest.mark.parametrize(
    "words",
    [
        "[pair.cc:553] Connection closed by peer [127.0.0.1]:40151",
        "[unbound_buffer.cc:81] Timed out waiting 1800000ms for recv operation to complete",
        "Failed to recv, got 0 bytes. Connection was likely closed. Did the remote server shutdown or crash?",
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.",
        "[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=3, OpType=ALLREDUCE)",
        "NCCL communicator was aborted on rank 0.",
    ],
)
def test_a_process_that_is_lost_ends_the_others(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    with pytest.raises(PeerLost, match="another process ended"), joined("cpu"):
        raise RuntimeError(words)
    with pytest.raises(PeerLost), joined("cpu"):
        raise CheckpointError("cannot read") from RuntimeError(words)
    with pytest.raises(RuntimeError, match="shapes"), joined("cpu"):
        raise RuntimeError("shapes differ")
