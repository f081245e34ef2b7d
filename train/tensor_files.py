"""A checkpoint's tensors as folders of safetensors, by torch's distributed checkpointing: each process its own part.

They are read by any number of processes, and no pickle is. What fails is told as CheckpointError where it is read, and
as OSError where it is written.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from train.errors import CheckpointError


def save_parts(tensors: Mapping[str, Tensor], folder: Path, *, alone: bool) -> None:
    """Write this process's part of the tensors; raises OSError, with the folder's name, where the system refuses."""
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    values = {name: tensor.detach() for name, tensor in tensors.items()}
    try:
        with _as_system_error(folder), _quiet():
            try:
                save(values, storage_writer=writer, no_dist=alone)
            except CheckpointException as error:
                raise next(iter(error.failures.values()))[0] from error
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(folder)) from error


def load_tensors(checkpoint: Path, name: str) -> dict[str, Tensor]:
    """Return the tensors of `model` or `optimizer`, whole and on the CPU, by however many processes they were saved."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    with _as_checkpoint_error(checkpoint / name):
        described = HuggingFaceStorageReader(str(checkpoint / name)).read_metadata().state_dict_metadata
        parts = {key: part for key, part in described.items() if isinstance(part, TensorStorageMetadata)}
        tensors = {key: torch.empty(part.size, dtype=part.properties.dtype) for key, part in parts.items()}
    load_into(checkpoint, name, tensors, alone=True)
    return tensors


def load_into(checkpoint: Path, name: str, tensors: dict[str, Tensor], *, alone: bool) -> None:
    """Fill tensors, which may be cut over processes, from a checkpoint; `alone` unless all processes take part.

    Raises CheckpointError for one that is missing or has another shape.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = HuggingFaceStorageReader(str(checkpoint / name))
    with _as_checkpoint_error(checkpoint / name), _quiet():
        load(tensors, storage_reader=reader, no_dist=alone)


@contextmanager
def _as_checkpoint_error(where: Path) -> Iterator[None]:
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        yield
    except (OSError, SafetensorError, CheckpointException, RuntimeError, ValueError, KeyError, AssertionError) as error:
        line = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
        raise CheckpointError(f"cannot read {where}: {line}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out torch's notice that one process loads alone: that is what is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


@contextmanager
def _as_system_error(path: Path) -> Iterator[None]:
    """Raise the system's error, which safetensors hides in a text, as OSError."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file."""
    with _as_system_error(path):
        save_file(tensors, path, metadata)
