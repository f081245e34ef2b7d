"""Checkpoints as folders of safetensors and JSON: whole or absent, checked by sha256, no pickle.

checkpoints/latest                       the name of the newest whole checkpoint
checkpoints/step-0000060/model.safetensors, optimizer.safetensors, config.json, state.json, tokenizer.json
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from train.config import TrainConfig
from train.errors import CheckpointError
from train.overrides import from_dict, to_dict

VERSION = 1
_FILES = ("model.safetensors", "optimizer.safetensors", "config.json", "tokenizer.json")


@dataclass(frozen=True)
class Progress:
    """How far a run is, and on which data; identical on every rank."""

    step: int  # steps done
    consumed_samples: int  # the next batch begins at this sample
    trained_tokens: int  # labels that counted
    seed: int
    sampler_version: int
    manifest_sha256: str


def save_checkpoint(
    folder: Path,
    model: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    config: TrainConfig,
    progress: Progress,
    tokenizer: Path,
) -> Path:
    """Write a checkpoint beside the others in `folder`, make it the latest, and return its path.

    It is written under another name, forced to disk, and renamed: a crash leaves the previous one in force.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".partial-*"):
        shutil.rmtree(leftover)
    partial = folder / f".partial-{os.getpid()}"
    partial.mkdir()
    _write_json(partial / "config.json", to_dict(config))
    for name, tensors in (("model", model), ("optimizer", optimizer)):
        path = partial / f"{name}.safetensors"
        save_tensors({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, path)
        shutil.copymode(partial / "config.json", path)  # safetensors lets only the owner read
    shutil.copyfile(tokenizer, partial / "tokenizer.json")
    sums = {name: _sha256(partial / name) for name in _FILES}
    state = {"version": VERSION, **dataclasses.asdict(progress), "torch": torch.__version__, "sha256": sums}
    _write_json(partial / "state.json", state)
    for path in partial.iterdir():
        _sync(path)
    _sync(partial)
    final = folder / f"step-{progress.step:07d}"
    if final.exists():  # never the latest: a step is saved once per run, and a resumed run starts at the latest
        shutil.rmtree(final)
    os.rename(partial, final)
    _sync(folder)
    _point_latest(folder, final.name)
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


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint at `path`: the folder itself, or the latest one of a run; raises CheckpointError."""
    if (path / "state.json").is_file():
        return path
    for folder in (path / "checkpoints", path / "train" / "checkpoints", path):
        if (found := latest_checkpoint(folder)) is not None:
            return found
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
    if not isinstance(state.get("sha256"), dict) or any(name not in state["sha256"] for name in _FILES):
        raise CheckpointError(f"{checkpoint / 'state.json'} is damaged: it lacks checksums")
    for name, expected in state["sha256"].items():
        path = checkpoint / name
        if not path.is_file() or _sha256(path) != expected:
            raise CheckpointError(
                f"{path} is missing or damaged; an older checkpoint can be put in force by naming it in 'latest'"
            )
    names = [field.name for field in dataclasses.fields(Progress)]
    missing = [name for name in names if name not in state]
    if missing:
        raise CheckpointError(f"{checkpoint / 'state.json'} is damaged: it lacks {missing[0]}")
    return Progress(**{name: state[name] for name in names})


def read_config(checkpoint: Path) -> TrainConfig:
    """Return the configuration the checkpoint was trained with."""
    return from_dict(_read_json(checkpoint / "config.json"))


def load_tensors(checkpoint: Path, name: str) -> dict[str, Tensor]:
    """Return the tensors of `model` or `optimizer`, on the CPU."""
    try:
        return load_file(checkpoint / f"{name}.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {checkpoint / name}.safetensors: {error}") from error


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file; its library hides the system's error in a text, this raises it as OSError."""
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


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
