"""Runs of the micro model, one after another on one process or several, and what each process saw of them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from tests.train.micro import SETTINGS
from train import api
from train.data import Batch
from train.errors import TrainError
from train.loop import Trainer
from train.parallel import joined

OPTIONS: dict[str, Any] = {"steps": 6, "batch_size": 8, "seq_len": 32, "learning_rate": 0.01, "device": "cpu"}
HARD, SOFT, DIE, TERM = "hard", "soft", "die", "term"


class Crash(BaseException):
    """Stands for a process that is gone: nothing catches it."""


def run(tokens: Path, out: Path, *settings: str, harm: str = "", after: int = 0, to: int = -1, **options: Any) -> str:
    """Train in `out` and write what this process did to `<out>.rank<N>.json`; return the error that ended it, if any.

    After the checkpoint of step `after` all processes crash, HARD or SOFT. Or in the middle of the step behind it
    process `to` is lost (DIE), or asked to stop (TERM).
    """
    rank = int(os.environ.get("RANK", "0"))
    error, rows = "", dict[int, list[str]]()
    with _patched(rows, harm if to in (-1, rank) else "", after):
        try:
            api.train(tokens, out, settings=(*SETTINGS, *settings), **{**OPTIONS, **options})
        except (TrainError, Crash) as caught:
            error = f"{type(caught).__name__}: {caught}"
    seen = {"error": error, "rows": rows, "threads": gloo_threads()}
    out.with_name(f"{out.name}.rank{rank}.json").write_text(json.dumps(seen))
    return error


def gloo_threads() -> list[str]:
    """Return the names of the threads that talk to other processes."""
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").glob("*")]
    return [name for name in names if "gloo" in name]


@contextmanager
def _patched(rows: dict[int, list[str]], harm: str, after: int) -> Iterator[None]:
    """Note which rows this process trains on in each step, and do it the harm."""
    real_train, real_save = Trainer._train, Trainer._save

    def train(self: Trainer, batch: Batch, *given: Any) -> Any:
        if self.progress.step == after and harm == DIE:
            os._exit(9)
        if self.progress.step == after and harm == TERM:
            os.kill(os.getpid(), signal.SIGTERM)
        pairs = zip(batch.tokens, batch.labels, strict=True)
        rows[self.progress.step] = [hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest() for x, y in pairs]
        return real_train(self, batch, *given)

    def save(self: Trainer) -> None:
        real_save(self)
        if self.progress.step == after and harm == HARD:
            os._exit(9)
        if self.progress.step == after and harm == SOFT:
            raise Crash

    Trainer._train, Trainer._save = train, save  # type: ignore[method-assign]
    try:
        yield
    finally:
        Trainer._train, Trainer._save = real_train, real_save  # type: ignore[method-assign]


def main() -> None:
    """Do the runs of a JSON file: lists of a folder, settings, and keywords of `run`.

    Processes of torchrun are one group for all the runs; others join for each, at the `port` that is given with it.
    """
    torch.set_num_threads(1)
    tokens, runs = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    with joined("cpu") if "TORCHELASTIC_RUN_ID" in os.environ else nullcontext():
        for out, settings, options in runs:
            os.environ["MASTER_PORT"] = options.pop("port", os.environ["MASTER_PORT"])
            run(tokens, Path(out), *settings, **options)


if __name__ == "__main__":
    main()
