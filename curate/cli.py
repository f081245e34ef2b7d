"""The command line: one flat list of commands, the same names as in recipes and in `curate.api`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from curate import __version__
from curate.commands import (
    AllowFailed,
    Base,
    BatchDocs,
    CheckDigests,
    Format,
    Inputs,
    Json,
    Ledger,
    MaxFileBytes,
    Out,
    RunFolder,
    Seed,
    ShardBytes,
    TextColumn,
    UrlColumn,
    Workers,
    guarded,
    print_json,
    report_run,
    step_command,
    trainer_command,
)
from curate.errors import AccountingError, ShardsFailed, printable
from curate.model_commands import MODELS, model_command
from curate.registry import STEPS
from curate.side_by_side import with_comparison

EXIT_CODES = """Exit codes: 0 ok, 2 bad input or configuration (nothing was done), 3 finished with failed shards,
4 accounting violated, 75 stopped and resumable, 130 interrupted."""

INGEST = """Turn crawls into documents. Input that is text already (JSONL, Parquet) skips extraction.

This is `curate extract` by the name of what it is for; its options are explained there."""

# functions of train.api
TRAINER = {
    "train": "Train a language model on token shards.",
    "resume": "Go on with an interrupted training run, or give it more steps.",
    "generate": "Write text with a trained model.",
    "eval": "Score a model: held-out loss per source and domain, loss per document, or tasks.",
    "export": "Write a model as a folder that `transformers` opens, with its tokenizer.",
    "trace": "List the documents and WARC records that a training step read, or the steps that read a document.",
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
    questions: tuple[Callable[..., None], ...] = (why, status, verify, gc, steps)
    for function in (run, plan, retune):
        app.command(rich_help_panel="Runs")(guarded(function))
    ingest = step_command("extract", recipe_name="ingest", doc=INGEST) if wanted == "ingest" else _listed
    app.command("ingest", help=ingest.__doc__ if wanted == "ingest" else INGEST, rich_help_panel="Runs")(
        guarded(ingest)
    )
    for name, entry in STEPS.items():
        command = step_command(name) if wanted == _dashed(name) else _listed
        if wanted == name == "extract":
            command = with_comparison(command)
        help_text = command.__doc__ if wanted == _dashed(name) else entry.summary
        app.command(_dashed(name), help=help_text, rich_help_panel="Steps, as recipes of one step")(guarded(command))
    app.command("export-shards", rich_help_panel="Runs")(guarded(export_shards))
    for name, summary in MODELS.items():
        command = model_command(name) if wanted == name else _listed
        help_text = command.__doc__ if wanted == name else summary
        app.command(name, help=help_text, rich_help_panel="Models")(guarded(command))
    for question in questions:
        app.command(rich_help_panel="Questions")(guarded(question))
    for name, summary in TRAINER.items():
        command = trainer_command(name) if wanted == name else _listed
        app.command(name, help=summary, rich_help_panel="Trainer")(guarded(command))
    return app


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"curate {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
    ] = False,
) -> None:
    """Stand for the options before a command; `--version` acts by its callback."""


def _listed() -> None:
    """Stand for a command in the list of commands."""


def _dashed(name: str) -> str:
    return name.replace("_", "-")


# --- runs ---------------------------------------------------------------------------------------------


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that ships: demo, c4, gopher …")],
    inputs: Inputs = None,
    out: Out = Path("out"),
    workers: Workers = None,
    format: Format = None,
    ledger: Ledger = "full",
    shard_bytes: ShardBytes = None,
    max_file_bytes: MaxFileBytes = None,
    batch_docs: BatchDocs = None,
    seed: Seed = None,
    allow_failed: AllowFailed = False,
    as_json: Json = False,
    base: Base = None,
    check_digests: CheckDigests = False,
    text_column: TextColumn = None,
    url_column: UrlColumn = None,
) -> None:
    """Run a recipe from input to results. Run again, it goes on where it stopped."""
    from curate import api

    report_run(
        lambda reporter: api.run(
            recipe, inputs or (), out, workers=workers, format=format, ledger=ledger, shard_bytes=shard_bytes,
            max_file_bytes=max_file_bytes, batch_docs=batch_docs, seed=seed, allow_failed=allow_failed,
            reporter=reporter, base=base, check_digests=check_digests, text_column=text_column, url_column=url_column,
        ),
        as_json,
    )  # fmt: skip


def plan(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that ships.")],
    inputs: Inputs = None,
    as_json: Json = False,
    base: Base = None,
    check_digests: CheckDigests = False,
    text_column: TextColumn = None,
    url_column: UrlColumn = None,
) -> None:
    """Check a recipe against its inputs; show phases and shards. Writes nothing."""
    from curate import api
    from curate.tell import plan_lines

    made, planned, phases = api.plan(
        recipe, inputs or (), base=base, check_digests=check_digests, text_column=text_column, url_column=url_column
    )
    found = {
        "recipe": made.name,
        "n_inputs": len(planned.inputs),
        "input_bytes": planned.n_bytes,
        "n_shards": len(planned.shards),
        "n_parts": planned.n_parts,
        "phases": [
            {
                "phase": phase.folder,
                "does": phase.title,
                "reads": "sources" if phase.upstream is None else f"phase {phase.upstream:02d}",
                "writes_docs": phase.writes_docs,
                "measures": {s.id: list(s.spec.writes) for s in phase.stages if s.name == "signals"},
            }
            for phase in phases
        ],
    }
    _answer({**found, "shards": planned.to_json()}, plan_lines(found), as_json)


def retune(
    run: RunFolder,
    settings: Annotated[
        list[str], typer.Option("--set", metavar="ID.PARAM=VALUE", help="What changes, such as quality.min_words=20.")
    ],
    out: Out = Path("out"),
    documents: Annotated[bool, typer.Option("--documents", help="Also write the docs that are kept now.")] = False,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Decide again with other limits, from the signals a tagged run stored; show which docs that changes.

    Steps with `mode: tag` store what they measured. Where only their limits change, no text is read; else the
    recipe runs again into the output folder, from the first phase that differs, and says why.
    """
    from curate import api
    from curate.progress import reporter_for_stderr
    from curate.tell import retune_lines

    reporter = reporter_for_stderr()
    found = api.retune(run, settings, out, documents=documents, workers=workers, reporter=reporter)
    _answer(dataclasses.asdict(found), retune_lines(found), as_json)


