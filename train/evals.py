"""Held-out loss per source: nats per token, and bits per byte, which can be compared across tokenizers.

Whole documents are scored, from the start of the `val` split up to a limit of tokens. An EOS stands before the first
one, so every token is predicted once. Bits per byte leave the EOS labels out, as nanochat leaves out special tokens:
they stand for no byte of text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from curate.shards import TokenStream
from train.data import Corpus, Ids, count_windows, stack
from train.model import IGNORED, Decoder


@dataclass(frozen=True)
class HeldOut:
    """The loss on one source's held-out documents."""

    source: str
    nats_per_token: float
    bits_per_byte: float | None  # None where the documents hold no text
    n_tokens: int
    n_docs: int
    text_bytes: int


def evaluate(model: Decoder, corpus: Corpus, max_tokens: int, autocast: torch.autocast) -> list[HeldOut]:
    """Score every source that has held-out documents; `max_tokens` per source, at least one document."""
    scores = []
    model.eval()
    for source in corpus.shards.sources:
        stream = corpus.shards.stream(source, "val")
        n_docs, n_tokens, text_bytes = held_out_prefix(stream, max_tokens)
        if n_tokens:
            scores.append(
                _score(model, corpus, autocast, source, stream.read(0, n_tokens).astype(np.int64), n_docs, text_bytes)
            )
    model.train()
    return scores


def held_out_prefix(stream: TokenStream, max_tokens: int) -> tuple[int, int, int]:
    """Return (documents, tokens, UTF-8 bytes) of the first whole documents within `max_tokens`, one at least."""
    n_docs = n_tokens = text_bytes = 0
    for shard in stream.shards:
        left = max_tokens - n_tokens
        fitting = int(np.searchsorted(shard.ends, np.uint64(max(0, left)), side="right"))
        fitting = max(fitting, 1 if n_docs == 0 else 0)
        fitting = min(fitting, shard.entry.n_docs)
        if fitting == 0:
            if shard.entry.n_docs:
                break
            continue
        n_docs += fitting
        n_tokens += int(shard.ends[fitting - 1])
        whole = fitting == shard.entry.n_docs
        text_bytes += (
            shard.entry.text_bytes if whole else sum(shard.provenance_table()["text_bytes"].to_pylist()[:fitting])
        )
        if not whole:
            break
    return n_docs, n_tokens, text_bytes


@torch.no_grad()
def _score(
    model: Decoder, corpus: Corpus, autocast: torch.autocast, source: str, ids: Ids, n_docs: int, text_bytes: int
) -> HeldOut:
    eos_id, seq_len = corpus.shards.manifest.eos_id, corpus.data.seq_len
    device = next(model.parameters()).device
    row = np.concatenate(([eos_id], ids))
    n_windows = count_windows(len(row), seq_len)
    n_rows = corpus.data.micro_batch_size or corpus.data.batch_size
    nats, text_nats = 0.0, 0.0
    for first in range(0, n_windows, n_rows):
        pieces = [row[w * seq_len : (w + 1) * seq_len + 1] for w in range(first, min(first + n_rows, n_windows))]
        batch = stack(pieces, seq_len, eos_id, corpus.shards.manifest.vocab_size)
        tokens_BT, labels_BT = torch.from_numpy(batch.tokens).to(device), torch.from_numpy(batch.labels).to(device)
        with autocast:
            losses_BT = model.token_losses(tokens_BT, labels_BT, corpus.data.mask_documents)
        nats += _total(losses_BT, labels_BT != IGNORED)
        text_nats += _total(losses_BT, (labels_BT != IGNORED) & (labels_BT != eos_id))
    bits_per_byte = text_nats / math.log(2) / text_bytes if text_bytes else None
    return HeldOut(source, nats / len(ids), bits_per_byte, len(ids), n_docs, text_bytes)


def _total(losses_BT: Tensor, chosen_BT: Tensor) -> float:
    return float(losses_BT.double().masked_fill(~chosen_BT, 0.0).sum())
