"""One linear pass over the bytes of a page: blocks of text with what was counted in them. No DOM is built.

A block is what a browser would show as lines of its own: the text between two block elements or two `<br>`. Where
browsers agree on broken markup, so does the scan, within bounds (see `nesting`). What it does on purpose:

- script, style, noscript, template, svg, form fields, embedded media and the TeX of formulas are passed over; the
  visible form of a formula is text. `<noscript>` counts as empty, since readers have scripts and it mostly repeats
  what stands beside it.
- text that a style hides is kept, with the bit `hidden` among its ancestors: scripts show much of it. What a style
  hides inside a line that is visible is left out.
- `<pre>`, `<textarea>` in it, `<xmp>` and, up to the end of the page, `<plaintext>` keep their lines.
- CDATA, processing instructions and doctypes end at the first `>`; comments and raw elements (script, style …) that
  never end take the rest of the page, as in browsers; other elements passed over that never end count as empty.
- NULs, controls, byte order marks and surrogates are dropped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from curate.kernels.html.entities import decode_entities
from curate.kernels.html.markup import finish_block, read_markup
from curate.kernels.html.runs import read_text
from curate.kernels.html.state import (
    BLOCK_START,
    CAP_NAMES,
    CAPS,
    COUNTS,
    F32,
    I32,
    I64,
    MAX_BLOCKS,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_TOKENS,
    N_BLOCKS,
    N_ELEMENTS,
    N_STATE,
    N_TEXT,
    N_TITLE_SLOTS,
    N_TOKENS,
    OPEN,
    PENDING,
    U8,
    U32,
    U64,
    WANTS_SCORES,
    WANTS_TOKENS,
    Room,
    cached,
    compiled,
    source_digest,
)

__all__ = ["COUNTS", "Page", "Scanner"]

N_TOKEN_WEIGHTS = 1 << 16
_SMALLEST_ROOM_BYTES = 1 << 18
_LARGE_ROOM_BYTES = 1 << 22  # given back once pages are much smaller again
_MIN_BLOCK_BYTES = 4  # `x<p>`
_MIN_ELEMENT_BYTES = 3  # `<p>`


class Page(NamedTuple):
    """The blocks of a page, in order. The arrays are views, valid until the next scan."""

    text: U8  # [n_text_bytes], UTF-8: the blocks back to back; named references are left as they are
    block_text: I64  # [n_blocks, 2], start and end in `text`
    counts: F32  # [n_blocks, len(COUNTS)]
    ancestors: U64  # [n_blocks], bits named in tags.ANCESTORS
    token_scores: F32  # [n_blocks, 4]: over the element and its ancestors the sum, max and min, and its own
    element_parent: I32  # [n_elements]; element 0 is the page
    element_tag: U8  # [n_elements], ids in tags.NAMES
    element_first_token: I64  # [n_elements + 1]
    token_ids: U32  # [n_tokens], only if wanted
    n_html_bytes: int
    caps_hit: tuple[str, ...]  # of "blocks", "elements", "tokens", "depth"

    def texts(self) -> list[str]:
        """Return the text of every block, with its character references decoded."""
        raw = self.text.tobytes()
        return [decode_entities(raw[start:end]).decode("utf-8", "replace") for start, end in self.block_text.tolist()]


class Scanner:
    """Scans pages, one after the other, into buffers that are kept between them.

    The buffers grow with the largest page (about 70 bytes for each of its bytes up to 800 kB, then 1 more a byte) and
    shrink once pages are small again; memory that no page needed is never touched.
    """

    def __init__(self, token_weights: F32 | None = None) -> None:
        if token_weights is not None and token_weights.shape != (N_TOKEN_WEIGHTS,):
            raise ValueError(f"token_weights must have the shape ({N_TOKEN_WEIGHTS},), not {token_weights.shape}")
        self._wants_scores = token_weights is not None
        self._weights = np.zeros(N_TOKEN_WEIGHTS, np.float32)
        if token_weights is not None:
            self._weights[:] = token_weights
        self._n_bytes = 0
        self._with_tokens = False
        self._room = _room(_SMALLEST_ROOM_BYTES, False, self._weights)
        self._n_bytes = _SMALLEST_ROOM_BYTES

    def scan(self, html: bytes, *, want_tokens: bool = False) -> Page:
        """Return the blocks of a page, valid UTF-8; its arrays are overwritten by the next call."""
        self._make_room(len(html), want_tokens)
        room = self._room._replace(html=np.frombuffer(html, np.uint8))
        state = room.state
        _kernel()(room, want_tokens, self._wants_scores)
        n_text, n_blocks, n_elements, n_tokens, caps = state[[N_TEXT, N_BLOCKS, N_ELEMENTS, N_TOKENS, CAPS]].tolist()
        caps_hit = tuple(name for k, name in enumerate(CAP_NAMES) if caps >> k & 1) if caps else ()
        return Page(
            room.text[:n_text],
            room.block_text[:n_blocks],
            room.counts[:n_blocks],
            room.ancestors[:n_blocks],
            room.token_scores[:n_blocks],
            room.element_parent[:n_elements],
            room.element_tag[:n_elements],
            room.element_first_token[: n_elements + 1],
            room.token_ids[:n_tokens],
            len(html),
            caps_hit,
        )

    def _make_room(self, n_bytes: int, with_tokens: bool) -> None:
        fits = n_bytes <= self._n_bytes
        too_large = self._n_bytes > _LARGE_ROOM_BYTES and n_bytes < self._n_bytes // 8
        if fits and not too_large and (self._with_tokens or not with_tokens):
            return
        self._n_bytes = max(_SMALLEST_ROOM_BYTES, 1 << (n_bytes - 1).bit_length() if n_bytes > 1 else 0)
        self._with_tokens = with_tokens
        self._room = _room(self._n_bytes, with_tokens, self._weights)


def _room(n_bytes: int, with_tokens: bool, weights: F32) -> Room:
    """Return arrays for a page of up to `n_bytes`: limits apart, none can run full (see `runs` for the text)."""
    n_blocks = min(MAX_BLOCKS, n_bytes // _MIN_BLOCK_BYTES + 1)
    n_elements = min(MAX_ELEMENTS, n_bytes // _MIN_ELEMENT_BYTES + 2)
    return Room(
        html=np.zeros(0, np.uint8),
        weights=weights,
        text=np.empty(n_bytes, np.uint8),
        block_text=np.empty((n_blocks, 2), np.int64),
        counts=np.empty((n_blocks, len(COUNTS)), np.float32),
        ancestors=np.empty(n_blocks, np.uint64),
        token_scores=np.empty((n_blocks, 4), np.float32),
        element_parent=np.empty(n_elements, np.int32),
        element_tag=np.empty(n_elements, np.uint8),
        element_first_token=np.empty(n_elements + 1, np.int64),
        token_ids=np.empty(min(MAX_TOKENS, n_bytes) if with_tokens else 0, np.uint32),
        stack=np.zeros(MAX_DEPTH + 1, OPEN),
        state=np.zeros(N_STATE, np.int64),
        now=np.zeros(len(COUNTS), np.int64),
        hashes=np.zeros(N_TITLE_SLOTS + 1, np.uint64),
        missing=np.zeros(256, np.uint8),
    )


@compiled
def start_page(room: Room) -> None:
    """Forget the page before; the stack holds nothing but the page."""
    for k in range(room.state.size):
        room.state[k] = 0
    for k in range(room.now.size):
        room.now[k] = 0
    for k in range(room.hashes.size):
        room.hashes[k] = 0
    for k in range(room.missing.size):
        room.missing[k] = 0
    room.state[PENDING] = BLOCK_START
    room.state[N_ELEMENTS] = 1  # the page, which has no parent, tag, or tokens
    room.element_parent[0] = room.element_tag[0] = room.element_first_token[0] = 0


@functools.cache
def _kernel() -> Callable[[Room, bool, bool], None]:
    digest = source_digest()

    def scan_page(room: Room, wants_tokens: bool, wants_scores: bool) -> None:
        if digest == 0:  # part of the key of Numba's cache
            return
        start_page(room)
        room.state[WANTS_TOKENS], room.state[WANTS_SCORES] = wants_tokens, wants_scores
        i = 0
        while True:
            i = read_text(room, i)
            if i >= room.html.size:
                break
            i = read_markup(room, i)
        finish_block(room)
        room.element_first_token[room.state[N_ELEMENTS]] = room.state[N_TOKENS]

    return cached(scan_page)
