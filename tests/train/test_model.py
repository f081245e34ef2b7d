"""Mirrors train/model.py and train/attention.py; the oracles are Qwen3 and Llama of `transformers`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import train.model
from tests.train.micro import lively_model, micro_model
from train.attention import KVCache
from train.config import GPT2, PRESETS
from train.families import FAMILIES, describe, from_transformers, to_transformers
from train.model import IGNORED, Decoder, init_weights
from train.overrides import build_config

EOS = 0


def ids(*shape: int, seed: int = 0, low: int = 1) -> torch.Tensor:
    return torch.randint(low, 300, shape, generator=torch.Generator().manual_seed(seed))


GPT2_LIKE = {**GPT2, "n_kv_heads": 4, "max_positions": 64}


def oracle_of(model: Decoder) -> Any:
    """Build the same network in `transformers` and load our weights under its names."""
    transformers = pytest.importorskip("transformers")
    described = describe(model.config, 64)
    family = FAMILIES[described["model_type"]]
    config = transformers.AutoConfig.for_model(**described)
    oracle = getattr(transformers, family)(config)
    missing, unexpected = oracle.load_state_dict(to_transformers(model.config, model.state_dict()), strict=False)
    assert unexpected == []
    assert missing == (["lm_head.weight"] if model.config.tie_embeddings else [])
    oracle.tie_weights()
    return oracle.float().eval()


@pytest.mark.parametrize(
    "shape",
    [
        {"qk_norm": True},
        {"qk_norm": True, "tie_embeddings": False},
        {"qk_norm": False},
        {"qk_norm": False, "tie_embeddings": False, "bias": True},
        GPT2_LIKE,
    ],
    ids=["qwen3", "qwen3-untied", "llama", "llama-untied-bias", "gpt2"],
)
def test_logits_loss_and_gradients_equal_those_of_transformers(shape: dict[str, Any]) -> None:
    model = lively_model(**{"rope_theta": 5000.0, **shape})
    oracle = oracle_of(model)
    tokens = ids(3, 33)
    logits, theirs = model(tokens), oracle(tokens, labels=tokens)
    assert logits.std() > 0.1  # not a flat prediction, for which any model agrees
    assert (logits - theirs.logits).abs().max() < 1e-4
    loss = model.token_losses(tokens[:, :-1], tokens[:, 1:]).mean()
    assert loss.item() == pytest.approx(theirs.loss.item(), abs=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    theirs.loss.backward()
    their_gradients = {name: p.grad for name, p in oracle.named_parameters()}
    gradients = from_transformers(model.config, their_gradients, "gradients")
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-6, msg=name)


def test_padding_rows_never_show() -> None:
    model = lively_model(vocab_size=300)
    assert model.embed_tokens.weight.shape[0] == 384
    with torch.no_grad():
        model.embed_tokens.weight[300:] = 1e4
    logits = model(ids(1, 8))
    assert logits.shape == (1, 8, 300)
    assert logits.abs().max() < 1e3


@given(cuts=st.lists(st.integers(1, 31), max_size=4))
@settings(max_examples=15, deadline=None)
def test_cached_pieces_give_the_logits_of_one_pass(cuts: list[int]) -> None:
    model, tokens = lively_model(), ids(2, 32)
    cache = KVCache(2, 2, 2, 32, 8, torch.device("cpu"), torch.float32)
    edges = [0, *sorted(set(cuts)), 32]
    with torch.no_grad():
        pieces = [model(tokens[:, a:b], cache=cache) for a, b in pairwise(edges)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens), rtol=1e-4, atol=1e-5)


def test_a_full_cache_refuses_more() -> None:
    cache = KVCache(2, 1, 2, 4, 8, torch.device("cpu"), torch.float32)
    with pytest.raises(ValueError, match="holds 4 positions, 5 are needed"):
        lively_model()(ids(1, 5), cache=cache)


def losses(model: Decoder, row: torch.Tensor, masked: bool) -> torch.Tensor:
    with torch.no_grad():
        return model.token_losses(row[None, :-1], row[None, 1:], mask_documents=masked)[0]


def test_a_masked_document_does_not_feel_the_one_before() -> None:
    model = lively_model()
    first, other, second = ids(10, seed=1), ids(10, seed=2), ids(12, seed=3)
    end = torch.tensor([EOS])
    row, changed = torch.cat([first, end, second]), torch.cat([other, end, second])
    after = slice(10, None)  # labels that follow the EOS
    assert torch.equal(losses(model, row, masked=True)[after], losses(model, changed, masked=True)[after])
    assert not torch.allclose(losses(model, row, masked=False)[after], losses(model, changed, masked=False)[after])


def test_masked_packing_gives_the_losses_of_single_documents() -> None:
    model = lively_model()
    documents = [torch.cat([torch.tensor([EOS]), ids(n, seed=n)]) for n in (5, 9, 1)]
    packed = losses(model, torch.cat(documents), masked=True)
    start = 0
    for document in documents:
        stop = start + len(document) - 1
        torch.testing.assert_close(packed[start:stop], losses(model, document, masked=False), rtol=1e-4, atol=1e-5)
        start = stop + 1


def test_padding_rows_start_and_stay_at_zero() -> None:
    model = Decoder(micro_model(vocab_size=300))
    init_weights(model, 0)
    model.token_losses(ids(1, 8), ids(1, 8)).sum().backward()  # type: ignore[no-untyped-call]
    weight = model.embed_tokens.weight
    assert weight.grad is not None
    assert torch.count_nonzero(weight[300:]) == torch.count_nonzero(weight.grad[300:]) == 0


def test_ignored_labels_cost_nothing() -> None:
    model, tokens, labels = lively_model(), ids(1, 8), ids(1, 8, seed=5)
    labels[0, 3:] = IGNORED
    per_token = model.token_losses(tokens, labels)[0]
    assert torch.count_nonzero(per_token) == 3
    assert torch.equal(per_token[3:], torch.zeros(5))


def test_loss_in_pieces_is_the_loss_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens, labels = lively_model(), ids(4, 16), ids(4, 16, seed=5)
    whole = model.token_losses(tokens, labels)
    whole.sum().backward()  # type: ignore[no-untyped-call]
    assert model.embed_tokens.weight.grad is not None
    gradient = model.embed_tokens.weight.grad.clone()
    model.zero_grad()
    monkeypatch.setattr(train.model, "LOSS_ROWS", 10)
    pieces = model.token_losses(tokens, labels)
    pieces.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(model.embed_tokens.weight.grad, gradient, rtol=1e-4, atol=1e-6)


def test_the_seed_decides_the_first_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        model = Decoder(micro_model())
        init_weights(model, seed)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@pytest.mark.parametrize(
    ("preset", "vocab", "millions"),
    [
        ("tiny", 8_192, (1, 5)),
        ("5m", 8_192, (4.5, 5.7)),
        ("30m", 8_192, (27, 33)),
        ("124m", 50_304, (110, 130)),
        ("gpt2", 50_257, (124, 125)),
        ("350m", 50_304, (320, 380)),
        ("760m", 50_304, (720, 800)),
        ("1.5b", 50_304, (1400, 1600)),
    ],
)
def test_presets_have_the_size_of_their_name(preset: str, vocab: int, millions: tuple[float, float]) -> None:
    config = build_config(preset, {"model": {"vocab_size": vocab, "max_positions": 1024}}).model
    with torch.device("meta"):
        n_params = Decoder(config).n_params()
    assert millions[0] * 1e6 <= n_params <= millions[1] * 1e6


def test_every_preset_builds() -> None:
    for preset in PRESETS:
        assert build_config(preset).preset == preset


def test_flops_are_those_pytorch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = lively_model()
    tokens = ids(2, 32)
    with FlopCounterMode(display=False) as counter:
        model.token_losses(tokens, tokens).sum().backward()  # type: ignore[no-untyped-call]
    per_token = counter.get_total_flops() / tokens.numel()
    assert model.flops_per_token(32) == pytest.approx(per_token, rel=0.15)  # the kernel recomputes some of the square
