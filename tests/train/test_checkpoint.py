"""Mirrors train/checkpoint.py: a checkpoint is whole or absent, damage is named, old ones go."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from train.checkpoint import (
    Progress,
    latest_checkpoint,
    load_tensors,
    read_config,
    read_progress,
    remove_old_checkpoints,
    save_checkpoint,
)
from train.errors import CheckpointError
from train.overrides import build_config

CONFIG = build_config("tiny")


def save(folder: Path, step: int) -> Path:
    folder.mkdir(exist_ok=True)
    tokenizer = folder.parent / "tokenizer.json"
    tokenizer.write_text("{}")
    model = {"w": torch.full((3,), float(step))}
    progress = Progress(step, 4 * step, 100 * step, 0, 1, "abc")
    return save_checkpoint(folder, model, {"w.step": torch.tensor(step)}, CONFIG, progress, tokenizer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def test_what_is_saved_is_loaded(folder: Path) -> None:
    path = save(folder, 7)
    assert latest_checkpoint(folder) == path
    assert read_progress(path) == Progress(7, 28, 700, 0, 1, "abc")
    assert read_config(path) == CONFIG
    assert torch.equal(load_tensors(path, "model")["w"], torch.full((3,), 7.0))
    assert {p.name for p in path.iterdir()} == {
        "model.safetensors", "optimizer.safetensors", "config.json", "state.json", "tokenizer.json",
    }  # fmt: skip


@pytest.mark.parametrize("call", [1, 2])
def test_a_crash_while_saving_leaves_the_last_one(folder: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """The first call that publishes moves the folder, the second one the pointer."""
    first = save(folder, 1)
    calls = []

    def crash(name: str) -> object:
        real = getattr(os, name)

        def publish(source: Path, target: Path) -> None:
            calls.append(name)
            if len(calls) == call:
                raise OSError("power cut")
            real(source, target)

        return publish

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", crash("rename"))
        patched.setattr(os, "replace", crash("replace"))
        with pytest.raises(OSError, match="power cut"):
            save(folder, 2)
    assert latest_checkpoint(folder) == first
    assert read_progress(first).step == 1
    again = save(folder, 2)
    assert latest_checkpoint(folder) == again
    assert sorted(p.name for p in folder.iterdir()) == ["latest", "step-0000001", "step-0000002"]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_damage_is_named(folder: Path, name: str, harm: str) -> None:
    path = save(folder, 1) / name
    content = path.read_bytes()
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if harm == "cut" else bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(CheckpointError, match=f"{name} is missing or damaged"):
        read_progress(path.parent)


@pytest.mark.parametrize("key", ["step", "manifest_sha256", "sha256", "version"])
def test_a_state_that_lacks_something_is_named(folder: Path, key: str) -> None:
    path = save(folder, 1)
    state = json.loads((path / "state.json").read_text())
    del state[key]
    (path / "state.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError) as caught:
        read_progress(path)
    assert "\n" not in str(caught.value)


def test_a_pointer_to_nothing_is_an_error(folder: Path) -> None:
    assert latest_checkpoint(folder) is None
    save(folder, 1)
    (folder / "latest").write_text("step-0000009\n")
    with pytest.raises(CheckpointError, match="step-0000009, which is not a whole checkpoint"):
        latest_checkpoint(folder)


def test_old_ones_go_and_lost_futures_too(folder: Path) -> None:
    for step in (1, 2, 3, 9, 4):  # 9 was published, but its pointer was lost, and the run went on from 3
        save(folder, step)
    remove_old_checkpoints(folder, keep=2)
    assert sorted(p.name for p in folder.glob("step-*")) == ["step-0000003", "step-0000004"]
