"""An extractor that does to its process what the page asks for; served by children in the tests."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

_hoard: list[bytes] = []


def hostile(**options: object) -> Callable[[str], str]:
    """Return the extractor: a page that begins with the name of a fault gets it, any other comes back as it is."""
    if options.get("broken"):
        raise ValueError("a part is missing")
    acts = {
        "segfault": lambda rest: ctypes.string_at(0),
        "abort": lambda rest: os.abort(),
        "exit": lambda rest: os._exit(0),
        "sys.exit": lambda rest: sys.exit(0),
        "kill": lambda rest: os.kill(os.getpid(), signal.SIGKILL),
        "hang": lambda rest: _spin(),
        "stop": lambda rest: os.kill(os.getpid(), signal.SIGSTOP),
        "memory": lambda rest: bytearray(1 << 40),
        "hoard": lambda rest: _hoard.append(bytes(int(rest.split()[0]))),
        "recurse": lambda rest: _recurse(),
        "raise": lambda rest: _raise(rest),
        "grow": lambda rest: "x" * int(rest),
        "noise": lambda rest: _noise(int(rest)),
        "close": lambda rest: os.closerange(0, 64),
        "pid": lambda rest: str(os.getpid()),
        "surrogate": lambda rest: "\ud800",
    }

    def text_of(page: str) -> str:
        name, _, rest = page.partition(" ")
        if name not in acts:
            return page
        found = acts[name](rest)
        return found if isinstance(found, str) else page

    return text_of


def _spin() -> None:
    """Never return, and hold the interpreter as native code does."""
    ctypes.PyDLL(None).sleep(3600)


def _recurse() -> None:
    _recurse()


def _raise(words: str) -> None:
    raise ValueError(words)


def _noise(n_bytes: int) -> None:
    """Write to standard output and standard error, as native libraries do."""
    block = b"!" * (1 << 20)
    for fd in (1, 2):
        for _ in range(n_bytes >> 20):
            os.write(fd, block)


def slow_start(**options: object) -> Callable[[str], str]:
    time.sleep(1)
    return str.upper
