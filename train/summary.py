"""What a run has come to, read from its files, and its page."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from train.config import TrainConfig
from train.errors import ConfigError
from train.metrics import read_metrics
from train.run_page import render_run
from train.runfolder import RunFolder, read_card


@dataclass(frozen=True)
class Summary:
    """The outcome of a run."""

    run: Path
    status: Literal["trained", "already done"]
    steps: int
    n_params: int
    n_tokens: int  # labels trained on, repeats included
    epochs: float  # n_tokens over the training tokens there are
    first_loss: float  # nats per token
    last_loss: float
    held_out_nats: dict[str, float]  # per token, by source, after the last step
    bits_per_byte: dict[str, float]
    checkpoint: Path


def summarise(
    folder: RunFolder, n_params: int, corpus_tokens: int, checkpoint: Path, status: Literal["trained", "already done"]
) -> Summary:
    """Read the metrics of a run up to its newest checkpoint; raises ConfigError when they are gone."""
    rows = read_metrics(folder.metrics)
    losses = [row for row in rows if "loss" in row]
    if not losses:
        raise ConfigError(f"{folder.metrics} is gone or empty; train again in another folder")
    last = losses[-1]
    scores = [row for row in rows if row.get("split") == "val" and row["step"] == last["step"]]
    return Summary(
        run=folder.path,
        status=status,
        steps=int(last["step"]),
        n_params=n_params,
        n_tokens=int(last["n_tokens"]),
        epochs=round(last["n_tokens"] / corpus_tokens, 3),
        first_loss=float(losses[0]["loss"]),
        last_loss=float(last["loss"]),
        held_out_nats={str(row["source"]): float(row["nats_per_token"]) for row in scores},
        bits_per_byte={str(r["source"]): float(r["bits_per_byte"]) for r in scores if r["bits_per_byte"] is not None},
        checkpoint=checkpoint,
    )


def write_page(folder: RunFolder, config: TrainConfig, summary: Summary) -> None:
    """Write `run.html` for the steps done so far."""
    rows = read_metrics(folder.metrics)
    card = read_card(folder)
    model, data = config.model, config.data
    mixture = ", ".join(f"{source} {weight:g}" for source, weight in data.weights)
    facts: Mapping[str, str] = {
        "preset": config.preset,
        "parameters": f"{summary.n_params:,}",
        "network": f"{model.n_layers} layers of width {model.d_model}, "
        f"{model.n_heads} heads, {model.n_kv_heads} of them for keys and values",
        "vocabulary": f"{model.vocab_size:,}",
        "token shards": "unknown" if card is None else f"{card.tokens.name}, manifest {card.manifest_sha256[:16]}",
        "steps": f"{summary.steps:,} of {config.loop.steps:,}",
        "batch": f"{data.batch_size} windows of {data.seq_len} tokens",
        "packing": data.packing + (", documents kept apart" if data.mask_documents else ""),
        "mixture": mixture or "every window once an epoch",
        "tokens trained": f"{summary.n_tokens:,} ({summary.epochs} epochs)",
        "training loss": f"{summary.first_loss:.4f} to {summary.last_loss:.4f} nats per token",
        "optimizer": f"{config.optim.optimizer}, {config.optim.schedule}, peak {config.optim.learning_rate:g}",
        "seed": str(config.loop.seed),
    }
    page = render_run(f"Training run: {config.preset}", {**facts, **_speed(rows)}, rows)
    partial = folder.page.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, folder.page)


def _speed(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return device, speed and utilisation since the run was last started; the first step there may have compiled."""
    setups = [number for number, row in enumerate(rows) if row.get("split") == "setup"]
    if not setups:
        return {}
    setup = rows[setups[-1]]
    steps = [row for row in rows[setups[-1] :] if "loss" in row]
    facts = {"device": f"{setup['n_ranks']} × {setup['device']}, {setup['precision']}, torch {setup['torch']}"}
    for name, label, of in (
        ("mfu_frac", "MFU", f"of the data sheet's {(setup['peak_flops'] or 0) / 1e12:,.0f} dense bf16 TFLOP/s"),
        ("matmul_frac", "of its matrix products", f"of {(setup['matmul_flops'] or 0) / 1e12:,.3g} TFLOP/s, measured"),
    ):
        if found := [row[name] for row in steps[1:] or steps if name in row]:
            facts[label] = f"{statistics.median(found):.1%} {of}"
    if steps:
        later = steps[1:] or steps
        facts["tokens per second"] = f"{statistics.median(row['tokens_per_s'] for row in later):,.0f} (median step)"
        facts["waiting for data"] = f"{statistics.fmean(row['data_wait_frac'] for row in later):.2%} of the time"
        facts["memory"] = f"{max(row['memory_bytes'] for row in steps) / 1e9:,.2f} GB"
    return facts
