"""The command line: one flat list of commands, the same names as in recipes and in `curate.api`."""

from __future__ import annotations

import dataclasses
import errno
import functools
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer

from curate import __version__
from curate.errors import CurateError
from curate.registry import STEPS

EXIT_CODES = """Exit codes: 0 ok, 2 bad input or configuration (nothing was done), 3 finished with failed shards,
4 accounting violated, 75 stopped and resumable, 130 interrupted."""

Out = Annotated[Path, typer.Option("-o", "--out", help="Folder of the run; made if it is not there.")]
Inputs = Annotated[Optional[list[str]], typer.Argument(help="Files, folders, globs or earlier runs.")]  # noqa: UP045
Workers = Annotated[int, typer.Option(min=1, help="Worker processes. Plays no part in what comes out.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable summary on stdout, nothing else.")]
Format = Annotated[Optional[Literal["parquet", "jsonl"]], typer.Option(help="Form of documents/.")]  # noqa: UP045
Ledger = Annotated[Literal["full", "reasons"], typer.Option(help="Keep all signals of dropped docs, or reasons only.")]
ShardBytes = Annotated[Optional[int], typer.Option(min=1, help="Input bytes per shard; part of the plan.")]  # noqa: UP045
AllowFailed = Annotated[bool, typer.Option("--allow-failed", help="Go on past shards that failed; still exit 3.")]
BatchDocs = Annotated[Optional[int], typer.Option(min=1, help="Docs per batch at most. Plays no part in what comes out.")]  # noqa: UP045
Seed = Annotated[Optional[int], typer.Option(help="Seed of the steps that draw; those with a seed of their own keep it.")]  # noqa: UP045
RunFolder = Annotated[Path, typer.Argument(help="Folder of a run.")]

# command → (function in train.api, what it is called with)
TRAINER = {
    "train": "Train a language model on token shards.",
    "resume": "Go on with an interrupted training run, or give it more steps.",
    "generate": "Write text with a trained model.",
    "trace": "List the documents and WARC records that a training step read.",
}


def main() -> None:
    """Entry point of the `curate` command."""
    build_app(sys.argv[1:])()


