"""Copies of the metrics for TensorBoard and Weights & Biases, where a run asks for them; both packages are optional."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from train.config import LoopConfig, TrainConfig
from train.errors import ConfigError
from train.overrides import to_dict

Row = Mapping[str, Any]


class Copy(Protocol):
    """Takes rows of metrics.jsonl."""

    def add(self, row: Row) -> None: ...
    def close(self) -> None: ...


def refuse_missing(loop: LoopConfig) -> None:
    """Raise ConfigError for a package that the configuration needs and that is not installed."""
    for asked, package, option in (
        (loop.tensorboard, "tensorboard", "loop.tensorboard"),
        (bool(loop.wandb_project), "wandb", "loop.wandb_project"),
    ):
        if asked and importlib.util.find_spec(package) is None:
            raise ConfigError(f"{option} needs {package}, which is not installed: pip install {package}")


def open_copies(folder: Path, config: TrainConfig, step: int) -> list[Copy]:
    """Return those that `config` asks for; a run that goes on after `step` goes on in them too."""
    copies: list[Copy] = []
    if config.loop.tensorboard:
        copies.append(TensorBoard(folder / "tensorboard", step))
    if config.loop.wandb_project:
        copies.append(WeightsAndBiases(folder, config))
    return copies


class TensorBoard:
    """Event files in the run's folder; steps that are done again replace those of before."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, row: Row) -> None:
        """Write the row's numbers, and a sample's text."""
        for name, value in scalars(row):
            self._writer.add_scalar(name, value, row["step"])
        if row.get("split") == "sample":
            self._writer.add_text("sample", f"{row['prompt']!r}: {row['text']!r}", row["step"])

    def close(self) -> None:
        """Force the events to disk."""
        self._writer.close()


class WeightsAndBiases:
    """A run of the project, with one id for all processes that go on with it.

    Its own variables, such as WANDB_MODE=offline, are heeded. It takes no step twice: what a run does again after a
    crash is as it was logged first.
    """

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        wandb = importlib.import_module("wandb")
        identity = blake2b(str(folder.resolve()).encode(), digest_size=6).hexdigest()
        self._run = wandb.init(
            project=config.loop.wandb_project, name=folder.name, id=identity, resume="allow", dir=str(folder),
            config=to_dict(config),
        )  # fmt: skip

    def add(self, row: Row) -> None:
        """Log the row's numbers."""
        if found := dict(scalars(row)):
            self._run.log(found, step=row["step"])

    def close(self) -> None:
        """End this process's part."""
        self._run.finish()


def scalars(row: Row) -> Iterator[tuple[str, float]]:
    """Yield (name, number): `train/loss`, `val/<source>/bits_per_byte`, `val-domain/<source>/<domain>/…`."""
    split = str(row.get("split", "train"))
    if split in ("setup", "sample"):
        return
    place = [split, *(str(row[name]) for name in ("source", "domain") if row.get(name) is not None)]
    for name, value in row.items():
        if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
            yield "/".join([*place, name]), float(value)
