"""The trainer's commands as plain functions: train, resume, generate, trace.

Torch is loaded when one runs, not before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from train.config import TrainConfig, build_config, first_difference, parse_settings, read_overrides
from train.errors import ConfigError
from train.runfolder import RunCard, RunFolder, read_card, write_card

if TYPE_CHECKING:
    from curate.shards import Manifest
    from train.data import Corpus
    from train.trace import TracedDocument


@dataclass(frozen=True)
class Summary:
    """The outcome of a run, as its files say."""

    run: Path
    status: Literal["trained", "already done"]
    steps: int
    n_params: int
    n_tokens: int  # labels trained on, repeats included
    epochs: float  # n_tokens over the tokens there are
    first_loss: float  # nats per token
    last_loss: float
    held_out_nats: dict[str, float]  # per token, by source, after the last step
    bits_per_byte: dict[str, float]
    checkpoint: Path


def train(
    tokens: Annotated[Path, "Folder of token shards (or of a run that has one)"],
    out: Annotated[Path, "Folder of the training run; an interrupted one goes on"],
    *,
    preset: Annotated[str, "Model size: tiny, small, 124m, 350m, 1.5b"] = "",
    steps: Annotated[int | None, "Updates to do in all"] = None,
    batch_size: Annotated[int | None, "Windows per update"] = None,
    seq_len: Annotated[int | None, "Tokens per window"] = None,
    learning_rate: Annotated[float | None, "Peak learning rate"] = None,
    seed: Annotated[int | None, "Decides the first weights and the order of the data"] = None,
    device: Annotated[str | None, "auto, cpu, cuda or cuda:N"] = None,
    config: Annotated[Path | None, "YAML file with the sections model, data, optim, loop"] = None,
    settings: Annotated[tuple[str, ...], "One option, as section.option=value; may be repeated"] = (),
) -> Summary:
    """Train a language model on token shards.

    Options win over `settings`, those over `config`, that over the preset. Run again, a finished run is left as it is
    and an interrupted one goes on; a folder of another configuration is refused.
    """
    overrides = read_overrides(config) if config is not None else {}
    named: dict[str, dict[str, Any]] = {
        "data": {"batch_size": batch_size, "seq_len": seq_len},
        "optim": {"learning_rate": learning_rate},
        "loop": {"steps": steps, "seed": seed, "device": device},
    }
    given = {section: {k: v for k, v in values.items() if v is not None} for section, values in named.items()}
    chosen = build_config(preset or str(overrides.get("preset", "tiny")), overrides, parse_settings(settings), given)
    return _train(tokens, RunFolder(out), chosen)


def resume(
    run: Annotated[Path, "Folder of the training run"],
    *,
    steps: Annotated[int | None, "A new total of updates; the schedule is stretched to it"] = None,
) -> Summary:
    """Go on with an interrupted run, or give a finished one more steps."""
    folder = RunFolder(run)
    card = read_card(folder)
    if card is None:
        raise ConfigError(f"{run} is not a training run; start one with `train`")
    config = card.config
    if steps is not None and steps != config.loop.steps:
        config = dataclasses.replace(config, loop=dataclasses.replace(config.loop, steps=steps))
        _refuse_fewer_steps(folder, steps)
        write_card(folder, dataclasses.replace(card, config=config))
    return _train(card.tokens, folder, config)


def generate(
    checkpoint: Annotated[Path, "Checkpoint folder, or the folder of a training run for its latest one"],
    prompt: Annotated[str, "Text to go on from; may be empty"],
    *,
    max_new_tokens: Annotated[int, "Tokens to write at most"] = 100,
    temperature: Annotated[float, "0 takes the likeliest token each time; higher is wilder"] = 0.8,
    top_k: Annotated[int, "Draw among the k likeliest tokens; 0 means all"] = 50,
    seed: Annotated[int, "The same seed writes the same text"] = 0,
    device: Annotated[str, "auto, cpu, cuda or cuda:N"] = "auto",
) -> str:
    """Write text with a trained model."""
    from train.generate import find_checkpoint, generate_text

    return generate_text(find_checkpoint(checkpoint), prompt, max_new_tokens, temperature, top_k, seed, device)


def trace(
    run: Annotated[Path, "Folder of the training run"],
    step: Annotated[int, "Step to look at; 1 is the first"],
    *,
    row: Annotated[int | None, "Row of the step's batch; all rows if not given"] = None,
) -> list[TracedDocument]:
    """List the documents that a training step read, with URL and place in the crawl."""
    from train.data import Corpus
    from train.trace import trace_step

    card = read_card(RunFolder(run))
    if card is None:
        raise ConfigError(f"{run} is not a training run")
    corpus = Corpus.open(card.tokens, card.config.data)
    _refuse_other_shards(card, corpus)
    return list(trace_step(card.config, corpus, step, row))


def _train(tokens: Path, folder: RunFolder, config: TrainConfig) -> Summary:
    from train.data import Corpus
    from train.loop import Trainer

    corpus = Corpus.open(tokens, config.data)
    config = _with_vocabulary(config, corpus.shards.manifest)
    card = read_card(folder)
    if card is not None:
        _refuse_other_config(folder, config, card.config)
        _refuse_other_shards(card, corpus)
    elif folder.path.is_dir() and any(folder.path.iterdir()) and not (folder.path / ".lock").is_file():
        raise ConfigError(f"{folder.path} is not empty and not a training run; give another folder")
    with folder.locked():
        trainer = Trainer(folder, config, corpus)
        if card is None:
            write_card(folder, RunCard(config, corpus.shards.folder, corpus.shards.sha256))
        trainer.restore()
        done = trainer.progress.step >= config.loop.steps
        if not done:
            trainer.run()
        summary = _summary(folder, config, corpus, trainer.model.n_params(), "already done" if done else "trained")
        if not done or not folder.page.is_file():
            _write_page(folder, config, summary)
    return summary


def _with_vocabulary(config: TrainConfig, manifest: Manifest) -> TrainConfig:
    for name, unset in (("vocab_size", 0), ("eos_id", -1)):
        asked, there = getattr(config.model, name), getattr(manifest, name)
        if asked not in (unset, there):
            raise ConfigError(f"model.{name} is {asked}, but the token shards have {there}; leave it out")
    model = dataclasses.replace(config.model, vocab_size=manifest.vocab_size, eos_id=manifest.eos_id)
    return dataclasses.replace(config, model=model)


def _refuse_other_config(folder: RunFolder, wanted: TrainConfig, there: TrainConfig) -> None:
    difference = first_difference(wanted, there)
    if difference is not None:
        hint = "; `resume --steps` changes the number of steps" if difference.startswith("loop.steps") else ""
        raise ConfigError(f"{folder.path} holds a run with another {difference}; give another folder{hint}")


def _refuse_other_shards(card: RunCard, corpus: Corpus) -> None:
    from train.errors import DataError

    if card.manifest_sha256 != corpus.shards.sha256:
        raise DataError(f"{corpus.shards.folder} no longer holds the token shards this run was started with")


def _refuse_fewer_steps(folder: RunFolder, steps: int) -> None:
    from train.checkpoint import latest_checkpoint, read_progress

    checkpoint = latest_checkpoint(folder.checkpoints)
    done = read_progress(checkpoint).step if checkpoint is not None else 0
    if steps < max(1, done):
        raise ConfigError(f"steps must be {max(1, done)} or more: the run has done {done}")


def _summary(
    folder: RunFolder, config: TrainConfig, corpus: Corpus, n_params: int, status: Literal["trained", "already done"]
) -> Summary:
    from train.checkpoint import latest_checkpoint
    from train.metrics import read_metrics

    rows = read_metrics(folder.metrics)
    losses = [row for row in rows if "loss" in row]
    scores = [row for row in rows if row.get("split") == "val" and row["step"] == config.loop.steps]
    checkpoint = latest_checkpoint(folder.checkpoints)
    if checkpoint is None or not losses:
        raise ConfigError(f"{folder.path} has lost its checkpoints or its metrics; train again in another folder")
    return Summary(
        run=folder.path,
        status=status,
        steps=config.loop.steps,
        n_params=n_params,
        n_tokens=int(losses[-1]["n_tokens"]),
        epochs=round(losses[-1]["n_tokens"] / corpus.n_tokens, 3),
        first_loss=float(losses[0]["loss"]),
        last_loss=float(losses[-1]["loss"]),
        held_out_nats={str(row["source"]): float(row["nats_per_token"]) for row in scores},
        bits_per_byte={str(r["source"]): float(r["bits_per_byte"]) for r in scores if r["bits_per_byte"] is not None},
        checkpoint=checkpoint,
    )


def _write_page(folder: RunFolder, config: TrainConfig, summary: Summary) -> None:
    from train.metrics import read_metrics
    from train.run_page import render_run

    rows = read_metrics(folder.metrics)
    facts: Mapping[str, Any] = {
        "preset": config.preset,
        "parameters": f"{summary.n_params:,}",
        "vocabulary": f"{config.model.vocab_size:,}",
        "steps": f"{summary.steps:,} of {config.data.batch_size} x {config.data.seq_len} tokens",
        "tokens trained": f"{summary.n_tokens:,} ({summary.epochs} epochs)",
        "training loss": f"{summary.first_loss:.4f} to {summary.last_loss:.4f} nats per token",
    }
    folder.page.write_text(render_run(f"Training run: {config.preset}", facts, rows), encoding="utf-8")
