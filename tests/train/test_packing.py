"""Mirrors train/packing.py: every label once, no document cut that fits, and few places left empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import train.packing
from curate.shard_writer import ShardWriter
from curate.shards import Manifest, file_sha256
from tests.train.corpus import PROVENANCE
from tests.train.test_loop import train_micro
from train.attention import document_ids
from train.config import DataConfig
from train.data import Corpus
from train.errors import DataError
from train.model import IGNORED
from train.packing import BestFit, best_fit_decreasing
from train.sampler import rank_slice

EOS = 0
lengths = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 60)), min_size=1, max_size=40)


def write_ids(folder: Path, n_tokens: Sequence[int], docs_per_shard: int = 7) -> Path:
    """Write documents of the given lengths, EOS included; every other token is an id of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text("{}")
    entries, ids = [], np.arange(1, sum(n_tokens) + 1, dtype=np.uint32)
    ids[np.cumsum(n_tokens) - 1] = EOS
    documents = np.split(ids, np.cumsum(n_tokens)[:-1])
    for number, first in enumerate(range(0, len(documents), docs_per_shard)):
        writer = ShardWriter(folder, f"web-train-{number:05d}", "uint32", PROVENANCE)
        for k, document in enumerate(documents[first : first + docs_per_shard], start=first):
            row = {"doc_id": f"{k:032x}", "text_bytes": 4 * len(document), "n_tokens": len(document)}
            writer.add(document, pa.Table.from_pylist([row], schema=PROVENANCE))
        entries.append(writer.close("web", "train"))
    digest = file_sha256(folder / "tokenizer.json")
    manifest = Manifest("uint32", len(ids) + 1, EOS, EOS, EOS, digest, 0, "none", tuple(entries))
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


def packed(folder: Path, n_tokens: Sequence[int], seq_len: int, docs_per_shard: int = 7) -> Corpus:
    tokens = write_ids(folder, n_tokens, docs_per_shard)
    return Corpus.open(tokens, DataConfig(seq_len=seq_len, batch_size=1, packing="best_fit"))


def rows_of(corpus: Corpus) -> BestFit:
    (rows,) = corpus.rows
    assert isinstance(rows, BestFit)
    return rows


def plain_best_fit_decreasing(sizes: Sequence[int], capacity: int) -> list[int]:
    """Return what is in each row, by the definition, one piece after another."""
    rows: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [k for k, used in enumerate(rows) if used + size <= capacity]
        if fitting:
            rows[max(fitting, key=lambda k: rows[k])] += size
        else:
            rows.append(size)
    return rows


@given(sizes=st.lists(st.integers(1, 30), max_size=200), capacity=st.integers(30, 64))
@settings(max_examples=100, deadline=None)
def test_rows_are_those_of_best_fit_decreasing(sizes: list[int], capacity: int) -> None:
    row_of = best_fit_decreasing(np.array(sizes, np.int64), capacity)
    used = np.bincount(row_of, weights=sizes).astype(int).tolist()
    assert sorted(used) == sorted(plain_best_fit_decreasing(sizes, capacity))


