"""Token shards as training windows: `seq_len` inputs and their labels, each label in one window.

A source's tokens are one long row. Window w holds inputs w*T … w*T+T-1 and labels one further on, so neighbours share
one token; the last window is filled up with EOS whose labels are ignored. No token is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curate.shards import TokenShards, TokenStream
from train.config import DataConfig
from train.errors import ConfigError, DataError
from train.model import IGNORED
from train.sampler import Sampler, Samples

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Inputs and labels, int64 [B, T] each; a label of IGNORED does not count."""

    tokens: Ids
    labels: Ids
    page_locked: tuple[Tensor, Tensor] | None = None

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return inputs and labels as tensors on the CPU."""
        return self.page_locked or (torch.from_numpy(self.tokens), torch.from_numpy(self.labels))

    def pinned(self) -> Batch:
        """Return the batch in page-locked memory, from which a GPU copies while it computes."""
        tokens, labels = self.tensors()
        return Batch(self.tokens, self.labels, (tokens.pin_memory(), labels.pin_memory()))

    @property
    def n_labels(self) -> int:
        """Labels that count."""
        return int((self.labels != IGNORED).sum())


@dataclass(frozen=True)
class Corpus:
    """The training streams of a folder of token shards, one per source that is used."""

    shards: TokenShards
    data: DataConfig
    sources: tuple[str, ...]
    streams: tuple[TokenStream, ...]

    @classmethod
    def open(cls, tokens: Path, data: DataConfig) -> Corpus:
        """Open the shards and choose the sources.

        Raises InputError or DataError when there is too little to train on.
        """
        shards = TokenShards.open(tokens)
        weighted = [source for source, _ in data.weights]
        for source in weighted:
            if source not in shards.sources:
                raise ConfigError(f"data.weights names {source!r}; the shards have: {', '.join(shards.sources)}")
        streams = {source: shards.stream(source, "train") for source in weighted or shards.sources}
        for source in weighted:
            if len(streams[source]) < 2:
                raise DataError(
                    f"source {source!r} has {len(streams[source])} training tokens, but a weight in the mixture"
                )
        used = {source: stream for source, stream in streams.items() if len(stream) >= 2}
        corpus = cls(shards, data, tuple(used), tuple(used.values()))
        n_windows = sum(corpus.n_windows)
        if n_windows < data.batch_size:
            n_tokens = sum(len(stream) for stream in streams.values())
            raise DataError(
                f"{shards.folder} has {n_tokens:,} training tokens = {n_windows} windows of {data.seq_len}, "
                f"less than one batch of {data.batch_size}; give more text, or a smaller seq_len or batch_size"
            )
        return corpus

    @property
    def n_windows(self) -> tuple[int, ...]:
        """Windows per source."""
        return tuple(count_windows(len(stream), self.data.seq_len) for stream in self.streams)

    @property
    def n_tokens(self) -> int:
        """Training tokens of the sources in use."""
        return sum(len(stream) for stream in self.streams)

    def sampler(self, seed: int) -> Sampler:
        """Return the order in which a run with this seed reads the windows."""
        return Sampler(self.n_windows, seed, tuple(weight for _, weight in self.data.weights))

    def count_labels(self, samples: Samples) -> int:
        """Return how many labels of these samples count, without reading them."""
        chosen = zip(samples.source.tolist(), samples.window.tolist(), strict=True)
        return sum(window_span(self.streams[s], w, self.data.seq_len)[1] - 1 for s, w in chosen)

    def read(self, samples: Samples) -> Batch:
        """Read the windows of the given samples."""
        chosen = zip(samples.source, samples.window, strict=True)
        return self._stack([window(self.streams[s], int(w), self.data.seq_len) for s, w in chosen])

    def _stack(self, rows: Sequence[Ids]) -> Batch:
        return stack(rows, self.data.seq_len, self.shards.manifest.eos_id, self.shards.manifest.vocab_size)


def count_windows(n_tokens: int, seq_len: int) -> int:
    """Windows needed so that each of the n_tokens - 1 labels comes once."""
    return max(0, -(-(n_tokens - 1) // seq_len))


def window_span(stream: TokenStream, number: int, seq_len: int) -> tuple[int, int]:
    """Return (first token, number of tokens) of a window, its last label included.

    Only the last window has fewer than T + 1.
    """
    first = number * seq_len
    return first, min(seq_len + 1, len(stream) - first)


def window(stream: TokenStream, number: int, seq_len: int) -> Ids:
    """Read one window, up to T + 1 tokens."""
    return stream.read(*window_span(stream, number, seq_len)).astype(np.int64)


def stack(rows: Sequence[Ids], seq_len: int, eos_id: int, vocab_size: int) -> Batch:
    """Cut rows of up to T + 1 tokens into inputs and labels, short rows filled up.

    Raises DataError for an id outside the vocabulary.
    """
    tokens = np.full((len(rows), seq_len), eos_id, dtype=np.int64)
    labels = np.full((len(rows), seq_len), IGNORED, dtype=np.int64)
    for i, row in enumerate(rows):
        tokens[i, : len(row) - 1] = row[:-1]
        labels[i, : len(row) - 1] = row[1:]
    largest = max((int(row.max()) for row in rows), default=0)
    if largest >= vocab_size:
        raise DataError(f"the shards hold token id {largest}, outside the vocabulary of {vocab_size}")
    return Batch(tokens, labels)
