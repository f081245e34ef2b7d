"""The trainer's commands as plain functions: train, resume, generate, trace; torch is loaded only when one runs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any

from train.config import TrainConfig
from train.errors import ConfigError
from train.overrides import build_config, parse_settings, read_overrides
from train.runfolder import RunCard, RunFolder, read_card
from train.summary import Summary
from train.trace import TracedDocument, trace_step

__all__ = ["Summary", "generate", "resume", "trace", "train"]


def train(
    tokens: Annotated[Path, "Folder of token shards (or of a run that has one)"],
    out: Annotated[Path, "Folder of the training run; an interrupted one goes on"],
    *,
    preset: Annotated[str | None, "Model size: tiny (if not given), 5m, 30m, 124m, gpt2, 350m, 760m, 1.5b"] = None,
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
    _let_threads_sleep()
    from train.launch import launch

    chosen = configure(
        preset=preset, steps=steps, batch_size=batch_size, seq_len=seq_len, learning_rate=learning_rate,
        seed=seed, device=device, config=config, settings=settings,
    )  # fmt: skip
    return launch(Path(tokens), RunFolder(Path(out)), chosen)


def configure(
    *,
    preset: str | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    seq_len: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    config: Path | None = None,
    settings: tuple[str, ...] = (),
) -> TrainConfig:
    """Return the checked configuration that `train` would use; nothing is loaded or written.

    Raises ConfigError for an unknown option or a value out of range.
    """
    overrides = read_overrides(Path(config)) if config is not None else {}
    named: dict[str, dict[str, Any]] = {
        "data": {"batch_size": batch_size, "seq_len": seq_len},
        "optim": {"learning_rate": learning_rate},
        "loop": {"steps": steps, "seed": seed, "device": device},
    }
    given = {section: {k: v for k, v in values.items() if v is not None} for section, values in named.items()}
    chosen = preset or str(overrides.get("preset", "tiny"))
    return build_config(chosen, overrides, parse_settings(settings), given)


def resume(
    run: Annotated[Path, "Folder of the training run"],
    *,
    steps: Annotated[int | None, "A new total of updates; the schedule is stretched to it"] = None,
    device: Annotated[str | None, "auto, cpu, cuda or cuda:N; as the run was started if not given"] = None,
) -> Summary:
    """Go on with an interrupted run, or give a finished one more steps."""
    _let_threads_sleep()
    from train.device import choose_device
    from train.launch import extend, launch

    folder = RunFolder(Path(run))
    card = _card_of(folder)
    choose_device(device or "auto")  # a wrong one is refused before the number of steps is written
    config = card.config if steps is None or steps == card.config.loop.steps else extend(folder, card, steps)
    if device is not None:
        config = dataclasses.replace(config, loop=dataclasses.replace(config.loop, device=device))
    return launch(card.tokens, folder, config)


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
    _let_threads_sleep()
    from train.generate import find_checkpoint, generate_text

    return generate_text(find_checkpoint(Path(checkpoint)), prompt, max_new_tokens, temperature, top_k, seed, device)


def trace(
    run: Annotated[Path, "Folder of the training run"],
    step: Annotated[int, "Step to look at; 1 is the first"],
    *,
    row: Annotated[int | None, "Row of the step's batch; all rows if not given"] = None,
) -> list[TracedDocument]:
    """List the documents that a training step read, with URL and place in the crawl."""
    from train.data import Corpus
    from train.launch import refuse_other_shards

    card = _card_of(RunFolder(Path(run)))
    corpus = Corpus.open(card.tokens, card.config.data)
    refuse_other_shards(card, corpus)
    return list(trace_step(card.config, corpus, step, row))


def _let_threads_sleep() -> None:
    """Have OpenMP's threads sleep while they wait, unless told otherwise; must come before torch is loaded.

    By default they spin, which costs dearly where other work shares the cores: measured on two busy cores, 156 and 211
    tokens/s spinning, 895 and 916 sleeping.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _card_of(folder: RunFolder) -> RunCard:
    card = read_card(folder)
    if card is None:
        raise ConfigError(f"{folder.path} is not a training run; start one with `train`")
    return card
