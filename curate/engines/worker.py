"""A worker process: takes tasks as JSON lines on one pipe, answers on another, notes the row it is on."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import json
import mmap
import os
import signal
import struct
import sys
import traceback
from pathlib import Path

NOTE = struct.Struct("<qqq")  # input row, docs done in this task, ticks: one more at every note
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Serve tasks until the pipe closes. Arguments: run folder, note file, read fd, write fd."""
    folder, note_file, read_fd, write_fd = arguments
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides when work stops
    gc.disable()  # what is imported stays: looking through it again and again takes a tenth of the start

    import pyarrow as pa

    from curate.engines.lean import is_lean, start_numba, start_pyarrow
    from curate.errors import CurateError
    from curate.rundir import open_run
    from curate.tasks import Task, run_task, warm

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with open(note_file, "r+b") as opened:
        shared = mmap.mmap(opened.fileno(), NOTE.size)
    ticks = 0

    def note(row: int, n_docs: int) -> None:
        nonlocal ticks
        ticks += 1
        NOTE.pack_into(shared, 0, row, n_docs, ticks)

    run = open_run(Path(folder))
    if lean := is_lean(run.recipe):
        start_pyarrow()
    warmed: set[tuple[str, int]] = set()
    with os.fdopen(int(read_fd), encoding="utf-8") as tasks, os.fdopen(int(write_fd), "w", encoding="utf-8") as answers:
        for line in tasks:
            task = Task.from_json(json.loads(line))
            note(-1, 0)
            try:
                if (task.kind, task.phase) not in warmed:
                    with open(Path(note_file).parent / "warm.lock", "w") as lock:
                        fcntl.flock(lock, fcntl.LOCK_EX)
                        if lean:
                            start_numba(run.phases[task.phase])
                        warm(run, task)
                    warmed.add((task.kind, task.phase))
                    gc.freeze()
                    gc.enable()
                    note(-1, 0)
                answer = {"ok": True, "counts": run_task(run, task, note)}
            except Exception as error:  # reported to the driver, which decides
                answer = {
                    "ok": False,
                    "error": _described(error),
                    "type": type(error).__name__,
                    "errno": getattr(error, "errno", None),
                    "exit_code": error.exit_code if isinstance(error, CurateError) else None,
                    "trace": traceback.format_exc(),
                }
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def _described(error: Exception) -> str:
    """Return an error of ours as it says itself, any other with its type and the line it came from."""
    from curate.errors import CurateError

    if isinstance(error, CurateError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (at {Path(frame.filename).name}:{frame.lineno})"


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the driver dies, so that no orphan goes on writing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
