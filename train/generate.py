"""Text from a checkpoint: sampling one token at a time with a cache of keys and values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train.attention import KVCache
from train.checkpoint import read_config
from train.device import choose_device
from train.errors import ConfigError
from train.model import Decoder
from train.tensor_files import load_tensors


@dataclass(frozen=True)
class Drawing:
    """How the next token is drawn. Raises ConfigError for a value out of range."""

    temperature: float = 0.8  # 0 takes the likeliest token
    top_k: int = 50  # among the k likeliest; 0 means all
    top_p: float = 1.0  # among the likeliest that together have this probability (arXiv 1904.09751)

    def __post_init__(self) -> None:
        if self.temperature < 0 or not math.isfinite(self.temperature):
            raise ConfigError(f"temperature must be 0 or more, got {self.temperature}")
        if self.top_k < 0:
            raise ConfigError(f"top_k must be 0 (all) or more, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, got {self.top_p}")

    def pick(self, logits_V: Tensor, generator: torch.Generator) -> int:
        """Draw one id in proportion to exp(logit / temperature) among those that `top_k` and `top_p` leave."""
        logits_V = logits_V.float().cpu()
        if self.temperature == 0:
            return int(logits_V.argmax())
        if not self.top_k and self.top_p == 1:
            return _draw(self._scores(logits_V), generator)
        n = min(self.top_k or len(logits_V), len(logits_V))
        values_K, ids_K = logits_V.topk(n)
        scores_K = self._scores(values_K)
        if self.top_p < 1:
            above_K = torch.softmax(scores_K, dim=-1).cumsum(0)
            scores_K = scores_K[: int((above_K < self.top_p).sum()) + 1]  # the one that passes top_p is the last
        return int(ids_K[_draw(scores_K, generator)])

    def _scores(self, logits: Tensor) -> Tensor:
        """Return float64 logits over the temperature, the largest 0: no temperature is too small for that."""
        return (logits.double() - logits.max()) / self.temperature


def load_model(checkpoint: Path, device: torch.device) -> Decoder:
    """Return the model of a checkpoint that `find_checkpoint` found whole, ready to predict."""
    model = Decoder(read_config(checkpoint).model)
    model.load_state_dict(load_tensors(checkpoint, "model"))
    return model.to(device).eval()


def read_tokenizer(path: Path) -> Any:
    """Return a tokenizer to which `<|endoftext|>` in a text is text, as it is where documents become tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def generate_text(
    checkpoint: Path, prompt: str, max_new_tokens: int, drawing: Drawing, seed: int, device: str = "auto"
) -> str:
    """Return the prompt and what the model writes after it, up to an end of document."""
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens must be 1 or more, got {max_new_tokens}")
    if not 0 <= seed < 1 << 63:
        raise ConfigError(f"seed must be 0 or more and below 2^63, got {seed}")
    model = load_model(checkpoint, choose_device(device))
    config = read_config(checkpoint)
    tokenizer = read_tokenizer(checkpoint / "tokenizer.json")
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    generator = torch.Generator().manual_seed(seed)
    ids = [config.model.eos_id, *prompt_ids]  # an EOS opens a document, as in training
    new_ids = sample(model, ids, config.data.seq_len, max_new_tokens, drawing, generator)
    return str(tokenizer.decode([*prompt_ids, *new_ids]))


@torch.no_grad()
def sample(
    model: Decoder,
    ids: Sequence[int],
    max_positions: int,
    max_new_tokens: int,
    drawing: Drawing,
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
        chosen = drawing.pick(logits_V, generator)
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


def _draw(scores: Tensor, generator: torch.Generator) -> int:
    return int(torch.multinomial(torch.softmax(scores, dim=-1), 1, generator=generator))


def _new_cache(model: Decoder, max_positions: int) -> KVCache:
    weight = model.embed_tokens.weight
    config = model.config
    return KVCache(config.n_layers, 1, config.n_kv_heads, max_positions, config.head_dim, weight.device, weight.dtype)


def _next_logits(model: Decoder, ids: Sequence[int], cache: KVCache) -> Tensor:
    tokens_BT = torch.tensor([ids], dtype=torch.int64, device=model.embed_tokens.weight.device)
    return model.head(model.hidden(tokens_BT, cache=cache)[0, -1])
