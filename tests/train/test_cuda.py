"""The same trainer on a GPU: bf16, compiled blocks, pinned batches. Skipped where there is no CUDA device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.micro import SETTINGS
from train import api

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
OPTIONS: dict[str, Any] = {"seq_len": 32, "batch_size": 4, "steps": 60, "learning_rate": 0.01}


@pytest.mark.parametrize("compiled", ["true", "false"])
def test_cuda_learns_what_the_cpu_learns(tokens: Path, tmp_path: Path, compiled: str) -> None:
    losses = {}
    for device in ("cpu", "cuda"):
        settings = (*SETTINGS, f"loop.compile={compiled}")
        summary = api.train(tokens, tmp_path / device, device=device, settings=settings, **OPTIONS)
        losses[device] = summary.last_loss
    assert losses["cuda"] == pytest.approx(losses["cpu"], abs=0.15)


def test_a_run_goes_on_on_another_device(tokens: Path, tmp_path: Path) -> None:
    api.train(tokens, tmp_path / "run", device="cpu", settings=SETTINGS, **{**OPTIONS, "steps": 20})
    longer = api.resume(tmp_path / "run", steps=30, device="cuda")
    assert longer.last_loss < longer.first_loss
    assert api.generate(tmp_path / "run", "The", max_new_tokens=5, device="cuda").startswith("The")
