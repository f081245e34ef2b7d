"""The processes that train together: joined by torchrun's environment, the model spread over them, sums over them.

One process needs none of it. Several, started by `torchrun`, talk through NCCL on GPUs and gloo on CPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.config import LoopConfig
from train.device import choose_device
from train.errors import ConfigError, PeerLost
from train.model import Decoder


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Say whether this is the process that writes and speaks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            dist.barrier()

    def same(self, value: Any) -> Any:
        """Return the leader's value on all processes."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, or stand alone.

    Raises ConfigError for a device that is not there, PeerLost when another process ends before this one.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, choose_device(device))
        return
    found = choose_device(device)
    if found.type == "cuda":
        if device not in ("auto", "cuda"):
            raise ConfigError(f"device {device!r}: torchrun gives each process its own; use auto or cuda")
        found = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(found)
    own = not dist.is_initialized()
    if own:
        dist.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), found)
    except RuntimeError as error:
        if "closed by peer" not in str(error) and "Connection reset" not in str(error):
            raise
        raise PeerLost("another process ended; the same command goes on from the last checkpoint") from error
    finally:
        if own:
            dist.destroy_process_group()


class TokenLosses(nn.Module):
    """The model as a function from tokens and labels to losses, which is what DDP wants to wrap."""

    def __init__(self, model: Decoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BT: Tensor, labels_BT: Tensor, mask_documents: bool) -> Tensor:
        """Return float32 [B, T], see `Decoder.token_losses`."""
        return self.model.token_losses(tokens_BT, labels_BT, mask_documents)


def spread(model: Decoder, world: World, loop: LoopConfig) -> nn.Module:
    """Return the module to train with: the model itself, or spread over the processes by DDP or FSDP2.

    Its outputs are those of `TokenLosses`. With FSDP2 the parameters of `model` become shards in place. Both average
    the gradients of the processes.
    """
    if world.device.type == "cuda" and loop.compile:
        for layer in model.layers:
            layer.compile()
    losses = TokenLosses(model)
    if world.size == 1:
        return losses
    if loop.parallel == "ddp":
        from torch.nn.parallel import DistributedDataParallel

        ids = [world.device.index] if world.device.type == "cuda" else None
        return DistributedDataParallel(losses, device_ids=ids, gradient_as_bucket_view=True)
    shard(
        model, dist.device_mesh.init_device_mesh(world.device.type, (world.size,)), loop.precision_on(world.device.type)
    )
    return losses


def shard(model: Decoder, mesh: Any, precision: str) -> None:
    """Cut the parameters of each block over a mesh (FSDP2), and those around the blocks as one more group."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    register_fsdp_forward_method(model, "token_losses")


def not_yet_averaged(module: nn.Module, more_follow: bool) -> Any:
    """Return the context of a micro-batch: gradients travel after the last one only."""
    if isinstance(module, TokenLosses):
        tell = getattr(module.model, "set_requires_gradient_sync", None)  # FSDP2's
        if tell is not None:
            tell(not more_follow)
        return nullcontext()
    no_sync = getattr(module, "no_sync", None)
    return no_sync() if more_follow and no_sync is not None else nullcontext()


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor that may be cut over processes in one piece."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()