def build_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the app. Only the command that `arguments` name is built with all its options.

    The others are listed by name and summary, so that `--help` imports nothing heavy.
    """
    wanted = next((word for word in arguments if not word.startswith("-")), "")
    app = typer.Typer(
        name="curate",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        help="Curate web crawls into training corpora, with an account of every document.",
        epilog=EXIT_CODES,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for function in (run, plan, ingest):
        app.command(rich_help_panel="Runs")(_guarded(function))
    for name, entry in STEPS.items():
        command = _step_command(name) if wanted == _dashed(name) else _listed
        app.command(_dashed(name), help=entry.summary, rich_help_panel="Steps, as recipes of one step")(_guarded(command))
    for function in (why, status, verify, gc, steps):
        app.command(rich_help_panel="Questions")(_guarded(function))
    for name, summary in TRAINER.items():
        command = _trainer_command(name) if wanted == name else _listed
        app.command(name, help=summary, rich_help_panel="Trainer")(_guarded(command))
    return app


def _root(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"curate {__version__}")
        raise typer.Exit


def _listed() -> None:
    """Stand for a command in the list of commands."""


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors of `curate.errors` into one line on stderr and their exit code."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        from curate.progress import printable

        try:
            return function(*args, **kwargs)
        except CurateError as error:
            code, line = error.exit_code, str(error)
        except KeyboardInterrupt:
            code, line = 130, "interrupted; run the same command again to go on"
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            code = 75 if full else 2
            line = f"{error.filename or 'output'}: {error.strerror}" + ("; make room and run the same command again" if full else "")
        except Exception as error:
            if not hasattr(error, "exit_code"):  # the trainer's errors carry one too
                raise
            code, line = error.exit_code, str(error)
        typer.echo(f"{'stopped' if code in (75, 130) else 'error'}: {printable(line)}", err=True)
        raise typer.Exit(code)

    return guarded


# --- runs ---------------------------------------------------------------------------------------------


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that ships: demo, c4, gopher …")],
    inputs: Inputs = None,
    out: Out = Path("out"),
    workers: Workers = 1,
    format: Format = None,
    ledger: Ledger = "full",
    shard_bytes: ShardBytes = None,
    batch_docs: BatchDocs = None,
    seed: Seed = None,
    allow_failed: AllowFailed = False,
    as_json: Json = False,
) -> None:
    """Run a recipe from input to results. Run again, it goes on where it stopped."""
    from curate import api

    _report_run(
        lambda reporter: api.run(
            recipe, inputs or (), out, workers=workers, format=format, ledger=ledger, shard_bytes=shard_bytes,
            batch_docs=batch_docs, seed=seed, allow_failed=allow_failed, reporter=reporter,
        ),
        as_json,
    )  # fmt: skip


def plan(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that ships.")],
    inputs: Inputs = None,
    as_json: Json = False,
) -> None:
    """Check a recipe against its inputs; show phases and shards. Writes nothing."""
    from curate import api

    made, planned, phases = api.plan(recipe, inputs or ())
    rows = [{"phase": p.folder, "does": p.title, "reads": _reads(p, phases), "writes_docs": p.writes_docs} for p in phases]
    found = {"recipe": made.name, "n_inputs": len(planned.inputs), "input_bytes": planned.n_bytes, "n_shards": len(planned.shards)}
    if as_json:
        return _print_json({**found, "phases": rows, "shards": planned.to_json()})
    typer.echo(f"{made.name}: {found['n_inputs']} inputs, {planned.n_bytes:,} bytes, {found['n_shards']} shards")
    for row in rows:
        typer.echo(f"  {row['phase'][:2]}  reads {row['reads']:<10} {row['does']}{'' if row['writes_docs'] else '   (writes no docs)'}")


def _reads(phase: Any, phases: Any) -> str:
    return "sources" if phase.upstream is None else f"phase {phases[phase.upstream].number:02d}"


def ingest(
    inputs: Annotated[list[str], typer.Argument(help="Crawls: files, folders or globs.")],
    out: Out = Path("out"),
    workers: Workers = 1,
    format: Format = None,
    shard_bytes: ShardBytes = None,
    as_json: Json = False,
) -> None:
    """Turn crawls into documents. Input that is text already (JSONL, Parquet) skips extraction."""
    from curate import api

    _report_run(
        lambda reporter: api.ingest(inputs, out, workers=workers, format=format, shard_bytes=shard_bytes, reporter=reporter), as_json
    )


def _step_command(name: str) -> Callable[..., None]:
    """Return the command of one step: its parameters become options."""
    from curate import api
    from curate.recipe import coerce
    from curate.registry import params, step_class

    cls = step_class(name)
    own = [param for param in params(cls) if _option_type(param.type) is not None]

    def command(inputs: list[str], out: Path, **given: Any) -> None:
        as_json, words = given.pop("as_json"), {"workers", "format", "ledger", "shard_bytes"}
        step_params = {k: (list(v) if isinstance(v, (list, tuple)) else v) for k, v in given.items() if k not in words}
        hints = {param.name: param for param in own}
        chosen = {
            k: v for k, v in step_params.items()
            if k not in hints or coerce(v, hints[k].type, k) != hints[k].default
        }  # fmt: skip
        if chosen.get("mode") == "drop":
            del chosen["mode"]
        options = {k: v for k, v in given.items() if k in words}
        _report_run(lambda reporter: api.run_step(name, inputs, out, params=chosen, reporter=reporter, **options), as_json)

    keyword = inspect.Parameter.KEYWORD_ONLY
    required = inspect.Parameter("inputs", keyword, annotation=Annotated[list[str], typer.Argument(help="Files, folders, globs or earlier runs.")])
    parameters = [required, inspect.Parameter("out", keyword, annotation=Out, default=Path("out"))]
    for param in own:
        default = list(param.default) if isinstance(param.default, tuple) else param.default
        default = inspect.Parameter.empty if default is dataclasses.MISSING else default
        kind = Annotated[_option_type(param.type), typer.Option(help=param.help or None)]
        parameters.append(inspect.Parameter(param.name, keyword, annotation=kind, default=default))
    if cls.kind == "stage":
        mode = Annotated[Literal["drop", "tag"], typer.Option(help="Drop docs, or only write the reason as a column.")]
        parameters.append(inspect.Parameter("mode", keyword, annotation=mode, default="drop"))
    for word, kind, default in (
        ("workers", Workers, 1), ("format", Format, None), ("ledger", Ledger, "full"),
        ("shard_bytes", ShardBytes, None), ("as_json", Json, False),
    ):  # fmt: skip
        parameters.append(inspect.Parameter(word, keyword, annotation=kind, default=default))
    return _with_signature(command, parameters, f"{STEPS[name].summary}\n\n{inspect.getdoc(cls) or ''}")


def _option_type(kind: Any) -> Any:
    """Return the type of a command-line option for a parameter's type; None if it is for recipes only."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in args if a is not type(None)]
        option = _option_type(inner[0]) if len(inner) == 1 else None
        return None if option is None else Optional[option]  # noqa: UP045
    if origin is tuple:
        return list[str] if args[:1] == (str,) else None
    return kind if origin is Literal or kind in (str, int, float, bool, Path) else None


