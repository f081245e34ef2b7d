"""How commands are made: shared options, steps and trainer functions turned into commands, errors into exit codes."""

from __future__ import annotations

import dataclasses
import errno
import functools
import importlib
import inspect
import json
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from curate.errors import CurateError, InputError, printable
from curate.registry import STEPS
from curate.rule_counts import odd_rules

Out = Annotated[Path, typer.Option("-o", "--out", help="Folder of the run; made if it is not there.")]
INPUTS_HELP = "Files, folders, globs, lists of files, earlier runs, https:// and s3:// URLs."
Inputs = Annotated[list[str] | None, typer.Argument(help=INPUTS_HELP)]
_READING = "How inputs are read"
Base = Annotated[
    str | None,
    typer.Option(help="URL or folder at which relative lines of list files start.", rich_help_panel=_READING),
]
CheckDigests = Annotated[
    bool,
    typer.Option("--check-digests", help="Compare WARC records with the digests they carry.", rich_help_panel=_READING),
]
TextColumn = Annotated[
    str | None,
    typer.Option(help="What `text` is called in JSONL, Parquet, Arrow and CSV files.", rich_help_panel=_READING),
]
UrlColumn = Annotated[str | None, typer.Option(help="What `url` is called there.", rich_help_panel=_READING)]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes; one per core if not given. Plays no part in what comes out."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable summary on stdout, nothing else.")]
Format = Annotated[Literal["parquet", "jsonl"] | None, typer.Option(help="Form of documents/.")]
MaxFileBytes = Annotated[
    int | None,
    typer.Option(min=1, help="Cut documents/ into files of up to this size; one file per shard if not given."),
]
Ledger = Annotated[Literal["full", "reasons"], typer.Option(help="Keep all signals of dropped docs, or reasons only.")]
ShardBytes = Annotated[int | None, typer.Option(min=1, help="Input bytes per shard; part of the plan.")]
AllowFailed = Annotated[bool, typer.Option("--allow-failed", help="Go on past shards that failed; still exit 3.")]
BatchDocs = Annotated[int | None, typer.Option(min=1, help="Docs per batch at most. Plays no part in what comes out.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the steps that draw; those with a seed of their own keep it.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder of a run.")]


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors of `curate.errors` into one line on stderr and their exit code."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
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
            line = f"{error.filename or 'output'}: {error.strerror}" + (
                "; make room and run the same command again" if full else ""
            )
        except Exception as error:
            if not hasattr(error, "exit_code"):  # the trainer's errors carry one too
                raise
            code, line = error.exit_code, str(error)
        if leads() or code not in EVERYWHERE:
            typer.echo(f"{'stopped' if code in (75, 130) else 'error'}: {printable(line)}", err=True)
        raise typer.Exit(code)

    return call


EVERYWHERE = (1, 2, 75, 130)  # the trainer's: what all processes find wrong at once, or stop for


def leads() -> bool:
    """Say whether this process speaks: the first of those that torchrun starts, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def step_command(name: str, recipe_name: str = "", doc: str = "") -> Callable[..., None]:
    """Return the command of one step: its parameters become options.

    `recipe_name` and `doc` are of a command that does the step under another name.
    """
    from curate import api
    from curate.recipe import coerce
    from curate.registry import params, step_class

    cls = step_class(name)
    own = [param for param in params(cls) if param.is_given and option_type(param.type) is not None]

    def command(inputs: list[str], out: Path, **given: Any) -> None:
        as_json, words = given.pop("as_json"), api.RUN_OPTIONS
        own_names = {api.beside_run_options(name, param.name): param.name for param in own}
        step_params = {
            own_names.get(k, k): (list(v) if isinstance(v, (list, tuple)) else v)
            for k, v in given.items() if k not in words
        }  # fmt: skip
        hints = {param.name: param for param in own}
        for k, v in step_params.items():
            if k in hints and _is_mapping(hints[k].type):
                step_params[k] = _numbers(k, v) if v else hints[k].default
        chosen = {
            k: v for k, v in step_params.items()
            if k not in hints or coerce(v, hints[k].type, k) != hints[k].default
        }  # fmt: skip
        if chosen.get("mode") == "drop":
            del chosen["mode"]
        options = {k: v for k, v in given.items() if k in words}
        options["recipe_name"] = recipe_name
        report_run(
            lambda reporter: api.run_step(name, inputs, out, params=chosen, reporter=reporter, **options), as_json
        )

    keyword = inspect.Parameter.KEYWORD_ONLY
    required = inspect.Parameter(
        "inputs",
        keyword,
        annotation=Annotated[list[str], typer.Argument(help=INPUTS_HELP)],
    )
    parameters = [required, inspect.Parameter("out", keyword, annotation=Out, default=Path("out"))]
    for param in own:
        default = list(param.default) if isinstance(param.default, tuple) else param.default
        default = inspect.Parameter.empty if default is dataclasses.MISSING else default
        option_name = api.beside_run_options(name, param.name)
        names = _option_names(option_name, {p.name for p in own}) if _is_mapping(param.type) else ()
        option = Annotated[option_type(param.type), typer.Option(*names, help=param.help or None)]  # type: ignore[valid-type]
        parameters.append(inspect.Parameter(option_name, keyword, annotation=option, default=default))
    if cls.kind == "stage":
        mode = Annotated[Literal["drop", "tag"], typer.Option(help="Drop docs, or only write the reason as a column.")]
        parameters.append(inspect.Parameter("mode", keyword, annotation=mode, default="drop"))
    shared: list[tuple[str, Any, Any]] = [
        ("workers", Workers, None), ("format", Format, None), ("ledger", Ledger, "full"),
        ("shard_bytes", ShardBytes, None), ("max_file_bytes", MaxFileBytes, None), ("as_json", Json, False),
        ("base", Base, None), ("check_digests", CheckDigests, False), ("text_column", TextColumn, None),
        ("url_column", UrlColumn, None),
    ]  # fmt: skip
    for word, kind, default in shared:
        parameters.append(inspect.Parameter(word, keyword, annotation=kind, default=default))
    doc = doc or f"{STEPS[name].summary}\n\n{inspect.getdoc(cls) or ''}"
    return with_signature(command, parameters, as_help(doc))


def _is_mapping(kind: Any) -> bool:
    """Say whether a parameter maps names to numbers: an option that is given once per `NAME=VALUE`."""
    inner = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    return any(typing.get_origin(a) is Mapping and typing.get_args(a) == (str, float) for a in inner)


def _option_names(name: str, taken: set[str]) -> tuple[str, ...]:
    """Return the names of an option that is given many times: in the plural, and in the singular where that is free."""
    one = name.removesuffix("s")
    return tuple(f"--{word.replace('_', '-')}" for word in ((name,) if one == name or one in taken else (name, one)))


def _numbers(option: str, pairs: list[str]) -> dict[str, float]:
    """Read `NAME=VALUE` options. Raises InputError for what is none."""
    found: dict[str, float] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise InputError(f"--{option} {pair!r}: write NAME=VALUE with a number, such as min_words=40") from None
    return found


def as_help(doc: str) -> str:
    """Return a docstring as help: paragraphs without their line breaks, brackets safe from rich's markup."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in doc.split("\n\n")]
    return "\n\n".join(paragraphs).replace("[", "\\[")


