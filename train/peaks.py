"""What devices can do at best: peaks and memory from data sheets, and the rate of matrix products measured in place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from train.config import ModelConfig

if TYPE_CHECKING:
    import torch

GIB = 1 << 30
MIN_ROWS = 256  # of a measured product
CPU_FLOPS, CUDA_FLOPS = 4e9, 1e13  # of one measured product at most: tens of milliseconds
MIN_S = 0.02  # for which a product is repeated
REPEATS = 3  # of which the fastest counts


class Device(NamedTuple):
    """A kind of GPU: part of the name CUDA gives it, dense bf16 FLOP/s, bytes of memory."""

    name: str
    peak_flops: float
    memory_bytes: int


# From NVIDIA's data sheets, without 2:4 sparsity; a name that contains another stands before it.
DEVICES = (
    Device("GH200", 989e12, 96 * GIB),
    Device("H200", 989e12, 141 * 10**9),
    Device("H100 PCIe", 756e12, 80 * GIB),
    Device("H100 NVL", 835e12, 94 * GIB),
    Device("H100", 989e12, 80 * GIB),
    Device("A100-SXM4-80GB", 312e12, 80 * GIB),
    Device("A100 80GB", 312e12, 80 * GIB),
    Device("A100", 312e12, 40 * GIB),
    Device("L40S", 362e12, 48 * GIB),
    Device("L40", 181e12, 48 * GIB),
    Device("L4", 121e12, 24 * GIB),
    Device("RTX 4090", 165e12, 24 * GIB),
)


def find_device(name: str) -> Device | None:
    """Return the kind of GPU with this name, None when it is not in the table; case, spaces and dashes do not count."""
    return next((device for device in DEVICES if _bare(device.name) in _bare(name)), None)


def peak_flops(device_name: str) -> float | None:
    """Return the dense bf16 peak of a GPU, None when it is not in the table."""
    device = find_device(device_name)
    return None if device is None else device.peak_flops


def _bare(name: str) -> str:
    return "".join(c for c in name.upper() if c.isalnum())


def products(config: ModelConfig) -> dict[tuple[int, int], int]:
    """Return the weights that a token is multiplied with, as (out, in) → how many of that shape."""
    query, key, width = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim, config.d_model
    per_layer = [(query, width), (key, width), (key, width), (width, query), (config.d_ff, width), (width, config.d_ff)]
    if config.mlp == "swiglu":
        per_layer.append((config.d_ff, width))
    found: dict[tuple[int, int], int] = {}
    for shape in per_layer:
        found[shape] = found.get(shape, 0) + config.n_layers
    head = (config.padded_vocab_size, width)
    found[head] = found.get(head, 0) + 1
    return found


def matmul_flops(config: ModelConfig, n_rows: int, device: torch.device, dtype: torch.dtype) -> float:
    """Measure the FLOP/s of a model's matrix products alone: forward and both gradients, each shape as often as it is.

    No training step can be faster. `n_rows` are the tokens of a micro-batch; large ones are cut to what tens of
    milliseconds do.
    """
    n_flops = seconds = 0.0
    for (out, into), count in products(config).items():
        limit = (CUDA_FLOPS if device.type == "cuda" else CPU_FLOPS) / (2 * out * into)
        rows = max(MIN_ROWS, min(n_rows, int(limit)))
        n_flops += count * 6 * rows * out * into
        seconds += count * _seconds(rows, out, into, device, dtype)
    return n_flops / seconds


def _seconds(rows: int, out: int, into: int, device: torch.device, dtype: torch.dtype) -> float:
    """Return the time of y = x W', dx = dy W and dW = dy' x."""
    import torch

    generator = torch.Generator(device).manual_seed(0)  # its own: the run's numbers stay what they are
    shapes = ((rows, into), (out, into), (rows, out))
    x, weight, dy = (torch.empty(s, device=device).normal_(generator=generator).to(dtype) for s in shapes)

    def once() -> None:
        torch.mm(x, weight.t())
        torch.mm(dy, weight)
        torch.mm(dy.t(), x)

    def timed(times: int) -> float:
        _wait(device)
        started = time.perf_counter()
        for _ in range(times):
            once()
        _wait(device)
        return (time.perf_counter() - started) / times

    timed(1)  # warms up
    times = max(1, round(MIN_S / max(timed(1), 1e-6)))
    return min(timed(times) for _ in range(REPEATS))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