def _with_signature(command: Callable[..., Any], parameters: list[inspect.Parameter], doc: str) -> Callable[..., Any]:
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = doc
    return command


def _report_run(work: Callable[[Any], Any], as_json: bool) -> None:
    from curate.progress import reporter_for_stderr

    summary = work(reporter_for_stderr())
    if as_json:
        return _print_json(dataclasses.asdict(summary))
    docs = summary.phases[-1]["docs"]
    first = summary.phases[0]["docs"]
    quarantined = sum(phase["docs"]["quarantined"] for phase in summary.phases)
    did = "done" if summary.wrote_anything else "nothing to do, this run is finished"
    typer.echo(f"{did}: {first['in']:,} docs in, {docs['kept']:,} kept, {quarantined:,} quarantined → {summary.run}")
    if summary.train is not None:
        typer.echo(f"trained: loss {summary.train['first_loss']:.2f} → {summary.train['last_loss']:.2f} → {summary.run}/train")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, default=str))


# --- questions ----------------------------------------------------------------------------------------


def why(
    run: RunFolder,
    page: Annotated[str, typer.Argument(help="A URL, or a doc_id of 32 hex digits.")],
    as_json: Json = False,
) -> None:
    """Tell the life of one page: kept or dropped, by which step, why, and with which numbers."""
    from curate import api
    from curate.progress import printable

    lives = api.why(run, page)
    if as_json:
        return _print_json([dataclasses.asdict(life) for life in lives])
    for life in lives:
        typer.echo(printable(_tell(life)))


def _tell(life: Any) -> str:
    lines = [f"{life.url or '(no URL)'}   doc {life.doc_id}"]
    lines.append(f"  from      {life.where['warc_file']} at {life.where['offset_bytes']} (source {life.where['source']})")
    if life.outcome == "kept":
        lines.append(f"  outcome   kept by {' → '.join(life.passed)}")
    else:
        came = f", after {' → '.join(life.passed)}" if life.passed else ""
        lines.append(f"  outcome   {life.outcome} at {life.step}: {life.reason}{came}")
    if life.detail:
        lines.append(f"  detail    {life.detail}")
    if life.rule:
        lines.append(f"  rule      {', '.join(f'{k}={v}' for k, v in life.rule.items())}")
    for name, value in life.signals.items():
        lines.append(f"  {name:<34} {value:.4g}" if isinstance(value, float) else f"  {name:<34} {value}")
    for mate in life.cluster:
        lines.append(f"  same cluster: {mate['outcome']} {mate['url']} ({mate['doc_id']})")
    if life.text:
        lines.append("  text      " + life.text.replace("\n", " ⏎ ") + "…")
    return "\n".join(lines)


def status(run: RunFolder, as_json: Json = False) -> None:
    """Tell what of a run is done, left and failed."""
    from curate import api
    from curate.progress import printable

    found = api.status(run)
    if as_json:
        return _print_json(dataclasses.asdict(found))
    typer.echo(f"{found.recipe} in {found.run}: {'finished' if found.finished else 'not finished'}, {found.n_shards} shards")
    for phase in found.phases:
        docs = phase["docs"]
        typer.echo(printable(f"  {phase['phase'][:2]} {phase['does']}: {phase['shards_done']}/{found.n_shards} shards, "
                   f"{docs['in']:,} in, {docs['kept']:,} kept, {docs['dropped']:,} dropped, {docs['quarantined']:,} quarantined"))  # fmt: skip
        if phase["records"]:
            typer.echo(printable("       records: " + ", ".join(f"{kind} {n:,}" for kind, n in phase["records"].items())))
        if sum(phase["input_bytes"].values()):
            typer.echo("       bytes: " + ", ".join(f"{kind} {n:,}" for kind, n in phase["input_bytes"].items()))
        for step, reasons in phase["dropped"].items():
            typer.echo(printable(f"       {step}: " + ", ".join(f"{reason} {n:,}" for reason, n in reasons.items())))
        for span in phase["damaged"]:
            typer.echo(printable(f"       damaged: {span['input']} at {span['offset_bytes']:,}, {span['n_bytes']:,} bytes: {span['cause']}"))


