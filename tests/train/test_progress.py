"""Mirrors train/progress.py and train/meter.py: the line a person sees, and the numbers behind it."""

from __future__ import annotations

import logging
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.micro import SETTINGS, micro_config
from train import api, progress
from train.meter import Meter, bytes_per_token, memory_bytes
from train.metrics import read_metrics
from train.parallel import World
from train.peaks import find_device, matmul_flops, products
from train.progress import Bar, Lines, describe, duration, log_to_stderr, shown_for

ALONE = World(0, 1, torch.device("cpu"))


def row(step: int, **more: float) -> dict[str, Any]:
    return {"step": step, "loss": 2.0, "tokens_per_s": 1000.0, "data_wait_frac": 0.01, "memory_bytes": 2 * 10**9} | more


def test_the_line_tells_what_was_measured_and_nothing_else() -> None:
    assert describe([row(1)]) == "loss 2.0000  1,000 tokens/s  data wait 1.0%  2.00 GB"
    full = row(2, bits_per_byte=1.25, mfu_frac=0.41, matmul_frac=0.523)
    assert "1.250 bits/byte" in describe([full])
    assert "MFU 41.0%  52.3% of matmul" in describe([full])
    # of two steps with equally many tokens, one at 1,000 and one at 3,000 tokens/s
    assert "loss 3.0000  1,500 tokens/s" in describe([row(1), row(2, loss=4.0, tokens_per_s=3000.0)])


def test_the_time_left_leaves_the_first_step_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, now = Lines(n_steps=100), [50.0]  # the first step was done at 50 s, however long it took
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines.step(row(11))
    assert "left" not in lines.line(11, now[0])
    now[0] = 70.0
    assert lines.line(21, now[0]).endswith("2 min 38 s left")  # 2 s a step, 79 steps
    assert "left" not in lines.line(100, now[0])


def test_a_line_is_logged_first_last_and_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = Lines(n_steps=300)
    with caplog.at_level(logging.INFO, logger="train"):
        for step in range(1, 301):
            lines.step(row(step))
            now[0] += 1.0
    steps = [int(record.getMessage().split()[1]) for record in caplog.records]
    assert steps == [1, 61, 121, 181, 241, 300]


def test_a_terminal_gets_a_bar_and_lines_above_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with (tmp_path / "terminal").open("w") as file:
        file.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stderr", file)
        with log_to_stderr():
            shown = shown_for(n_steps=3)
            assert isinstance(shown, Bar)
            shown.step(row(1))
            logging.getLogger("train").info("held-out")
            logging.getLogger("train").info("of %s", "web\x1b[31m\u202e")
            shown.step(row(2))
            shown.step(row(3))
            shown.close()
            logging.getLogger("train").info("afterwards")
        assert sys.stderr is file
    said = (tmp_path / "terminal").read_text()
    assert "3/3" in said
    assert "held-out\n" in said
    assert "of web\\x1b[31m\\u202e\n" in said  # what is in the shards does not steer the terminal
    assert "step 3 of 3  loss 2.0000" in said
    assert said.endswith("afterwards\n")


def test_nobody_listening_gets_no_bar() -> None:
    assert type(shown_for(3)) is Lines


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (0.4, "under 1 s"), (59, "59 s"), (61, "1 min 01 s"), (3700, "1 h 01 min"), (90_000, "1 d 01 h")],
)
def test_times_are_said_in_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_bits_per_byte_come_from_the_loss_and_the_manifest(tokens: Path) -> None:
    config, corpus = micro_config(tokens)
    manifest = corpus.shards.manifest
    train = [shard for shard in manifest.shards if shard.split == "train"]
    plain = sum(shard.text_bytes for shard in train) / sum(shard.n_tokens for shard in train)
    assert bytes_per_token(corpus) == pytest.approx(plain, rel=1e-12)
    measured = Meter(config, corpus, ALONE, 1000).step(loss=3.0, n_tokens=128, took_s=0.5, waited_s=0.1)
    assert measured["bits_per_byte"] == pytest.approx(3.0 / math.log(2) / plain)
    assert (measured["tokens_per_s"], measured["data_wait_frac"]) == (256.0, 0.2)
    assert "mfu_frac" not in measured  # a CPU has no peak in the table


def test_bits_per_byte_of_a_mixture_follow_its_weights(tokens: Path) -> None:
    weights = {"fables": 3.0, "news": 1.0}
    _, corpus = micro_config(tokens, data={"weights": weights})
    totals = corpus.shards.manifest.totals
    own = {source: totals[source, "train"].text_bytes / totals[source, "train"].n_tokens for source in weights}
    assert bytes_per_token(corpus) == pytest.approx((3 * own["fables"] + own["news"]) / 4)


