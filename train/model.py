"""The decoder-only Transformer: one pre-norm block whose norm, MLP, positions and biases are configuration.

By default RMSNorm, SwiGLU, grouped queries, QK-norm, rotary positions and tied embeddings: module names and shapes are
those of Qwen3 in `transformers` (of Llama without `qk_norm`), so weights carry over. The preset `gpt2` is GPT-2.
Shapes: B batch, T positions, D model width, H query heads, G key/value heads, K head dim, V vocabulary, N = B * T.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from train.attention import (
    Backend,
    Documents,
    KVCache,
    attend,
    document_ids,
    keep_apart,
    positions_in_documents,
    rope_table,
    rotate,
)
from train.config import ModelConfig
from train.norms import RMSNorm, norm_of

IGNORED = -100  # a label that counts neither in the loss nor in the number of tokens
LOSS_ROWS = 8_192  # positions whose logits are held at once; more are done in pieces, and again in the backward pass

Rope = tuple[Tensor, Tensor] | None
Recompute = Literal["none", "selective", "full"]


class CrossEntropy(torch.autograd.Function):
    """-log softmax(logits)[label] per row, 0 where the label is IGNORED; the gradient takes the softmax's place.

    `F.cross_entropy` keeps the log-softmax, makes its gradient beside it and fills a third array in between. This
    reads and writes the [N, V] array half as often: 5 % of a whole step of the preset 5m on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, labels_N: Tensor) -> Tensor:
        """Return float32 [N] in nats."""
        softmax_NV = torch.softmax(logits_NV, dim=-1)
        counted_N = labels_N != IGNORED
        index_N1 = labels_N.clamp_min(0)[:, None]
        # log Z by way of the largest logit: its share is never so small that its logarithm suffers.
        log_z_N = logits_NV.amax(dim=-1) - softmax_NV.amax(dim=-1).log()
        ctx.softmax_NV, ctx.index_N1, ctx.counted_N = softmax_NV, index_N1, counted_N
        return (log_z_N - logits_NV.gather(1, index_N1)[:, 0]) * counted_N

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the logits; can be asked for once."""
        grad_NV, index_N1, scale_N = ctx.softmax_NV, ctx.index_N1, gradients[0] * ctx.counted_N
        del ctx.softmax_NV
        grad_NV.scatter_add_(1, index_N1, torch.full_like(index_N1, -1, dtype=grad_NV.dtype))
        return grad_NV.mul_(scale_N[:, None]), None


class Attention(nn.Module):
    """Causal self-attention of one layer."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim, self.dropout = config.head_dim, config.dropout
        bias = config.bias
        self.q_proj = nn.Linear(config.d_model, config.n_heads * config.head_dim, bias=bias)
        self.k_proj = nn.Linear(config.d_model, config.n_kv_heads * config.head_dim, bias=bias)
        self.v_proj = nn.Linear(config.d_model, config.n_kv_heads * config.head_dim, bias=bias)
        self.o_proj = nn.Linear(config.n_heads * config.head_dim, config.d_model, bias=bias)
        self.q_norm: nn.Module = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm: nn.Module = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()

    def forward(self, x_BTD: Tensor, rope: Rope, documents: Documents | None, cache: KVCache | None) -> Tensor:
        heads = (*x_BTD.shape[:2], -1, self.head_dim)
        q_BTHK = self.q_norm(self.q_proj(x_BTD).view(heads))
        k_BTGK = self.k_norm(self.k_proj(x_BTD).view(heads))
        if rope is not None:  # while heads lie beside each other in memory, which is faster than after the transpose
            q_BTHK, k_BTGK = rotate(q_BTHK, *rope), rotate(k_BTGK, *rope)
        q_BHTK, k_BGTK = q_BTHK.transpose(1, 2), k_BTGK.transpose(1, 2)
        v_BGTK = self.v_proj(x_BTD).view(heads).transpose(1, 2)
        if cache is not None:
            k_BGTK, v_BGTK = cache.append(self.layer, k_BGTK, v_BGTK)
        y_BHTK = attend(q_BHTK, k_BGTK, v_BGTK, documents, self.dropout if self.training else 0.0)
        return self.o_proj(y_BHTK.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) (arXiv 2002.05202)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.up_proj = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.down_proj = nn.Linear(config.d_ff, config.d_model, bias=config.bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))  # type: ignore[no-any-return]


