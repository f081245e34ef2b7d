"""The local engine: worker processes on this machine, watched, killed when they hang, replaced when they die."""

from __future__ import annotations

import json
import mmap
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.compiling import is_writable, kernel_caches
from curate.engines.worker import NOTE
from curate.errors import Stopped
from curate.tasks import Task

DEATHS_ON_A_DOC = 2  # while it was worked on alone; then it is quarantined unread
MAX_DEATHS = 6  # of workers on one task that cannot be pinned to a doc
STALL_S = 120.0  # a batch that takes longer is taken for a hang
NO_DOC_PATIENCE = 10  # × stall_s while no doc is worked on: kernels are compiled, files are closed
POLL_S = 0.2
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Failure:
    """A task that could not be done."""

    task: Task
    error: str
    exit_code: int | None = None
    trace: str = ""


@dataclass
class Progress:
    """What the engine tells while it works."""

    n_tasks: int
    n_done: int = 0
    docs_in: int = 0
    docs_kept: int = 0
    docs_running: int = 0


class LocalEngine:
    """Runs tasks in `n_workers` processes. Use as a context manager; workers start with the first tasks."""

    def __init__(self, folder: Path, n_workers: int, *, stall_s: float = STALL_S) -> None:
        self.folder = folder
        self.n_workers = n_workers
        self.stall_s = stall_s
        self.stopping: Callable[[], bool] = lambda: False
        self._workers: list[_Worker] = []
        self._notes = tempfile.TemporaryDirectory(prefix="curate-notes-")

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            worker.close(kill=exc[0] is not None)
        self._notes.cleanup()

    def run(self, tasks: Iterable[Task], tell: Callable[[Progress], None] = lambda progress: None) -> list[Failure]:
        """Do all tasks, in any order; return those that failed. Raises Stopped if told to stop.

        A task whose worker died runs again: doc by doc near the place, then without the doc it died on.
        """
        waiting = deque(tasks)
        progress = Progress(len(waiting))
        failures: list[Failure] = []
        attempts: dict[tuple[Any, ...], int] = {}
        while waiting or any(worker.task for worker in self._workers):
            if self.stopping():
                waiting.clear()
            self._hand_out(waiting)
            busy = [worker for worker in self._workers if worker.task]
            ready, _, _ = select.select([w.answers for w in busy], [], [], POLL_S)
            for worker in busy:
                if worker.answers in ready:
                    self._take_answer(worker, waiting, failures, attempts, progress)
                elif worker.process.poll() is not None:  # dead, while a child of its own holds the pipe open
                    self._take_answer(worker, waiting, failures, attempts, progress, dead=True)
                elif worker.stalled_s() > self.stall_s * (1 if worker.note()[0] >= 0 else NO_DOC_PATIENCE):
                    worker.process.kill()
            progress.docs_running = sum(w.note()[1] for w in self._workers if w.task)
            tell(progress)
        if self.stopping():
            raise Stopped("stopped; run the same command again to go on")
        return failures

    def _hand_out(self, waiting: deque[Task]) -> None:
        idle = [worker for worker in self._workers if not worker.task]
        while waiting and (idle or len(self._workers) < self.n_workers):
            if not idle:
                note_file = Path(self._notes.name) / f"{len(os.listdir(self._notes.name))}"
                idle.append(_Worker(self.folder, note_file))
                self._workers.append(idle[-1])
            idle.pop().give(waiting.popleft())

    def _take_answer(
        self,
        worker: _Worker,
        waiting: deque[Task],
        failures: list[Failure],
        attempts: dict[tuple[Any, ...], int],
        progress: Progress,
        *,
        dead: bool = False,
    ) -> None:
        task, answer = worker.task, None if dead else worker.read_answer()
        assert task is not None
        if answer is None:
            row, _, _ = worker.note()
            cause = worker.cause_of_death()
            self._workers.remove(worker)
            worker.close(kill=True)
            place = (task.kind, task.phase, task.shard, task.fold, task.part, task.options.quarantine)
            attempts[place] = attempts.get(place, 0) + 1
            exact = task.options.alone(row)
            on_row = (*place, row)
            attempts[on_row] = attempts.get(on_row, 0) + (1 if exact else 0)
            if task.kind == "shard" and attempts[on_row] >= DEATHS_ON_A_DOC:
                waiting.appendleft(task.without(row))
            elif attempts[place] >= MAX_DEATHS:
                failures.append(Failure(task, f"a worker process {cause} ({attempts[place]} attempts)"))
                progress.n_done += 1
            elif task.kind == "shard" and row >= 0 and not exact:
                waiting.appendleft(task.careful_from(row))
            else:
                waiting.appendleft(task)
            return
        worker.task = None
        progress.n_done += 1
        if answer["ok"]:
            progress.docs_in += answer["counts"].get("docs_in", 0)
            progress.docs_kept += answer["counts"].get("docs_kept", 0)
            return
        if answer["errno"] in (28, 122):  # ENOSPC, EDQUOT
            raise Stopped(f"disk full ({answer['error']}); make room and run the same command again")
        failures.append(Failure(task, answer["error"], answer["exit_code"], answer["trace"]))


