"""Tokens per second, MFU and memory of a training step over compile × attention × optimizer × precision.

    python benchmarks/gpu/step.py --presets 124m 350m --out steps.csv        # minutes on an H100
    python benchmarks/gpu/step.py --device cpu --presets 5m --rows 2 --steps 2 --compile false    # tries the script

Each line is one configuration: the model of a preset, `--rows` windows of its length, documents kept apart, random
tokens, so that nothing but the step is timed. MFU is against the data sheet's peak and against the matrix products
measured at the model's own shapes. The median of `--steps` steps after three that warm up.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from train.config import ConfigError, TrainConfig
from train.device import choose_autocast, choose_device
from train.model import Decoder, init_weights
from train.optim import Optimizers
from train.overrides import build_config
from train.peaks import matmul_flops, peak_flops

VOCAB = 50_304
DOC_TOKENS = 400  # about a web page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--presets", nargs="+", default=["124m", "350m"])
    parser.add_argument("--compile", nargs="+", default=["true", "false"])
    parser.add_argument("--attention", nargs="+", default=["none", "sdpa", "flex", "varlen"])
    parser.add_argument("--optimizer", nargs="+", default=["adamw", "muon"])
    parser.add_argument("--precision", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device = choose_device(given.device)
    rows: list[dict[str, Any]] = []
    for preset, compiled, attention, optimizer, precision in itertools.product(
        given.presets, given.compile, given.attention, given.optimizer, given.precision
    ):
        case = {"preset": preset, "compile": compiled, "attention": attention, "optimizer": optimizer}
        case["precision"] = precision
        try:
            rows.append(case | timed(case, given.rows, given.steps, device))
        except (ConfigError, NotImplementedError, torch.OutOfMemoryError) as error:
            rows.append(case | {"error": str(error).splitlines()[0]})
        print("  ".join(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
    write(rows, given.out)


def timed(case: dict[str, str], n_rows: int, n_steps: int, device: torch.device) -> dict[str, Any]:
    attention = "sdpa" if case["attention"] == "none" else case["attention"]
    options = {
        "model": {"vocab_size": VOCAB, "eos_id": 0},
        "optim": {"optimizer": case["optimizer"]},
        "loop": {"attention": attention, "precision": case["precision"], "compile": case["compile"] == "true"},
    }
    config = build_config(case["preset"], options)
    model = Decoder(config.model, config.loop.attention_on(device.type))
    init_weights(model, 0)
    model.to(device)
    if config.loop.compile:
        for layer in model.layers:
            layer.compile()
    optimizers = Optimizers(model, config.optim)
    autocast = choose_autocast(device, config.loop.precision_on(device.type))
    tokens, labels = batch(config, n_rows, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for number in range(n_steps + 3):
        wait(device)
        started = time.perf_counter()
        with autocast:
            loss = model.token_losses(tokens, labels, mask_documents=case["attention"] != "none").mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(torch.amp.GradScaler(device.type, enabled=False))
        optimizers.zero_grad()
        wait(device)
        if number >= 3:
            seconds.append(time.perf_counter() - started)
    rate = tokens.numel() / statistics.median(seconds)
    flops_per_s = rate * model.flops_per_token(config.data.seq_len)
    return {"tokens_per_s": round(rate)} | utilisation(config, n_rows, device, flops_per_s)


def utilisation(config: TrainConfig, n_rows: int, device: torch.device, flops_per_s: float) -> dict[str, Any]:
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(config.loop.precision_on(device.type), torch.float32)
    ceiling = matmul_flops(config.model, n_rows * config.data.seq_len, device, dtype)
    found: dict[str, Any] = {"of_products": round(flops_per_s / ceiling, 3)}
    if device.type == "cuda":
        peak = peak_flops(torch.cuda.get_device_name(device))
        found["mfu"] = None if peak is None else round(flops_per_s / peak, 3)
        found["gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    return found


def batch(config: TrainConfig, n_rows: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    row = torch.randint(1, VOCAB, (n_rows, config.data.seq_len + 1), generator=generator)
    row[torch.rand(row.shape, generator=generator) < 1 / DOC_TOKENS] = 0
    return row[:, :-1].to(device), row[:, 1:].to(device)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def write(rows: list[dict[str, Any]], path: Path | None) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") if path else sys.stdout as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
