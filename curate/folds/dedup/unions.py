"""Compiled loops of clustering: union-find whose root is the least member, and the Jaccard test of two sets."""

from __future__ import annotations

import functools
from typing import Any

import numba

_compiled: Any = functools.partial(numba.njit, cache=True, nogil=True)


@_compiled()
def find(parent, x):  # type: ignore[no-untyped-def]
    """Return the root of x; halve the path on the way."""
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@_compiled()
def unite(parent, x, y):  # type: ignore[no-untyped-def]
    """Join the clusters of x and y. The lesser root stays one, so a root is always its cluster's least member."""
    x, y = find(parent, x), find(parent, y)
    if x < y:
        parent[y] = x
    else:
        parent[x] = y


@_compiled()
def unite_buckets(parent, members, offsets):  # type: ignore[no-untyped-def]
    """Join each bucket `members[offsets[i]:offsets[i + 1]]` into one cluster, in linear time."""
    for i in range(offsets.size - 1):
        for j in range(offsets[i] + 1, offsets[i + 1]):
            unite(parent, members[j - 1], members[j])


@_compiled()
def roots(parent):  # type: ignore[no-untyped-def]
    """Return the root of every member."""
    found = parent.copy()
    for x in range(parent.size):
        found[x] = find(parent, x)
    return found


@_compiled()
def alike(a, b, min_jaccard):  # type: ignore[no-untyped-def]
    """Say whether two sorted arrays of distinct, not both empty, have a Jaccard index of at least `min_jaccard`."""
    i, j, n_shared = 0, 0, 0
    while i < a.size and j < b.size:
        if a[i] == b[j]:
            n_shared += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return n_shared / (a.size + b.size - n_shared) >= min_jaccard
