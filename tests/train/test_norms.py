"""The norm that is written out for CPUs against torch's own, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from train.norms import RMSNorm, rms_norm_on_cpu


@pytest.mark.parametrize("shape", [(3, 5, 64), (2, 7, 4, 8), (1, 16), (6, 1)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_rms_norm_on_cpu_is_that_of_torch(shape: tuple[int, ...], scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator).mul_(scale).requires_grad_()
    weight = torch.rand(shape[-1], generator=generator).requires_grad_()
    grad = torch.randn(shape, generator=generator).transpose(0, 1).contiguous().transpose(0, 1)  # not in x's order
    ours, theirs = rms_norm_on_cpu(x, weight, 1e-5), F.rms_norm(x, weight.shape, weight, 1e-5)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    found, wanted = (torch.autograd.grad(y, (x, weight), grad) for y in (ours, theirs))
    steepest = 1 / max(scale, 1e-5**0.5)  # what the two terms of the gradient are like before they cancel
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-4, atol=1e-5 * steepest)
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-4, atol=1e-5)


def test_its_gradient_is_the_slope() -> None:
    x, weight = (torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 2, 6), (6,)))
    assert torch.autograd.gradcheck(lambda x, weight: rms_norm_on_cpu(x, weight, 1e-5), (x, weight))


def test_a_row_s_norm_does_not_depend_on_its_neighbours() -> None:
    x = torch.randn(64, 48, generator=torch.Generator().manual_seed(2))
    norm = RMSNorm(48, 1e-5)
    assert torch.equal(norm(x)[17:18], norm(x[17:18]))
    assert norm(x.bfloat16()).dtype == torch.bfloat16
