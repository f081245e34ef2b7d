"""Finding a byte in a page, many bytes at a time."""

from __future__ import annotations

import numpy as np

from curate.kernels.html.state import U8, Int, compiled, compiled_apart

# Loops over a fixed number of bytes, without a way out, compile to vector instructions.
CHUNK, LARGE_CHUNK = 16, 64
_CHUNK, _LARGE_CHUNK, _NOT_HERE = np.uint64(CHUNK), np.uint64(LARGE_CHUNK), np.uint8(CHUNK)
_ONE = np.uint64(1)


@compiled
def byte_at(html: U8, i: Int) -> Int:
    """Return the byte at i, which is not negative: an unsigned index spares the question whether it is."""
    return html[np.uint64(i)]


@compiled_apart
def find_byte(html: U8, i: Int, byte: Int) -> Int:
    """Return where `byte` next stands at or behind i, the size of the page if nowhere."""
    at, size = np.uint64(i), np.uint64(html.size)
    while at + _CHUNK <= size:
        first = _NOT_HERE
        for k in range(CHUNK):
            first = min(first, np.uint8(k) if html[at + np.uint64(k)] == byte else _NOT_HERE)
        if first < _NOT_HERE:
            return np.int64(at + np.uint64(first))
        at += _CHUNK
    while at < size and html[at] != byte:
        at += _ONE
    return np.int64(at)


@compiled_apart
def find_far(html: U8, i: Int, byte: Int) -> Int:
    """Return what `find_byte` returns, faster where the byte is likely to be far away."""
    at, size = np.uint64(i), np.uint64(html.size)
    while at + _LARGE_CHUNK <= size:
        hits = np.uint8(0)
        for k in range(LARGE_CHUNK):
            hits |= np.uint8(html[at + np.uint64(k)] == byte)
        if hits:
            break
        at += _LARGE_CHUNK
    return find_byte(html, np.int64(at), byte)
