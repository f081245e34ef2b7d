"""Token shards as training batches: rows of `seq_len` inputs and their labels, each label in one row.

Which tokens stand in which row is decided by `train.packing`, which rows come when by `train.sampler`; here they are
read. Places that no token fills are EOS whose labels are ignored. No token is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curate.shards import DTYPES, Tokens, TokenShards, TokenStream
from train.config import DataConfig
from train.errors import ConfigError, DataError
from train.model import IGNORED
from train.packing import BestFit, Concatenated, Indices, Rows, count_windows
from train.sampler import Sampler, Samples

__all__ = ["Batch", "Corpus", "Ids", "count_windows", "stack"]

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
        return Batch(self.tokens, self.labels, (tokens.contiguous().pin_memory(), labels.contiguous().pin_memory()))

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
        if n_windows:
            corpus.sampler(0)  # refuses weights that no block of the mixture can keep
        if n_windows < data.batch_size:
            n_tokens = sum(len(stream) for stream in streams.values())
            raise DataError(
                f"{shards.folder} has {n_tokens:,} training tokens = {n_windows} windows of {data.seq_len}, "
                f"less than one batch of {data.batch_size}; give more text, or a smaller seq_len or batch_size"
            )
        return corpus

    @cached_property
    def rows(self) -> tuple[Rows, ...]:
        """Which tokens stand in which row, per source; `best_fit` reads the documents' ends once."""
        if self.data.packing == "best_fit":
            return tuple(BestFit.of(stream, self.data.seq_len) for stream in self.streams)
        return tuple(Concatenated(len(stream), self.data.seq_len) for stream in self.streams)

    @property
    def n_windows(self) -> tuple[int, ...]:
        """Rows per source."""
        return tuple(len(rows) for rows in self.rows)

    @property
    def n_tokens(self) -> int:
        """Training tokens of the sources in use."""
        return sum(len(stream) for stream in self.streams)

    @property
    def padding_frac(self) -> float:
        """Share of an epoch's places that no label fills."""
        lost = 0 if self.data.packing == "best_fit" else len(self.streams)  # the first token of a stream is no label
        return 1 - (self.n_tokens - lost) / (sum(self.n_windows) * self.data.seq_len)

    def sampler(self, seed: int) -> Sampler:
        """Return the order in which a run with this seed reads the rows."""
        return Sampler(self.n_windows, seed, tuple(weight for _, weight in self.data.weights))

    def count_labels(self, samples: Samples) -> int:
        """Return how many labels of these samples count, without reading them."""
        return sum(self.rows[source].count_labels(samples.window[mine]) for source, mine in _by_source(samples))

    @cached_property
    def _eos(self) -> Tokens:
        """As many EOS as can stand between the pieces of two rows."""
        manifest = self.shards.manifest
        return np.full(self.data.seq_len + 1, manifest.eos_id, DTYPES[manifest.dtype])

    def _pieces(self, samples: Samples) -> _Pieces:
        """Return the pieces of the samples' rows, in order."""
        width, found = self.data.seq_len + 1, []
        for source, mine in _by_source(samples):
            segments = self.rows[source].segments(samples.window[mine])
            at = mine[segments.row] * width + segments.position
            cut = (segments.n_labels < segments.n_tokens) & (segments.position > 0)
            views = self.streams[source].views(segments.first, segments.n_tokens)
            found.append(_Pieces(at, at + segments.n_tokens, cut, views))
        if len(found) == 1:
            return found[0]
        at, stop, cut = (np.concatenate([part[column] for part in found]) for column in range(3))
        views = [view for part in found for view in part.views]
        order = np.argsort(at)
        return _Pieces(at[order], stop[order], cut[order], [views[k] for k in order.tolist()])

    def read(self, samples: Samples) -> Batch:
        """Read the rows of the given samples. Raises DataError for an id outside the vocabulary.

        All pieces, and the EOS between them, are joined at once and made int64 at once; where all rows are full,
        inputs and labels are views of the same numbers.
        """
        width = self.data.seq_len + 1
        pieces = self._pieces(samples)
        gap_from = np.concatenate(([0], pieces.stop))
        gap = np.concatenate((pieces.at, [len(samples.source) * width])) - gap_from
        views = []
        for n_eos, view in zip(gap.tolist(), [*pieces.views, self._eos[:0]], strict=True):
            if n_eos:
                views.append(self._eos[:n_eos])
            views.append(view)
        ids = np.concatenate(views)
        check_vocabulary(int(ids.max(initial=0)), self.shards.manifest.vocab_size)
        rows = ids.astype(np.int64).reshape(-1, width)
        padded = np.flatnonzero(gap > (gap_from % width == 0))  # one EOS that opens a row is no padding
        ignored = np.flatnonzero(pieces.cut)
        labels = rows.copy() if len(padded) or len(ignored) else rows
        flat = labels.reshape(-1)
        flat[pieces.at[ignored]] = IGNORED
        for start, n_eos in zip(gap_from[padded].tolist(), gap[padded].tolist(), strict=True):
            flat[start : start + n_eos] = IGNORED
        return Batch(rows[:, :-1], labels[:, 1:])


class _Pieces(NamedTuple):
    """Pieces of streams and where they stand in a batch's rows of T + 1 tokens, all rows end to end."""

    at: Indices
    stop: Indices
    cut: NDArray[np.bool_]  # whether the first token is input only, though another piece stands before it
    views: list[Tokens]


def _by_source(samples: Samples) -> Iterator[tuple[int, Indices]]:
    """Yield each source and the places of its samples."""
    for source in np.flatnonzero(np.bincount(samples.source)).tolist():
        yield source, np.flatnonzero(samples.source == source)


def check_vocabulary(largest: int, vocab_size: int) -> None:
    """Raise DataError for an id that the vocabulary does not have."""
    if largest >= vocab_size:
        raise DataError(f"the shards hold token id {largest}, outside the vocabulary of {vocab_size}")


def stack(rows: Sequence[Ids], seq_len: int, eos_id: int, vocab_size: int) -> Batch:
    """Cut rows of up to T + 1 tokens into inputs and labels, short rows filled up.

    Raises DataError for an id outside the vocabulary.
    """
    tokens = np.full((len(rows), seq_len), eos_id, dtype=np.int64)
    labels = np.full((len(rows), seq_len), IGNORED, dtype=np.int64)
    for i, row in enumerate(rows):
        tokens[i, : len(row) - 1] = row[:-1]
        labels[i, : len(row) - 1] = row[1:]
    check_vocabulary(max((int(row.max()) for row in rows), default=0), vocab_size)
    return Batch(tokens, labels)
