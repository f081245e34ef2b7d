"""Fuzzing in the suite: a few seconds of every target, from its seeds; benchmarks/fuzz.py runs them for long."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import ERROR_TREE, SEEDS, TARGETS, damaged, healthy, read


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_their_mutations(name: str) -> None:
    chance = random.Random(7)
    for seed in SEEDS[name]:
        for _ in range(60):
            edits = chance.randbytes(3 * chance.randint(0, 6))
            with suppress(*ERROR_TREE):
                TARGETS[name](seed[:1] + damaged(seed[1:], edits))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=400))
def test_any_bytes(name: str, data: bytes) -> None:
    with suppress(*ERROR_TREE):
        TARGETS[name](data)


def test_what_is_to_be_damaged_is_healthy() -> None:
    for kind, whole in healthy():
        tally = read(kind, whole)
        assert tally.bytes_bad == 0
        assert tally.records["response"] + tally.records["conversion"] == 3
