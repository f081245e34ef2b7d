"""Reckon what a run will take before it starts: work, memory, disk and hours; refuse what cannot be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from train.config import TrainConfig
from train.data import Corpus
from train.device import choose_device
from train.errors import ConfigError
from train.evals import held_out_prefix
from train.footprint import Footprint, lay_out
from train.launch import with_vocabulary
from train.meter import DTYPES, device_name
from train.peaks import DEVICES, find_device, matmul_flops
from train.plan import Plan
from train.progress import size
from train.sampler import rank_slice
from train.schedule import n_warmup_steps

MAX_EPOCHS = 4.0  # text repeated up to four times is worth about as much as new text (arXiv 2305.16264)


class _Target(NamedTuple):
    name: str
    type: str
    memory_bytes: int | None
    peak_flops: float
    peak_from: str


def plan_run(
    tokens: Path, config: TrainConfig, *, ranks: int | None, device: str | None, mfu: float, out: Path | None
) -> Plan:
    """Return the plan of a run; writes nothing.

    Raises ConfigError for what cannot be: a batch that the processes cannot share, more memory than the device has;
    and DataError for shards with too little text.
    """
    n_ranks = ranks if ranks is not None else int(os.environ.get("WORLD_SIZE", "1"))
    if n_ranks < 1:
        raise ConfigError(f"ranks must be 1 or more, got {n_ranks}")
    if not 0 < mfu <= 1:
        raise ConfigError(f"plan_mfu must be above 0 and at most 1, got {mfu}")
    rank_slice(0, config.data.batch_size, 0, n_ranks)
    corpus = Corpus.open(tokens, config.data)
    config = with_vocabulary(config, corpus.shards.manifest)
    target = _target(device, config)
    footprint = lay_out(config, target.type, n_ranks)
    _refuse_too_large(footprint, target, config, n_ranks)
    return _plan(config, corpus, footprint, target, n_ranks, mfu, out)


def _plan(
    config: TrainConfig, corpus: Corpus, footprint: Footprint, target: _Target, n_ranks: int, mfu: float,
    out: Path | None,
) -> Plan:  # fmt: skip
    data, loop = config.data, config.loop
    n_tokens = round(loop.steps * data.batch_size * data.seq_len * (1 - corpus.padding_frac))
    flops = float(n_tokens) * footprint.flops_per_token
    n_evals = -(-loop.steps // loop.eval_every) if loop.eval_every else 1
    held_out_flops = n_evals * _held_out_tokens(corpus, loop.eval_tokens) * footprint.flops_per_token / 3  # no backward
    disk_bytes = footprint.checkpoint_bytes * (loop.keep_checkpoints + 1)
    epochs = epochs_by_source(corpus, loop.steps)
    share = data.batch_size // n_ranks
    return Plan(
        preset=config.preset,
        n_params=footprint.n_params,
        n_embedding_params=footprint.n_embedding_params,
        steps=loop.steps,
        n_warmup_steps=n_warmup_steps(config.optim, loop.steps),
        tokens_per_step=data.batch_size * data.seq_len,
        micro_batches=-(-share // (data.micro_batch_size or share)),
        n_tokens=n_tokens,
        epochs=epochs,
        flops_per_token=footprint.flops_per_token,
        flops=flops,
        held_out_flops=held_out_flops,
        n_ranks=n_ranks,
        parallel=loop.parallel,
        precision=loop.precision_on(target.type),
        recompute=loop.recompute,
        weight_bytes=footprint.weight_bytes,
        gradient_bytes=footprint.gradient_bytes,
        optimizer_bytes=footprint.optimizer_bytes,
        activation_bytes=footprint.activation_bytes,
        gathered_bytes=footprint.gathered_bytes,
        memory_bytes=footprint.memory_bytes,
        checkpoint_bytes=footprint.checkpoint_bytes,
        disk_bytes=disk_bytes,
        device=target.name,
        device_memory_bytes=target.memory_bytes,
        peak_flops=target.peak_flops,
        peak_from=target.peak_from,
        mfu=mfu,
        device_hours=(flops + held_out_flops) / (target.peak_flops * mfu) / 3600,
        warnings=tuple(_warnings(config, target, epochs, disk_bytes, out)),
    )


def epochs_by_source(corpus: Corpus, steps: int) -> dict[str, float]:
    """Return how often each source is read, on average; weights decide whose turn it is."""
    windows = dict(zip(corpus.sources, corpus.n_windows, strict=True))
    shares: dict[str, float] = dict(corpus.data.weights) or {source: float(n) for source, n in windows.items()}
    n_samples = steps * corpus.data.batch_size / sum(shares[source] for source in windows)
    return {source: round(n_samples * shares[source] / n, 3) for source, n in windows.items()}


def _held_out_tokens(corpus: Corpus, max_tokens: int) -> int:
    return sum(held_out_prefix(corpus.shards.stream(s, "val"), max_tokens)[1] for s in corpus.shards.sources)


def _target(named: str | None, config: TrainConfig) -> _Target:
    """Return the device to plan for: the one that is named, else the GPU here or, without one, an H100."""
    if named is None and config.loop.device == "cpu":
        named = "cpu"
    if named == "cpu":
        device, dtype = torch.device("cpu"), DTYPES[config.loop.precision_on("cpu")]
        n_rows = (config.data.micro_batch_size or config.data.batch_size) * config.data.seq_len
        peak = matmul_flops(config.model, n_rows, device, dtype)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return _Target(device_name(device), "cpu", memory, peak, "matrix products measured here")
    here = choose_device(config.loop.device) if named is None else torch.device("cpu")
    if here.type == "cuda":
        named = device_name(here)
    known = find_device("H100" if named is None else named)
    if known is None:
        names = ", ".join(device.name for device in DEVICES)
        raise ConfigError(f"nothing is known of device {named!r}; use --plan-device with cpu or one of: {names}")
    memory = torch.cuda.get_device_properties(here).total_memory if here.type == "cuda" else known.memory_bytes
    return _Target(known.name, "cuda", memory, known.peak_flops, "data sheet, dense bf16")


def _refuse_too_large(footprint: Footprint, target: _Target, config: TrainConfig, n_ranks: int) -> None:
    if target.memory_bytes is None or footprint.memory_bytes <= target.memory_bytes:
        return
    ways = ["a smaller data.micro_batch_size"]
    if config.loop.recompute != "full":
        ways.append("loop.recompute=full")
    if n_ranks > 1 and config.loop.parallel == "ddp":
        ways.append("loop.parallel=fsdp")
    raise ConfigError(
        f"a device needs {size(footprint.memory_bytes)} ({size(footprint.activation_bytes)} of it for the "
        f"micro-batch), and {target.name} has {size(target.memory_bytes)}; try {', '.join(ways)}"
    )


def _warnings(
    config: TrainConfig, target: _Target, epochs: dict[str, float], disk_bytes: int, out: Path | None
) -> Iterator[str]:
    for source, n in epochs.items():
        if n > MAX_EPOCHS:
            yield f"{source} is read {n:.1f} times; beyond {MAX_EPOCHS:.0f} times a repeated text teaches little"
    if target.type == "cuda" and config.loop.precision_on("cuda") == "fp32":
        yield "fp32 does not reach the bf16 peak that the hours are reckoned by"
    if out is not None:
        place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
        _, _, free = shutil.disk_usage(place)
        if disk_bytes > free:
            yield f"checkpoints take up to {size(disk_bytes)}, and {place} has {size(free)} left"
