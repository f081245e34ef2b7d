"""The runner: brings a run from its plan to its published results, phase by phase, resuming what is done."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa

from curate.accounting import check_chain, totals
from curate.compiling import jobs_of, missing
from curate.engines.local import STALL_S, Failure, LocalEngine
from curate.errors import AccountingError, InputError, ShardsFailed, Stopped
from curate.fold_tasks import forget_partial
from curate.phases import Phase, check_columns
from curate.plan import N_LOOKS, Plan, make_plan
from curate.progress import COMPILING, Quiet, Reporter
from curate.publish import publish_results
from curate.recipe import Recipe, SourceSpec
from curate.rundir import Run, create_or_open, phase_receipts
from curate.source import Slice
from curate.sources.remote import RemoteError, bare, is_remote, share
from curate.tasks import PassOptions, Task
from curate.training import check_training, train_on


@dataclass(frozen=True)
class RunOptions:
    """How a run is done; none of this changes what comes out of it."""

    workers: int | None = None  # None: one per core
    batch_docs: int | None = None
    ledger: str = "full"
    allow_failed: bool = False
    stall_s: float = STALL_S
    train: bool = True


@dataclass
class Summary:
    """What a run came to: the content of `--json`."""

    run: str
    recipe: str
    n_shards: int
    wrote_anything: bool
    phases: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    train: dict[str, Any] | None = None


def plan_for(recipe: Recipe, inputs: Sequence[str] = (), **reading: Any) -> tuple[Recipe, Plan]:
    """Return the recipe with its sources settled, and its plan. Reads names, sizes and heads only.

    `reading` are fields of `SourceSpec` that say how all inputs are read, such as `check_digests`; None is not given.
    """
    if inputs:
        name = recipe.sources[0].name if len(recipe.sources) == 1 else "web"
        paths = tuple(i if is_remote(i) else os.path.abspath(i) for i in inputs)
        recipe = replace(recipe, sources=(SourceSpec(name, paths),))
    if not recipe.sources:
        raise InputError("no inputs; name them on the command line or as `sources` in the recipe")
    given = {key: value for key, value in reading.items() if value is not None}
    recipe = replace(recipe, sources=tuple(_without_secrets(replace(spec, **given)) for spec in recipe.sources))
    plan = make_plan(recipe.sources, recipe.shard_bytes, recipe.folder)
    share()
    for columns in _source_columns(plan):
        check_columns(recipe, columns)
    recipe = recipe.seeded()
    check_training(recipe)
    return recipe, plan


def _without_secrets(spec: SourceSpec) -> SourceSpec:
    """Return the source with passwords and signatures taken out of its URLs: it will stand in run.json."""
    base = bare(spec.base) if spec.base and is_remote(spec.base) else spec.base
    return replace(spec, paths=tuple(bare(path) if is_remote(path) else path for path in spec.paths), base=base)


def _source_columns(plan: Plan) -> Iterator[dict[str, pa.DataType]]:
    """Yield the columns that docs of the inputs will have, with types; files with columns are opened for it.

    Raises InputError where two files have one column with types that cannot be brought together.
    """
    from curate.sources import WITH_COLUMNS, source_of

    found: dict[str, Slice] = {}
    for shard in plan.shards:
        for piece in shard.slices:
            found.setdefault(piece.path if piece.kind in WITH_COLUMNS else piece.kind, piece)
    known: dict[str, tuple[pa.Field, str]] = {}
    with ThreadPoolExecutor(N_LOOKS) as pool:
        try:
            schemas = pool.map(lambda piece: source_of(piece.kind).schema_of(piece), found.values())
            for piece, schema in zip(found.values(), schemas, strict=True):
                for field in schema:
                    _check_drift(field, piece.path, *known.setdefault(field.name, (field, piece.path)))
                yield {field.name: field.type for field in schema}
        except RemoteError as error:
            raise InputError(str(error)) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _check_drift(field: pa.Field, path: str, first: pa.Field, first_path: str) -> None:
    if field.type.equals(first.type):
        return
    try:
        pa.unify_schemas([pa.schema([first]), pa.schema([field])], promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(
            f"{path}: its column `{field.name}` is {field.type}, in {first_path} it is {first.type}; read them in two "
            "runs, or bring them to one type"
        ) from error


def run_recipe(
    recipe: Recipe,
    inputs: Sequence[str],
    out: Path,
    options: RunOptions | None = None,
    reporter: Reporter | None = None,
    **reading: Any,
) -> Summary:
    """Run a recipe into a folder, or go on with the run that is there; return what it came to.

    `reading` says how the inputs are read, see `plan_for`.
    Raises InputError before any work, Stopped when it can be resumed, ShardsFailed, AccountingError.
    """
    options, reporter = options or RunOptions(), reporter or Quiet()
    recipe, plan = plan_for(recipe, inputs, **reading)
    refuse_to_nest(out, plan)
    with lock(out):
        run = create_or_open(out, recipe, plan)
        summary = Summary(str(out), recipe.name, len(plan.shards), wrote_anything=False)
        with (
            stop_on_signals() as stopping,
            LocalEngine(out, options.workers or n_cores(), stall_s=options.stall_s) as engine,
        ):
            engine.stopping = stopping
            _compile(run, engine, reporter)
            for phase in run.phases:
                _run_phase(run, phase, engine, options, reporter, summary)
        summary.wrote_anything |= publish_results(run)
        if recipe.train is not None and options.train:
            summary.train = train_on(run, reporter)
    if summary.failed:
        raise ShardsFailed(_failed_line(summary))
    return summary


def _run_phase(
    run: Run, phase: Phase, engine: LocalEngine, options: RunOptions, reporter: Reporter, summary: Summary
) -> None:
    base = PassOptions(batch_docs=options.batch_docs, ledger=options.ledger)
    above = None if phase.upstream is None else run.phases[phase.upstream]
    shards = [
        Task("shard", phase.number, shard=shard.number, options=base)
        for shard in run.plan.shards
        if not run.shard_receipt(phase, shard).exists()
        and (above is None or run.shard_receipt(above, shard).exists())  # one that failed above has failed once
    ]
    _do(shards, phase, engine, reporter, summary)
    if summary.failed and phase.folds and not options.allow_failed:
        raise ShardsFailed(_failed_line(summary))
    forget_partial(run, phase)
    for step in phase.folds:
        if run.finish_receipt(phase, step).exists():
            continue
        parts = [
            Task("reduce", phase.number, fold=step.id, part=part)
            for part in range(run.n_parts)
            if not run.part_receipt(phase, step, part).exists()
        ]
        n_failed = len(summary.failed)
        _do(parts, phase, engine, reporter, summary)
        if len(summary.failed) == n_failed:
            _do([Task("finish", phase.number, fold=step.id)], phase, engine, reporter, summary)
        if len(summary.failed) > n_failed:
            raise ShardsFailed(_failed_line(summary))
    receipts = phase_receipts(run, phase)
    if len(receipts) == len(run.plan.shards):
        check_chain(run, phase, receipts)
    elif not options.allow_failed:
        raise ShardsFailed(_failed_line(summary))
    counted = totals(receipts)
    summary.phases.append({"phase": phase.folder, "does": phase.title, **counted})
    reporter.phase_done(phase, counted)


def _compile(run: Run, engine: LocalEngine, reporter: Reporter) -> None:
    """Compile what this machine has not compiled yet, several kernels at a time; what fails here fails again there."""
    numbers = missing(run) if _has_work(run) else []
    if not numbers:
        return
    jobs = jobs_of(run)
    tasks = [
        Task("compile", jobs[k].phase, fold=" ".join([jobs[k].name, jobs[k].share]).strip(), part=k) for k in numbers
    ]
    with reporter.working(COMPILING, len(tasks)) as tell:
        for failure in engine.run(tasks, tell):
            reporter.failure(failure)


def _has_work(run: Run) -> bool:
    """Say whether any shard is still to be done."""
    return any(not run.shard_receipt(phase, shard).exists() for phase in run.phases for shard in run.plan.shards)


def _do(tasks: list[Task], phase: Phase, engine: LocalEngine, reporter: Reporter, summary: Summary) -> None:
    if not tasks:
        return
    summary.wrote_anything = True
    with reporter.working(
        phase.title if tasks[0].kind == "shard" else f"{tasks[0].fold} ({tasks[0].kind})", len(tasks)
    ) as tell:
        failures = engine.run(tasks, tell)
    for failure in failures:
        _raise_if_hopeless(failure)
        summary.failed.append({"task": failure.task.title, "error": failure.error})
        reporter.failure(failure)


def _raise_if_hopeless(failure: Failure) -> None:
    """Raise the errors that no retry and no other shard can mend."""
    if failure.exit_code == InputError.exit_code:
        raise InputError(failure.error)
    if failure.exit_code == AccountingError.exit_code:
        raise AccountingError(failure.error)


def n_cores() -> int:
    """Return the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _failed_line(summary: Summary) -> str:
    first = summary.failed[0] if summary.failed else {"task": "?", "error": "a shard has no receipt"}
    return f"{len(summary.failed)} task(s) failed; the first: {first['task']}: {first['error']}"


