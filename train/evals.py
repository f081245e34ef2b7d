"""Held-out loss per source, domain and document: nats per token, and bits per byte, which compare across tokenizers.

Whole documents are scored. An EOS stands before the first one, so every token is predicted once. Bits per byte leave
the EOS labels out, as nanochat leaves out special tokens: they stand for no byte of text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from curate.shards import TokenShard, TokenStream
from train.data import Corpus, Ids, count_windows, stack
from train.model import IGNORED, Decoder
from train.parallel import World

N_DOMAINS = 20  # of a source, the largest by text
CHUNK_DOCS = 1_024  # documents scored and written at once

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """The loss on held-out documents of one source, or of one domain of it."""

    source: str
    nats_per_token: float
    perplexity: float
    bits_per_byte: float | None  # None where the documents hold no text
    n_tokens: int
    n_docs: int
    text_bytes: int
    domain: str | None = None  # None for all of the source

    def in_words(self) -> str:
        """Return the score as a log line has it."""
        bits = "" if self.bits_per_byte is None else f", {self.bits_per_byte:.4f} bits per byte"
        return f"{self.nats_per_token:.4f} nats per token, perplexity {self.perplexity:.1f}{bits}"


@dataclass(frozen=True)
class DocumentLosses:
    """Parallel arrays, one entry per document: nats over all its tokens, and over those that stand for text."""

    nats: Floats
    text_nats: Floats
    n_tokens: NDArray[np.int64]
    provenance: pa.Table

    def held_out(self, source: str) -> HeldOut:
        """Return the loss over all the documents."""
        return _held_out(self, source, None, np.ones(len(self.nats), dtype=bool))

    def by_domain(self, source: str) -> list[HeldOut]:
        """Return the loss of the N_DOMAINS domains with most text; nothing where the shards name no domains."""
        if "domain" not in self.provenance.column_names:
            return []
        domains = np.array([domain or "" for domain in self.provenance["domain"].to_pylist()])
        text_bytes = self.provenance["text_bytes"].to_numpy()
        names, where = np.unique(domains, return_inverse=True)
        sizes = np.bincount(where, weights=text_bytes, minlength=len(names))
        largest = sorted((k for k in range(len(names)) if names[k]), key=lambda k: (-sizes[k], names[k]))[:N_DOMAINS]
        return [_held_out(self, source, str(names[k]), where == k) for k in largest]


def _held_out(losses: DocumentLosses, source: str, domain: str | None, chosen: NDArray[np.bool_]) -> HeldOut:
    n_tokens = int(losses.n_tokens[chosen].sum())
    text_bytes = int(losses.provenance["text_bytes"].to_numpy()[chosen].sum())
    nats = math.fsum(losses.nats[chosen]) / n_tokens
    bits = math.fsum(losses.text_nats[chosen]) / math.log(2) / text_bytes if text_bytes else None
    return HeldOut(source, nats, math.exp(min(nats, 700.0)), bits, n_tokens, int(chosen.sum()), text_bytes, domain)


def evaluate(
    model: Decoder,
    corpus: Corpus,
    max_tokens: int,
    autocast: torch.autocast,
    split: str = "val",
    world: World | None = None,
) -> list[HeldOut]:
    """Score every source that has documents in the split, and its largest domains; `max_tokens` per source.

    Documents stand one after another in windows, as in training; at least one of each source is scored. The processes
    of a `world` share the work and have the same result.
    """
    scores = []
    model.eval()
    for source in corpus.shards.sources:
        stream = corpus.shards.stream(source, split)
        n_docs, n_tokens = held_out_prefix(stream, max_tokens)
        if n_tokens:
            rows = pa.concat_tables(_first_rows(stream, n_docs))
            ids = stream.read(0, n_tokens).astype(np.int64)
            losses = _packed(model, corpus, autocast, ids, rows, world)
            scores += [losses.held_out(source), *losses.by_domain(source)]
    model.train()
    return scores


def held_out_prefix(stream: TokenStream, max_tokens: int) -> tuple[int, int]:
    """Return (documents, tokens) of the first whole documents within `max_tokens`, one document at least."""
    n_docs = n_tokens = 0
    for shard in stream.shards:
        left = max_tokens - n_tokens
        fitting = int(np.searchsorted(shard.ends, np.uint64(max(0, left)), side="right"))
        fitting = min(max(fitting, 1 if n_docs == 0 else 0), shard.entry.n_docs)
        n_docs += fitting
        n_tokens += int(shard.ends[fitting - 1]) if fitting else 0
        if fitting < shard.entry.n_docs:
            break
    return n_docs, n_tokens


def _first_rows(stream: TokenStream, n_docs: int) -> list[pa.Table]:
    found, left = [], n_docs
    for shard in stream.shards:
        if left > 0:
            rows = shard.provenance_table()
            found.append(rows.slice(0, left))
            left -= rows.num_rows
    return found


@torch.no_grad()
def _packed(
    model: Decoder, corpus: Corpus, autocast: torch.autocast, ids: Ids, provenance: pa.Table, world: World | None
) -> DocumentLosses:
    """Score documents that stand one after another, cut into windows; each process of a world takes its turn."""
    eos_id, seq_len = corpus.shards.manifest.eos_id, corpus.data.seq_len
    device = next(model.parameters()).device
    rank, size = (world.rank, world.size) if world is not None else (0, 1)
    row = np.concatenate(([eos_id], ids))
    n_windows = count_windows(len(row), seq_len)
    n_rows = corpus.data.micro_batch_size or corpus.data.batch_size
    nats = np.zeros(len(ids))
    for first in range(rank * n_rows, -(-n_windows // (n_rows * size)) * n_rows * size, n_rows * size):
        windows = range(min(first, n_windows - 1), max(min(first + n_rows, n_windows), min(first, n_windows - 1) + 1))
        batch = stack([row[w * seq_len : (w + 1) * seq_len + 1] for w in windows], seq_len, eos_id, vocab_of(corpus))
        tokens_BT, labels_BT = torch.from_numpy(batch.tokens).to(device), torch.from_numpy(batch.labels).to(device)
        with autocast:
            losses_BT = model.token_losses(tokens_BT, labels_BT, corpus.data.mask_documents)
        if first < n_windows:  # else it only keeps step with processes that have a turn left
            found = losses_BT.double().cpu().numpy()[batch.labels != IGNORED]
            nats[first * seq_len : first * seq_len + len(found)] = found
    if world is not None and size > 1:
        nats = world.sum(torch.from_numpy(nats).to(device)).cpu().numpy()
    return _per_document(nats, ids, eos_id, provenance)


def vocab_of(corpus: Corpus) -> int:
    """Return the vocabulary's size, beyond which no id may lie."""
    return corpus.shards.manifest.vocab_size


