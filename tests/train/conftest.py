"""What the trainer's tests share: one thread, one small corpus, one micro configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.train.corpus import fables, write_tokens


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Micro models are faster on one thread, and the machine may be busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of two sources, three train shards in all, with held-out documents."""
    sources = {"fables": fables(90, seed=1), "news": fables(24, seed=2)}
    return write_tokens(tmp_path_factory.mktemp("corpus") / "tokens", sources)