def refuse_to_nest(out: Path, plan: Plan) -> None:
    """Raise InputError if the output folder lies over the inputs."""
    folder = str(out.resolve())
    for shard in plan.shards:
        for piece in shard.slices:
            if os.path.dirname(piece.path) == folder:
                raise InputError(f"{out} holds the input {os.path.basename(piece.path)}; choose another -o")


@contextmanager
def lock(out: Path) -> Iterator[None]:
    """Keep other runs off a folder. The lock goes with the process that holds it."""
    existed = out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        opened = (out / ".lock").open("a")
    except FileExistsError as error:
        raise InputError(f"{out} is a file; name a folder for the output") from error
    except OSError as error:
        raise InputError(f"cannot write to {out}: {os.strerror(error.errno or 0)}; choose another -o") from error
    with opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another run is working in {out}; wait for it or choose another -o") from error
        try:
            yield
        except InputError:
            if not (out / "run.json").exists():  # nothing was begun: leave no trace
                (out / ".lock").unlink(missing_ok=True)
                if not existed:
                    with suppress(OSError):  # another run may have begun there
                        out.rmdir()
            raise


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """SIGTERM stops cleanly after the tasks in hand; a first SIGINT does too, a second one at once."""
    asked: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if number == signal.SIGINT and len(asked) > 1:
            raise KeyboardInterrupt
        print("stopping after the shards in hand; press Ctrl-C again to stop now", file=sys.stderr)

    try:
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller handles signals
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    except Stopped:
        if asked and asked[0] == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, old in before.items():
            signal.signal(number, old)
