"""Mirrors train/planning.py, train/footprint.py, train/plan.py: a plan against what really is, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from curate.cli import build_app
from tests.train.micro import SETTINGS, micro_config, micro_model
from train import api
from train.config import DataConfig, LoopConfig, OptimConfig, TrainConfig
from train.errors import ConfigError, DataError
from train.footprint import Footprint, lay_out
from train.metrics import read_metrics
from train.model import Decoder
from train.optim import Optimizers
from train.overrides import build_config
from train.plan import Plan
from train.tensor_files import load_tensors

WINDOWS: dict[str, Any] = {"seq_len": 32, "batch_size": 4, "device": "cpu"}


def plan_of(tokens: Path, *settings: str, **options: Any) -> Plan:
    given = {**WINDOWS, "steps": 20, "plan_device": "H100", **options}
    found = api.train(tokens, settings=(*SETTINGS, *settings), plan=True, **given)
    assert isinstance(found, Plan)
    return found


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_plan_tells_what_the_run_then_takes(tokens: Path, tmp_path: Path, optimizer: str) -> None:
    settings = (f"optim.optimizer={optimizer}",)
    plan = plan_of(tokens, *settings)
    done = api.train(tokens, tmp_path, steps=20, settings=(*SETTINGS, *settings), **WINDOWS)
    assert isinstance(done, api.Summary)
    assert plan.n_params == done.n_params
    assert plan.n_tokens == pytest.approx(done.n_tokens, rel=0.01)
    assert sum(plan.epochs.values()) / 2 == pytest.approx(done.epochs, rel=0.05)
    assert plan.steps == done.steps
    model, optim = load_tensors(done.checkpoint, "model"), load_tensors(done.checkpoint, "optimizer")
    assert plan.n_embedding_params == model["embed_tokens.weight"].numel()
    assert plan.weight_bytes == sum(t.numel() * t.element_size() for t in model.values())
    assert plan.optimizer_bytes == sum(t.numel() * t.element_size() for t in optim.values())
    on_disk = sum(path.stat().st_size for path in done.checkpoint.rglob("*.safetensors"))
    assert plan.checkpoint_bytes == pytest.approx(on_disk, rel=0.1)  # the headers are the rest
    assert plan.checkpoint_bytes < on_disk


def test_work_is_what_pytorch_counts(tokens: Path) -> None:
    plan = plan_of(tokens)
    model = Decoder(micro_config(tokens)[0].model)
    ids = torch.zeros(4, 32, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        model.token_losses(ids, ids).sum().backward()  # type: ignore[no-untyped-call]
    assert plan.flops_per_token == pytest.approx(counter.get_total_flops() / ids.numel(), rel=0.15)
    assert plan.flops == plan.flops_per_token * plan.n_tokens


def test_hours_follow_from_work_peak_and_share(tokens: Path) -> None:
    plan = plan_of(tokens, plan_mfu=0.5)
    seconds = (plan.flops + plan.held_out_flops) / (989e12 * 0.5)
    assert plan.device_hours == pytest.approx(seconds / 3600)
    often = plan_of(tokens, "loop.eval_every=5", plan_mfu=0.5)
    assert often.held_out_flops == 4 * plan.held_out_flops


def _config(**sections: dict[str, Any]) -> TrainConfig:
    data, loop = DataConfig(**{"seq_len": 64, "batch_size": 8, **sections.get("data", {})}), sections.get("loop", {})
    return TrainConfig("tiny", micro_model(**sections.get("model", {})), data, OptimConfig(), LoopConfig(**loop))


def _allocated(model: Decoder, n_rows: int, seq_len: int, bf16: bool) -> int:
    """Return the most that torch's allocator gave out during a micro-batch, by torch's own profiler."""
    ids = torch.zeros(n_rows, seq_len, dtype=torch.int64)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model.token_losses(ids, ids).sum()
        loss.backward()  # type: ignore[no-untyped-call]
    events = profile.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    now = most = 0
    for _, n_bytes in changes:
        now += n_bytes
        most = max(most, now)
    return most


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_activations_are_what_the_allocator_gives_out(precision: str, recompute: str) -> None:
    config = _config(loop={"precision": precision, "recompute": recompute}, model={"n_layers": 6})
    expected = lay_out(config, "cpu", 1).activation_bytes
    model = Decoder(config.model, recompute=config.loop.recompute)
    assert expected == pytest.approx(_allocated(model, 8, 64, precision == "bf16"), rel=0.05)


def test_recomputing_and_smaller_micro_batches_save_activations() -> None:
    plain = lay_out(_config(model={"n_layers": 6}), "cpu", 1)
    assert lay_out(_config(model={"n_layers": 6}, loop={"recompute": "full"}), "cpu", 1).activation_bytes < (
        0.5 * plain.activation_bytes
    )
    quarter = lay_out(_config(model={"n_layers": 6}, data={"micro_batch_size": 2}), "cpu", 1)
    assert quarter.activation_bytes < 0.4 * plain.activation_bytes
    shared = lay_out(_config(model={"n_layers": 6}), "cpu", 4)
    assert shared.activation_bytes == quarter.activation_bytes  # two rows a process either way


def test_fsdp_shares_what_ddp_repeats() -> None:
    ddp, fsdp = (lay_out(_config(loop={"parallel": p}), "cuda", 4) for p in ("ddp", "fsdp"))
    one = lay_out(_config(), "cuda", 1)
    kept = ("weight_bytes", "gradient_bytes", "optimizer_bytes")
    assert all(getattr(ddp, name) == getattr(one, name) for name in kept)
    assert all(getattr(fsdp, name) == pytest.approx(getattr(one, name) / 4, abs=1) for name in kept)
    assert fsdp.gathered_bytes > 0 == ddp.gathered_bytes
    assert fsdp.checkpoint_bytes == one.checkpoint_bytes


def test_nothing_is_allocated_for_a_large_model() -> None:
    """1.5 billion parameters with their optimizer are 25 GB; they are laid out in none."""
    config = build_config("1.5b", {"model": {"vocab_size": 50_257, "eos_id": 0, "n_layers": 4}})
    found = lay_out(config, "cuda", 8)
    assert found.n_params == 4 * 46_403_840 + 50_304 * 2_048 + 2_048
    assert found.weight_bytes == 4 * found.n_params
    assert found.memory_bytes > 2**32


def test_the_estimate_adds_up() -> None:
    found = Footprint(1, 2, 3, 4, 10, 20, 30, 40, 50)
    assert found.memory_bytes == 150


@pytest.mark.parametrize(
    ("options", "settings", "said"),
    [
        ({"ranks": 3}, (), r"batch_size \(4\) must be a multiple of the number of ranks \(3\)"),
        ({"ranks": 0}, (), "ranks must be 1 or more"),
        ({"plan_mfu": 0.0}, (), "plan_mfu"),
        ({"plan_device": ""}, (), "nothing is known of device ''"),
        ({"plan_device": "abacus"}, (), "nothing is known of device 'abacus'.*RTX 4090"),
        ({}, ("data.micro_batch_size=3",), "multiple of micro_batch_size"),
        ({}, ("optim.warmup_steps=21",), r"warmup_steps \(21\) must be at most steps \(20\)"),
        (
            {"plan_device": "L4"},
            ("model.d_model=4096", "model.d_ff=16384", "model.n_layers=32"),
            r"needs .* GB .* L4 has 25.77 GB; try a smaller data.micro_batch_size, loop.recompute=full$",
        ),
        (
            {"plan_device": "L4", "ranks": 2},
            ("model.d_model=4096", "model.d_ff=16384", "model.n_layers=32", "loop.recompute=full"),
            "try a smaller data.micro_batch_size, loop.parallel=fsdp",
        ),
    ],
)
def test_what_cannot_be_is_refused(tokens: Path, options: dict[str, Any], settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_of(tokens, *settings, **options)


@pytest.mark.parametrize("options", [{"ranks": 2}, {"plan_device": "H100"}, {"plan_mfu": 0.5}])
def test_options_of_the_plan_are_refused_where_one_trains(
    tokens: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="are for --plan; torchrun starts several processes"):
        api.train(tokens, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_fewer_windows_than_a_batch_are_refused(tokens: Path) -> None:
    with pytest.raises(DataError, match="less than one batch of 10000"):
        plan_of(tokens, batch_size=10_000)


def test_processes_are_those_of_torchrun(tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (plan_of(tokens).n_ranks, plan_of(tokens, ranks=4).n_ranks) == (2, 4)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="multiple of the number of ranks"):
        plan_of(tokens)


def test_many_epochs_and_a_full_disk_are_warned_of(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan_of(tokens, out=tmp_path / "a" / "b").warnings == ()
    weights = ("data.weights={fables: 1, news: 3}",)
    assert [text.split(";")[0] for text in plan_of(tokens, *weights, steps=400).warnings if "times" in text]
    monkeypatch.setattr("shutil.disk_usage", lambda path: (0, 0, 1000))
    assert "has 0.0 MB left" in plan_of(tokens, out=tmp_path / "a" / "b").warnings[-1]


def test_epochs_follow_the_mixture(tokens: Path) -> None:
    plain = plan_of(tokens)
    assert plain.epochs["fables"] == pytest.approx(plain.epochs["news"])
    mixed = plan_of(tokens, "data.weights={fables: 1, news: 1}")
    assert mixed.epochs["news"] > 2 * mixed.epochs["fables"]  # as many windows of a smaller source


def test_a_cpu_is_planned_for_by_its_matrix_products(tokens: Path) -> None:
    plan = plan_of(tokens, plan_device="cpu")
    assert plan.precision == "fp32"
    assert 1e8 < plan.peak_flops < 1e15
    assert plan.peak_from == "matrix products measured here"
    assert plan.device_memory_bytes is not None


def test_the_command_prints_the_plan_and_writes_nothing(
    tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "train",
        str(tokens),
        "-o",
        "run",
        "--plan",
        "--seq-len",
        "32",
        "--batch-size",
        "4",
        "--plan-device",
        "H100",
    ]
    words += [word for setting in SETTINGS for word in ("--settings", setting)]
    result = CliRunner().invoke(build_app(words), words)
    assert result.exit_code == 0, result.output
    assert "of them embeddings" in result.output
    assert "of one H100, at 40% of 989 TFLOP/s (data sheet, dense bf16)" in result.output
    plain = json.loads(CliRunner().invoke(build_app(words), [*words, "--json"]).stdout)
    assert plain["n_params"] == plan_of(tokens).n_params
    assert list(tmp_path.iterdir()) == []


def test_training_needs_a_folder(tokens: Path) -> None:
    with pytest.raises(ConfigError, match="-o FOLDER"):
        api.train(tokens)


def test_the_moments_laid_out_are_those_of_the_optimizers() -> None:
    config = dataclasses.replace(_config(), optim=OptimConfig(optimizer="muon"))
    real = Optimizers(Decoder(config.model), config.optim).blank_tensors()
    assert lay_out(config, "cpu", 1).optimizer_bytes == sum(t.numel() * t.element_size() for t in real.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_holds_what_was_planned(tokens: Path, tmp_path: Path) -> None:
    settings = ("loop.compile=false", "data.micro_batch_size=16")
    options: dict[str, Any] = {"preset": "5m", "device": "cuda", "steps": 5, "seq_len": 256, "batch_size": 16}
    plan = api.train(tokens, settings=settings, plan=True, **options)
    assert isinstance(plan, Plan)
    api.train(tokens, tmp_path, settings=settings, **options)
    held = max(row["memory_bytes"] for row in read_metrics(tmp_path / "metrics.jsonl") if "loss" in row)
    assert plan.memory_bytes == pytest.approx(held, rel=0.2)
