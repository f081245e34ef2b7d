"""A checkpoint as a folder that `transformers` opens with the same logits (Llama, Qwen3, GPT-2), and back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from train.checkpoint import find_checkpoint, read_config
from train.config import ModelConfig
from train.errors import CheckpointError, ConfigError
from train.families import config_from, describe, from_transformers, to_transformers
from train.model import Decoder
from train.runfolder import make_folder
from train.tensor_files import load_tensors, save_tensors


def export_checkpoint(checkpoint: Path, out: Path) -> Path:
    """Write a checkpoint as a folder for `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer`; return it.

    `find_checkpoint` must have found it whole. Raises ConfigError for a network that no family of `transformers` has,
    and for an `out` that is not empty.
    """
    config = read_config(checkpoint)
    described = describe(config.model, config.data.seq_len)
    tensors = to_transformers(config.model, load_tensors(checkpoint, "model"))
    out = Path(os.path.abspath(out))
    if out.is_file():
        raise ConfigError(f"{out} is a file; name a folder")
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; give another folder")
    make_folder(out.parent)
    made = out.parent / f".{out.name}.partial-{os.getpid()}"
    shutil.rmtree(made, ignore_errors=True)
    try:
        made.mkdir()
        _write_json(made / "config.json", described)
        _write_json(made / "generation_config.json", {k: described[k] for k in ("bos_token_id", "eos_token_id")})
        save_tensors(tensors, made / "model.safetensors", {"format": "pt"})
        shutil.copyfile(checkpoint / "tokenizer.json", made / "tokenizer.json")
        _write_json(made / "tokenizer_config.json", _tokenizer_config(checkpoint, config.model, config.data.seq_len))
        os.rename(made, out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return out


def read_exported(folder: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return the network and the weights of a folder that `transformers` opens; its weights in one safetensors file.

    Raises CheckpointError for anything else. No pickle is read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be read as an exported model: {error}") from error
    if not isinstance(described, dict):
        raise CheckpointError(f"{folder / 'config.json'} is damaged: it holds no settings")
    config = config_from(described, str(folder / "config.json"))
    return config, from_transformers(config, tensors, str(folder / "model.safetensors"))


def read_weights(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return the network and weights of a checkpoint, the newest one of a run, or a folder made for `transformers`."""
    return _read(_weights_at(path))


def load_weights(model: Decoder, path: Path) -> bytes | None:
    """Fill a model with the weights found at `path`; return the tokenizer.json beside them, None where there is none.

    Raises CheckpointError where they are of another shape.
    """
    place = _weights_at(path)
    try:
        model.load_state_dict(_read(place)[1])
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the model: {str(error).splitlines()[-1].strip()}") from error
    tokenizer = place / "tokenizer.json"
    return tokenizer.read_bytes() if tokenizer.is_file() else None


def _weights_at(path: Path) -> Path:
    return path if _is_exported(path) else find_checkpoint(path)


def _is_exported(path: Path) -> bool:
    return (path / "config.json").is_file() and not (path / "state.json").is_file()


def _read(place: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    return read_exported(place) if _is_exported(place) else (read_config(place).model, load_tensors(place, "model"))


def _tokenizer_config(checkpoint: Path, config: ModelConfig, seq_len: int) -> dict[str, Any]:
    from tokenizers import Tokenizer

    eos = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).id_to_token(config.eos_id)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": eos,
        "eos_token": eos,
        "model_max_length": seq_len,
        "clean_up_tokenization_spaces": False,
    }


def _write_json(path: Path, plain: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")
