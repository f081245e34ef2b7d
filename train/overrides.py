"""A configuration read strictly: a preset, overrides from YAML and options over it, and JSON there and back."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from train.config import PRESETS, DataConfig, LoopConfig, ModelConfig, OptimConfig, TrainConfig
from train.errors import ConfigError

_SECTIONS: dict[str, type[Any]] = {"model": ModelConfig, "data": DataConfig, "optim": OptimConfig, "loop": LoopConfig}
# May change within a run. Those of the first line say how an update is computed, and change it by rounding only (and
# where dropout falls); precision changes it by more.
_HARMLESS = frozenset(
    {
        "device", "compile", "parallel", "micro_batch_size", "recompute", "attention",
        "checkpoint_every", "keep_checkpoints", "sample_prompts", "measure_matmul", "tensorboard", "wandb_project",
    }
)  # fmt: skip


def build_config(preset: str = "tiny", *layers: Mapping[str, Any]) -> TrainConfig:
    """Return the preset with `layers` of overrides laid over it, later ones first.

    Raises ConfigError for any unknown key.
    """
    chosen = PRESETS.get(preset)
    if chosen is None:
        raise ConfigError(f"unknown preset {preset!r}{_nearest(preset, PRESETS)}; there are: {', '.join(PRESETS)}")
    merged: dict[str, dict[str, Any]] = {section: dict(values) for section, values in chosen.items()}
    for layer in layers:
        for section, values in layer.items():
            if section == "preset":
                continue
            if section not in _SECTIONS:
                raise ConfigError(
                    f"unknown section {section!r}{_nearest(section, _SECTIONS)}; there are: {', '.join(_SECTIONS)}"
                )
            if not isinstance(values, Mapping):
                raise ConfigError(f"{section} must be a mapping of options, got {values!r}")
            merged.setdefault(section, {}).update(values)
    sections = {name: _section(name, cls, merged.get(name, {})) for name, cls in _SECTIONS.items()}
    return TrainConfig(preset=preset, **sections)


def read_overrides(path: Path) -> dict[str, Any]:
    """Read a YAML file of overrides (`preset`, `model`, `data`, `optim`, `loop`).

    Raises ConfigError when it is not a mapping.
    """
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {str(error).splitlines()[0]}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} must hold a mapping with the sections {', '.join(_SECTIONS)}")
    return loaded


def parse_settings(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Turn `("model.n_layers=2", …)` into nested overrides; values are read as YAML."""
    import yaml

    nested: dict[str, dict[str, Any]] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        section, dot, name = key.strip().partition(".")
        if not equals or not dot or not name:
            raise ConfigError(f"{setting!r} is not of the form section.option=value")
        try:
            nested.setdefault(section, {})[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"{setting!r}: the value cannot be read: {str(error).splitlines()[0]}") from error
    return nested


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return the configuration as plain JSON values; `from_dict` reads it back."""
    plain = dataclasses.asdict(config)
    plain["data"]["weights"] = dict(config.data.weights)
    return plain


def from_dict(plain: Mapping[str, Any]) -> TrainConfig:
    """Read what `to_dict` wrote."""
    sections = {name: _section(name, cls, plain.get(name, {})) for name, cls in _SECTIONS.items()}
    return TrainConfig(preset=str(plain.get("preset", "tiny")), **sections)


def first_difference(ours: TrainConfig, theirs: TrainConfig) -> str | None:
    """Name the first option that makes two runs differ, as `section.option (ours, theirs)`; None when there is none.

    Options that decide only where and how a run computes, and what it keeps, do not count.
    """
    left, right = to_dict(ours), to_dict(theirs)
    for section in _SECTIONS:
        for name, value in left[section].items():
            if value != right[section][name] and name not in _HARMLESS:
                return f"{section}.{name} ({value}, there {right[section][name]})"
    return None


def _section(section: str, cls: type[Any], values: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    for name in values:
        if name not in hints:
            raise ConfigError(f"unknown option {section}.{name}{_nearest(str(name), hints)}")
    return cls(**{name: _value(f"{section}.{name}", hints[name], value) for name, value in values.items()})


def _value(where: str, wanted: Any, value: Any) -> Any:
    if typing.get_origin(wanted) is Literal:
        if value not in typing.get_args(wanted):
            raise ConfigError(f"{where} must be one of {', '.join(typing.get_args(wanted))}, got {value!r}")
        return value
    if wanted == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
            raise ConfigError(f"{where} must be a list of texts, got {value!r}")
        return tuple(value)
    if typing.get_origin(wanted) is tuple:
        return _weights(where, value)
    if wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError):  # told below, as for other types
            return float(value)  # YAML reads 3e-4 as a string
    elif isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
        return value
    raise ConfigError(f"{where} must be {wanted.__name__}, got {value!r}")


def _weights(where: str, value: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must map sources to shares, got {value!r}")
    return tuple(
        (str(source), float(_value(f"{where}.{source}", float, share))) for source, share in sorted(value.items())
    )


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
