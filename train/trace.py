"""Which documents a training step read: recomputed from the order of samples and the shards' provenance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from train.config import TrainConfig
from train.errors import ConfigError

if TYPE_CHECKING:  # the commands' signatures name TracedDocument, and must not load torch
    from curate.shards import TokenShard, TokenStream
    from train.data import Corpus
    from train.sampler import Sampler


@dataclass(frozen=True)
class TracedDocument:
    """A document, or the part of it, in one row of a step's batch.

    Positions count the row's inputs and its last label.
    """

    step: int  # 1 is the first, as in metrics.jsonl
    row: int
    first_position: int
    n_tokens: int
    doc_first_token: int  # of the document, where this part begins
    source: str
    doc_id: str
    url: str | None
    warc_file: str | None
    offset_bytes: int | None


def trace_step(config: TrainConfig, corpus: Corpus, step: int, row: int | None = None) -> Iterator[TracedDocument]:
    """Yield the documents of a step's batch in order, or of one of its rows.

    Raises ConfigError for a step or row that is not there.
    """
    if not 1 <= step <= config.loop.steps:
        raise ConfigError(f"step must be 1 to {config.loop.steps}, got {step}")
    if row is not None and not 0 <= row < config.data.batch_size:
        raise ConfigError(f"row must be 0 to {config.data.batch_size - 1}, got {row}")
    rows = range(config.data.batch_size) if row is None else [row]
    sampler = corpus.sampler(config.loop.seed)
    for number in rows:
        yield from _trace_row(config, corpus, sampler, step, number)


def _trace_row(config: TrainConfig, corpus: Corpus, sampler: Sampler, step: int, row: int) -> Iterator[TracedDocument]:
    sample = (step - 1) * config.data.batch_size + row
    place = sampler.samples(sample, sample + 1)
    source = int(place.source[0])
    segments = corpus.rows[source].segments(place.window)
    for position, first, n_tokens in zip(segments.position, segments.first, segments.n_tokens, strict=True):
        for start, stop, document in corpus.streams[source].documents(int(first), int(n_tokens)):
            row_of = document.provenance()
            yield TracedDocument(
                step,
                row,
                int(position) + start,
                stop - start,
                document.offset,
                corpus.sources[source],
                str(row_of["doc_id"]),
                row_of.get("url"),
                row_of.get("warc_file"),
                row_of.get("offset_bytes"),
            )


@dataclass(frozen=True)
class Seen:
    """One time that a document, or a part of it, was in a batch."""

    step: int  # 1 is the first, as in metrics.jsonl
    row: int
    first_position: int  # in the row
    n_tokens: int
    doc_first_token: int  # of the document, where this part begins
    epoch: int  # how often this window had been read before


def trace_document(config: TrainConfig, corpus: Corpus, doc_id: str, n_steps: int) -> list[Seen]:
    """Return when a document was read in the first `n_steps` steps, in the order of the steps.

    Raises ConfigError for a document that the shards do not have.
    """
    found = [
        (number, first, n_tokens)
        for number, stream in enumerate(corpus.streams)
        for first, n_tokens in _places_of(stream, doc_id)
    ]
    if not found and kept_from_training(corpus, doc_id) is None:
        raise ConfigError(f"{corpus.shards.folder} has no document {doc_id!r}")
    sampler = corpus.sampler(config.loop.seed)
    seen = [one for place in found for one in _seen(config, corpus, sampler, *place, n_steps)]
    return sorted(seen, key=lambda one: (one.step, one.row, one.first_position))


def kept_from_training(corpus: Corpus, doc_id: str) -> str | None:
    """Return why a document of the shards is never read in training; None for one that is, or is not there."""
    shards = corpus.shards
    if any(_is_in(stream, doc_id) for stream in corpus.streams):
        return None
    for source in shards.sources:
        if _is_in(shards.stream(source, "val"), doc_id):
            return f"it is held out of source {source!r}: scored, and never trained on"
        if source not in corpus.sources and _is_in(shards.stream(source, "train"), doc_id):
            return f"it is of source {source!r}, which the run does not train on"
    return None


def _is_in(stream: TokenStream, doc_id: str) -> bool:
    return next(_places_of(stream, doc_id), None) is not None


def _places_of(stream: TokenStream, doc_id: str) -> Iterator[tuple[int, int]]:
    """Yield (first token of the stream, tokens) of a document."""
    import pyarrow.compute as pc

    for k, shard in enumerate(stream.shards):
        for row in pc.indices_nonzero(pc.equal(_doc_ids(shard), doc_id)).to_pylist():
            start = int(shard.ends[row - 1]) if row else 0
            yield int(stream.starts[k]) + start, int(shard.ends[row]) - start


def _doc_ids(shard: TokenShard) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(shard.folder / shard.entry.provenance_file, columns=["doc_id"])["doc_id"].combine_chunks()


def _seen(
    config: TrainConfig, corpus: Corpus, sampler: Sampler, source: int, first: int, n_tokens: int, n_steps: int
) -> Iterator[Seen]:
    """Yield the times at which tokens first … first + n_tokens - 1 of a source were inputs or labels of a batch."""
    batch_size = config.data.batch_size
    for window in corpus.rows[source].holding(first, n_tokens).tolist():
        segments = corpus.rows[source].segments(np.array([window]))
        low = np.maximum(first, segments.first)
        high = np.minimum(first + n_tokens, segments.first + segments.n_tokens)
        position = segments.position + low - segments.first
        for epoch, sample in enumerate(sampler.places(source, window, n_steps * batch_size).tolist()):
            step, row = divmod(sample, batch_size)
            for k in np.flatnonzero(low < high).tolist():
                yield Seen(step + 1, row, int(position[k]), int(high[k] - low[k]), int(low[k]) - first, epoch)
