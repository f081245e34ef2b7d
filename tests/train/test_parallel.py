"""Mirrors train/parallel.py: one process and several do the same, and a run may change their number."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.helpers import ROOT
from tests.train.distributed import DIE, HARD, SOFT, TERM, run
from tests.train.micro import micro_model
from train.checkpoint import find_checkpoint, read_progress
from train.config import ConfigError, LoopConfig
from train.metrics import read_metrics
from train.model import Decoder, init_weights
from train.optim import Optimizers
from train.overrides import build_config
from train.parallel import shard
from train.tensor_files import load_tensors

PROGRAM = [sys.executable, str(ROOT / "tests" / "train" / "distributed.py")]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", PROGRAM[1]]
BEST_FIT = ("data.packing=best_fit", "data.mask_documents=true")
PACKINGS = {"concat": (), "best_fit": BEST_FIT}
EVERY = "loop.checkpoint_every=2"
# on two processes, each the same as the run of its packing on one
SAME = {
    "ddp": ("concat", "loop.parallel=ddp", "data.micro_batch_size=2"),
    "fsdp": ("concat", "loop.parallel=fsdp", "data.micro_batch_size=2"),
    "fsdp-whole": ("concat", "loop.parallel=fsdp", "loop.recompute=full"),
    "ddp-best_fit": ("best_fit", "loop.parallel=ddp", "data.micro_batch_size=1"),
    "fsdp-best_fit": ("best_fit", "loop.parallel=fsdp", "data.micro_batch_size=2"),
}
MUON = ("optim.optimizer=muon", "loop.parallel=fsdp")
Run = tuple[str, tuple[str, ...], dict[str, Any]]


def environment(**more: str) -> dict[str, str]:
    package = str(Path(sys.modules["train"].__file__ or "").resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, str(ROOT)]), "OMP_NUM_THREADS": "1", **more}


def written(folder: Path, runs: list[Run]) -> str:
    path = folder / "runs.json"
    path.write_text(json.dumps([(str(folder / name), settings, options) for name, settings, options in runs]))
    return str(path)


def seen(out: Path, n_ranks: int) -> list[dict[str, Any]]:
    """Return what each process wrote about its part."""
    return [json.loads(out.with_name(f"{out.name}.rank{rank}.json").read_text()) for rank in range(n_ranks)]


def rows_of_steps(out: Path, n_ranks: int) -> dict[str, list[str]]:
    """Return the rows of each step, those of the processes one after another."""
    parts = [part["rows"] for part in seen(out, n_ranks)]
    return {step: [row for part in parts for row in part[step]] for step in parts[0]}


def assert_same(ours: Path, theirs: Path) -> None:
    """Losses, gradient norms and held-out scores to 1e-5, and each tensor to 1e-5 of its norm."""
    left, right = (read_metrics(out / "metrics.jsonl") for out in (ours, theirs))
    for name in ("loss", "grad_norm", "nats_per_token"):
        theirs_of = [row[name] for row in right if name in row]
        assert len(theirs_of) >= 2
        assert [row[name] for row in left if name in row] == pytest.approx(theirs_of, rel=1e-5)
    for name in ("model", "optimizer"):
        mine, other = (load_tensors(find_checkpoint(path), name) for path in (ours, theirs))
        assert mine.keys() == other.keys()
        for key in mine:
            assert (mine[key] - other[key]).norm() <= 1e-5 * other[key].norm(), key
    assert read_progress(find_checkpoint(ours)) == read_progress(find_checkpoint(theirs))


@pytest.fixture(scope="module")
def alone(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run on one process by way of packing, and one with Muon."""
    folder = tmp_path_factory.mktemp("alone")
    for packing, settings in PACKINGS.items():
        assert run(tokens, folder / packing, *settings) == ""
    assert run(tokens, folder / "muon", *MUON, steps=3) == ""
    return folder


