"""Which documents a training step read: recomputed from the order of samples and the shards' provenance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train.config import TrainConfig
from train.errors import ConfigError

if TYPE_CHECKING:  # the commands' signatures name TracedDocument, and must not load torch
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
    from train.data import window_span

    sample = (step - 1) * config.data.batch_size + row
    place = sampler.samples(sample, sample + 1)
    source = int(place.source[0])
    first, n_tokens = window_span(corpus.streams[source], int(place.window[0]), config.data.seq_len)
    for start, stop, document in corpus.streams[source].documents(first, n_tokens):
        row_of = document.provenance()
        yield TracedDocument(
            step,
            row,
            start,
            stop - start,
            document.offset,
            corpus.sources[source],
            str(row_of["doc_id"]),
            row_of.get("url"),
            row_of.get("warc_file"),
            row_of.get("offset_bytes"),
        )