@given(n_tokens=lengths.filter(lambda n: sum(n) > 1), seq_len=st.integers(2, 24), buffer=st.sampled_from([3, 1 << 18]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_epoch_holds_every_token_once_as_a_label_and_cuts_no_document_that_fits(
    tmp_path_factory: pytest.TempPathFactory, n_tokens: list[int], seq_len: int, buffer: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(train.packing, "BUFFER_DOCS", buffer)
        corpus = packed(tmp_path_factory.mktemp("packed"), n_tokens, seq_len)
        n_rows = sum(corpus.n_windows)
    samples = corpus.sampler(3).samples(0, n_rows)
    batch = corpus.read(samples)
    counted = batch.labels != IGNORED
    trained = Counter(zip(batch.tokens[counted].tolist(), batch.labels[counted].tolist(), strict=True))
    expected: Counter[tuple[int, int]] = Counter()
    row_of = {label: row for row, labels in enumerate(batch.labels.tolist()) for label in labels}
    for doc in range(len(n_tokens)):
        ids = corpus.shards.document(doc).tolist()
        expected.update(pairwise([EOS, *ids]))
        if 1 < len(ids) <= seq_len:
            assert len({row_of[label] for label in ids[:-1]}) == 1
    assert trained == expected
    assert corpus.count_labels(samples) == batch.n_labels == sum(n_tokens)
    assert corpus.padding_frac == pytest.approx(1 - sum(n_tokens) / (n_rows * seq_len))


@given(n_tokens=lengths.filter(lambda n: sum(n) > 1), seq_len=st.integers(2, 24))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_mask_tells_the_documents_of_a_row_apart(
    tmp_path_factory: pytest.TempPathFactory, n_tokens: list[int], seq_len: int
) -> None:
    """Each label is predicted from tokens of its own document, its EOS before it, and nothing else."""
    corpus = packed(tmp_path_factory.mktemp("packed"), n_tokens, seq_len)
    doc_of = np.append(EOS, np.repeat(np.arange(1, len(n_tokens) + 1), n_tokens))  # by id; 0 for an EOS
    batch = corpus.read(corpus.sampler(0).samples(0, sum(corpus.n_windows)))
    apart = document_ids(torch.from_numpy(batch.tokens), EOS).numpy()
    for inputs, labels, group in zip(batch.tokens, batch.labels, apart, strict=True):
        for number in set(group.tolist()):
            mine = group == number
            seen = {*doc_of[inputs[mine]].tolist(), *doc_of[labels[mine & (labels != IGNORED)]].tolist()} - {EOS}
            assert len(seen) <= 1


@given(n_tokens=lengths.filter(lambda n: sum(n) > 1), seq_len=st.integers(2, 24))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_document_is_found_in_the_rows_that_hold_it(
    tmp_path_factory: pytest.TempPathFactory, n_tokens: list[int], seq_len: int
) -> None:
    rows = rows_of(packed(tmp_path_factory.mktemp("packed"), n_tokens, seq_len))
    segments = rows.segments(np.arange(len(rows)))
    first = np.cumsum(n_tokens) - n_tokens
    for start, n in zip(first.tolist(), n_tokens, strict=True):
        inside = (segments.first < start + n) & (start < segments.first + segments.n_tokens)
        assert rows.holding(start, n).tolist() == np.unique(segments.row[inside]).tolist()


def test_rows_depend_on_neither_shards_nor_ranks_nor_what_is_asked_with_them(tmp_path: Path) -> None:
    n_tokens = np.random.default_rng(0).integers(1, 70, 50).tolist()
    one, other = packed(tmp_path / "a", n_tokens, 16, 3), packed(tmp_path / "b", n_tokens, 16, 50)
    assert sum(one.n_windows) == sum(other.n_windows)
    whole = one.read(one.sampler(1).samples(0, 64))
    for rank in range(4):
        share = other.read(other.sampler(1).samples(*rank_slice(0, 64, rank, 4)))
        assert np.array_equal(share.tokens, whole.tokens[16 * rank : 16 * (rank + 1)])
        assert np.array_equal(share.labels, whole.labels[16 * rank : 16 * (rank + 1)])


def test_little_is_left_empty(tmp_path: Path) -> None:
    """Lengths spread as those of web pages are, of 600 tokens in the mean: most are cut by concatenation, few here."""
    n_tokens = np.maximum(1, np.random.default_rng(1).lognormal(5.9, 1.0, 3_000)).astype(int).tolist()
    corpus = packed(tmp_path, n_tokens, 1_024, docs_per_shard=1_000)
    assert corpus.padding_frac < 0.005
    concatenated = Corpus.open(tmp_path, DataConfig(seq_len=1_024, batch_size=1))
    assert concatenated.padding_frac < 1 / sum(concatenated.n_windows)
    n_short = sum(n <= 1_024 for n in n_tokens)
    windows = np.cumsum(n_tokens) // 1_024
    cut = sum(a != b for a, b, n in zip(windows[:-1], windows[1:], n_tokens[1:], strict=True) if n <= 1_024)
    assert cut / n_short > 0.25  # what best fit saves: these stand in two rows when documents are put end to end


def test_the_rows_are_those_of_version_1(tmp_path: Path) -> None:
    """Runs of earlier releases must go on in their own rows: a change here needs a new SAMPLER_VERSION."""
    rows = rows_of(packed(tmp_path, [3, 19, 2, 8, 5], 8))
    found = list(zip(*(column.tolist() for column in rows.segments(np.arange(len(rows)))), strict=True))
    assert found == [
        (0, 1, 3, 8, 8),
        (1, 0, 10, 9, 8),
        (2, 1, 24, 8, 8),
        (3, 1, 0, 3, 3),
        (3, 4, 32, 5, 5),
        (4, 1, 18, 4, 3),
        (4, 5, 22, 2, 2),
    ]


def test_more_than_the_table_can_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train.packing, "MAX_PIECES", 5 + 37 // 8)
    with pytest.raises(DataError, match="37 tokens in 5 documents may be more: split the source, or use packing conc"):
        rows_of(packed(tmp_path, [3, 19, 2, 8, 5], 8))


def test_a_run_tells_how_much_is_left_empty(tokens: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="train"):
        train_micro(tokens, tmp_path / "run", "data.packing=best_fit", "data.mask_documents=true", steps=2)
    corpus = Corpus.open(tokens, DataConfig(seq_len=32, batch_size=4, packing="best_fit"))
    expected = f"packing best_fit: {sum(corpus.n_windows)} rows, {100 * corpus.padding_frac:.2f} % of them padding"
    assert [line for line in caplog.messages if "packing" in line] == [expected]
