"""Where and in which precision to compute."""

from __future__ import annotations

import torch

from train.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device; "auto" is CUDA where there is one, else the CPU.

    Raises ConfigError for one that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"unknown device {name!r}; use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(f"device {name!r} is not available here; use auto or cpu")
    return device


def choose_autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context for the forward pass in fp32, bf16 or fp16 over fp32 weights."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
