"""Checkpoints as folders of safetensors and JSON: whole or absent, checked by sha256, no pickle.

checkpoints/latest                       the name of the newest whole checkpoint
checkpoints/step-0000060/model/*.safetensors, optimizer/*.safetensors, config.json, state.json, tokenizer.json

Of the tensors each process writes its own part, see `train.tensor_files`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from train.config import TrainConfig
from train.errors import CheckpointError
from train.overrides import from_dict, to_dict
from train.tensor_files import save_parts

if TYPE_CHECKING:
    from train.parallel import World

VERSION = 2
TENSORS = ("model", "optimizer")
_FILES = ("config.json", "tokenizer.json")
log = logging.getLogger("train")


@dataclass(frozen=True)
class Progress:
    """How far a run is, and on which data; identical on every rank."""

    step: int  # steps done
    consumed_samples: int  # the next batch begins at this sample
    trained_tokens: int  # labels that counted
    seed: int
    sampler_version: int
    manifest_sha256: str
    skipped: int = 0  # updates left out because fp16 gradients overflowed


def save_checkpoint(
    folder: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    config: TrainConfig,
    progress: Progress,
    tokenizer: Path,
    world: World,
    scaler: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint beside the others in `folder`, make it the latest, and return its path.

    `tensors` are those of `model` and `optimizer`; `scaler` is the state of the loss scaling. It is written under
    another name, forced to disk, and renamed: a crash leaves the previous one in force. All processes take part.
    """
    partial = folder / world.same(f".partial-{os.getpid()}")
    final = folder / f"step-{progress.step:07d}"
    if world.leads:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".partial-*"):
            shutil.rmtree(leftover)
        for name in TENSORS:
            (partial / name).mkdir(parents=True)
    world.wait()
    for name in TENSORS:
        save_parts(tensors[name], partial / name, alone=world.size == 1)
    if world.leads:
        _write_json(partial / "config.json", to_dict(config))
        shutil.copyfile(tokenizer, partial / "tokenizer.json")
        sums = {name: _sha256(partial / name) for name in sorted(_names(partial))}
        state = {"version": VERSION, **dataclasses.asdict(progress), "torch": torch.__version__, "sha256": sums}
        _write_json(partial / "state.json", state | {"scaler": dict(scaler or {})})
        for path in (*partial.rglob("*"), partial):
            _sync(path)
        if final.exists():  # of steps that were lost and are done again
            shutil.rmtree(final)
        os.rename(partial, final)
        _sync(folder)
        _point_latest(folder, final.name)
    world.wait()
    return final


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint that `latest` names, None where nothing was saved yet.

    Raises CheckpointError when it is gone.
    """
    pointer = folder / "latest"
    if not pointer.is_file():
        return None
    path = folder / pointer.read_text(encoding="utf-8").strip()
    if not (path / "state.json").is_file():
        raise CheckpointError(f"{pointer} names {path.name}, which is not a whole checkpoint")
    return path


def newest_whole(folder: Path) -> tuple[Path, Progress] | None:
    """Return the newest checkpoint whose files are what they were; a damaged one is passed over with a notice.

    Those after the one that `latest` names are of steps that were lost; where it names none, all count. None where
    nothing was saved yet. Raises CheckpointError when all are damaged.
    """
    there = sorted((path.name for path in folder.glob("step-*")), reverse=True)
    pointer = folder / "latest"
    newest = pointer.read_text(encoding="utf-8", errors="replace").strip() if pointer.is_file() else ""
    if there and newest not in there:
        log.warning("%s names no checkpoint that is there; going by those that are", pointer)
    names = [name for name in there if newest not in there or name <= newest]
    if not names:
        return None
    first: CheckpointError | None = None
    for name in names:
        try:
            found = folder / name, read_progress(folder / name)
        except CheckpointError as error:
            log.warning("%s; going back to the checkpoint before it", error)
            first = first or error
        else:
            return found
    assert first is not None
    raise first


def find_checkpoint(path: Path) -> Path:
    """Return the whole checkpoint at `path`: the folder itself, or the newest of a run whose files are what they were.

    A damaged one of a run is passed over with a notice. Raises CheckpointError when there is none, and for a checkpoint
    that is named itself and damaged.
    """
    if (path / "state.json").is_file():
        read_progress(path)
        return path
    for folder in (path / "checkpoints", path / "train" / "checkpoints", path):
        if (found := newest_whole(folder)) is not None:
            return found[0]
    raise CheckpointError(f"{path} holds no checkpoint; give a checkpoint folder or the folder of a training run")


def remove_old_checkpoints(folder: Path, keep: int) -> None:
    """Keep the latest checkpoint and the `keep - 1` before it.

    Those after it come from steps that were lost, and go too.
    """
    latest = latest_checkpoint(folder)
    if latest is None:
        return
    kept = [path for path in sorted(folder.glob("step-*")) if path.name <= latest.name][-keep:]
    for path in folder.glob("step-*"):
        if path not in kept:
            shutil.rmtree(path)


def read_progress(checkpoint: Path) -> Progress:
    """Return how far the checkpoint is, after comparing its files with their checksums; raises CheckpointError."""
    state = _read_json(checkpoint / "state.json")
    if state.get("version") != VERSION:
        raise CheckpointError(f"{checkpoint}: version {state.get('version')!r} cannot be read, expected {VERSION}")
    sums = state.get("sha256")
    parts = {name.partition("/")[0] for name in sums} if isinstance(sums, dict) else set()
    if not isinstance(sums, dict) or not parts >= {*TENSORS, *_FILES}:
        raise CheckpointError(f"{checkpoint / 'state.json'} is damaged: it lacks checksums")
    for name in sorted(_names(checkpoint) - {"state.json"} | set(sums)):
        path = checkpoint / name
        if not path.is_file() or name not in sums or _sha256(path) != sums[name]:
            raise CheckpointError(f"{path} is missing, damaged or foreign")
    fields = dataclasses.fields(Progress)
    missing = [field.name for field in fields if field.name not in state and field.default is dataclasses.MISSING]
    if missing:
        raise CheckpointError(f"{checkpoint / 'state.json'} is damaged: it lacks {missing[0]}")
    return Progress(**{field.name: state[field.name] for field in fields if field.name in state})


def read_scaler(checkpoint: Path) -> dict[str, Any]:
    """Return the state of the loss scaling; empty where losses were not scaled."""
    return dict(_read_json(checkpoint / "state.json").get("scaler", {}))


def read_config(checkpoint: Path) -> TrainConfig:
    """Return the configuration the checkpoint was trained with."""
    return from_dict(_read_json(checkpoint / "config.json"))


def _names(checkpoint: Path) -> set[str]:
    return {path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()}


def _point_latest(folder: Path, name: str) -> None:
    partial = folder / ".latest.partial"
    partial.write_text(name + "\n", encoding="utf-8")
    _sync(partial)
    os.replace(partial, folder / "latest")
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, plain: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path} does not hold a JSON object")
    return loaded