class GELU(nn.Module):
    """down(gelu(up(x))), GELU by its tanh formula as GPT-2 has it (arXiv 1606.08415)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.down_proj = nn.Linear(config.d_ff, config.d_model, bias=config.bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.up_proj(x_BTD), approximate="tanh"))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and MLP, each on a normalised copy of the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.input_layernorm = norm_of(config)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = norm_of(config)
        self.mlp: nn.Module = GELU(config) if config.mlp == "gelu" else SwiGLU(config)

    def forward(self, x_BTD: Tensor, rope: Rope, documents: Documents | None, cache: KVCache | None) -> Tensor:
        x_BTD = x_BTD + self._drop(self.self_attn(self.input_layernorm(x_BTD), rope, documents, cache))
        return x_BTD + self._drop(self.mlp(self.post_attention_layernorm(x_BTD)))

    def _drop(self, x_BTD: Tensor) -> Tensor:
        return F.dropout(x_BTD, self.dropout, self.training) if self.dropout else x_BTD


class Decoder(nn.Module):
    """The language model: tokens in, logits or the summed loss out."""

    def __init__(self, config: ModelConfig, attention: Backend = "sdpa", recompute: Recompute = "none") -> None:
        super().__init__()
        self.config, self.attention, self.recompute = config, attention, recompute
        self.embed_tokens = nn.Embedding(config.padded_vocab_size, config.d_model)
        if config.positions == "learned":
            self.embed_positions = nn.Embedding(config.max_positions, config.d_model)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.norm = norm_of(config)
        if not config.tie_embeddings:
            self.lm_head = nn.Linear(config.d_model, config.padded_vocab_size, bias=False)

    def hidden(self, tokens_BT: Tensor, documents: Documents | None = None, cache: KVCache | None = None) -> Tensor:
        """Return the normalised last hidden states [B, T, D].

        With a cache, `tokens_BT` are the positions after those it holds. Learned and sinusoidal positions count from
        the start of a document where documents are kept apart; rotary ones need not, since only distances count.
        """
        first = 0 if cache is None else cache.n_seen
        place_T = torch.arange(first, first + tokens_BT.shape[1], device=tokens_BT.device)
        x_BTD = self.embed_tokens(tokens_BT)
        rope: Rope = None
        if self.config.positions == "rope":
            rope = rope_table(place_T, self.config.head_dim, self.config.rope_theta)
        else:
            places = place_T if documents is None else positions_in_documents(documents.ids_BT)
            x_BTD = x_BTD + self._position_vectors(places).type_as(x_BTD)
        if self.config.dropout:
            x_BTD = F.dropout(x_BTD, self.config.dropout, self.training)
        for layer in self.layers:
            if self.recompute != "none" and self.training and torch.is_grad_enabled():
                x_BTD = checkpoint(
                    layer, x_BTD, rope, documents, cache, use_reentrant=False, context_fn=_kept(self.recompute)
                )
            else:
                x_BTD = layer(x_BTD, rope, documents, cache)
        if cache is not None:
            cache.n_seen += tokens_BT.shape[1]
        return self.norm(x_BTD)  # type: ignore[no-any-return]

    def _position_vectors(self, places: Tensor) -> Tensor:
        """Return the vectors of positions, [..., D]."""
        if self.config.positions == "learned":
            return self.embed_positions(places)  # type: ignore[no-any-return]
        half = torch.arange(0, self.config.d_model, 2, dtype=torch.float32, device=places.device)
        angles = places[..., None].float() / 10_000.0 ** (half / self.config.d_model)
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)  # sine and cosine by turns

    def head(self, x: Tensor) -> Tensor:
        """Return logits [..., V] of hidden states [..., D]; the padding rows of the matrix never show."""
        weight = self.embed_tokens.weight if self.config.tie_embeddings else self.lm_head.weight
        return F.linear(x, weight)[..., : self.config.vocab_size]

    def forward(self, tokens_BT: Tensor, documents: Documents | None = None, cache: KVCache | None = None) -> Tensor:
        """Return logits [B, T, V]."""
        return self.head(self.hidden(tokens_BT, documents, cache))

    def token_losses(self, tokens_BT: Tensor, labels_BT: Tensor, mask_documents: bool = False) -> Tensor:
        """Return -log p(label) in nats, float32 [B, T], 0 where the label is IGNORED.

        `mask_documents` keeps a position from seeing other documents than its own.
        """
        documents = None
        if mask_documents:
            documents = keep_apart(document_ids(tokens_BT, self.config.eos_id), self.attention)
        x_ND = self.hidden(tokens_BT, documents).flatten(0, 1)
        labels_N = labels_BT.flatten()
        if len(labels_N) <= LOSS_ROWS:
            return self._row_losses(x_ND, labels_N).view_as(labels_BT).clone()  # FSDP2 warns of views
        pieces = [
            checkpoint(self._row_losses, x, labels, use_reentrant=False)
            for x, labels in zip(torch.split(x_ND, LOSS_ROWS), torch.split(labels_N, LOSS_ROWS), strict=True)
        ]
        return torch.cat(pieces).view_as(labels_BT).clone()

    def _row_losses(self, x_ND: Tensor, labels_N: Tensor) -> Tensor:
        losses_N: Tensor = CrossEntropy.apply(self.head(x_ND).float(), labels_N)  # type: ignore[no-untyped-call]
        return losses_N

    def n_params(self) -> int:
        """Count the trained numbers, a tied matrix once."""
        return sum(p.numel() for p in self.parameters())

    def flops_per_token(self, seq_len: int) -> int:
        """Return the floating point operations of one token, forward and backward: 6 per weight + 12 * L * H * K * T.

        The attention square is counted whole, as PaLM's MFU does (arXiv 2204.02311, appendix B).
        """
        c = self.config
        matrices = sum(p.numel() for name, p in self.named_parameters() if p.ndim == 2 and "embed_" not in name)
        if c.tie_embeddings:
            matrices += self.embed_tokens.weight.numel()
        return 6 * matrices + 12 * c.n_layers * c.n_heads * c.head_dim * seq_len


def _kept(recompute: Recompute) -> Callable[[], Any]:
    """Return what a block keeps for its backward pass, as `checkpoint` wants to be told."""
    if recompute == "full":
        return lambda: (nullcontext(), nullcontext())
    from torch.utils.checkpoint import create_selective_checkpoint_contexts

    return functools.partial(create_selective_checkpoint_contexts, list(_COSTLY))


# The products of a block, whose results cost more to make again than to keep: matrices and attention.
_COSTLY = (
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
)


@torch.no_grad()
def init_weights(model: Decoder, seed: int) -> None:
    """Fill all parameters from one seeded CPU generator, so every device and process starts equal.

    N(0, init_std), projections into the residual stream scaled by 1/sqrt(2 L) (GPT-2, section 2.3); padding rows are 0.
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    residual_std = config.init_std / math.sqrt(2 * config.n_layers)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        std = residual_std if name.endswith(("o_proj.weight", "down_proj.weight")) else config.init_std
        parameter.copy_(torch.empty(parameter.shape).normal_(0.0, std, generator=generator))
        if name.startswith(("embed_tokens", "lm_head")):
            parameter[config.vocab_size :] = 0.0
