"""What a person sees while a model trains: a bar on a terminal, one log line a minute elsewhere.

The figures are means over the last RECENT steps. Bits per byte are those of the training loss: nats per token, by the
text bytes a token stands for in the corpus; held-out bits per byte are scored exactly, see `train.evals`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

LOG_EVERY_S = 60.0
RECENT = 20
log = logging.getLogger("train")

Row = Mapping[str, Any]


class Shown(Protocol):
    """Is told each step's row of metrics.jsonl."""

    def step(self, row: Row) -> None: ...
    def close(self) -> None: ...


class Lines:
    """Logs the first step, the last one, and one a minute between."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.recent: deque[Row] = deque(maxlen=RECENT)
        self.began: tuple[int, float] | None = None  # the first step done here and when it was: it may have compiled
        self.said_s = -LOG_EVERY_S

    def step(self, row: Row) -> None:
        """Take a step in, and show it when it is time."""
        now = time.monotonic()
        self.recent.append(row)
        self.began = self.began or (row["step"], now)
        self.show(row["step"], now)

    def show(self, step: int, now: float) -> None:
        """Log a line, a minute after the one before."""
        if step == self.n_steps or now - self.said_s >= LOG_EVERY_S:
            self.said_s = now
            log.info("step %s of %s  %s", f"{step:,}", f"{self.n_steps:,}", self.line(step, now))

    def line(self, step: int, now: float) -> str:
        """Return the figures, and the time left as the time so far lets expect."""
        text = describe(self.recent)
        first, began = self.began or (step, now)
        if first < step < self.n_steps:
            text += f"  {duration((now - began) / (step - first) * (self.n_steps - step))} left"
        return text

    def close(self) -> None:
        """Stop showing."""


class Bar(Lines):
    """Moves a bar on the terminal; what others log appears above it."""

    def __init__(self, n_steps: int) -> None:
        super().__init__(n_steps)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        count = Column(width=2 * len(f"{n_steps:,}") + 1, justify="right", no_wrap=True)
        columns = (
            BarColumn(bar_width=12, table_column=Column(width=12, no_wrap=True)),
            TextColumn("{task.completed:,}/{task.total:,}", table_column=count),
            TextColumn("{task.fields[line]}", markup=False, table_column=Column()),  # breaks where there is no room
        )
        terminal = sys.stderr
        self._bar = Progress(*columns, console=Console(file=terminal), transient=True)
        self._task = self._bar.add_task("", total=n_steps, line="")
        self._bar.start()
        self._moved = [h for h in log.handlers if isinstance(h, logging.StreamHandler) and h.stream is terminal]
        for handler in self._moved:
            handler.setStream(sys.stderr)  # rich's, which writes above the bar

    def show(self, step: int, now: float) -> None:
        """Move the bar; the last step's line stays."""
        self._bar.update(self._task, completed=step, line=self.line(step, now))
        if step == self.n_steps:
            super().show(step, now)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()
        for handler in self._moved:
            handler.setStream(sys.stderr)


def shown_for(n_steps: int) -> Shown:
    """Return a bar where the trainer's log goes to a terminal, else lines for the log."""
    wanted = log.isEnabledFor(logging.INFO) and log.hasHandlers()
    return Bar(n_steps) if wanted and sys.stderr is not None and sys.stderr.isatty() else Lines(n_steps)


class _Harmless(logging.Formatter):
    """Shows what would steer a terminal as its code: names of sources come with the token shards."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Write what the trainer logs to stderr, as a command does; a program of one's own sets up logging itself."""
    if sys.stderr is None or log.handlers:  # closed, or somebody listens already
        yield
        return
    handler, level = logging.StreamHandler(), log.level
    handler.setFormatter(_Harmless("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def describe(rows: Sequence[Row]) -> str:
    """Return loss, bits per byte, speed, utilisation, waiting and memory over some steps, as far as measured."""
    parts = [f"loss {_mean(rows, 'loss'):.4f}"]
    if "bits_per_byte" in rows[-1]:
        parts.append(f"{_mean(rows, 'bits_per_byte'):.3f} bits/byte")
    parts.append(f"{len(rows) / sum(1 / row['tokens_per_s'] for row in rows):,.0f} tokens/s")
    if "mfu_frac" in rows[-1]:
        parts.append(f"MFU {_mean(rows, 'mfu_frac'):.1%}")
    if "matmul_frac" in rows[-1]:
        parts.append(f"{_mean(rows, 'matmul_frac'):.1%} of matmul")
    if rows[-1].get("skipped"):
        parts.append(f"{rows[-1]['skipped']:,} skipped")
    if "data_wait_frac" in rows[-1]:
        parts.append(f"data wait {_mean(rows, 'data_wait_frac'):.1%}")
    if "memory_bytes" in rows[-1]:
        parts.append(f"{size(rows[-1]['memory_bytes'])}")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Return a time in its two largest units, such as `3 h 05 min`."""
    if 0 < seconds < 0.5:
        return "under 1 s"
    whole = round(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours:02} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def size(n_bytes: float) -> str:
    """Return bytes as GB or MB, of 10⁹ and 10⁶ bytes."""
    return f"{n_bytes / 1e9:,.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"


def _mean(rows: Sequence[Row], name: str) -> float:
    return sum(float(row[name]) for row in rows) / len(rows)
