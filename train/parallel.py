"""The processes that train together: joined by torchrun's environment, the model spread over them, sums over them.

One process needs none of it. Several, started by `torchrun`, talk through NCCL on GPUs and gloo on CPUs.
"""

from __future__ import annotations

import gc
import importlib
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.config import LoopConfig
from train.device import choose_device
from train.errors import ConfigError, PeerLost
from train.model import Decoder

# What torch says when another process is gone: gloo's and the store's words, then NCCL's (ncclRemoteError in its guide,
# a watchdog's timeout and an aborted communicator in ProcessGroupNCCL). Where NCCL's watchdog finds out first, it ends
# the process by itself, as TORCH_NCCL_ASYNC_ERROR_HANDLING has it by default.
_LOST = (
    "closed by peer", "connection reset", "broken pipe", "connection was likely closed", "timed out waiting",
    "ncclremoteerror", "collective operation timeout", "communicator was aborted",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int
    size: int
    device: torch.device
    meshes: list[Any] = field(default_factory=list)  # over which a model was cut

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

    Raises ConfigError for a device that is not there, PeerLost when another process ends before this one. What was
    trained within must be let go of within: see `_part`.
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
        # Its functions have the group there is when it is imported as a default: DDP and checkpoints import it later,
        # and then it would hold ours for good.
        importlib.import_module("torch.distributed.nn.functional")
        dist.init_process_group("nccl" if found.type == "cuda" else "gloo")
    world = World(dist.get_rank(), dist.get_world_size(), found)
    try:
        yield world
    except BaseException as error:
        causes = list(_causes(error))
        for cause in causes:
            traceback.clear_frames(cause.__traceback__)  # they hold the model, which holds the group
        if any(isinstance(e, RuntimeError) and any(w in str(e).lower() for w in _LOST) for e in causes):
            raise PeerLost(
                "another process ended or does not answer; the same command goes on from the last checkpoint"
            ) from error
        raise
    finally:
        for mesh in world.meshes:  # torch's caches keep them for good, and they the group
            getattr(mesh, "_pg_registry", {}).clear()
        if own:
            _part()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _part() -> None:
    """Leave the other processes, and end the threads that talk to them.

    They live as long as anything holds the group. One that lets go of a tensor while Python shuts down aborts the
    process: of ten that left with sums under way, four did.
    """
    gc.collect()
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
    world.meshes.append(dist.device_mesh.init_device_mesh(world.device.type, (world.size,)))
    shard(model, world.meshes[-1], loop.precision_on(world.device.type))
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
