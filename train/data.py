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

from curate.shards import TokenShards, TokenStream
from train.config import DataConfig
from train.errors import ConfigError, DataError
from train.model import IGNORED
from train.packing import BestFit, Concatenated, Indices, Rows, Segments, count_windows
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

    def _close(self, ids: Ids, gaps: Sequence[_Gaps]) -> Ids:
        """Fill what was not read with EOS, and return the labels: a view of `ids` where all of them count."""
        eos_id = self.shards.manifest.eos_id
        labels = ids[:, 1:]
        if any(len(gap.cut_rows) or len(gap.short_rows) for gap in gaps):
            labels = labels.copy()
        for gap in gaps:
            ids[gap.opened, 0] = eos_id
            labels[gap.cut_rows, gap.cut_labels] = IGNORED
            for row, end in zip(gap.short_rows.tolist(), gap.ends.tolist(), strict=True):
                ids[row, end:] = eos_id
                labels[row, end - 1 :] = IGNORED
        return labels

    def read(self, samples: Samples) -> Batch:
        """Read the rows of the given samples. Raises DataError for an id outside the vocabulary.

        Every token is copied once, into a row of T + 1; where all rows are full, inputs and labels are views of them.
        """
        ids = np.empty((len(samples.source), self.data.seq_len + 1), np.int64)
        gaps = []
        for source, mine in _by_source(samples):
            segments = self.rows[source].segments(samples.window[mine])
            read_into = self.streams[source].read_into
            placed = segments.row if len(mine) == len(ids) else mine[segments.row]
            starts, ends = segments.position.tolist(), (segments.position + segments.n_tokens).tolist()
            for row, start, end, first in zip(placed.tolist(), starts, ends, segments.first.tolist(), strict=True):
                read_into(first, ids[row, start:end])
            gaps.append(_gaps(segments, mine, ids.shape[1]))
        labels = self._close(ids, gaps)
        check_vocabulary(int(ids.max(initial=0)), self.shards.manifest.vocab_size)
        return Batch(ids[:, :-1], labels)


def _by_source(samples: Samples) -> Iterator[tuple[int, Indices]]:
    """Yield each source and the places of its samples."""
    for source in np.unique(samples.source).tolist():
        yield source, np.flatnonzero(samples.source == source)


class _Gaps(NamedTuple):
    """What segments leave out of rows of T + 1 tokens."""

    opened: Indices  # rows that begin with no token of a document
    cut_rows: Indices  # of labels that do not count, though a token stands there: the token before a piece …
    cut_labels: Indices  # … and their places
    short_rows: Indices  # rows that are not filled
    ends: Indices  # and where they end


def _gaps(segments: Segments, rows: Indices, width: int) -> _Gaps:
    """Return where nothing is read; `rows` are the places of the segments' rows in the batch."""
    begins = np.flatnonzero(segments.position == 1)
    cut = np.flatnonzero((segments.n_labels < segments.n_tokens) & (segments.position > 0))
    ends = segments.position + segments.n_tokens
    last = np.append(np.flatnonzero(np.diff(segments.row)), len(segments.row) - 1)
    short = last[ends[last] < width]
    return _Gaps(
        rows[segments.row[begins]], rows[segments.row[cut]], segments.position[cut] - 1,
        rows[segments.row[short]], ends[short],
    )  # fmt: skip


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
