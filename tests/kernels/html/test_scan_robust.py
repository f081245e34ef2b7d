"""The scanner on anything: random bytes, soups of tags, damaged pages, hostile ones; also with index checks on."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.html.attributes import hides
from curate.kernels.html.find import find_byte, find_far
from curate.kernels.html.scan import Scanner
from tests.helpers import ROOT
from tests.kernels.html.scan_samples import (
    PIECES,
    check,
    digest_of,
    hostile_pages,
    mutated,
    mutations,
    real_pages,
    shared_scanner,
)

SOUP = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6).map(str.encode)), max_size=60).map(b"".join)

STYLE_PIECES = ("display", "visibility", ":", ";", "none", "hidden", " ", "!important", "x")


def is_utf8(html: bytes) -> bool:
    try:
        html.decode()
    except UnicodeDecodeError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=300), SOUP))
def test_any_bytes(html: bytes) -> None:
    check(shared_scanner().scan(html, want_tokens=True), valid=is_utf8(html))


def test_mutated_pages() -> None:
    for html in mutations(2_000, seed=1):
        check(shared_scanner().scan(html), valid=is_utf8(html))


def test_hostile_pages() -> None:
    """No error; that each takes linear time is measured in benchmarks/scan_hostile.py."""
    for html in hostile_pages(200_000).values():
        check(shared_scanner().scan(html, want_tokens=True), valid=is_utf8(html))


def test_a_scan_does_not_depend_on_the_one_before() -> None:
    pages = [*real_pages(40), *mutations(40, seed=2), *hostile_pages(5_000).values()]
    fresh = [digest_of(Scanner().scan(html)) for html in pages[:20]]
    forward = [digest_of(shared_scanner().scan(html)) for html in pages]
    backward = [digest_of(shared_scanner().scan(html)) for html in reversed(pages)]
    assert forward == backward[::-1]
    assert forward[:20] == fresh
    assert len(set(forward)) > len(pages) * 0.8


def test_tokens_change_nothing_else() -> None:
    for html in real_pages(10):
        plain = shared_scanner().scan(html)
        copies = [array.copy() for array in plain[:7]]
        with_tokens = shared_scanner().scan(html, want_tokens=True)
        assert all(np.array_equal(a, b) for a, b in zip(copies, with_tokens[:7], strict=True))


def all_digests() -> str:
    """Return one hash over the scans and texts of real, mutated and hostile pages."""
    from curate.kernels.html.render import render

    scanner = Scanner(np.linspace(-1, 1, 1 << 16, dtype=np.float32))
    h = hashlib.sha256()
    for html in [*real_pages(60), *mutations(400, seed=3), *hostile_pages(4_000).values()]:
        page = scanner.scan(html, want_tokens=True)
        h.update(digest_of(page).encode())
        keep = np.arange(len(page.block_text)) % 4 != 1
        for markdown in (False, True):
            h.update(render(page, keep, markdown=markdown).encode("utf-8", "replace"))
    return h.hexdigest()


@pytest.mark.slow
def test_the_same_with_index_checks_on(tmp_path: Path) -> None:
    """Compiled anew with every index checked: no IndexError, and the same arrays."""
    code = "from tests.kernels.html.test_scan_robust import all_digests; print(all_digests())"
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == all_digests()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 220), st.integers(0, 255))
def test_finding_a_byte(html: bytes, start: int, byte: int) -> None:
    start = min(start, len(html))
    found = html.find(bytes([byte]), start)
    page = np.frombuffer(html, np.uint8)
    wanted = found if found >= 0 else len(html)
    assert find_byte(page, start, np.uint8(byte)) == find_far(page, start, np.uint8(byte)) == wanted


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["display", "visibility", ":", ";", "none", "hidden", " ", "!important", "x"]), max_size=9)
)
def test_what_hides(parts: list[str]) -> None:
    style = "".join(parts)
    wanted = False
    for rule in style.replace("!", ";").split(";"):
        name, colon, value = "".join(rule.split()).partition(":")
        hidden_value = {"display": "none", "visibility": "hidden"}.get(name)
        wanted |= bool(colon) and value.replace(":", "") == hidden_value
    page = np.frombuffer(style.encode(), np.uint8)
    assert hides(page, 0, len(style)) == wanted


def test_mutations_are_always_the_same() -> None:
    a, b = random.Random(4), random.Random(4)
    assert [mutated(a, b"<p>x</p>" * 9) for _ in range(50)] == [mutated(b, b"<p>x</p>" * 9) for _ in range(50)]
