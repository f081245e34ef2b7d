"""A program for torchrun: train the micro model on the ranks it is given, and write what came of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from tests.train.micro import SETTINGS
from train import api


def crash_after(step: int) -> None:
    """Let the process die once the checkpoint of a step is whole."""
    from train.loop import Trainer

    real = Trainer._save

    def dying(self: Trainer) -> None:
        real(self)
        if self.progress.step == step:
            os._exit(9)

    Trainer._save = dying  # type: ignore[method-assign]


def main() -> None:
    torch.set_num_threads(1)
    if "CRASH_AFTER" in os.environ:
        crash_after(int(os.environ["CRASH_AFTER"]))
    tokens, out, options = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    settings = (*SETTINGS, *options.pop("settings", ()))
    api.train(tokens, out, device="cpu", seq_len=32, settings=settings, **options)


if __name__ == "__main__":
    main()
