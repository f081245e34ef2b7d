"""What a person sees while a run works: a bar on a terminal, one log line a minute elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from curate.engines.local import Failure, Progress
from curate.errors import printable
from curate.phases import Phase

Tell = Callable[[Progress], None]
LOG_EVERY_S = 60.0
COMPILING = "compiling, once on this machine"  # said at once: it may take half a minute


class Reporter(Protocol):
    """Is told what happens."""

    def working(self, title: str, n_tasks: int) -> Any: ...
    def phase_done(self, phase: Phase, counted: Mapping[str, Any]) -> None: ...
    def failure(self, failure: Failure) -> None: ...
    def training(self, options: Mapping[str, Any]) -> Any: ...


class Quiet:
    """Says nothing; for the API and for tests."""

    @contextmanager
    def working(self, title: str, n_tasks: int) -> Iterator[Tell]:
        yield lambda progress: None

    def phase_done(self, phase: Phase, counted: Mapping[str, Any]) -> None: ...

    def failure(self, failure: Failure) -> None: ...

    @contextmanager
    def training(self, options: Mapping[str, Any]) -> Iterator[None]:
        yield


class Lines:
    """Writes lines to stderr: when a phase ends, and once a minute while it works."""

    def say(self, line: str) -> None:
        print(printable(line), file=sys.stderr, flush=True)

    @contextmanager
    def working(self, title: str, n_tasks: int) -> Iterator[Tell]:
        started = said = time.monotonic()
        if title == COMPILING:
            self.say(f"{title} …")

        def tell(progress: Progress) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= LOG_EVERY_S:
                said = now
                self.say(f"{title}: {describe(progress, now - started)}")

        yield tell

    def phase_done(self, phase: Phase, counted: Mapping[str, Any]) -> None:
        docs = counted["docs"]
        left = f"{docs['dropped']:,} dropped" + (
            f", {docs['quarantined']:,} quarantined" if docs["quarantined"] else ""
        )
        self.say(f"✓ {phase.number:02d} {phase.title}: {docs['in']:,} docs in, {docs['kept']:,} kept, {left}")
        if not docs["in"] and counted["records"]:
            kinds = ", ".join(f"{kind} {n:,}" for kind, n in counted["records"].items())
            self.say(f"warning: the inputs hold no docs, only: {kinds}")
        for span in counted["damaged"][:5]:
            at = f"offset {span['offset_bytes']:,}"
            if span["n_bytes"]:
                said = f"{span['n_bytes']:,} bytes from {at} could not be read ({span['cause']})"
            else:  # the file breaks off there, or it is a place in the inflated stream
                said = f"at {at}: {span['cause']}"
            self.say(f"warning: {span['input']}: {said}")
        if len(counted["damaged"]) > 5:
            self.say(f"warning: {len(counted['damaged']) - 5:,} more damaged spans; `curate status` lists them")

    def failure(self, failure: Failure) -> None:
        self.say(f"failed: {failure.task.title}: {failure.error}")

    @contextmanager
    def training(self, options: Mapping[str, Any]) -> Iterator[None]:
        self.say(f"training with {', '.join(f'{k}={v}' for k, v in options.items()) or 'defaults'}")
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("  %(message)s"))
        logger, before = logging.getLogger("train"), logging.getLogger("train").level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)


class Bar(Lines):
    """A bar on a terminal."""

    @contextmanager
    def working(self, title: str, n_tasks: int) -> Iterator[Tell]:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        started = time.monotonic()
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[line]}"),
            TimeElapsedColumn(),
        )
        with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
            shown = bar.add_task(printable(title)[:48], total=n_tasks, line="")
            yield lambda progress: bar.update(
                shown, completed=progress.n_done, line=describe(progress, time.monotonic() - started)
            )


def describe(progress: Progress, elapsed_s: float) -> str:
    """Return docs/s, kept share and time left, as far as known."""
    n_docs = progress.docs_in + progress.docs_running
    rate = n_docs / elapsed_s if elapsed_s > 0 else 0.0
    parts = [f"{progress.n_done}/{progress.n_tasks}"]
    if n_docs:
        parts.append(f"{n_docs:,} docs, {rate:,.0f}/s")
    if progress.docs_in:
        parts.append(f"{progress.docs_kept / progress.docs_in:.0%} kept")
    if 0 < progress.n_done < progress.n_tasks:
        parts.append(f"{elapsed_s / progress.n_done * (progress.n_tasks - progress.n_done):,.0f} s left")
    return ", ".join(parts)


def reporter_for_stderr() -> Reporter:
    if sys.stderr is None:  # closed by the caller
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()
