"""Mirrors train/overrides.py and train/config.py: what is given arrives, what is wrong is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from train.errors import ConfigError
from train.overrides import build_config, first_difference, from_dict, parse_settings, read_overrides, to_dict


def test_later_layers_win() -> None:
    config = build_config("tiny", {"loop": {"steps": 5, "seed": 3}}, {"loop": {"steps": 7}})
    assert (config.loop.steps, config.loop.seed, config.model.d_model) == (7, 3, 192)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model": {"n_layer": 2}}, r"unknown option model.n_layer \(did you mean 'n_layers'\?\)"),
        ({"optimiser": {}}, r"unknown section 'optimiser' \(did you mean 'optim'\?\)"),
        ({"loop": 5}, "loop must be a mapping"),
        ({"loop": {"steps": "many"}}, "loop.steps must be int, got 'many'"),
        ({"loop": {"steps": True}}, "loop.steps must be int, got True"),
        ({"loop": {"steps": 0}}, "steps must be 1 or more, got 0"),
        ({"loop": {"compile": 1}}, "loop.compile must be bool, got 1"),
        ({"optim": {"schedule": "wds"}}, "optim.schedule must be one of wsd, cosine, linear, constant"),
        ({"optim": {"learning_rate": "fast"}}, "optim.learning_rate must be float, got 'fast'"),
        ({"optim": {"learning_rate": float("nan")}}, "learning_rate must be above 0, got nan"),
        ({"optim": {"beta2": 1.0}}, r"beta2 must be in \[0, 1\)"),
        ({"model": {"n_heads": 3, "n_kv_heads": 2}}, "must be a multiple of n_kv_heads"),
        ({"data": {"batch_size": 6, "micro_batch_size": 4}}, "multiple of micro_batch_size"),
        ({"data": {"weights": {"web": -1}}}, "weights.web must be above 0"),
        ({"data": {"weights": ["web"]}}, "data.weights must map sources to shares"),
    ],
)
def test_wrong_overrides_are_refused_in_one_line(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_config("tiny", overrides)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown preset 'tinny' \(did you mean 'tiny'\?\)"):
        build_config("tinny")


def test_yaml_and_settings_read_numbers_as_meant(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("preset: 30m\noptim: {learning_rate: 3e-4}\ndata: {weights: {web: 1, books: 0.5}}\n")
    config = build_config("30m", read_overrides(path), parse_settings(("loop.steps=9", "optim.beta2=0.99")))
    assert config.optim.learning_rate == 3e-4  # YAML alone would read the string "3e-4"
    assert config.data.weights == (("books", 0.5), ("web", 1.0))
    assert (config.loop.steps, config.optim.beta2) == (9, 0.99)


@pytest.mark.parametrize("text", [b"- a list", b"a: [", b"just text", b"\xff\xfe\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(text)
    with pytest.raises(ConfigError):
        read_overrides(path)


@pytest.mark.parametrize("setting", ["steps=3", "loop.steps", "loop.=3"])
def test_a_setting_without_section_or_value_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"section\.option=value"):
        parse_settings((setting,))
    with pytest.raises(ConfigError, match=r"'loop.sample_prompts=\[a': the value cannot be read"):
        parse_settings(("loop.sample_prompts=[a",))


def test_json_round_trip() -> None:
    config = build_config("124m", {"data": {"weights": {"web": 2, "books": 1}}, "optim": {"schedule": "cosine"}})
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


def test_difference_ignores_what_does_not_change_the_outcome() -> None:
    config = build_config("tiny")
    elsewhere = dataclasses.replace(config, loop=dataclasses.replace(config.loop, device="cpu", keep_checkpoints=5))
    assert first_difference(config, elsewhere) is None
    longer = dataclasses.replace(config, loop=dataclasses.replace(config.loop, steps=61))
    assert first_difference(longer, config) == "loop.steps (61, there 60)"
