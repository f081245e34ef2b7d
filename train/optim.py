"""AdamW with decay on matrices only, and its state by parameter name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from train.config import OptimConfig
from train.errors import CheckpointError

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def build_optimizer(model: nn.Module, optim: OptimConfig) -> torch.optim.AdamW:
    """Return fused AdamW; matrices decay, gains do not (GPT-2 and GPT-3 practice)."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    gains = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": optim.weight_decay}, {"params": gains, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=optim.learning_rate, betas=(optim.beta1, optim.beta2), eps=optim.eps, fused=True
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use `learning_rate` for the next step, in all groups."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the moments as `<parameter>.<moment>`.

    Names, not numbers, so a checkpoint does not depend on the groups' order.
    """
    return {
        f"{name}.{moment}": optimizer.state[parameter][moment]
        for name, parameter in model.named_parameters()
        if parameter in optimizer.state
        for moment in _MOMENTS
    }


def load_optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put saved moments back; raises CheckpointError when one is missing."""
    for name, parameter in model.named_parameters():
        missing = [moment for moment in _MOMENTS if f"{name}.{moment}" not in tensors]
        if missing:
            raise CheckpointError(f"the optimizer state lacks {name}.{missing[0]}")
        optimizer.state[parameter] = {
            moment: tensors[f"{name}.{moment}"].to(device=parameter.device, copy=True) for moment in _MOMENTS
        }