class _Worker:
    """The driver's end of one worker process."""

    def __init__(self, folder: Path, note_file: Path) -> None:
        note_file.write_bytes(bytes(NOTE.size))
        with note_file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), NOTE.size)
        task_read, task_write = os.pipe()
        answer_read, answer_write = os.pipe()
        paths = [p for p in [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")] if p]
        environment = {
            **os.environ,
            **dict.fromkeys(THREAD_VARIABLES, "1"),
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        if not any(is_writable(place) for place in kernel_caches()):
            environment.setdefault("NUMBA_CACHE_DIR", str(note_file.parent / "kernels"))
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "curate.engines.worker",
                str(folder),
                str(note_file),
                str(task_read),
                str(answer_write),
            ],
            pass_fds=(task_read, answer_write),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if _has_fileno(sys.stderr) else subprocess.DEVNULL,
            env=environment,
        )
        os.close(task_read)
        os.close(answer_write)
        self._tasks = os.fdopen(task_write, "w", encoding="utf-8")
        self.answers = os.fdopen(answer_read, encoding="utf-8")
        self.task: Task | None = None
        self._ticks = 0
        self._since_s = time.monotonic()

    def give(self, task: Task) -> None:
        self.task = task
        self._since_s = time.monotonic()
        try:
            self._tasks.write(json.dumps(task.to_json()) + "\n")
            self._tasks.flush()
        except BrokenPipeError:
            return  # it died while idle; the closed answer pipe tells, and the task runs again

    def read_answer(self) -> dict[str, Any] | None:
        """Return the answer, or None if the process is gone."""
        line = self.answers.readline()
        return dict(json.loads(line)) if line.endswith("\n") else None

    def note(self) -> tuple[int, int, int]:
        row, n_docs, ticks = NOTE.unpack_from(self._shared, 0)
        return row, n_docs, ticks

    def stalled_s(self) -> float:
        """Return for how long a shard's worker has been on the same batch; folds take their time."""
        ticks = self.note()[2]
        if ticks != self._ticks or self.task is None or self.task.kind != "shard":
            self._ticks, self._since_s = ticks, time.monotonic()
        return time.monotonic() - self._since_s

    def cause_of_death(self) -> str:
        code = self.process.wait()
        if code == -9:
            return "was killed (out of memory, or it hung)"
        return f"ended with signal {-code}" if code < 0 else f"ended with status {code}"

    def close(self, *, kill: bool) -> None:
        if kill:
            self.process.kill()
        with suppress(BrokenPipeError):  # what was not sent is of no use to a dead process
            self._tasks.close()
        self.process.wait()
        self.answers.close()


def _has_fileno(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
