"""What a run will take, as numbers and as lines for a person; `train.planning` reckons it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from train.progress import duration, size


@dataclass(frozen=True)
class Plan:
    """A run's arithmetic. Bytes of memory are those of one device, hours of all devices together."""

    preset: str
    n_params: int
    n_embedding_params: int
    steps: int
    n_warmup_steps: int
    tokens_per_step: int
    micro_batches: int  # per step and device
    n_tokens: int  # labels in all steps
    epochs: dict[str, float]  # by source
    flops_per_token: int
    flops: float
    held_out_flops: float
    n_ranks: int
    parallel: str
    precision: str
    recompute: str
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    gathered_bytes: int
    memory_bytes: int
    checkpoint_bytes: int
    disk_bytes: int  # of the checkpoints that are kept and the one being written
    device: str
    device_memory_bytes: int | None
    peak_flops: float
    peak_from: str
    mfu: float
    device_hours: float
    warnings: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield what a person reads."""
        yield f"model       {self.preset}: {self.n_params:,} parameters, {self.n_embedding_params:,} of them embeddings"
        steps = f"{self.steps:,} steps ({self.n_warmup_steps:,} of warm-up) of {self.tokens_per_step:,} tokens"
        yield f"run         {steps} = {self.n_tokens:,} tokens"
        yield "epochs      " + ", ".join(f"{source} {n:.2f}" for source, n in self.epochs.items())
        yield f"work        {self.flops_per_token:.3g} FLOPs a token, {self.flops:.3g} in all"
        if self.held_out_flops:
            yield f"            and {self.held_out_flops:.3g} for held-out scores"
        kind = f"{self.n_ranks} device" + (f"s, {self.parallel}" if self.n_ranks > 1 else "")
        turns = f"{self.micro_batches} micro-batch" + ("es" if self.micro_batches > 1 else "")
        yield f"on          {kind}; {self.precision}, recompute {self.recompute}; {turns} a step each"
        parts = (
            ("weights", self.weight_bytes), ("gradients", self.gradient_bytes), ("optimizer", self.optimizer_bytes),
            ("activations", self.activation_bytes), ("gathered", self.gathered_bytes),
        )  # fmt: skip
        told = ", ".join(f"{name} {size(n)}" for name, n in parts if n)
        room = "" if self.device_memory_bytes is None else f" of {size(self.device_memory_bytes)}"
        yield f"memory      {size(self.memory_bytes)}{room} a device: {told}"
        yield f"disk        {size(self.checkpoint_bytes)} a checkpoint, {size(self.disk_bytes)} at most"
        hours = f"{self.device_hours:,.1f} h" if self.device_hours >= 1 else duration(self.device_hours * 3600)
        wall = f" ({duration(self.device_hours * 3600 / self.n_ranks)} of {self.n_ranks})" if self.n_ranks > 1 else ""
        rate = f"{self.mfu:.0%} of {self.peak_flops / 1e12:,.3g} TFLOP/s ({self.peak_from})"
        yield f"time        {hours} of one {self.device}{wall}, at {rate}"
        yield from (f"warning: {text}" for text in self.warnings)
