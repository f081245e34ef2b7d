"""An extractor in a process of its own: a hang, a crash or too much memory there costs one page and nothing else.

No timeout inside a process helps against native code that does not return, and no handler against a segmentation
fault. So pages go to a child over a pipe and texts come back: frames of a length and bytes, nothing unpickled.
The child is started once and serves page after page. It is killed when a page passes its deadline, and started
anew for the next one.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from curate.errors import CurateError
from curate.extractors import Extraction

PAGE = struct.Struct("<Q")  # bytes of the page
REPLY = struct.Struct("<BQ")  # what follows, and its bytes
READY, TEXT, RAISED = range(3)
START_S = 60.0
MAX_GROWTH = 4  # text bytes per byte of the page; only the indents of nested lists come near
MAX_SAID_BYTES = 1 << 16
READ_BYTES = 1 << 20
PIPE_BYTES = 1 << 20  # a page is mostly written at once, without waking the child in between
PR_SET_PDEATHSIG = 1
TRIAL = "<html><body><article><p>A page that any extractor can take, to see that it works.</p></article></body></html>"


class _Late(Exception):
    """The deadline has passed."""


class _Gone(Exception):
    """The child has ended, or says what no child of ours would say."""


class Child:
    """The parent's end. `target` is `module:function`; called with `options` it returns the str → str to serve.

    A child that dies on a page is replaced, and the page tried once more, alone: what died of memory that earlier
    pages took is not blamed on this one, so the outcome does not depend on which pages came before.
    """

    def __init__(self, target: str, options: Mapping[str, object], *, max_memory_bytes: int) -> None:
        self.target = target
        self.options = json.dumps(options)
        self.max_memory_bytes = max_memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # pid: after a fork the child still is the parent's
        self._lock = threading.Lock()
        atexit.register(self.close)

    def extract(self, page: bytes, *, timeout_s: float) -> Extraction:
        """Return the text of a page (valid UTF-8), or why there is none: extractor_timeout, extractor_crash.

        The deadline covers the page, not the start of a child. Raises CurateError if no child can be started, and
        RuntimeError if the extractor itself raised on this page: the runner quarantines such a doc with its words.
        """
        with self._lock:
            is_fresh = self._process is None or self._owner != os.getpid()
            found = self._ask(page, timeout_s)
            if found.failed == "extractor_crash" and not is_fresh:
                found = self._ask(page, timeout_s)
            return found

    def close(self) -> None:
        """End the child, if there is one and it is ours."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]
        if self._owner == os.getpid():
            process.kill()
            process.wait()

    def _ask(self, page: bytes, timeout_s: float) -> Extraction:
        if self._process is None or self._owner != os.getpid():
            self.close()
            self._start()
        deadline = time.monotonic() + timeout_s
        try:
            self._send(PAGE.pack(len(page)), deadline)
            self._send(page, deadline)
            kind, said = self._receive(deadline, MAX_GROWTH * len(page) + MAX_SAID_BYTES)
        except _Late:
            self.close()
            return Extraction("", failed="extractor_timeout")
        except _Gone:
            self.close()
            return Extraction("", failed="extractor_crash")
        except BaseException:  # an interrupt: the answer to this page must not be taken for that to the next
            self.close()
            raise
        if kind == RAISED:
            raise RuntimeError(f"{self.target.rpartition(':')[2]} raised {said}")
        return Extraction(said)

    def _start(self) -> None:
        package = str(Path(__file__).resolve().parents[2])
        paths = [path for path in (package, os.environ.get("PYTHONPATH", "")) if path]
        arguments = [self.target, self.options, str(self.max_memory_bytes), str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "curate.extractors.child", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what goes wrong comes as a reply; native code may write without end
                bufsize=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        except OSError as error:
            raise CurateError(f"no child can be started for the extractor: {error}") from error
        self._owner = os.getpid()
        for pipe in (self._process.stdin, self._process.stdout):
            os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
            _widen(pipe.fileno())  # type: ignore[union-attr]
        try:
            kind, said = self._receive(time.monotonic() + START_S, MAX_SAID_BYTES)
        except _Late:
            kind, said = RAISED, f"it was not ready after {START_S:.0f} s"
        except _Gone:
            kind, said = RAISED, f"it ended with status {self._process.wait()}"
        if kind != READY:
            self.close()
            raise CurateError(
                f"the extractor {self.target.rpartition(':')[2]} could not be started in a child with "
                f"max_memory_bytes {self.max_memory_bytes:,}: {said}"
            )

    def _send(self, data: bytes, deadline: float) -> None:
        fd = self._process.stdin.fileno()  # type: ignore[union-attr]
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                _wait(fd, select.POLLOUT, deadline)
            except BrokenPipeError as error:
                raise _Gone from error

    def _receive(self, deadline: float, max_bytes: int) -> tuple[int, str]:
        kind, n_bytes = REPLY.unpack(self._read(REPLY.size, deadline))
        if kind not in (READY, TEXT, RAISED) or n_bytes > max_bytes:
            raise _Gone
        return kind, self._read(n_bytes, deadline).decode("utf-8", "replace")

    def _read(self, n_bytes: int, deadline: float) -> bytearray:
        fd, said = self._process.stdout.fileno(), bytearray()  # type: ignore[union-attr]
        while len(said) < n_bytes:
            try:
                block = os.read(fd, min(n_bytes - len(said), READ_BYTES))
            except BlockingIOError:
                _wait(fd, select.POLLIN, deadline)
                continue
            if not block:
                raise _Gone
            said += block
        return said


def _wait(fd: int, event: int, deadline: float) -> None:
    """Wait until a pipe can be read or written, or its other end is closed; raise _Late at the deadline."""
    poll = select.poll()
    poll.register(fd, event)
    while not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        if time.monotonic() >= deadline:
            raise _Late


def _widen(fd: int) -> None:
    """Give a pipe a larger buffer where the system has one to give."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # pipes of one user may be limited
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


# --- in the child -------------------------------------------------------------------------------------


def serve(target: str, options: str, max_memory_bytes: str, parent: str) -> None:
    """Serve pages until the pipe closes. Ends the process on the spot where memory or the stack runs out."""
    _die_with(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides when work stops
    pages, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "r+b") as nothing:  # native code that reads or prints must not touch the frames
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    try:
        _bound(int(max_memory_bytes))
        module, _, name = target.partition(":")
        text_of: Callable[[str], str] = getattr(importlib.import_module(module), name)(**json.loads(options))
        text_of(TRIAL)
    except Exception as error:  # told to the parent, which raises
        _reply(replies, RAISED, f"{type(error).__name__}: {error}")
        return
    _reply(replies, READY, "")
    while len(head := pages.read(PAGE.size)) == PAGE.size:
        (n_bytes,) = PAGE.unpack(head)
        try:
            said = TEXT, text_of(pages.read(n_bytes).decode("utf-8", "replace"))
        except (MemoryError, RecursionError):
            os._exit(1)  # as if the system had ended it: what is left of this process is not to be trusted
        except Exception as error:
            said = RAISED, f"{type(error).__name__}: {error}"
        _reply(replies, *said)


def _reply(replies: BinaryIO, kind: int, said: str) -> None:
    text = (said if kind == TEXT else said[: MAX_SAID_BYTES // 4]).encode("utf-8", "replace")
    replies.write(REPLY.pack(kind, len(text)))
    replies.write(text)
    replies.flush()


def _bound(max_memory_bytes: int) -> None:
    """Set the memory ceiling, write no core files, and stand first in line when the system runs out of memory."""
    _, allowed = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = max_memory_bytes if allowed == resource.RLIM_INFINITY else min(max_memory_bytes, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere it ends when it next reads from the pipe."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)


if __name__ == "__main__":
    serve(*sys.argv[1:])
