"""What has to be compiled before a run's work starts: once on a machine, several kernels at a time.

Numba keeps compiled kernels in a cache on disk. A note beside them says which kernels of which sources are there, so
that a machine that has them starts work at once. A note that lies costs nothing but time: a worker compiles what it
misses.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from curate.registry import STEPS

if TYPE_CHECKING:
    from curate.rundir import Run

PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Job:
    """One share of what a step compiles; the empty share is all of it."""

    phase: int
    step: int  # place among the phase's stages
    name: str
    share: str


def missing(run: Run) -> list[int]:
    """Return which of `jobs_of(run)` are to be done on this machine; none where no cache can be written."""
    folder = cache_folder()
    if folder is None:
        return []
    return [k for k, job in enumerate(jobs_of(run)) if not _note(folder, job).exists()]


def jobs_of(run: Run) -> list[Job]:
    """Return every share of every registered stage that compiles, each once: first the longest of each stage."""
    found: dict[tuple[str, str], tuple[int, Job]] = {}
    for phase in run.phases:
        for k, step in enumerate(phase.stages):
            compiles = step.name in STEPS and "numba" in getattr(step.spec, "uses", ())
            if not compiles or any(_field(name) is None for name in step.spec.reads):
                continue
            for place, share in enumerate(getattr(step.spec, "compile_shares", ("",))):
                found.setdefault((step.name, share), (place, Job(phase.number, k, step.name, share)))
    return [job for _, job in sorted(found.values(), key=lambda one: one[0])]


def do_job(run: Run, number: int) -> None:
    """Compile one job's kernels, or load them, and note that they are there."""
    import pyarrow as pa

    job = jobs_of(run)[number]
    spec: Any = run.phases[job.phase].stages[job.step].spec
    compile_it: Callable[[], object]
    if hasattr(spec, "compile_share"):
        compile_it = functools.partial(spec.compile_share, job.share)
    else:
        nothing = pa.RecordBatch.from_pylist([], schema=pa.schema([_field(name) for name in spec.reads]))
        compile_it = functools.partial(spec, nothing)
    with _without_garbage_collection():
        _with_deep_stack(compile_it)
    folder = cache_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _note(folder, job).touch()


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Let Numba's many small objects be: most stay for good, and to look through them takes a sixth of its time."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _call(function: Callable[[], object]) -> None:
    function()


# Python keeps the frames of calls in pieces of 16 kB, and gives a piece back as soon as it is empty: where Numba, deep
# in calls, goes to and fro over the end of one, that costs a seventh of the time. A frame that says it needs a
# megabyte makes Python take two, and what is called from it stays within them.
_with_deep_stack = FunctionType(_call.__code__.replace(co_stacksize=1 << 17), globals())


def cache_folder() -> Path | None:
    """Return where Numba keeps what it compiles from this package, None where it can keep nothing."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given)
    return next((place for place in kernel_caches() if is_writable(place)), None)


def kernel_caches() -> tuple[Path, ...]:
    """Return where compiled kernels are kept: beside their source, else in the user's cache; numba fails without."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return PACKAGE / "kernels" / "text" / "__pycache__", Path(home) / "numba"


def is_writable(folder: Path) -> bool:
    """Say whether files can be made in a folder, or the folder itself where it is not there yet."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _field(name: str) -> Any:
    """Return the field of a column that sources give or `signals` measures; None for any other."""
    import pyarrow as pa

    from curate.schema import schema_field
    from curate.signals import SIGNALS

    if name.partition("__after_")[0] in SIGNALS:
        return pa.field(name, pa.int64())
    return schema_field(name)


def _note(folder: Path, job: Job) -> Path:
    share = job.share.replace(" ", "-") or "all"
    return folder / f"compiled-{job.name}-{share}-{_sources()}"


@functools.cache
def _sources() -> str:
    """Return a digest of all that compiled kernels depend on."""
    digest = hashlib.blake2b(f"{version('numba')} {sys.version_info[:2]}".encode(), digest_size=6)
    for path in _kernel_sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _kernel_sources() -> Iterator[Path]:
    yield from sorted((PACKAGE / "kernels").rglob("*.py"))
    yield from sorted((PACKAGE / "assets").glob("*.npz"))
