"""What a run takes of a device: the model and its optimizer laid out without memory, one step gone through, counted."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from train.config import TrainConfig
from train.model import LOSS_ROWS, Decoder
from train.optim import Optimizers


@dataclass(frozen=True)
class Footprint:
    """Numbers of the whole model, and bytes on one device."""

    n_params: int
    n_embedding_params: int
    flops_per_token: int
    checkpoint_bytes: int  # of all processes together
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int  # the most that one micro-batch holds beside the above, temporary results included
    gathered_bytes: int  # FSDP: blocks put together from all processes, at their time

    @property
    def memory_bytes(self) -> int:
        """What a device holds at most; CUDA's own gigabyte and what its allocator cannot use come on top."""
        kept = self.weight_bytes + self.gradient_bytes + self.optimizer_bytes
        return kept + self.activation_bytes + self.gathered_bytes


def lay_out(config: TrainConfig, device_type: str, n_ranks: int) -> Footprint:
    """Count what a run on `n_ranks` devices takes of each.

    Every operation of a micro-batch is gone through with tensors that have a shape and no content, so nothing is
    guessed; but blocks are not compiled here, which on CUDA takes less.
    """
    data, loop = config.data, config.loop
    half = loop.precision_on(device_type) != "fp32"
    sharded = n_ranks > 1 and loop.parallel == "fsdp"
    n_rows = min(data.micro_batch_size or data.batch_size, data.batch_size // n_ranks)
    with FakeTensorMode():
        model = Decoder(config.model, "sdpa", loop.recompute)
        weights, state = _bytes(model.parameters()), _bytes(Optimizers(model, config.optim).blank_tensors().values())
        block, rest = _bytes(model.layers[0].parameters()), weights - _bytes(model.layers.parameters())
        n_params, flops = model.n_params(), model.flops_per_token(data.seq_len)
        n_embedding = sum(p.numel() for name, p in model.named_parameters() if name.startswith("embed_"))
        saved = _bytes(model.state_dict().values()) + state
        if sharded and half:  # FSDP2 casts the parameters; else autocast casts what they are multiplied with
            model = _in_bf16(config)
        activations = most_alive(model, n_rows, data.seq_len, data.mask_documents, autocast=half and not sharded)
    if not half and config.model.padded_vocab_size != config.model.vocab_size:
        # the softmax copies logits that do not lie together, where no operation shows it
        activations += 4 * min(n_rows * data.seq_len, LOSS_ROWS) * config.model.vocab_size
    parts = n_ranks if sharded else 1
    return Footprint(
        n_params=n_params,
        n_embedding_params=n_embedding,
        flops_per_token=flops,
        checkpoint_bytes=saved,
        weight_bytes=-(-weights // parts),
        gradient_bytes=-(-weights // parts),
        optimizer_bytes=-(-state // parts),
        activation_bytes=activations,
        gathered_bytes=(2 * block + rest) // (2 if half else 1) if sharded else 0,  # one block is fetched ahead
    )


def most_alive(model: Decoder, n_rows: int, seq_len: int, mask_documents: bool, autocast: bool) -> int:
    """Return the most bytes alive during a micro-batch's forward and backward pass, weights and gradients left out.

    A weight's new gradient counts until it is added to the ones before.
    """
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(_let_go)  # type: ignore[no-untyped-call]
    tokens_BT = torch.zeros(n_rows, seq_len, dtype=torch.int64)
    with _Alive() as alive:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model.token_losses(tokens_BT, tokens_BT, mask_documents).sum()
        loss.backward()  # type: ignore[no-untyped-call]
    return int(alive.most_bytes)


def _in_bf16(config: TrainConfig) -> Decoder:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        return Decoder(config.model, "sdpa", config.loop.recompute)
    finally:
        torch.set_default_dtype(before)


def _let_go(parameter: Tensor) -> None:
    parameter.grad = None


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors made within that are still referred to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most_bytes = self._bytes = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self._known and key not in given:  # a view of a weight is no new memory
                    self._known[key] = storage.nbytes()
                    self._bytes += storage.nbytes()
                    self.most_bytes = max(self.most_bytes, self._bytes)
                    weakref.finalize(storage, self._gone, key)
        return made

    def _gone(self, key: int) -> None:
        self._bytes -= self._known.pop(key, 0)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
