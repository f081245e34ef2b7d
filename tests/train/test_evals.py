"""Mirrors train/evals.py: held-out loss against a model whose loss is known, and bytes counted from the texts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.train.corpus import byte_bpe, fables, write_tokens
from tests.train.micro import micro_config
from train.evals import evaluate, held_out_prefix
from train.model import Decoder, init_weights

PLAIN = torch.autocast("cpu", enabled=False)


def test_a_model_that_knows_nothing_scores_the_logarithm_of_the_vocabulary(tmp_path: Path) -> None:
    texts = [*fables(20), "Größe und Maß, 日本語", *fables(3, seed=9)]
    folder = write_tokens(tmp_path, {"web": texts}, n_held_out=4, docs_per_shard=3)
    config, corpus = micro_config(folder)
    model = Decoder(config.model)
    torch.nn.init.zeros_(model.embed_tokens.weight)
    [score] = evaluate(model, corpus, 1_000_000, PLAIN)
    held_out = texts[-4:]
    assert (score.source, score.n_docs, score.text_bytes) == ("web", 4, sum(len(t.encode()) for t in held_out))
    tokenizer = byte_bpe(texts, 300)
    n_text_tokens = sum(len(tokenizer.encode(t).ids) for t in held_out)
    nats = math.log(config.model.vocab_size)
    assert score.n_tokens == n_text_tokens + 4
    assert score.nats_per_token == pytest.approx(nats, rel=1e-6)
    assert score.bits_per_byte == pytest.approx(n_text_tokens * nats / math.log(2) / score.text_bytes, rel=1e-6)


def test_scores_do_not_depend_on_how_windows_are_batched(tokens: Path) -> None:
    config, corpus = micro_config(tokens)
    model = Decoder(config.model)
    init_weights(model, 1)
    with torch.no_grad():
        model.embed_tokens.weight.mul_(20)
    _, one_by_one = micro_config(tokens, data={"micro_batch_size": 1})
    for ours, theirs in zip(
        evaluate(model, corpus, 10**6, PLAIN), evaluate(model, one_by_one, 10**6, PLAIN), strict=True
    ):
        assert ours.nats_per_token == pytest.approx(theirs.nats_per_token, rel=1e-5)
    assert model.training


@pytest.mark.parametrize("limit", [0, 1, 150, 400, 10**6])
def test_whole_documents_up_to_the_limit(tmp_path: Path, limit: int) -> None:
    texts = fables(13, seed=3)
    folder = write_tokens(tmp_path, {"web": texts}, n_held_out=11, docs_per_shard=3)
    _, corpus = micro_config(folder)
    stream = corpus.shards.stream("web", "val")
    n_docs, n_tokens = held_out_prefix(stream, limit)
    lengths = [len(shard.document(doc)) for shard in stream.shards for doc in range(shard.entry.n_docs)]
    expected = max(1, sum(sum(lengths[: i + 1]) <= limit for i in range(11)))
    assert (n_docs, n_tokens) == (expected, sum(lengths[:expected]))
