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
    newest_whole,
    read_config,
    read_progress,
    remove_old_checkpoints,
    save_checkpoint,
)
from train.errors import CheckpointError
from train.overrides import build_config
from train.parallel import World
from train.tensor_files import load_tensors

CONFIG = build_config("tiny")
ALONE = World(0, 1, torch.device("cpu"))
PART = "shard-00001-model-00001-of-00001.safetensors"


def save(folder: Path, step: int) -> Path:
    folder.mkdir(exist_ok=True)
    tokenizer = folder.parent / "tokenizer.json"
    tokenizer.write_text("{}")
    tensors = {"model": {"w": torch.full((3,), float(step))}, "optimizer": {"w.step": torch.tensor(float(step))}}
    progress = Progress(step, 4 * step, 100 * step, 0, 1, "abc")
    return save_checkpoint(folder, tensors, CONFIG, progress, tokenizer, ALONE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def test_what_is_saved_is_loaded(folder: Path) -> None:
    path = save(folder, 7)
    assert latest_checkpoint(folder) == path
    assert read_progress(path) == Progress(7, 28, 700, 0, 1, "abc")
    assert read_config(path) == CONFIG
    assert torch.equal(load_tensors(path, "model")["w"], torch.full((3,), 7.0))
    assert {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()} == {
        f"model/{PART}", f"optimizer/{PART}", "config.json", "state.json", "tokenizer.json",
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


@pytest.mark.parametrize("name", [f"model/{PART}", f"optimizer/{PART}", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_damage_is_named(folder: Path, name: str, harm: str) -> None:
    checkpoint = save(folder, 1)
    path = checkpoint / name
    content = path.read_bytes()
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if harm == "cut" else bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(CheckpointError, match=f"{name} is missing, damaged or foreign"):
        read_progress(checkpoint)


def test_a_file_that_does_not_belong_is_named(folder: Path) -> None:
    path = save(folder, 1)
    (path / "model" / "more.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"more\.safetensors is missing, damaged or foreign"):
        read_progress(path)


def test_a_damaged_checkpoint_is_passed_over_with_a_notice(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert newest_whole(folder) is None
    for step in (1, 2, 3):
        save(folder, step)
    assert newest_whole(folder)[0].name == "step-0000003"
    (folder / "step-0000003" / "model" / PART).write_bytes(b"")
    (folder / "step-0000002" / "config.json").unlink()
    path, progress = newest_whole(folder)
    assert (path.name, progress.step) == ("step-0000001", 1)
    said = [record.getMessage() for record in caplog.records if record.name == "train"]
    assert [line.count("going back to the checkpoint before it") for line in said] == [1, 1]
    (folder / "step-0000001" / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match=f"step-0000003/model/{PART}"):
        newest_whole(folder)


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
