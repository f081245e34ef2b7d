"""Causal attention behind one function with three backends, rotary positions, and the cache for generation.

Shapes: B batch, T positions, S positions with the cached ones, H query heads, G key/value heads, K head dim.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Backend = Literal["sdpa", "flex", "varlen"]
VARLEN_DTYPES = (torch.float16, torch.bfloat16)  # FlashAttention's own


def rope_table(positions_T: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cos and sin of the rotary angles, each [T, K/2] in float32.

    RoFormer (arXiv 2104.09864) pairs neighbours (2i, 2i+1); this pairs (i, i + K/2), as Llama and Qwen3 do, which is
    the same up to a permutation of the weights.
    """
    half = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions_T.device)
    inverse = 1.0 / (theta ** (half / head_dim))
    angles = torch.outer(positions_T.to(torch.float32), inverse)
    return angles.cos(), angles.sin()


def rotate(x_BTHK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Turn queries or keys by their positions' angles; computed in float32, returned in the dtype of the input."""
    left, right = x_BTHK.float().chunk(2, dim=-1)
    cos, sin = cos_TK[:, None], sin_TK[:, None]
    turned = (torch.addcmul(left * cos, right, sin, value=-1), torch.addcmul(right * cos, left, sin))
    return torch.cat(turned, dim=-1).type_as(x_BTHK)


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


@dataclass(frozen=True)
class Documents:
    """Which positions of a batch belong together, in the form a backend wants; made once for all layers."""

    ids_BT: Tensor  # documents numbered within each row
    backend: Backend
    mask: Tensor | None = None  # sdpa: bool [B, 1, T, T], True = visible
    block_mask: Any = None  # flex: a BlockMask
    starts: Tensor | None = None  # varlen: int32 [B * T + 1], where documents start in the flattened batch
    longest: int = 0  # varlen: no document has more positions


def document_ids(tokens_BT: Tensor, eos_id: int) -> Tensor:
    """Number the documents inside each window, [B, T]; an EOS opens the document after it, as a BOS would."""
    return (tokens_BT == eos_id).cumsum(dim=-1)


def positions_in_documents(ids_BT: Tensor) -> Tensor:
    """Return each position's distance from the start of its document, int64 [B, T]."""
    n_positions = ids_BT.shape[1]
    place_T = torch.arange(n_positions, device=ids_BT.device)
    new_BT = torch.ones_like(ids_BT, dtype=torch.bool)
    new_BT[:, 1:] = ids_BT[:, 1:] != ids_BT[:, :-1]
    start_BT = torch.where(new_BT, place_T, 0).cummax(dim=1).values
    return place_T - start_BT


def document_mask(ids_BT: Tensor) -> Tensor:
    """Return the boolean mask [B, 1, T, T]: a position sees earlier positions and itself, of its own document only."""
    n_positions = ids_BT.shape[1]
    causal_TT = torch.ones(n_positions, n_positions, dtype=torch.bool, device=ids_BT.device).tril()
    return ((ids_BT[:, :, None] == ids_BT[:, None, :]) & causal_TT)[:, None]


def keep_apart(ids_BT: Tensor, backend: Backend = "sdpa") -> Documents:
    """Return what keeps the documents of a batch apart in `attend`.

    `sdpa` is the reference and runs everywhere, with a dense mask; `flex` skips blocks of other documents and trains
    on CUDA only (its backward pass has no CPU kernel in torch 2.13); `varlen` is FlashAttention on CUDA in half
    precision. Shapes never depend on the documents, so that nothing is compiled anew: `starts` is as long as the batch,
    filled up with its end.
    """
    if backend == "flex":
        return Documents(ids_BT, backend, block_mask=_block_mask(ids_BT))
    if backend == "varlen":
        starts, longest = _starts(ids_BT)
        return Documents(ids_BT, backend, starts=starts, longest=longest)
    return Documents(ids_BT, backend, mask=document_mask(ids_BT))


def attend(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    documents: Documents | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Return softmax(q k / sqrt(K)) v, causal, [B, H, T, K].

    Without `documents` the queries are the last T of S positions. With them a position sees its own document only.
    `dropout` drops attention weights (sdpa only). PyTorch picks the kernel: FlashAttention on CUDA without documents.
    """
    if documents is not None and documents.backend == "flex":
        return _flex(q_BHTK, k_BGSK, v_BGSK, documents.block_mask)
    if documents is not None and documents.backend == "varlen":
        return _varlen(q_BHTK, k_BGSK, v_BGSK, documents)
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    n_queries, n_keys = q_BHTK.shape[2], k_BGSK.shape[2]
    mask = None if documents is None else documents.mask
    if mask is None and 1 < n_queries < n_keys:
        mask = torch.ones(n_queries, n_keys, dtype=torch.bool, device=q_BHTK.device).tril(n_keys - n_queries)
    is_causal = mask is None and n_queries == n_keys
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, attn_mask=mask, dropout_p=dropout, is_causal=is_causal, enable_gqa=grouped
    )


def _block_mask(ids_BT: Tensor) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    def visible(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q >= k) & (ids_BT[b, q] == ids_BT[b, k])

    n_rows, n_positions = ids_BT.shape
    return create_block_mask(visible, n_rows, None, n_positions, n_positions, device=str(ids_BT.device))


@functools.cache
def _flex_attention(compiled: bool) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention) if compiled else flex_attention  # type: ignore[return-value]


def _flex(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, block_mask: Any) -> Tensor:
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    call = _flex_attention(q_BHTK.device.type == "cuda")
    return call(q_BHTK, k_BGSK, v_BGSK, block_mask=block_mask, enable_gqa=grouped)


def _starts(ids_BT: Tensor) -> tuple[Tensor, int]:
    """Return int32 [B * T + 1]: where documents start in the flattened batch, the end repeated; and T.

    The longest document is not looked up: that would wait for the device, and the kernel only wants a bound.
    """
    n_rows, n_positions = ids_BT.shape
    new_BT = torch.ones_like(ids_BT, dtype=torch.bool)  # each row begins a document
    new_BT[:, 1:] = ids_BT[:, 1:] != ids_BT[:, :-1]
    new_N = new_BT.flatten()
    n = n_rows * n_positions
    starts = torch.full((n + 1,), n, dtype=torch.int32, device=ids_BT.device)
    slot_N = torch.where(new_N, new_N.cumsum(0) - 1, n)  # those that begin nothing write the end into the last slot
    place_N = torch.arange(n, dtype=torch.int32, device=ids_BT.device)
    starts.scatter_(0, slot_N, torch.where(new_N, place_N, n).to(torch.int32))
    return starts, n_positions


def _varlen(q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, documents: Documents) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    if q_BHTK.dtype not in VARLEN_DTYPES:
        raise TypeError(f"varlen attention needs float16 or bfloat16, got {q_BHTK.dtype}")
    q_NHK, k_NGK, v_NGK = (x.transpose(1, 2).flatten(0, 1) for x in (q_BHTK, k_BGTK, v_BGTK))
    starts, longest = documents.starts, documents.longest
    assert starts is not None
    y_NHK = varlen_attn(q_NHK, k_NGK, v_NGK, starts, starts, longest, longest, window_size=(-1, 0), enable_gqa=True)
    assert isinstance(y_NHK, Tensor)
    return y_NHK.view(q_BHTK.shape[0], q_BHTK.shape[2], *y_NHK.shape[1:]).transpose(1, 2)