def _per_document(nats: Floats, ids: Ids, eos_id: int, provenance: pa.Table) -> DocumentLosses:
    n_tokens = provenance["n_tokens"].to_numpy().astype(np.int64)
    starts = np.cumsum(n_tokens) - n_tokens
    text_nats = np.where(ids == eos_id, 0.0, nats)
    return DocumentLosses(np.add.reduceat(nats, starts), np.add.reduceat(text_nats, starts), n_tokens, provenance)


def score_documents(
    model: Decoder, corpus: Corpus, split: str, autocast: torch.autocast
) -> Iterator[tuple[str, DocumentLosses]]:
    """Yield (source, losses) for all documents of a split, some at a time.

    Each document is read by itself from an EOS on, a long one in windows of `seq_len`, so that its loss says nothing
    of its neighbours in the shard.
    """
    model.eval()
    for source in corpus.shards.sources:
        for shard in corpus.shards.stream(source, split).shards:
            rows = shard.provenance_table()
            for first in range(0, shard.entry.n_docs, CHUNK_DOCS):
                chosen = rows.slice(first, CHUNK_DOCS)
                yield source, _alone(model, corpus, autocast, shard, first, chosen)


@torch.no_grad()
def _alone(
    model: Decoder, corpus: Corpus, autocast: torch.autocast, shard: TokenShard, first: int, rows: pa.Table
) -> DocumentLosses:
    eos_id, seq_len = corpus.shards.manifest.eos_id, corpus.data.seq_len
    device = next(model.parameters()).device
    documents = [shard.document(first + k).astype(np.int64) for k in range(rows.num_rows)]
    windows: list[tuple[int, int, Ids]] = []  # (document, first label, up to T + 1 tokens)
    for k, ids in enumerate(documents):
        row = np.concatenate(([eos_id], ids))
        windows += [(k, start, row[start : start + seq_len + 1]) for start in range(0, len(ids), seq_len)]
    nats = [np.zeros(len(ids)) for ids in documents]
    windows.sort(key=lambda window: (len(window[2]), window[:2]))
    n_rows = corpus.data.micro_batch_size or corpus.data.batch_size
    for start in range(0, len(windows), n_rows):
        chosen = windows[start : start + n_rows]
        width = max(len(row) for _, _, row in chosen) - 1
        batch = stack([row for _, _, row in chosen], width, eos_id, vocab_of(corpus))
        with autocast:
            losses_BT = model.token_losses(
                torch.from_numpy(batch.tokens).to(device), torch.from_numpy(batch.labels).to(device)
            )
        for (k, label, row), losses in zip(chosen, losses_BT.double().cpu().numpy(), strict=True):
            nats[k][label : label + len(row) - 1] = losses[: len(row) - 1]
    flat, ids = np.concatenate(nats), np.concatenate(documents)
    return _per_document(flat, ids, eos_id, rows)


