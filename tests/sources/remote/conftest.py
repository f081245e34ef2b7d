"""Short waits for all tests of remote inputs, and the servers they read from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sources.remote.server import Server, serving

QUICK = {
    "CURATE_REMOTE_WAIT_S": "0.001",
    "CURATE_REMOTE_MAX_WAIT_S": "0.002",
    "CURATE_REMOTE_TIMEOUT_S": "0.3",
    "CURATE_REMOTE_TRIES": "4",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running
