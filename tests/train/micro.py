"""A model so small that twenty steps take a second."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from train.config import ModelConfig, TrainConfig
from train.data import Corpus
from train.model import Decoder, init_weights
from train.overrides import build_config

MODEL: dict[str, Any] = {"n_layers": 2, "d_model": 32, "n_heads": 4, "n_kv_heads": 2, "head_dim": 8, "d_ff": 64}
SETTINGS = tuple(f"model.{name}={value}" for name, value in MODEL.items())


def micro_model(vocab_size: int = 300, **changes: Any) -> ModelConfig:
    """Return the shape of the micro model."""
    return ModelConfig(**{**MODEL, "vocab_size": vocab_size, "eos_id": 0, **changes})


def lively_model(**changes: Any) -> Decoder:
    """Return a micro model with weights so large that every part of it matters."""
    model = Decoder(micro_model(**changes))
    init_weights(model, seed=1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.copy_(torch.linspace(0.5, 1.5, parameter.numel()))
            elif not name.startswith(("embed", "lm_head")):
                parameter.mul_(8)
    return model


def micro_config(tokens: Path, **sections: dict[str, Any]) -> tuple[TrainConfig, Corpus]:
    """Return a micro configuration for the given shards, and the shards opened."""
    base = {"model": MODEL, "data": {"seq_len": 32, "batch_size": 4}, "loop": {"steps": 20}}
    config = build_config("tiny", base, sections)
    corpus = Corpus.open(tokens, config.data)
    manifest = corpus.shards.manifest
    model = dataclasses.replace(config.model, vocab_size=manifest.vocab_size, eos_id=manifest.eos_id)
    return dataclasses.replace(config, model=model), corpus
