"""Mirrors train/parallel.py: one process and several do the same, and a run may change their number."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.helpers import ROOT
from tests.train.micro import micro_model
from train.checkpoint import find_checkpoint, load_tensors, read_progress
from train.config import ConfigError, LoopConfig
from train.metrics import read_metrics
from train.model import Decoder, init_weights
from train.optim import Optimizers
from train.overrides import build_config
from train.parallel import shard

OPTIONS: dict[str, Any] = {"steps": 6, "batch_size": 8, "learning_rate": 0.01}


def on_ranks(n_ranks: int, tokens: Path, out: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Train with torchrun, or in one plain process."""
    words = [sys.executable]
    if n_ranks > 1:
        words += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_ranks}"]
    code = [str(ROOT / "tests" / "train" / "distributed.py"), str(tokens), str(out), json.dumps({**OPTIONS, **options})]
    package = str(Path(sys.modules["train"].__file__ or "").resolve().parents[1])
    path = os.pathsep.join([package, str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*words, *code], capture_output=True, text=True, timeout=240, env=env, check=False)


def losses(out: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(out / "metrics.jsonl") if "loss" in row]


def held_out(out: Path) -> list[float]:
    return [row["nats_per_token"] for row in read_metrics(out / "metrics.jsonl") if row.get("split") == "val"]


def assert_same(ours: Path, theirs: Path) -> None:
    assert losses(ours) == pytest.approx(losses(theirs), rel=1e-5)
    assert held_out(ours) == pytest.approx(held_out(theirs), rel=1e-5)
    for name in ("model", "optimizer"):
        left, right = (load_tensors(find_checkpoint(path), name) for path in (ours, theirs))
        assert left.keys() == right.keys()
        for key in left:
            torch.testing.assert_close(left[key], right[key], rtol=1e-4, atol=1e-5, msg=key)
    assert read_progress(find_checkpoint(ours)) == read_progress(find_checkpoint(theirs))


@pytest.fixture(scope="module")
def alone(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    done = on_ranks(1, tokens, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize(("parallel", "micro"), [("ddp", 2), ("fsdp", 2), ("fsdp", 0)])
def test_two_ranks_train_as_one(tokens: Path, tmp_path: Path, alone: Path, parallel: str, micro: int) -> None:
    settings = (f"loop.parallel={parallel}", f"data.micro_batch_size={micro}")
    done = on_ranks(2, tokens, tmp_path / "run", settings=settings)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "run", alone)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_ranks(tokens: Path, tmp_path: Path, alone: Path) -> None:
    """Two ranks, one, two again: stopped by a crash after a checkpoint each time."""
    settings = ("loop.parallel=fsdp", "loop.checkpoint_every=2")
    for n_ranks, crash_after in ((2, 2), (1, 4), (2, 6)):
        crash = {} if crash_after == 6 else {"CRASH_AFTER": str(crash_after)}
        done = _with_crash(n_ranks, tokens, tmp_path / "run", settings, crash)
        assert (done.returncode == 0) == (not crash), done.stderr
        if crash:
            assert read_progress(find_checkpoint(tmp_path / "run")).step == crash_after
    assert_same(tmp_path / "run", alone)


def _with_crash(
    n_ranks: int, tokens: Path, out: Path, settings: tuple[str, ...], crash: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    for name, value in crash.items():
        os.environ[name] = value
    try:
        return on_ranks(n_ranks, tokens, out, settings=settings)
    finally:
        for name in crash:
            del os.environ[name]


@pytest.mark.slow
def test_muon_moves_shards_as_it_moves_the_whole(tokens: Path, tmp_path: Path) -> None:
    for n_ranks in (1, 2):
        settings = ("optim.optimizer=muon", "loop.parallel=fsdp")
        done = on_ranks(n_ranks, tokens, tmp_path / str(n_ranks), settings=settings, steps=3)
        assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "2") == pytest.approx(losses(tmp_path / "1"), rel=1e-3)  # its steps are in bf16


@pytest.mark.slow
def test_a_batch_that_ranks_cannot_share_is_refused(tokens: Path, tmp_path: Path) -> None:
    done = on_ranks(2, tokens, tmp_path / "run", batch_size=7)
    assert done.returncode != 0
    assert "batch_size (7) must be a multiple of the number of ranks (2)" in done.stderr


@pytest.fixture
def eight_ranks() -> Any:
    """Stand among eight processes that are not there."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=8)
    yield dist.device_mesh.init_device_mesh("cpu", (8,))
    dist.destroy_process_group()


def test_the_largest_preset_is_cut_over_eight_ranks(eight_ranks: Any) -> None:
    config = dataclasses.replace(build_config("1.5b").model, vocab_size=50_304, eos_id=0)
    with torch.device("meta"):
        model = Decoder(config)
        n_params = model.n_params()
        shard(model, eight_ranks, "bf16")
    local = {name: p.to_local() for name, p in model.named_parameters()}
    n_local = sum(p.numel() for p in local.values())
    assert 1.4e9 < n_params < 1.6e9
    assert n_local == pytest.approx(n_params / 8, rel=1e-3)
    assert local["layers.0.mlp.up_proj.weight"].shape == (5504 // 8, 2048)
    blank = Optimizers(model, build_config("1.5b").optim).blank_tensors()
    moments = [t for name, t in blank.items() if not name.endswith(".step")]
    n_bytes = sum(4 * t.to_local().numel() for t in moments) + 2 * 4 * n_local  # with parameters and gradients
    assert n_bytes == pytest.approx(16 * n_params / 8, rel=1e-3)
    assert n_bytes < 4 << 30


def test_a_sharded_model_trains_without_its_peers(eight_ranks: Any) -> None:
    """The collectives do nothing, so the numbers are wrong; the bookkeeping is what is looked at."""
    model = Decoder(micro_model())
    init_weights(model, 0)
    shard(model, eight_ranks, "fp32")
    tokens = torch.ones(2, 16, dtype=torch.int64)
    model.token_losses(tokens, tokens).sum().backward()  # type: ignore[no-untyped-call]
    for p in model.parameters():
        assert p.grad is not None
        assert p.grad.to_local().shape == p.to_local().shape


def test_half_precision_with_scaling_is_not_for_shards() -> None:
    with pytest.raises(ConfigError, match="parallel ddp only"):
        LoopConfig(precision="fp16", parallel="fsdp")