def option_type(kind: Any) -> Any:
    """Return the type of a command-line option for a parameter's type; None if it is for recipes only."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        options = [option for a in args if a is not type(None) if (option := option_type(a)) is not None]
        if not options:
            return None
        return options[0] | None if type(None) in args else options[0]
    if _is_mapping(kind):
        return list[str]
    if origin is tuple:
        return list[args[0]] if args[:1] in ((str,), (Path,)) else None  # type: ignore[valid-type]
    return kind if origin is Literal or kind in (str, int, float, bool, Path) else None


def with_signature(command: Callable[..., Any], parameters: list[inspect.Parameter], doc: str) -> Callable[..., Any]:
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = doc
    return command


def report_run(work: Callable[[Any], Any], as_json: bool) -> None:
    from curate.progress import reporter_for_stderr

    summary = work(reporter_for_stderr())
    if as_json:
        print_json(dataclasses.asdict(summary))
        return
    docs = summary.phases[-1]["docs"]
    first = summary.phases[0]["docs"]
    quarantined = sum(phase["docs"]["quarantined"] for phase in summary.phases)
    did = "done" if summary.wrote_anything else "nothing to do, this run is finished"
    if summary.wrote_anything and (line := odd_rules(phase["rules"] for phase in summary.phases)):
        typer.echo(printable(f"warning: {line}"), err=True)
    typer.echo(f"{did}: {first['in']:,} docs in, {docs['kept']:,} kept, {quarantined:,} quarantined → {summary.run}")
    if summary.train is not None:
        typer.echo(
            f"trained: loss {summary.train['first_loss']:.2f} → {summary.train['last_loss']:.2f} → {summary.run}/train"
        )


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, default=str))


def trainer_command(name: str) -> Callable[..., None]:
    """Return a command of the trainer, with the options of the function of that name in `train.api`."""
    try:
        function = getattr(importlib.import_module("train.api"), name)
    except ModuleNotFoundError as error:
        missing = error.name

        def absent() -> None:
            raise InputError(f"`curate {name}` needs {missing}: pip install 'curate[train]'")

        return absent
    hints = typing.get_type_hints(function, include_extras=True)

    def command(**given: Any) -> None:
        as_json = given.pop("as_json")
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        with importlib.import_module("train.progress").log_to_stderr():
            result = function(**options)
        if leads():
            _tell_trainer(result, as_json)

    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        kind, text = typing.get_args(hints[parameter.name])[:2]
        required = parameter.default is inspect.Parameter.empty
        option = parameter.name in ("out", "prompt")
        made = (
            typer.Option(*(("-o", "--out") if parameter.name == "out" else ()), help=text)
            if option or not required
            else typer.Argument(help=text)
        )
        default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        parameters.append(
            inspect.Parameter(
                parameter.name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=Annotated[option_type(kind), made],
                default=default,
            )
        )
    parameters.append(inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, annotation=Json, default=False))
    return with_signature(command, parameters, inspect.getdoc(function) or "")


def _tell_trainer(result: Any, as_json: bool) -> None:
    if hasattr(result, "lines") and not as_json:
        for line in result.lines():
            typer.echo(printable(line))
        return
    plain = dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result
    if isinstance(result, list):
        plain = [dataclasses.asdict(row) for row in result]
    if as_json:
        print_json(plain)
        return
    if isinstance(plain, dict):
        for key, value in plain.items():
            typer.echo(printable(f"{key:<16} {value}"))
    elif isinstance(plain, list):
        for row in plain:
            typer.echo(printable("  ".join(f"{key}={value}" for key, value in row.items())))
    else:  # a text: its lines and tabs are its own, the rest of it may come from hostile pages
        typer.echo("\n".join("\t".join(map(printable, line.split("\t"))) for line in str(plain).split("\n")))