def why(
    run: RunFolder,
    page: Annotated[str, typer.Argument(help="A URL, or a doc_id of 32 hex digits.")],
    as_json: Json = False,
) -> None:
    """Tell the life of one page: kept or dropped, by which step, why, and with which numbers."""
    from curate import api
    from curate.tell import life_lines

    lives = api.why(run, page)
    _answer(
        [dataclasses.asdict(life) for life in lives], (line for life in lives for line in life_lines(life)), as_json
    )


def status(run: RunFolder, as_json: Json = False) -> None:
    """Tell what of a run is done, left and failed."""
    from curate import api
    from curate.tell import status_lines

    found = api.status(run)
    _answer(dataclasses.asdict(found), status_lines(found), as_json)


def verify(
    run: RunFolder,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also hash every file, recount rows, follow every doc_id.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recompute the accounting and checksums of a run, with code that shares nothing with the writer."""
    from curate import api
    from curate.tell import verdict_lines

    found = api.verify(run, deep=deep)
    _answer({**dataclasses.asdict(found), "ok": found.ok}, verdict_lines(found), as_json)
    if found.problems:
        raise AccountingError(f"{found.run}: {len(found.problems)} problems; the first: {found.problems[0]}")
    if found.unfinished:
        raise ShardsFailed(f"{found.run} is not finished: {found.unfinished[0]}; run it to its end")


def gc(
    run: RunFolder,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove files that nothing refers to: lost attempts, phases of an older recipe."""
    from curate import api

    removed = api.gc(run, dry_run=dry_run)
    line = f"{'would remove' if dry_run else 'removed'} {len(removed.paths)} files, {removed.n_bytes:,} bytes"
    _answer(dataclasses.asdict(removed), [line], as_json)


def export_shards(
    shards: Annotated[Path, typer.Argument(help="Folder of token shards, or a run that has one.")],
    format: Annotated[str, typer.Option(help="megatron, nanogpt, llm.c or datatrove.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the files; made, or empty.")],
    as_json: Json = False,
) -> None:
    """Write token shards, checked, in the layout of another trainer; the same tokens are linked, not copied."""
    from curate import api

    found = api.export_shards(shards, format, out)
    line = f"{found.n_docs:,} docs, {found.n_tokens:,} tokens as {found.format}: {len(found.files)} files → {found.out}"
    _answer(dataclasses.asdict(found), [line], as_json)


def steps(
    name: Annotated[str | None, typer.Argument(help="A step; all of them if not given.")] = None,
    as_json: Json = False,
) -> None:
    """List every step; with a name, its parameters, columns, reasons and sources."""
    from curate.recipe import find_own_steps
    from curate.reference import describe_step, step_lines

    find_own_steps(".")
    if name is None:
        lines = [f"{step:<16} {entry.kind:<6} {entry.summary}" for step, entry in STEPS.items()]
        described = [describe_step(step) for step in STEPS] if as_json else []
    else:
        described = [describe_step(name if ":" in name else name.replace("-", "_"))]
        lines = list(step_lines(described[0]))
    _answer(described, lines, as_json)


def _answer(plain: Any, lines: Iterable[str], as_json: bool) -> None:
    if as_json:
        print_json(plain)
        return
    for line in lines:
        typer.echo(printable(line))


if __name__ == "__main__":
    main()