def test_utilisation_is_work_over_what_the_device_can_do(tokens: Path) -> None:
    config, corpus = micro_config(tokens)
    meter = Meter(config, corpus, World(0, 2, torch.device("cpu")), flops_per_token=10_000)
    meter.peak, meter.matmul = 1e6, 8e5
    measured = meter.step(loss=1.0, n_tokens=100, took_s=1.0, waited_s=0.0)
    assert measured["mfu_frac"] == 0.5  # 10⁶ FLOP/s by two devices
    assert measured["matmul_frac"] == 0.625


def test_a_run_logs_what_it_was_done_with_and_held_out_bits_agree(tokens: Path, tmp_path: Path) -> None:
    settings = (*SETTINGS, "loop.measure_matmul=always", 'loop.sample_prompts=["", "The cat"]', "loop.eval_every=10")
    api.train(tokens, tmp_path, steps=30, seq_len=32, batch_size=4, device="cpu", learning_rate=0.01, settings=settings)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    setup, steps = rows[0], [r for r in rows if "loss" in r]
    assert (setup["split"], setup["precision"], setup["n_ranks"]) == ("setup", "fp32", 1)
    assert setup["matmul_flops"] > 1e8
    assert all(0 < r["matmul_frac"] < 1 for r in steps)
    flops = steps[-1]["tokens_per_s"] * setup["flops_per_token"]
    assert steps[-1]["matmul_frac"] == pytest.approx(flops / setup["matmul_flops"], abs=2e-4)
    assert all(r["memory_bytes"] > 10**7 for r in steps)
    held_out = [r for r in rows if r.get("split") == "val" and r["step"] == 30]
    assert steps[-1]["bits_per_byte"] == pytest.approx(held_out[0]["bits_per_byte"], rel=0.15)
    samples = [r for r in rows if r.get("split") == "sample"]
    assert [(r["step"], r["prompt"]) for r in samples] == [(30, ""), (30, "The cat")]
    assert samples[1]["text"].startswith("The cat")
    page = (tmp_path / "run.html").read_text()
    assert all(said in page for said in ("of its matrix products", "What the model writes", "After “The cat”"))
    assert "2 layers of width 32, 4 heads, 2 of them for keys and values" in page
    assert f"tokens, manifest {micro_config(tokens)[1].shards.sha256[:16]}" in page
    assert "The largest domains" not in page  # these shards name none


def test_samples_are_the_same_for_the_same_weights_and_leave_the_model_as_it_was(tokens: Path) -> None:
    from train.model import Decoder, init_weights
    from train.samples import in_one_piece, write_samples

    config, corpus = micro_config(tokens)
    model = Decoder(config.model)
    init_weights(model, 0)
    model.train()
    before = torch.get_rng_state()
    texts = [
        list(write_samples(model, corpus.shards.folder / "tokenizer.json", ("", "The"), 32, seed)) for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]
    assert model.training
    assert torch.equal(before, torch.get_rng_state())
    assert in_one_piece(model, leads=True) is model
    assert in_one_piece(model, leads=False) is None


def test_the_products_of_the_table_are_those_of_the_model(tokens: Path) -> None:
    from train.model import Decoder

    for changes in ({}, {"mlp": "gelu"}, {"tie_embeddings": False}):
        config, _ = micro_config(tokens, model=changes)
        model = Decoder(config.model)
        counted = sum(count * out * into for (out, into), count in products(config.model).items())
        attention = 2 * config.model.n_layers * config.model.n_heads * config.model.head_dim * 32
        assert 6 * (counted + attention) == model.flops_per_token(32)


def test_the_rate_of_products_is_a_rate(tokens: Path) -> None:
    config, _ = micro_config(tokens)
    state = torch.get_rng_state()
    rate = matmul_flops(config.model, 64, torch.device("cpu"), torch.float32)
    assert 1e8 < rate < 1e15
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("h100-pcie", 756e12),
        ("NVIDIA L40S", 362e12),
        ("L40", 181e12),
        ("l4", 121e12),
    ],
)
def test_devices_are_found_however_their_name_is_spelled(name: str, flops: float) -> None:
    device = find_device(name)
    assert device is not None
    assert device.peak_flops == flops


def test_memory_is_that_of_this_process() -> None:
    before = memory_bytes(torch.device("cpu"))
    held = torch.ones(30_000_000)
    assert memory_bytes(torch.device("cpu")) - before > 0.8 * held.numel() * 4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_reports_its_peak_and_its_matrix_products(tokens: Path, tmp_path: Path) -> None:
    api.train(tokens, tmp_path, steps=10, seq_len=32, batch_size=4, device="cuda", settings=SETTINGS)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert rows[0]["matmul_flops"] > 1e9
    for step in (r for r in rows if "loss" in r):
        assert 0 < step["matmul_frac"] < 1
        assert ("mfu_frac" in step) == (rows[0]["peak_flops"] is not None)
        assert step["memory_bytes"] > 0
