"""Batches read ahead of the step that wants them, by one thread, in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Gives `read(first)`, `read(first + 1)`, … one after another; up to `depth` of them are ready beforehand.

    What `read` raises, `next` raises. The order and the content never depend on how far ahead it is.
    """

    def __init__(self, read: Callable[[int], T], first: int, stop: int, depth: int = 2) -> None:
        self._read, self._numbers = read, range(first, stop)
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._thread.start()

    def next(self) -> T:
        """Return the next batch, when it is there."""
        value, error = self._ready.get()
        if error is not None:
            raise error
        assert value is not None
        return value

    def close(self) -> None:
        """Stop reading; batches that are ready are thrown away."""
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._ready.get_nowait()
            except queue.Empty:
                self._thread.join(0.05)

    def _work(self) -> None:
        for number in self._numbers:
            if self._closed.is_set():
                return
            try:
                self._put(self._read(number), None)
            except BaseException as error:  # handed to the thread that asked, which raises it
                self._put(None, error)
                return

    def _put(self, value: T | None, error: BaseException | None) -> None:
        while not self._closed.is_set():
            try:
                self._ready.put((value, error), timeout=0.1)
            except queue.Full:
                continue
            return
