"""Causal attention behind one function, rotary positions, and the cache of keys and values for generation.

Shapes: B batch, T positions, S positions with the cached ones, H query heads, G key/value heads, K head dim.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rope_table(positions_T: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cos and sin of the rotary angles, each [T, K] in float32.

    RoFormer (arXiv 2104.09864) pairs neighbours (2i, 2i+1); this pairs (i, i + K/2), as Llama and Qwen3 do, which is
    the same up to a permutation of the weights.
    """
    half = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions_T.device)
    inverse = 1.0 / (theta ** (half / head_dim))
    angles = torch.outer(positions_T.to(torch.float32), inverse)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Turn queries or keys by their positions' angles; computed in float32, returned in the dtype of the input."""
    left, right = x_BHTK.float().chunk(2, dim=-1)
    turned = torch.cat((-right, left), dim=-1)
    return (x_BHTK.float() * cos_TK + turned * sin_TK).type_as(x_BHTK)


class KVCache:
    """Keys and values of the positions already seen, one pair of buffers [B, G, max_len, K] per layer."""

    def __init__(
        self,
        n_layers: int,
        batch: int,
        n_kv_heads: int,
        max_len: int,
        head_dim: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (n_layers, batch, n_kv_heads, max_len, head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.max_len = max_len
        self.n_seen = 0  # advanced by the model after all layers have appended

    def append(self, layer: int, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new positions of one layer and return all keys and values of that layer, [B, G, S, K]."""
        end = self.n_seen + k_BGTK.shape[2]
        if end > self.max_len:
            raise ValueError(f"the cache holds {self.max_len} positions, {end} are needed")
        self.keys[layer, :, :, self.n_seen : end] = k_BGTK
        self.values[layer, :, :, self.n_seen : end] = v_BGTK
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


def document_ids(tokens_BT: Tensor, eos_id: int) -> Tensor:
    """Number the documents inside each window, [B, T]; an EOS opens the document after it, as a BOS would."""
    return (tokens_BT == eos_id).cumsum(dim=-1)


def document_mask(doc_BT: Tensor) -> Tensor:
    """Return the boolean mask [B, 1, T, T]: a position sees earlier positions and itself, of its own document only."""
    n_positions = doc_BT.shape[1]
    causal_TT = torch.ones(n_positions, n_positions, dtype=torch.bool, device=doc_BT.device).tril()
    return ((doc_BT[:, :, None] == doc_BT[:, None, :]) & causal_TT)[:, None]


def attend(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return softmax(q k / sqrt(K)) v, causal, [B, H, T, K].

    Without a mask the queries are the last T of S positions. A mask (True = visible) replaces that rule. PyTorch picks
    the kernel: FlashAttention on CUDA when there is no mask.
    """
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    n_queries, n_keys = q_BHTK.shape[2], k_BGSK.shape[2]
    if mask is None and 1 < n_queries < n_keys:
        mask = torch.ones(n_queries, n_keys, dtype=torch.bool, device=q_BHTK.device).tril(n_keys - n_queries)
    is_causal = mask is None and n_queries == n_keys
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, attn_mask=mask, is_causal=is_causal, enable_gqa=grouped
    )
