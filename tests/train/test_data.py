"""Mirrors train/data.py: the windows of an epoch hold every label of the shards once, and nothing else."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.train.corpus import fables, write_tokens
from train.config import DataConfig
from train.data import Corpus, count_windows, stack
from train.errors import ConfigError, DataError
from train.model import IGNORED


@pytest.mark.parametrize("seq_len", [2, 7, 32, 100_000])
def test_an_epoch_holds_every_label_once_with_its_predecessor(tokens: Path, seq_len: int) -> None:
    corpus = Corpus.open(tokens, DataConfig(seq_len=seq_len, batch_size=1))
    batch = corpus.read(corpus.sampler(3).samples(0, sum(corpus.n_windows)))
    counted = batch.labels != IGNORED
    trained = Counter(zip(batch.tokens[counted].tolist(), batch.labels[counted].tolist(), strict=True))
    expected: Counter[tuple[int, int]] = Counter()
    for source in ("fables", "news"):
        parts = [shard.tokens for shard in corpus.shards.stream(source, "train").shards]
        row = np.concatenate(parts).tolist()
        expected.update(pairwise(row))
    assert trained == expected
    assert batch.n_labels == expected.total()


def test_held_out_documents_are_not_trained_on(tokens: Path) -> None:
    corpus = Corpus.open(tokens, DataConfig(seq_len=32))
    assert corpus.n_tokens == sum(s.entry.n_tokens for s in corpus.shards.shards if s.entry.split == "train")


def test_weights_choose_the_sources(tokens: Path) -> None:
    corpus = Corpus.open(tokens, DataConfig(seq_len=32, weights=(("news", 1.0),)))
    assert corpus.sources == ("news",)
    with pytest.raises(ConfigError, match=r"names 'nwes'; the shards have: fables, news"):
        Corpus.open(tokens, DataConfig(seq_len=32, weights=(("nwes", 1.0),)))
    with pytest.raises(ConfigError, match="below 1/1024"):
        Corpus.open(tokens, DataConfig(seq_len=32, weights=(("news", 1.0), ("fables", 1e-6))))


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_a_batch_of_several_sources_is_its_rows_read_one_by_one(
    tokens: Path, packing: Literal["concat", "best_fit"]
) -> None:
    mixed = DataConfig(seq_len=24, batch_size=2, packing=packing, weights=(("news", 1.0), ("fables", 2.0)))
    corpus = Corpus.open(tokens, mixed)
    samples = corpus.sampler(3).samples(0, 200)
    whole = corpus.read(samples)
    rows = [corpus.read(samples.part(k, k + 1)) for k in range(200)]
    assert np.array_equal(whole.tokens, np.concatenate([row.tokens for row in rows]))
    assert np.array_equal(whole.labels, np.concatenate([row.labels for row in rows]))
    assert whole.n_labels == corpus.count_labels(samples)


def test_less_than_a_batch_is_refused_with_the_figures(tmp_path: Path) -> None:
    folder = write_tokens(tmp_path, {"web": fables(3)}, n_held_out=1)
    with pytest.raises(DataError, match=r"training tokens = \d windows of 256, less than one batch of 64"):
        Corpus.open(folder, DataConfig(seq_len=256, batch_size=64))


def test_a_source_that_is_all_held_out_is_left_out(tmp_path: Path) -> None:
    folder = write_tokens(tmp_path, {"web": fables(9), "few": fables(2)}, n_held_out=2)
    assert Corpus.open(folder, DataConfig(seq_len=16, batch_size=2)).sources == ("web",)
    with pytest.raises(DataError, match="source 'few' has 0 training tokens"):
        Corpus.open(folder, DataConfig(seq_len=16, batch_size=2, weights=(("few", 1.0),)))


def test_an_id_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(DataError, match="token id 300, outside the vocabulary of 300"):
        stack([np.array([1, 300])], 4, 0, 300)


@pytest.mark.parametrize(("n_tokens", "n_windows"), [(0, 0), (1, 0), (2, 1), (5, 1), (6, 2), (9, 2), (10, 3)])
def test_windows_counted_by_hand(n_tokens: int, n_windows: int) -> None:
    assert count_windows(n_tokens, seq_len=4) == n_windows
