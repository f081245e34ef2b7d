"""What a step must not do: break a compiled block, or wait for the device between micro-batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.train.micro import lively_model, micro_config
from train.attention import document_ids, keep_apart, positions_in_documents, rope_table
from train.config import GPT2
from train.loop import Trainer
from train.parallel import World
from train.runfolder import RunFolder

READS_BACK = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select")


BY_HAND = ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__", "__array__")


class Calls(TorchDispatchMode):
    """Notes the operations that run, in order, and those methods of a tensor that need no operation on a CPU."""

    def note(self, patched: pytest.MonkeyPatch) -> None:
        for name in BY_HAND:
            patched.setattr(torch.Tensor, name, self._noting(name, getattr(torch.Tensor, name)))

    def _noting(self, name: str, real: Any) -> Any:
        def method(tensor: torch.Tensor, *given: Any, **named: Any) -> Any:
            self.names.append(name)
            return real(tensor, *given, **named)

        return method

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [{}, {**GPT2, "n_kv_heads": 4, "max_positions": 64}], ids=["qwen3", "gpt2"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_block_compiles_in_one_piece(shape: dict[str, Any], masked: bool) -> None:
    """`fullgraph` raises at the first break."""
    model = lively_model(**shape)
    tokens = torch.randint(0, 9, (2, 32), generator=torch.Generator().manual_seed(0))
    documents = keep_apart(document_ids(tokens, 0)) if masked else None
    rope = rope_table(torch.arange(32), 8, 1e4) if model.config.positions == "rope" else None
    x = torch.randn(2, 32, 32, generator=torch.Generator().manual_seed(1), requires_grad=True)
    plain = model.layers[0](x, rope, documents, None)
    model.layers[0].compile(backend="aot_eager", fullgraph=True)
    compiled = model.layers[0](x, rope, documents, None)
    torch.testing.assert_close(compiled, plain)
    compiled.sum().backward()
    assert model.layers[0].mlp.down_proj.weight.grad is not None


@pytest.mark.parametrize("masked", [False, True])
def test_nothing_is_read_back_before_the_last_micro_batch(tokens: Path, tmp_path: Path, masked: bool) -> None:
    data = {"micro_batch_size": 1, "mask_documents": masked}
    config, corpus = micro_config(tokens, data=data)
    trainer = Trainer(RunFolder(tmp_path), config, corpus, World(0, 1, torch.device("cpu")))
    batch = trainer._read(0)
    trainer._train(batch, batch.n_labels, False)  # the first step also makes the optimizer's state
    with Calls() as calls, pytest.MonkeyPatch.context() as patched:
        calls.note(patched)
        trainer._train(batch, batch.n_labels, False)
    losses = [k for k, name in enumerate(calls.names) if name.startswith("aten::_softmax")]
    reads = [k for k, name in enumerate(calls.names) if name in (*READS_BACK, *BY_HAND)]
    assert len(losses) == config.data.batch_size
    assert reads
    assert min(reads) > max(losses)


def test_positions_start_anew_with_each_document() -> None:
    ids = document_ids(torch.tensor([[5, 5, 0, 5, 0, 0, 5]]), 0)
    assert positions_in_documents(ids).tolist() == [[0, 1, 0, 1, 0, 0, 1]]
