"""Imports without what a package loads only on the chance that it is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder


class _Missing(MetaPathFinder):
    """Says of some modules that they are not installed."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is not wanted now", name=fullname)


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let imports of these modules fail, unless they are imported already."""
    finder = _Missing(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
