"""Start a run, take it up again, or refuse: what happens to a folder before and after the loop."""

from __future__ import annotations

import dataclasses
import errno
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from curate.shards import Manifest, TokenShards
from train.checkpoint import newest_whole
from train.config import TrainConfig
from train.data import Corpus
from train.errors import ConfigError, DataError, Stopped
from train.loop import Trainer
from train.model import Decoder
from train.overrides import first_difference
from train.parallel import World, joined
from train.runfolder import DataChange, RunCard, RunFolder, read_card, write_card
from train.summary import Summary, summarise, write_page

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OWN = (".lock", ".run.json.partial")  # what a start that was cut short leaves
log = logging.getLogger("train")


def launch(
    tokens: Path, folder: RunFolder, config: TrainConfig, allow_data_change: bool = False, *, extends: bool = False
) -> Summary:
    """Train in `folder` until all steps are done, from the latest checkpoint if there is one.

    `extends` lets a run have another number of steps than it was started with, no fewer than it has done. Raises
    ConfigError or DataError, before anything is written, when the folder holds another run, or one on other token
    shards: unless that is allowed, which is then noted in `run.json`. Raises Stopped when the disk is full.
    """
    with joined(config.loop.device) as world, _in_need_of_room():
        return _train(tokens, folder, config, world, allow_data_change, extends)  # by itself, so that it leaves nothing


def _train(
    tokens: Path, folder: RunFolder, config: TrainConfig, world: World, allow_data_change: bool, extends: bool
) -> Summary:
    corpus = Corpus.open(tokens, config.data)
    config = with_vocabulary(config, corpus.shards.manifest)
    with folder.locked() if world.leads else nullcontext():
        checked = _check_folder(folder, config, corpus, allow_data_change, extends) if world.leads else None
        started = world.same(checked)
        found = world.same(newest_whole(folder.checkpoints) if world.leads and started else None)
        if extends and world.leads:
            _extend(folder, config.loop.steps, found[1].step if found else 0)
        if found is not None and found[1].step >= config.loop.steps:
            return _already_done(folder, config, corpus, found[0])
        trainer = Trainer(folder, config, corpus, world, starts=found is None)
        if world.leads:
            _keep_card(folder, config, corpus, found[1].step if found else 0)
            log_packing(corpus)
        if found is not None:
            former_data = world.same(_former_data(folder) if world.leads else [])
            trainer.restore(found[0], found[1], former_data)
        trainer.run()
        return trainer.summary()


@contextmanager
def _in_need_of_room() -> Iterator[None]:
    """Raise Stopped, from which the same command goes on, where a disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise Stopped(f"no room to write: {error}; make some, and the same command goes on") from error


def with_steps(config: TrainConfig, steps: int) -> TrainConfig:
    """Return the configuration with another number of steps."""
    return dataclasses.replace(config, loop=dataclasses.replace(config.loop, steps=steps))


def _extend(folder: RunFolder, steps: int, n_done: int) -> None:
    """Give a run another number of steps, no fewer than it has done; its folder is locked."""
    if steps < n_done:
        raise ConfigError(f"steps must be {n_done} or more: the run has done {n_done}")
    card = read_card(folder)
    if card is not None and card.config.loop.steps != steps:
        write_card(folder, dataclasses.replace(card, config=with_steps(card.config, steps)))


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


def refuse_other_shards(card: RunCard, corpus: Corpus, advice: str = "") -> None:
    """Raise DataError, which names the field that changed, when the shards are not those of the run."""
    if card.manifest_sha256 != corpus.shards.sha256:
        name, before, after = _changed_fact(card, corpus)
        raise DataError(
            f"{corpus.shards.folder} no longer holds the token shards this run was started with: "
            f"{name} is {after}, was {before}{advice}"
        )


def log_packing(corpus: Corpus) -> None:
    """Say what the way of packing leaves empty."""
    if corpus.data.packing != "concat":
        n_rows, percent = sum(corpus.n_windows), 100 * corpus.padding_frac
        log.info("packing %s: %s rows, %.2f %% of them padding", corpus.data.packing, f"{n_rows:,}", percent)


def _changed_fact(card: RunCard, corpus: Corpus) -> tuple[str, int | str | None, int | str | None]:
    """Return the first fact of the manifest that differs, before and now."""
    now: Mapping[str, int | str] = corpus.shards.manifest.facts()
    for name in (*now, *card.facts) if card.facts else ():
        if card.facts.get(name) != now.get(name):
            return name, card.facts.get(name), now.get(name)
    return "manifest_sha256", card.manifest_sha256, corpus.shards.sha256


def _keep_card(folder: RunFolder, config: TrainConfig, corpus: Corpus, n_done: int) -> None:
    """Write what the run was started with, or note that it goes on with other shards."""
    card = read_card(folder)
    shards = corpus.shards
    if card is None:
        write_card(folder, RunCard(config, shards.folder, shards.sha256, shards.manifest.facts()))
    elif card.manifest_sha256 != shards.sha256:
        change = DataChange(n_done, *_changed_fact(card, corpus), card.manifest_sha256)
        told = (change.field, change.after, change.before)
        log.warning("other token shards from step %d on: %s is %s, was %s", n_done + 1, *told)
        changes = (*card.data_changes, change)
        now = RunCard(card.config, shards.folder, shards.sha256, shards.manifest.facts(), changes)
        write_card(folder, now)


def _former_data(folder: RunFolder) -> list[str]:
    card = read_card(folder)
    return [change.manifest_sha256 for change in card.data_changes] if card else []


def _check_folder(
    folder: RunFolder, config: TrainConfig, corpus: Corpus, allow_data_change: bool, extends: bool
) -> bool:
    """Return whether the folder already holds this run; raise for any other content."""
    card = read_card(folder)
    if card is None:
        if folder.path.exists() and not folder.path.is_dir():
            raise ConfigError(f"{folder.path} is a file; name a folder for the run")
        if folder.path.is_dir() and any(path.name not in _OWN for path in folder.path.iterdir()):
            raise ConfigError(f"{folder.path} is not empty and not a training run; give another folder")
        TokenShards.open(corpus.shards.folder, deep=True)  # once, before the first step: every byte, every id
        return False
    difference = first_difference(config, with_steps(card.config, config.loop.steps) if extends else card.config)
    if difference is not None:
        hint = "; `resume --steps` changes the number of steps" if difference.startswith("loop.steps") else ""
        raise ConfigError(
            f"{folder.path} holds a run with another {difference}, which cannot change within a run; "
            f"give another folder{hint}"
        )
    if not allow_data_change:
        refuse_other_shards(card, corpus, "; --allow-data-change goes on with these, and notes it")
    return True


def _already_done(folder: RunFolder, config: TrainConfig, corpus: Corpus, checkpoint: Path) -> Summary:
    with torch.device("meta"):
        n_params = Decoder(config.model).n_params()
    summary = summarise(folder, n_params, corpus.n_tokens, checkpoint, "already done")
    if not folder.page.is_file():
        write_page(folder, config, summary)
    return summary
