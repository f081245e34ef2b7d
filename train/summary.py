"""What a run has come to, read from its files, and its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from train.config import TrainConfig
from train.errors import ConfigError
from train.metrics import read_metrics
from train.run_page import render_run
from train.runfolder import RunFolder


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
    facts: Mapping[str, str] = {
        "preset": config.preset,
        "parameters": f"{summary.n_params:,}",
        "vocabulary": f"{config.model.vocab_size:,}",
        "steps": f"{summary.steps:,} of {config.loop.steps:,}",
        "batch": f"{config.data.batch_size} windows of {config.data.seq_len} tokens",
        "tokens trained": f"{summary.n_tokens:,} ({summary.epochs} epochs)",
        "training loss": f"{summary.first_loss:.4f} to {summary.last_loss:.4f} nats per token",
    }
    page = render_run(f"Training run: {config.preset}", facts, read_metrics(folder.metrics))
    folder.page.write_text(page, encoding="utf-8")
