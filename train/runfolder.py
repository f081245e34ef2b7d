"""The folder of a training run: what it was started with, where its parts lie, and the lock of its one process.

run.json        configuration, path and fingerprint of the token shards, and changes of these that were allowed
metrics.jsonl   one row per step          checkpoints/   see `train.checkpoint`
run.html        the loss curve            .lock          held while a process trains here
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from train.config import TrainConfig
from train.errors import ConfigError
from train.overrides import from_dict, to_dict

VERSION = 1


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """The log of steps and held-out scores."""
        return self.path / "metrics.jsonl"

    @property
    def page(self) -> Path:
        """The loss curve."""
        return self.path / "run.html"

    @property
    def card(self) -> Path:
        """What the run was started with."""
        return self.path / "run.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; raises ConfigError when another process trains here.

        The system lets go of it when a process dies.
        """
        make_folder(self.path)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(f"{self.path} is in use by another process") from error
            yield


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Raises ConfigError where that cannot be, such as below a file."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
        raise ConfigError(f"cannot make the folder {path}: {error.strerror}: {error.filename}") from error


@dataclass(frozen=True)
class RunCard:
    """What decides the outcome of a run."""

    config: TrainConfig
    tokens: Path
    manifest_sha256: str
    facts: Mapping[str, int | str] = field(default_factory=dict)  # of the shards, to tell what changed
    data_changes: tuple[DataChange, ...] = ()


@dataclass(frozen=True)
class DataChange:
    """Other token shards from a step on, as the user allowed."""

    step: int  # the last one that is trained on the shards before
    field: str  # of the manifest, the first that differs
    before: int | str | None
    after: int | str | None
    manifest_sha256: str  # of the shards before


def write_card(folder: RunFolder, card: RunCard) -> None:
    """Write `run.json` in one go; the shards' path is stored relative to the folder: both can move together."""
    plain = {
        "format": "curate-train-run",
        "version": VERSION,
        "config": to_dict(card.config),
        "tokens": os.path.relpath(card.tokens.resolve(), folder.path.resolve()),
        "manifest_sha256": card.manifest_sha256,
        "facts": dict(card.facts),
        "data_changes": [asdict(change) for change in card.data_changes],
    }
    partial = folder.path / ".run.json.partial"
    partial.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(partial, folder.card)


def read_card(folder: RunFolder) -> RunCard | None:
    """Return what the run was started with, None for a folder without `run.json`, or with that of something else.

    Raises ConfigError when it cannot be read.
    """
    if not folder.card.is_file():
        return None
    try:
        plain = json.loads(folder.card.read_text(encoding="utf-8"))
        if plain["format"] != "curate-train-run":  # such as that of a recipe's run
            return None
        if plain["version"] != VERSION:
            raise ConfigError(f"{folder.card} is not a training run of version {VERSION}")
        tokens = Path(os.path.normpath(folder.path.resolve() / plain["tokens"]))
        changes = tuple(DataChange(**change) for change in plain.get("data_changes", []))
        digest, facts = str(plain["manifest_sha256"]), dict(plain.get("facts", {}))
        return RunCard(from_dict(plain["config"]), tokens, digest, facts, changes)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{folder.card} is damaged: {error!r}") from error
