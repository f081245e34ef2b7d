"""The table of element names: each is found, nothing else is, and ancestors have their bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.html import tags
from curate.kernels.html.markup import tag_of
from tests.kernels.html.scan_samples import shared_scanner


def found(name: str) -> int:
    return int(tag_of(np.uint64(tags.hash_of(name))))


def test_every_name_is_found_in_its_slot() -> None:
    assert [found(name) for name in tags.NAMES[1:]] == list(range(1, len(tags.NAMES)))


@given(st.text("abcdefghijklmnopqrstuvwxyz123456-:", max_size=12))
def test_other_names_are_not(name: str) -> None:
    assert found(name) == tags.ID.get(name, 0)


@pytest.mark.parametrize(
    ("name", "ancestor"),
    [("nav", "nav"), ("h3", "heading"), ("dd", "dl"), ("th", "td"), ("xmp", "pre"), ("kbd", "code"), ("math", "math")],
)
def test_elements_set_their_bit(name: str, ancestor: str) -> None:
    page = shared_scanner().scan(f"<body><{name}><i>text</i>".encode())
    bits = int(page.ancestors[0])
    assert bits >> tags.ANCESTOR_BIT[ancestor] & 1
    assert bits >> tags.ANCESTOR_BIT["body"] & 1
    assert not bits >> tags.ANCESTOR_BIT["aside"] & 1


def test_a_mask_has_room_for_all_bits() -> None:
    assert len(tags.ANCESTORS) == len(set(tags.ANCESTORS)) <= 64
    used = int(np.bitwise_or.reduce(tags.ANCESTOR_MASK)) | int(tags.HIDDEN) | int(tags.ARIA_HIDDEN)
    assert used == (1 << len(tags.ANCESTORS)) - 1