def write_document_losses(scored: Iterator[tuple[str, DocumentLosses]], path: Path, checkpoint: str) -> list[HeldOut]:
    """Write a row per document (doc_id, source, url, tokens, bytes, nats, nats per token, bits per byte) to Parquet.

    `checkpoint` is stored with the file. Return the sums per source.
    """
    schema = pa.schema(
        [
            ("doc_id", pa.string()), ("source", pa.string()), ("url", pa.string()), ("n_tokens", pa.int64()),
            ("text_bytes", pa.int64()), ("nats", pa.float64()), ("nats_per_token", pa.float64()),
            ("bits_per_byte", pa.float64()),
        ],
        metadata={"checkpoint": checkpoint},
    )  # fmt: skip
    sums: dict[str, list[float]] = {}
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for source, losses in scored:
            rows, text_bytes = losses.provenance, losses.provenance["text_bytes"].to_numpy()
            with np.errstate(divide="ignore", invalid="ignore"):
                bits = losses.text_nats / math.log(2) / text_bytes
            columns = [
                rows["doc_id"], [source] * rows.num_rows, rows["url"], losses.n_tokens, text_bytes, losses.nats,
                losses.nats / losses.n_tokens, pa.array(bits, pa.float64(), mask=text_bytes == 0),
            ]  # fmt: skip
            writer.write_table(pa.table(columns, schema=schema))
            found = sums.setdefault(source, [0.0, 0.0, 0, 0, 0])
            for k, value in enumerate(_totals(losses)):
                found[k] += value
    return [_summed(source, found) for source, found in sums.items()]


def _totals(losses: DocumentLosses) -> Sequence[float]:
    text_bytes = int(losses.provenance["text_bytes"].to_numpy().sum())
    nats, text_nats = math.fsum(losses.nats), math.fsum(losses.text_nats)
    return nats, text_nats, int(losses.n_tokens.sum()), len(losses.nats), text_bytes


def _summed(source: str, found: Sequence[float]) -> HeldOut:
    nats, text_nats, n_tokens, n_docs, text_bytes = found
    mean = nats / n_tokens
    bits = text_nats / math.log(2) / text_bytes if text_bytes else None
    return HeldOut(source, mean, math.exp(min(mean, 700.0)), bits, int(n_tokens), int(n_docs), int(text_bytes))
