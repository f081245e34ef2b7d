"""Start a run, take it up again, or refuse: what happens to a folder before and after the loop."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path

import torch

from curate.shards import Manifest
from train.checkpoint import newest_whole
from train.config import TrainConfig
from train.data import Corpus
from train.errors import ConfigError, DataError
from train.loop import Trainer
from train.model import Decoder
from train.overrides import first_difference
from train.parallel import joined
from train.runfolder import RunCard, RunFolder, read_card, write_card
from train.summary import Summary, summarise, write_page


def launch(tokens: Path, folder: RunFolder, config: TrainConfig) -> Summary:
    """Train in `folder` until all steps are done, from the latest checkpoint if there is one.

    Raises ConfigError or DataError, before anything is written, when the folder holds another run.
    """
    with joined(config.loop.device) as world:
        corpus = Corpus.open(tokens, config.data)
        config = with_vocabulary(config, corpus.shards.manifest)
        with folder.locked() if world.leads else nullcontext():
            started = world.same(_check_folder(folder, config, corpus) if world.leads else None)
            found = world.same(newest_whole(folder.checkpoints) if world.leads and started else None)
            if found is not None and found[1].step >= config.loop.steps:
                return _already_done(folder, config, corpus, found[0])
            trainer = Trainer(folder, config, corpus, world)
            if world.leads and not started:
                write_card(folder, RunCard(config, corpus.shards.folder, corpus.shards.sha256))
            if found is not None:
                trainer.restore(*found)
            trainer.run()
            return trainer.summary()


def extend(folder: RunFolder, card: RunCard, steps: int) -> TrainConfig:
    """Give a run another number of steps, no fewer than it has done, and return its new configuration."""
    found = newest_whole(folder.checkpoints)
    done = found[1].step if found is not None else 0
    if steps < max(1, done):
        raise ConfigError(f"steps must be {max(1, done)} or more: the run has done {done}")
    config = dataclasses.replace(card.config, loop=dataclasses.replace(card.config.loop, steps=steps))
    write_card(folder, dataclasses.replace(card, config=config))
    return config


def with_vocabulary(config: TrainConfig, manifest: Manifest) -> TrainConfig:
    """Return the configuration with the shards' vocabulary; raises ConfigError when it asks for another."""
    for name, unset in (("vocab_size", 0), ("eos_id", -1)):
        asked, there = getattr(config.model, name), getattr(manifest, name)
        if asked not in (unset, there):
            raise ConfigError(f"model.{name} is {asked}, but the token shards have {there}; leave it out")
    model = dataclasses.replace(config.model, vocab_size=manifest.vocab_size, eos_id=manifest.eos_id)
    if model.positions == "learned":
        if 0 < model.max_positions < config.data.seq_len:
            raise ConfigError(f"model.max_positions {model.max_positions} is below data.seq_len {config.data.seq_len}")
        model = dataclasses.replace(model, max_positions=model.max_positions or config.data.seq_len)
    return dataclasses.replace(config, model=model)


def refuse_other_shards(card: RunCard, corpus: Corpus) -> None:
    """Raise DataError when the shards are not those the run was started with."""
    if card.manifest_sha256 != corpus.shards.sha256:
        raise DataError(f"{corpus.shards.folder} no longer holds the token shards this run was started with")


def _check_folder(folder: RunFolder, config: TrainConfig, corpus: Corpus) -> bool:
    """Return whether the folder already holds this run; raise for any other content."""
    card = read_card(folder)
    if card is None:
        if folder.path.exists() and not folder.path.is_dir():
            raise ConfigError(f"{folder.path} is a file; name a folder for the run")
        if folder.path.is_dir() and any(path.name != ".lock" for path in folder.path.iterdir()):
            raise ConfigError(f"{folder.path} is not empty and not a training run; give another folder")
        return False
    difference = first_difference(config, card.config)
    if difference is not None:
        hint = "; `resume --steps` changes the number of steps" if difference.startswith("loop.steps") else ""
        raise ConfigError(f"{folder.path} holds a run with another {difference}; give another folder{hint}")
    refuse_other_shards(card, corpus)
    return True


def _already_done(folder: RunFolder, config: TrainConfig, corpus: Corpus, checkpoint: Path) -> Summary:
    with torch.device("meta"):
        n_params = Decoder(config.model).n_params()
    summary = summarise(folder, n_params, corpus.n_tokens, checkpoint, "already done")
    if not folder.page.is_file():
        write_page(folder, config, summary)
    return summary
