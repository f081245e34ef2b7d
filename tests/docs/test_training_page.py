"""docs/training.md names every option of the trainer with its default, and every preset with its shape."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.helpers import ROOT
from train.config import PRESETS, DataConfig, LoopConfig, ModelConfig, OptimConfig

PAGE = (ROOT / "docs" / "training.md").read_text("utf-8")
SECTIONS = {"model": ModelConfig, "data": DataConfig, "optim": OptimConfig, "loop": LoopConfig}


def defaults_told(section: str) -> dict[str, str]:
    """Return option → default as the table of a section tells them; a row may tell several."""
    found: dict[str, str] = {}
    text = PAGE.split(f"\n### {section}\n")[1].split("\n##")[0]
    for names, defaults in re.findall(r"^\| (`.*?`) \| (.*?) \|", text, re.MULTILINE):
        options = re.findall(r"`(\w+)`", names)
        values = defaults.split(", ") if len(options) > 1 else [defaults]
        assert len(options) == len(values), names
        found |= dict(zip(options, values, strict=True))
    return found


def told(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return {(): "{}", ("",): '[""]'}[value]
    return '""' if value == "" else str(value)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_option_is_told_with_its_default(section: str) -> None:
    real = {field.name: told(field.default) for field in dataclasses.fields(SECTIONS[section])}
    assert defaults_told(section) == real


def test_every_preset_is_told_with_its_shape() -> None:
    for name, sections in PRESETS.items():
        model, data, rate = sections["model"], sections["data"], sections["optim"]["learning_rate"]
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        cells = [cell.strip().replace(",", "") for cell in row.split("|")[2:-1]]
        shape = f"{model['n_layers']} × {model['d_model']}"
        heads = f"{model['n_heads']} {model['n_kv_heads']}"
        numbers = [str(model["d_ff"]), str(data["seq_len"]), str(data["batch_size"])]
        assert cells[:-1] == [shape, heads, *numbers], name
        assert float(cells[-1]) == rate, name
