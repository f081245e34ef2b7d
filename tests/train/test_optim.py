"""Mirrors train/optim.py: AdamW against its definition in NumPy, decay on matrices only, state by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.train.micro import micro_model
from train.config import OptimConfig
from train.errors import CheckpointError
from train.model import Decoder, init_weights
from train.optim import Optimizers

PLAIN = torch.amp.GradScaler("cpu", enabled=False)


def model_and_optimizer(optim: OptimConfig) -> tuple[Decoder, Optimizers]:
    model = Decoder(micro_model())
    init_weights(model, 0)
    return model, Optimizers(model, optim)


def test_updates_are_those_of_decoupled_adam() -> None:
    optim = OptimConfig(learning_rate=0.01, weight_decay=0.5)
    model, optimizer = model_and_optimizer(optim)
    names = ("layers.0.self_attn.q_proj.weight", "norm.weight")  # one that decays, one that does not
    weights = {name: model.get_parameter(name) for name in names}
    ours = {name: w.detach().double().numpy().copy() for name, w in weights.items()}
    moments = {name: (np.zeros_like(ours[name]), np.zeros_like(ours[name])) for name in names}
    for step in range(1, 4):
        optimizer.set_learning_rate(0.01 / step)
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
        optimizer.step(PLAIN)
    for name, w in weights.items():
        np.testing.assert_allclose(w.detach().numpy(), ours[name], rtol=1e-4, atol=1e-6)


def test_every_parameter_is_in_one_group() -> None:
    model, optimizer = model_and_optimizer(OptimConfig())
    grouped = [id(p) for part in optimizer.parts for group in part.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert {p.ndim for p in optimizer.parts[0].param_groups[0]["params"]} == {2}
    assert [group["weight_decay"] for group in optimizer.parts[0].param_groups] == [0.1, 0.0]


def test_state_goes_over_by_name() -> None:
    first, second = model_and_optimizer(OptimConfig()), model_and_optimizer(OptimConfig())
    tokens = torch.arange(16)[None]
    first[0].token_losses(tokens, tokens).sum().backward()  # type: ignore[no-untyped-call]
    first[1].step(PLAIN)
    second[0].load_state_dict(first[0].state_dict())
    saved = {name: tensor.clone() for name, tensor in first[1].tensors().items()}
    second[1].load(saved)
    for model, optimizer in (first, second):
        optimizer.zero_grad()
        model.token_losses(tokens, tokens.flip(1)).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step(PLAIN)
    for ours, theirs in zip(first[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_missing_state_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"lacks embed_tokens.weight.step"):
        model_and_optimizer(OptimConfig())[1].load({})


def muon_step(weight: np.ndarray, gradient: np.ndarray, momentum: np.ndarray, rate: float, decay: float) -> None:
    """Do one update of Muon in place: Nesterov momentum, five Newton-Schulz steps, the size of AdamW's."""
    momentum *= 0.95
    momentum += 0.05 * gradient
    x = 0.05 * gradient + 0.95 * momentum
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    update = x if wide else x.T
    weight *= 1 - rate * decay
    weight -= rate * 0.2 * max(weight.shape) ** 0.5 * update


def test_muon_moves_the_blocks_matrices_and_adam_the_rest() -> None:
    model, optimizer = model_and_optimizer(OptimConfig(optimizer="muon", learning_rate=0.01, weight_decay=0.1))
    names = {id(p): name for name, p in model.named_parameters()}
    adam, muon = ({names[id(p)] for g in part.param_groups for p in g["params"]} for part in optimizer.parts)
    assert muon == {name for name, p in model.named_parameters() if name.startswith("layers.") and p.ndim == 2}
    assert adam | muon == set(names.values())
    assert not adam & muon
    name = "layers.0.mlp.up_proj.weight"
    ours = model.get_parameter(name).detach().double().numpy().copy()
    momentum = np.zeros_like(ours)
    for step in range(1, 4):
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
        muon_step(ours, model.get_parameter(name).grad.double().numpy(), momentum, 0.01, 0.1)
        optimizer.step(PLAIN)
    np.testing.assert_allclose(
        model.get_parameter(name).detach().numpy(), ours, rtol=0.02, atol=2e-3
    )  # it is bf16 inside


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_blank_tensors_have_the_shapes_of_the_state(kind: str) -> None:
    model, optimizer = model_and_optimizer(OptimConfig(optimizer=kind))
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    blank = optimizer.blank_tensors()
    optimizer.step(PLAIN)
    after = optimizer.tensors()
    assert {name: (t.shape, t.dtype) for name, t in blank.items()} == {n: (t.shape, t.dtype) for n, t in after.items()}
