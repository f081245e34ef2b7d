"""SIGTERM and Ctrl-C as a request to stop after the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from train.errors import Interrupted, Stopped


class StopSignals:
    """Notes the first SIGTERM or SIGINT instead of dying of it.

    A second one acts as usual. Does nothing outside the main thread.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, signal.Handlers | int | None] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)  # type: ignore[assignment]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def error(self, message: str) -> Stopped:
        """Return the error that says how the run was stopped."""
        return Interrupted(message) if self.received == signal.SIGINT else Stopped(message)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
