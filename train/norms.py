"""The norms of the residual stream and of queries and keys, computed in float32 whatever goes in."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.config import ModelConfig


def norm_of(config: ModelConfig) -> nn.Module:
    """Return the norm of the residual stream."""
    if config.norm == "layernorm":
        return LayerNorm(config.d_model, config.norm_eps, config.bias)
    return RMSNorm(config.d_model, config.norm_eps)


class RMSNorm(nn.Module):
    """x / rms(x) * weight (arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # One kernel on CUDA. On a CPU torch makes it of ten, each of which reads and writes all of x.
        norm = rms_norm_on_cpu if x.device.type == "cpu" else _rms_norm
        return norm(x.float(), self.weight.float(), self.eps).type_as(x)


class LayerNorm(nn.Module):
    """(x - mean) / std * weight + bias (arXiv 1607.06450)."""

    def __init__(self, width: int, eps: float, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.float()
        return F.layer_norm(x.float(), self.weight.shape, self.weight.float(), bias, self.eps).type_as(x)


def rms_norm_on_cpu(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return what `F.rms_norm` does, forward and backward in a third of its time: 7 % of a step of the preset 30m."""
    y: Tensor = _RMSNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return y


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return F.rms_norm(x, weight.shape, weight, eps)


class _RMSNorm(torch.autograd.Function):
    """y = w x / r with r = sqrt(mean(x^2) + eps); dL/dx = w g / r - x sum(w g x) / (K r^3), K the width."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square().div(x.shape[-1]).add(eps).rsqrt()
        ctx.save_for_backward(x, weight, inverse)  # inverse is 1 / r
        y: Tensor = (x * inverse).mul_(weight)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of x and of the weight."""
        grad, (x, weight, inverse) = gradients[0], ctx.saved_tensors
        width = x.shape[-1]
        product_NK = (grad * x).reshape(-1, width)
        grad_weight = product_NK.t() @ inverse.view(-1)
        shift = (product_NK @ weight).view_as(inverse) * inverse**3 / -width
        return (grad * weight).mul_(inverse).addcmul_(x, shift), grad_weight, None
