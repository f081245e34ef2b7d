"""Pages for the tests of the scanner: real ones, damaged ones, and what must hold for a scan of anything."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from fastwarc.warc import ArchiveIterator, WarcRecordType

from curate.charset import decode_html
from curate.kernels.html.scan import COUNTS, Page, Scanner
from curate.kernels.html.tags import NAMES
from tests.helpers import ROOT

SHARED_PAGES = ROOT.parent / "shared" / "data" / "pages"
# What the scanner takes note of: pieces that a mutation puts in anywhere.
PIECES = (
    b"<", b">", b"</", b"&", b"&#", b"&#x", b"&amp;", b"&nbsp;", b'"', b"'", b"=", b"<!--", b"-->", b"<pre>", b"</pre>",
    b"<script>", b"</script>", b"<title>", b"</title>", b"<table>", b"<td>", b"</table>", b"<a href=x>",
    b"</a>", b"<br>", b"<p>", b"</div>", b"<ul><li>", b"<textarea>", b"<plaintext>", b"<svg>", b"<video>",
    b"<template>", b"\x00", b"<span style=display:none>", b"<body>", b"\xf0", b"\xe3\x80\x82", b"\xc2\xa0",
    b"&#1114111;", b"<b " + b"x" * 300,
)  # fmt: skip


@functools.cache
def real_pages(n: int) -> list[bytes]:
    """Return `n` real pages as UTF-8, of the larger data set where it stands beside the repository."""
    folder = SHARED_PAGES if SHARED_PAGES.is_dir() else ROOT / "examples" / "data"
    pages = []
    for path in sorted(folder.glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                html = record.reader.read()
                if 0 < len(html) < 300_000:
                    pages.append(decode_html(html, record.http_charset).utf8)
                if len(pages) == n:
                    return pages
    return pages


def mutated(chance: random.Random, page: bytes) -> bytes:
    """Return a page cut, with bytes changed, pieces put in, and parts removed, repeated or moved."""
    data = bytearray(page)
    for _ in range(chance.randint(1, 8)):
        size = len(data)
        at = chance.randrange(size + 1)
        kind = chance.randrange(6)
        if kind == 0:
            data[at:at] = chance.choice(PIECES)
        elif kind == 1 and size:
            data[at % size] = chance.randrange(256)
        elif kind == 2:
            del data[at : at + chance.randrange(200)]
        elif kind == 3:
            data[at:at] = data[at : at + chance.randrange(200)] * chance.randint(1, 4)
        elif kind == 4 and chance.random() < 0.2:
            del data[at:]
        else:
            start = chance.randrange(size + 1)
            data[at:at] = data[start : start + chance.randrange(500)]
    return bytes(data)


def mutations(n: int, seed: int) -> Iterator[bytes]:
    """Yield `n` mutated pages, always the same ones."""
    chance = random.Random(seed)
    pages = real_pages(100)
    for _ in range(n):
        yield mutated(chance, chance.choice(pages))


def digest_of(page: Page) -> str:
    """Return a hash over all arrays of a scan."""
    h = hashlib.blake2b(repr((page.n_html_bytes, page.caps_hit)).encode(), digest_size=8)
    for array in page[:9]:
        h.update(np.ascontiguousarray(array).tobytes())
    return h.hexdigest()


def check(page: Page, *, valid: bool) -> None:
    """Assert what holds for every scan; `valid` says that the page was UTF-8."""
    n_blocks, n_elements = len(page.block_text), len(page.element_parent)
    assert page.text.size <= page.n_html_bytes
    if valid:
        page.text.tobytes().decode("utf-8")
    assert all(len(array) == n_blocks for array in (page.counts, page.ancestors, page.token_scores))
    spans = page.block_text
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (spans[1:, 0] == spans[:-1, 1]).all()
    if n_blocks:
        assert spans[0, 0] == 0
        assert spans[-1, 1] == page.text.size
    assert (page.element_parent[1:] < np.arange(1, n_elements)).all()
    assert (page.element_tag < len(NAMES)).all()
    assert (np.diff(page.element_first_token) >= 0).all()
    assert page.element_first_token[-1] == page.token_ids.size
    counts = {name: page.counts[:, k] for k, name in enumerate(COUNTS)}
    assert (counts["units"] > 0).all()
    assert (counts["link_units"] <= counts["units"]).all()
    assert (counts["element"] < n_elements).all()
    assert (np.diff(counts["offset_bytes"]) > 0).all()
    assert all((column >= 0).all() for column in counts.values())


def scan_texts(html: str | bytes) -> list[str]:
    """Return the texts of the blocks of a page."""
    return shared_scanner().scan(html if isinstance(html, bytes) else html.encode()).texts()


@functools.cache
def shared_scanner() -> Scanner:
    """Return the scanner that most tests share."""
    return Scanner()


def hostile_pages(n_bytes: int) -> dict[str, bytes]:
    """Return the hostile pages of the benchmarks, by name."""
    spec = importlib.util.spec_from_file_location("html_bombs", Path(ROOT, "benchmarks", "html_bombs.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bombs: Callable[[int], dict[str, bytes]] = module.bombs
    return bombs(n_bytes)
