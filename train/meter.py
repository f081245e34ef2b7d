"""What a row of metrics.jsonl tells beside the loss: bits per byte, speed, utilisation, waiting, memory."""

from __future__ import annotations

import logging
import math
import os
import resource
import sys
from typing import Any

import torch

from train.config import TrainConfig
from train.data import Corpus
from train.parallel import World
from train.peaks import matmul_flops, peak_flops

log = logging.getLogger("train")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def bytes_per_token(corpus: Corpus) -> float | None:
    """Return the UTF-8 bytes of text that a training token stands for, by the manifest; None where it counts no text.

    Sources count by their share of the mixture, else by their tokens. Ends of documents are tokens here, and stand for
    no text.
    """
    totals = corpus.shards.manifest.totals
    found = {source: totals[source, "train"] for source in corpus.sources}
    n_tokens = {source: total.n_tokens for source, total in found.items()}
    shares: dict[str, float] = dict(corpus.data.weights) or {source: float(n) for source, n in n_tokens.items()}
    text = sum(shares[source] * total.text_bytes / total.n_tokens for source, total in found.items())
    return text / sum(shares[source] for source in found) or None


class Meter:
    """Measures steps, for the process that writes the metrics."""

    def __init__(self, config: TrainConfig, corpus: Corpus, world: World, flops_per_token: int) -> None:
        self.config, self.world, self.flops_per_token = config, world, flops_per_token
        self.bytes_per_token = bytes_per_token(corpus)
        self.device_name = device_name(world.device)
        self.peak = peak_flops(self.device_name) if world.device.type == "cuda" else None
        self.matmul: float | None = None

    def setup(self, step: int) -> dict[str, Any]:
        """Measure the device's matrix products, where asked to; return what the steps after `step` are done with."""
        asked, loop, data = self.config.loop.measure_matmul, self.config.loop, self.config.data
        precision = loop.precision_on(self.world.device.type)
        if asked == "always" or (asked == "auto" and self.world.device.type == "cuda"):
            n_rows = (data.micro_batch_size or data.batch_size) * data.seq_len
            self.matmul = matmul_flops(self.config.model, n_rows, self.world.device, DTYPES[precision])
        row: dict[str, Any] = {"step": step, "split": "setup", "device": self.device_name, "n_ranks": self.world.size}
        row |= {"precision": precision, "torch": torch.__version__, "flops_per_token": self.flops_per_token}
        return row | {"peak_flops": self.peak, "matmul_flops": self.matmul, "bytes_per_token": self.bytes_per_token}

    def step(self, loss: float, n_tokens: int, took_s: float, waited_s: float) -> dict[str, float]:
        """Return the figures of one step of all processes, which took this one `took_s`."""
        rate = n_tokens / took_s
        row = {"tokens_per_s": round(rate, 1), "data_wait_frac": round(waited_s / took_s, 4)}
        if self.bytes_per_token is not None:
            row["bits_per_byte"] = loss / math.log(2) / self.bytes_per_token
        flops = rate * self.flops_per_token / self.world.size
        if self.peak is not None:
            row["mfu_frac"] = round(flops / self.peak, 4)
        if self.matmul is not None:
            row["matmul_frac"] = round(flops / self.matmul, 4)
        return row | {"memory_bytes": memory_bytes(self.world.device)}


def device_name(device: torch.device) -> str:
    """Return the name CUDA gives a GPU, or how many threads of a CPU are used."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    n_threads = torch.get_num_threads()
    return f"CPU, {n_threads} thread{'s' if n_threads > 1 else ''} on {os.cpu_count()} cores"


def memory_bytes(device: torch.device) -> int:
    """Return the most memory that tensors took on a GPU so far, or what this process holds now on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:  # no Linux: the most it ever held
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
