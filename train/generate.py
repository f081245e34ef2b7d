"""Text from a checkpoint: sampling one token at a time with a cache of keys and values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from train.attention import KVCache
from train.checkpoint import latest_checkpoint, load_tensors, read_config, read_progress
from train.device import choose_device
from train.errors import CheckpointError, ConfigError
from train.model import Decoder


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint at `path`: the folder itself, or the latest one of a run; raises CheckpointError."""
    if (path / "state.json").is_file():
        return path
    for folder in (path / "checkpoints", path / "train" / "checkpoints", path):
        if (found := latest_checkpoint(folder)) is not None:
            return found
    raise CheckpointError(f"{path} holds no checkpoint; give a checkpoint folder or the folder of a training run")


def load_model(checkpoint: Path, device: torch.device) -> Decoder:
    """Return the model of a checkpoint, ready to predict, after its checksums were compared."""
    read_progress(checkpoint)
    model = Decoder(read_config(checkpoint).model)
    model.load_state_dict(load_tensors(checkpoint, "model"))
    return model.to(device).eval()


def generate_text(
    checkpoint: Path, prompt: str, max_new_tokens: int, temperature: float, top_k: int, seed: int, device: str = "auto"
) -> str:
    """Return the prompt and what the model writes after it, up to an end of document."""
    from tokenizers import Tokenizer

    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens must be 1 or more, got {max_new_tokens}")
    if temperature < 0 or not math.isfinite(temperature):
        raise ConfigError(f"temperature must be 0 or more, got {temperature}")
    if top_k < 0:
        raise ConfigError(f"top_k must be 0 (all) or more, got {top_k}")
    model = load_model(checkpoint, choose_device(device))
    config = read_config(checkpoint)
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    generator = torch.Generator().manual_seed(seed)
    ids = [config.model.eos_id, *prompt_ids]  # an EOS opens a document, as in training
    new_ids = sample(model, ids, config.data.seq_len, max_new_tokens, temperature, top_k, generator)
    return str(tokenizer.decode([*prompt_ids, *new_ids]))


@torch.no_grad()
def sample(
    model: Decoder,
    ids: Sequence[int],
    max_positions: int,
    max_new_tokens: int,
    temperature: float,
    top_k: int,
    generator: torch.Generator,
) -> list[int]:
    """Return up to `max_new_tokens` ids after `ids`, ending before an EOS.

    The model never sees more positions than it was trained on: when they are used up, the later half is read in again.
    """
    seen, new = list(ids), list[int]()
    cache = _new_cache(model, max_positions)
    unread = seen[-max_positions:]
    while True:
        logits_V = _next_logits(model, unread, cache)
        chosen = pick(logits_V, temperature, top_k, generator)
        if chosen == model.config.eos_id:
            return new
        new.append(chosen)
        if len(new) == max_new_tokens:
            return new
        seen.append(chosen)
        unread = [chosen]
        if cache.n_seen == max_positions:
            cache = _new_cache(model, max_positions)
            unread = seen[-max(1, max_positions // 2) :]


def pick(logits_V: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    """Draw one id in proportion to exp(logit / temperature) among the `top_k` likeliest (0 = all)."""
    logits_V = logits_V.float().cpu()
    if temperature == 0:
        return int(logits_V.argmax())
    if top_k:
        values_K, ids_K = logits_V.topk(min(top_k, len(logits_V)))
        return int(ids_K[_draw(values_K / temperature, generator)])
    return _draw(logits_V / temperature, generator)


def _draw(scores: Tensor, generator: torch.Generator) -> int:
    return int(torch.multinomial(torch.softmax(scores.double(), dim=-1), 1, generator=generator))


def _new_cache(model: Decoder, max_positions: int) -> KVCache:
    weight = model.embed_tokens.weight
    config = model.config
    return KVCache(config.n_layers, 1, config.n_kv_heads, max_positions, config.head_dim, weight.device, weight.dtype)


def _next_logits(model: Decoder, ids: Sequence[int], cache: KVCache) -> Tensor:
    tokens_BT = torch.tensor([ids], dtype=torch.int64, device=model.embed_tokens.weight.device)
    return model.head(model.hidden(tokens_BT, cache=cache)[0, -1])
