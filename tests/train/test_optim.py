"""Mirrors train/optim.py: AdamW against its definition in NumPy, decay on matrices only, state by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.train.micro import micro_model
from train.config import OptimConfig
from train.errors import CheckpointError
from train.model import Decoder, init_weights
from train.optim import build_optimizer, load_optimizer_tensors, optimizer_tensors, set_learning_rate


def model_and_optimizer(optim: OptimConfig) -> tuple[Decoder, torch.optim.AdamW]:
    model = Decoder(micro_model())
    init_weights(model, 0)
    return model, build_optimizer(model, optim)


def test_updates_are_those_of_decoupled_adam() -> None:
    optim = OptimConfig(learning_rate=0.01, weight_decay=0.5)
    model, optimizer = model_and_optimizer(optim)
    names = ("layers.0.self_attn.q_proj.weight", "norm.weight")  # one that decays, one that does not
    weights = {name: model.get_parameter(name) for name in names}
    ours = {name: w.detach().double().numpy().copy() for name, w in weights.items()}
    moments = {name: (np.zeros_like(ours[name]), np.zeros_like(ours[name])) for name in names}
    for step in range(1, 4):
        set_learning_rate(optimizer, 0.01 / step)
        for name, w in weights.items():
            gradient = torch.randn(w.shape, generator=torch.Generator().manual_seed(step))
            w.grad = gradient
            g = gradient.double().numpy()
            mean, square = moments[name]
            mean, square = 0.9 * mean + 0.1 * g, 0.95 * square + 0.05 * g * g
            moments[name] = (mean, square)
            decay = 0.5 if w.ndim == 2 else 0.0
            ours[name] *= 1 - 0.01 / step * decay
            ours[name] -= 0.01 / step * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.95**step)) + 1e-8)
        optimizer.step()
    for name, w in weights.items():
        np.testing.assert_allclose(w.detach().numpy(), ours[name], rtol=1e-4, atol=1e-6)


def test_every_parameter_is_in_one_group() -> None:
    model, optimizer = model_and_optimizer(OptimConfig())
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert {p.ndim for p in optimizer.param_groups[0]["params"]} == {2}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


def test_state_goes_over_by_name() -> None:
    first, second = model_and_optimizer(OptimConfig()), model_and_optimizer(OptimConfig())
    tokens = torch.arange(16)[None]
    first[0].token_losses(tokens, tokens).sum().backward()  # type: ignore[no-untyped-call]
    first[1].step()
    second[0].load_state_dict(first[0].state_dict())
    saved = {name: tensor.clone() for name, tensor in optimizer_tensors(*first).items()}
    load_optimizer_tensors(*second, saved)
    for model, optimizer in (first, second):
        optimizer.zero_grad()
        model.token_losses(tokens, tokens.flip(1)).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for ours, theirs in zip(first[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_missing_state_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"lacks embed_tokens.weight.step"):
        load_optimizer_tensors(*model_and_optimizer(OptimConfig()), {})
