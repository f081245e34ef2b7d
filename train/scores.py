"""The answers of `curate eval`: a checkpoint scored on held-out text, on every document of a split, or on tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from curate.shards import TokenShards
from train.checkpoint import find_checkpoint, read_config
from train.data import Corpus
from train.device import choose_autocast, choose_device
from train.errors import ConfigError
from train.evals import HeldOut, evaluate, score_documents, write_document_losses
from train.generate import load_model, read_tokenizer
from train.runfolder import RunFolder, make_folder, read_card
from train.scoring import TaskScore, read_task, score_task


def score_split(
    path: Path, tokens: Path | None, split: str, max_tokens: int, per_document: Path | None, device: str
) -> list[HeldOut]:
    """Score the documents of a split, all of them where a row each is written. Raises ConfigError."""
    if split not in ("val", "train"):
        raise ConfigError(f"split is val or train, got {split!r}")
    if max_tokens < 1:
        raise ConfigError(f"max_tokens must be 1 or more, got {max_tokens}")
    if per_document is not None:
        if per_document.is_dir():
            raise ConfigError(f"{per_document} is a folder; name a Parquet file")
        make_folder(per_document.parent)
    checkpoint = find_checkpoint(path)
    config = read_config(checkpoint)
    shards = TokenShards.open(tokens or _tokens_of(checkpoint))
    corpus = Corpus(shards, config.data, (), ())  # nothing is trained on: there need not be a batch of it
    if not any(len(shards.stream(source, split)) for source in shards.sources):
        raise ConfigError(f"{shards.folder} has no documents of the split {split!r}")
    if corpus.shards.manifest.vocab_size != config.model.vocab_size:
        raise ConfigError(f"{corpus.shards.folder} has another vocabulary than {checkpoint}")
    if (corpus.shards.folder / "tokenizer.json").read_bytes() != (checkpoint / "tokenizer.json").read_bytes():
        raise ConfigError(f"{corpus.shards.folder} has another tokenizer than {checkpoint}")
    found = choose_device(device)
    model, autocast = load_model(checkpoint, found), choose_autocast(found, config.loop.precision_on(found.type))
    if per_document is None:
        return evaluate(model, corpus, max_tokens, autocast, split)
    partial = per_document.with_name(f".{per_document.name}.partial-{os.getpid()}")
    try:
        scores = write_document_losses(score_documents(model, corpus, split, autocast), partial, str(checkpoint))
        os.replace(partial, per_document)
    finally:
        partial.unlink(missing_ok=True)
    return scores


def score_tasks(path: Path, tasks: Sequence[Path], device: str) -> list[TaskScore]:
    """Score the questions of each file. All files are read before the first is scored."""
    checkpoint = find_checkpoint(path)
    read = [(task.name.removesuffix(".gz").removesuffix(".jsonl"), read_task(task)) for task in tasks]
    model = load_model(checkpoint, choose_device(device))
    tokenizer = read_tokenizer(checkpoint / "tokenizer.json")
    seq_len = read_config(checkpoint).data.seq_len
    return [score for name, items in read for score in score_task(name, items, model, tokenizer, seq_len)]


def _tokens_of(checkpoint: Path) -> Path:
    """Return the token shards that the run of a checkpoint was trained on."""
    card = read_card(RunFolder(checkpoint.resolve().parent.parent))
    if card is None:
        raise ConfigError(f"{checkpoint} is not within a training run; name the token shards with --tokens")
    return card.tokens
