"""What must hold of training as a whole: how a batch is cut, packed, masked, mixed or interrupted changes nothing."""

from __future__ import annotations

import functools
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import train.loop
from benchmarks.entropy_of_a_grammar import ARCS, END, ENTROPY_NATS, sentences, write_ids
from tests.train.micro import lively_model, micro_config
from tests.train.test_loop import assert_same_run, train_micro
from train import api
from train.attention import document_ids, keep_apart
from train.config import GPT2
from train.data import Batch
from train.loop import Trainer
from train.model import IGNORED, Decoder
from train.parallel import World
from train.prefetch import Prefetcher
from train.runfolder import RunFolder
from train.sampler import BLOCK, Sampler, Samples

EOS = 0
ALONE = World(0, 1, torch.device("cpu"))
SHAPES = {"qwen3": {}, "gpt2": {**GPT2, "n_kv_heads": 4, "max_positions": 1_000}}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def assert_same_gradients(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Compare to 1e-5 of a tensor's largest entry, and 1e-7 of the largest: that of a key's bias is noise."""
    assert ours.keys() == theirs.keys()
    largest = {name: float(gradient.abs().max()) for name, gradient in theirs.items()}
    for name, gradient in ours.items():
        atol = max(1e-5 * largest[name], 1e-7 * max(largest.values()))
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-5, atol=atol)


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
@pytest.mark.parametrize("micro", [1, 2, 4])
def test_one_batch_of_eight_is_eight_of_one(tokens: Path, tmp_path: Path, micro: int, packing: str) -> None:
    """The rows have unequal numbers of labels that count: the last ones of the sources, and those with padding."""
    losses, gradients = [], []
    for cut in (0, micro):
        data = {"seq_len": 150, "batch_size": 8, "micro_batch_size": cut, "packing": packing, "mask_documents": True}
        config, corpus = micro_config(tokens, data=data)
        last = [n - 1 for n in corpus.n_windows]
        zeros = np.zeros(8, np.int64)
        rows = Samples(np.array([0, 0, 1, 1, 0, 0, 1, 0]), np.array([0, last[0], last[1], 0, 3, 4, 1, 5]), zeros)
        batch = corpus.read(rows)
        n_labels = [int((row != IGNORED).sum()) for row in batch.labels]
        assert len(set(n_labels)) > 2
        trainer = Trainer(RunFolder(tmp_path), config, corpus, ALONE)
        found: dict[str, Tensor] = {}

        def keep(_: Any, *, leave_out: bool, trainer: Trainer = trainer, found: dict[str, Tensor] = found) -> None:
            assert not leave_out
            found.update({n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None})

        trainer.optimizers.step = keep  # type: ignore[assignment, method-assign]
        losses.append(trainer._train(batch, batch.n_labels, False)[0].loss)
        gradients.append(found)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert len(gradients[0]) > 10
    assert_same_gradients(gradients[1], gradients[0])


@each_shape
def test_packed_documents_have_the_loss_and_gradients_of_single_ones(tokens: Path, shape: dict[str, Any]) -> None:
    """All rows of a source, documents in the best fitting rows, against each document by itself behind an EOS."""
    _, corpus = micro_config(tokens, data={"seq_len": 1_000, "packing": "best_fit", "batch_size": 1})
    stream = corpus.streams[1]
    n_rows = corpus.n_windows[1]
    rows = corpus.read(Samples(np.ones(n_rows, np.int64), np.arange(n_rows), np.zeros(n_rows, np.int64)))
    packed, single = lively_model(**shape), lively_model(**shape)
    together = packed.token_losses(*rows.tensors(), mask_documents=True).sum() / len(stream)
    together.backward()  # type: ignore[no-untyped-call]
    total = 0.0
    n_docs = int(stream.doc_starts[-1])
    assert n_docs > 1.5 * n_rows
    for first, n_tokens in zip(*stream.document_spans(np.arange(n_docs)), strict=True):
        ids = torch.tensor([EOS, *stream.read(int(first), int(n_tokens)).tolist()])
        loss = single.token_losses(ids[None, :-1], ids[None, 1:]).sum() / len(stream)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    assert float(together.detach()) == pytest.approx(total, rel=1e-5)
    assert_same_gradients(gradients_of(packed), gradients_of(single))


def gradients_of(model: Decoder) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@given(lengths=st.lists(st.integers(1, 9), min_size=2, max_size=6), changed=st.integers(0, 5), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
@each_shape
def test_changing_a_document_leaves_the_logits_of_the_others_bit_for_bit(
    shape: dict[str, Any], lengths: list[int], changed: int, seed: int
) -> None:
    """In its row, before and after it, and in the other rows of the batch."""
    generator = torch.Generator().manual_seed(seed)
    model, n = lively_model(**shape), sum(lengths) + len(lengths)
    rows = torch.randint(1, 300, (2, n), generator=generator)
    starts = torch.tensor([0, *(k + 1 for k in lengths)]).cumsum(0)[:-1]
    rows[:, starts] = EOS
    changed %= len(lengths)
    inside = slice(int(starts[changed]) + 1, int(starts[changed]) + 1 + lengths[changed])
    others = rows.clone()
    others[0, inside] = torch.randint(1, 300, (lengths[changed],), generator=generator)
    with torch.no_grad():
        documents = keep_apart(document_ids(rows, EOS), "sdpa")
        before, after = model(rows, documents), model(others, documents)
    same = torch.ones(2, n, dtype=torch.bool)
    same[0, inside] = False
    assert torch.equal(before[same], after[same])
    if not torch.equal(rows, others):
        assert not torch.equal(before, after)


@pytest.mark.slow
@each_shape
def test_flex_attention_gives_the_logits_of_the_dense_mask(tokens: Path, shape: dict[str, Any]) -> None:
    """Forward on the CPU, where flex has no backward pass; 150 is no multiple of its blocks."""
    _, corpus = micro_config(tokens, data={"seq_len": 150, "packing": "best_fit"})
    rows, _ = corpus.read(corpus.sampler(0).samples(0, 4)).tensors()
    model = lively_model(**shape)
    with torch.no_grad():
        logits = [model(rows, keep_apart(document_ids(rows, EOS), backend)) for backend in ("sdpa", "flex")]
        plain = model(rows)
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain, logits[0], rtol=1e-2)


@given(
    weights=st.lists(st.floats(0.05, 10), min_size=1, max_size=6), seed=st.integers(0, 99), number=st.integers(0, 50)
)
@settings(max_examples=30, deadline=None)
def test_a_mixture_is_off_by_less_than_one_slot_in_any_block(weights: list[float], seed: int, number: int) -> None:
    sampler = Sampler(tuple(range(50, 50 + len(weights))), seed, tuple(weights))
    counted = np.bincount(sampler.samples(number * BLOCK, (number + 1) * BLOCK).source, minlength=len(weights))
    assert (np.abs(counted - BLOCK * np.array(weights) / sum(weights)) < 1).all()


class Killed(BaseException):
    """Stands for a process that is gone: nothing catches it."""


def recorded(patched: pytest.MonkeyPatch, batches: dict[int, str], kill_at: int = -1, depth: int = 2) -> None:
    """Note the digest of the batch of each step, die before step `kill_at`, and read `depth` batches ahead."""
    real = Trainer._train

    def noting(self: Trainer, batch: Batch, *given: Any) -> Any:
        if self.progress.step == kill_at:
            raise Killed
        tokens, labels = (np.ascontiguousarray(part).tobytes() for part in (batch.tokens, batch.labels))
        batches[self.progress.step] = hashlib.sha256(tokens + labels).hexdigest()
        return real(self, batch, *given)

    patched.setattr(Trainer, "_train", noting)
    patched.setattr(train.loop, "Prefetcher", functools.partial(Prefetcher, depth=depth))


@functools.cache
def straight_run(tokens: Path, folder: Path, setting: tuple[str, ...]) -> tuple[api.Summary, dict[int, str]]:
    """Return a run of eight steps that nothing stops, and the batches of its steps."""
    batches: dict[int, str] = {}
    with pytest.MonkeyPatch.context() as patched:
        recorded(patched, batches)
        summary = train_micro(tokens, folder / "-".join(setting).replace("=", "_"), *setting, steps=8)
    assert sorted(batches) == list(range(8))
    return summary, batches


@pytest.mark.slow
@given(
    kill_at=st.integers(0, 7),
    every=st.integers(1, 4),
    micro=st.sampled_from([1, 2, 4]),
    depths=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    packing=st.sampled_from(["concat", "best_fit"]),
)
@settings(max_examples=12, deadline=None)
def test_killed_at_any_step_and_resumed_is_never_killed(
    tokens: Path, tmp_path_factory: pytest.TempPathFactory, kill_at: int, every: int, micro: int,
    depths: tuple[int, int], packing: str,
) -> None:  # fmt: skip
    """Parameters, optimizer, metrics and the batch of every step, bit for bit."""
    folder = tmp_path_factory.getbasetemp()
    setting = (f"data.packing={packing}", f"data.micro_batch_size={micro}")
    straight, expected = straight_run(tokens, folder, setting)
    run, more = tmp_path_factory.mktemp("killed") / "run", (*setting, f"loop.checkpoint_every={every}")
    batches: dict[int, str] = {}
    with pytest.MonkeyPatch.context() as patched:
        recorded(patched, batches, kill_at, depths[0])
        with pytest.raises(Killed):
            train_micro(tokens, run, *more, steps=8)
    with pytest.MonkeyPatch.context() as patched:
        recorded(patched, batches, depth=depths[1])
        resumed = train_micro(tokens, run, *more, steps=8)
    assert_same_run(resumed, straight)
    assert batches == expected


def test_the_entropy_of_the_grammar_is_the_one_that_is_told() -> None:
    """Solved from the expected visits of its states: v = e0 + P' v, each with one choice of two."""
    moves = np.zeros((5, 5))
    for state, arcs in ARCS.items():
        for _, following in arcs:
            if following != END:
                moves[state, following] += 0.5
    n_choices = np.linalg.solve(np.eye(5) - moves.T, np.eye(5)[0]).sum()
    assert n_choices * math.log(2) / (n_choices + 1) == pytest.approx(ENTROPY_NATS)


@pytest.mark.slow
def test_a_model_reaches_the_entropy_of_a_grammar(tmp_path: Path) -> None:
    """With 82 thousand parameters in four seconds; benchmarks/entropy_of_a_grammar.py does it with the preset `5m`."""
    steps, batch_size, seq_len = 300, 8, 64
    texts = {"train": sentences(steps * batch_size * seq_len // 7 + 500, seed=0), "val": sentences(1_000, seed=1)}
    tokens = write_ids(tmp_path / "tokens", texts, vocab_size=64)
    wider = ("model.d_model=64", "model.head_dim=16", "model.d_ff=128", "optim.decay_frac=0.9")
    summary = train_micro(tokens, tmp_path / "run", *wider, steps=steps, batch_size=batch_size, seq_len=seq_len)
    assert summary.epochs < 1  # nothing is read twice
    (score,) = api.eval(summary.run, per_document=tmp_path / "losses.parquet", device="cpu")
    assert score.n_docs == 1_000
    assert score.nats_per_token == pytest.approx(ENTROPY_NATS, rel=0.02)