@pytest.fixture(scope="module")
def together(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs on two processes, which torchrun started once for all of them.

    The processes are gone without a word behind the checkpoint of step 2 of the last one.
    """
    folder = tmp_path_factory.mktemp("together")
    runs: list[Run] = [(name, (*PACKINGS[packing], *more), {}) for name, (packing, *more) in SAME.items()]
    runs += [("muon", MUON, {"steps": 3}), ("seven", (), {"batch_size": 7})]
    runs += [("stopped", (), {"harm": TERM, "after": 1, "to": 1})]
    restarted = ("loop.parallel=fsdp", EVERY)
    runs += [("restart-best_fit", (*BEST_FIT, *restarted), {"harm": SOFT, "after": 2})]
    runs += [("restart-concat", restarted, {"harm": HARD, "after": 2})]
    words = [*TORCHRUN, str(tokens), written(folder, runs)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, env=environment(), check=False)
    assert "exitcode  : 9" in done.stderr, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_two_ranks_train_as_one(alone: Path, together: Path, name: str) -> None:
    packing = SAME[name][0]
    assert_same(together / name, alone / packing)
    assert rows_of_steps(together / name, 2) == rows_of_steps(alone / packing, 1)


@pytest.mark.slow
def test_muon_moves_shards_as_it_moves_the_whole(alone: Path, together: Path) -> None:
    losses = [
        [row["loss"] for row in read_metrics(f / "muon" / "metrics.jsonl") if "loss" in row] for f in (alone, together)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)  # its steps are in bf16
    assert len(losses[0]) == 3


@pytest.mark.slow
def test_a_batch_that_ranks_cannot_share_is_refused(together: Path) -> None:
    said = "ConfigError: batch_size (7) must be a multiple of the number of ranks (2)"
    assert [part["error"] for part in seen(together / "seven", 2)] == [said, said]
    assert not (together / "seven" / "run.json").exists()


@pytest.mark.slow
def test_all_stop_when_one_is_asked_to_and_one_alone_goes_on(tokens: Path, alone: Path, together: Path) -> None:
    said = "Stopped: stopped after step 3 of 6; the same command goes on from there"
    assert [part["error"] for part in seen(together / "stopped", 2)] == [said, said]
    assert run(tokens, together / "stopped") == ""
    assert_same(together / "stopped", alone / "concat")


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_ranks(tokens: Path, alone: Path, together: Path) -> None:
    """Two ranks, one, two again, with a crash each time; how they share the work changes as well.

    Then one of two processes dies in the middle of a step, and the other says so. No thread that talks to another
    process may outlive a run: one that lets go of a tensor while Python shuts down aborts the process.
    """
    last: list[Run] = []
    for packing, shared in (("concat", "ddp"), ("best_fit", "fsdp")):
        out, settings = together / f"restart-{packing}", (*PACKINGS[packing], EVERY)
        assert read_progress(find_checkpoint(out)).step == 2
        assert run(tokens, out, *settings, "data.micro_batch_size=2", harm=SOFT, after=4).startswith("Crash")
        assert sorted(seen(out, 1)[0]["rows"]) == ["2", "3"]
        last.append((out.name, (*settings, f"loop.parallel={shared}", "loop.recompute=selective"), {}))
    last.append(("dies", (EVERY,), {"harm": DIE, "after": 3, "to": 1}))
    assert on_two_processes(tokens, together, last) == [0, 9]
    for packing in PACKINGS:
        assert_same(together / f"restart-{packing}", alone / packing)
        expected = rows_of_steps(alone / packing, 1)
        assert rows_of_steps(together / f"restart-{packing}", 2) == {step: expected[step] for step in "45"}
        assert [part["threads"] for part in seen(together / f"restart-{packing}", 2)] == [[], []]
    (left,) = seen(together / "dies", 1)
    assert left["error"].startswith("PeerLost: another process ended or does not answer")
    assert left["threads"] == []
    assert read_progress(find_checkpoint(together / "dies")).step == 2


def on_two_processes(tokens: Path, folder: Path, runs: list[Run]) -> list[int]:
    """Start the program twice, as a cluster does that has no torchrun; return how the processes ended."""
    for _, _, options in runs:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            options["port"] = str(free.getsockname()[1])
    words = [*PROGRAM, str(tokens), written(folder, runs)]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    ranks = [subprocess.Popen(words, env=environment(**place, RANK=rank, LOCAL_RANK=rank)) for rank in "01"]
    try:
        return [process.wait(timeout=200) for process in ranks]
    finally:
        for process in ranks:
            process.kill()


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
    whole = {name: p.shape for name, p in model.named_parameters()}
    assert {name: p.shape for name, p in local.items()} == {n: (-(-s[0] // 8), *s[1:]) for n, s in whole.items()}
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