def verify(
    run: RunFolder,
    deep: Annotated[bool, typer.Option("--deep", help="Also hash every file, recount rows and text, follow every doc_id.")] = False,
    as_json: Json = False,
) -> None:
    """Recompute the accounting and checksums of a run, with code that shares nothing with the writer."""
    from curate import api
    from curate.errors import AccountingError

    found = api.verify(run, deep=deep)
    if as_json:
        _print_json({**dataclasses.asdict(found), "ok": found.ok})
    else:
        for line in [*(f"unfinished: {u}" for u in found.unfinished), *found.problems]:
            typer.echo(line)
        kind = "deep check" if deep else "check"
        typer.echo(f"{kind} of {found.n_shards} shards, {found.n_files} files: {'ok' if found.ok else f'{len(found.problems)} problems'}")
    if found.problems:
        raise AccountingError(f"{found.run}: {len(found.problems)} problems; the first: {found.problems[0]}")


def gc(
    run: RunFolder,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove files that nothing refers to: lost attempts, phases of an older recipe."""
    from curate import api

    removed = api.gc(run, dry_run=dry_run)
    if as_json:
        return _print_json(dataclasses.asdict(removed))
    typer.echo(f"{'would remove' if dry_run else 'removed'} {len(removed.paths)} files, {removed.n_bytes:,} bytes")


def steps(
    name: Annotated[Optional[str], typer.Argument(help="A step; all of them if not given.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """List every step; with a name, its parameters, columns, reasons and sources."""
    from curate.reference import describe_step

    if name is None and not as_json:
        for step, entry in STEPS.items():
            typer.echo(f"{step:<16} {entry.kind:<6} {entry.summary}")
        return
    described = [describe_step(step) for step in ([name.replace("-", "_") if ":" not in name else name] if name else STEPS)]
    if as_json:
        return _print_json(described)
    for step in described:
        typer.echo(f"{step['name']} ({step['kind']}, version {step['version']}): {step['summary']}\n\n{step['doc']}\n")
        for param in step["params"]:
            typer.echo(f"  {param['name']}: {param['type']} = {param['default']!s:<12} {param['help']}")
        for word in ("reads", "writes", "reasons"):
            typer.echo(f"  {word}: {', '.join(step[word]) or 'none'}")


# --- trainer ------------------------------------------------------------------------------------------


def _trainer_command(name: str) -> Callable[..., None]:
    """Return a command of the trainer, with the options of the function of that name in `train.api`."""
    import importlib

    try:
        function = getattr(importlib.import_module("train.api"), name)
    except ModuleNotFoundError as error:
        missing = error.name

        def absent() -> None:
            from curate.errors import InputError

            raise InputError(f"`curate {name}` needs {missing}: pip install 'curate[train]'")

        return absent
    hints = typing.get_type_hints(function, include_extras=True)

    def command(**given: Any) -> None:
        as_json = given.pop("as_json")
        _tell_trainer(function(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}), as_json)

    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        kind, text = typing.get_args(hints[parameter.name])[:2]
        required = parameter.default is inspect.Parameter.empty
        option = parameter.name in ("out", "prompt")
        made = typer.Option(*(("-o", "--out") if parameter.name == "out" else ()), help=text) if option or not required else typer.Argument(help=text)
        default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        parameters.append(
            inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[_option_type(kind), made], default=default)
        )
    parameters.append(inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, annotation=Json, default=False))
    return _with_signature(command, parameters, inspect.getdoc(function) or "")


def _tell_trainer(result: Any, as_json: bool) -> None:
    plain = dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result
    if isinstance(result, list):
        plain = [dataclasses.asdict(row) for row in result]
    if as_json:
        return _print_json(plain)
    if isinstance(plain, dict):
        for key, value in plain.items():
            typer.echo(f"{key:<16} {value}")
    elif isinstance(plain, list):
        for row in plain:
            typer.echo("  ".join(f"{key}={value}" for key, value in row.items()))
    else:
        typer.echo(plain)


if __name__ == "__main__":
    main()
