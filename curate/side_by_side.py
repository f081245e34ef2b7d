"""Shows a page's texts side by side on a terminal: the `--compare` of the command `extract`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.errors import InputError, printable

if TYPE_CHECKING:
    from curate.comparison import Comparison, Extracted

MAX_SHOWN_CHARS = 4000
OWN = (
    "inputs",
    "out",
    "mode",
    "workers",
    "format",
    "ledger",
    "shard_bytes",
    "max_file_bytes",
)  # of the command, not of the step

Compare = Annotated[
    bool,
    typer.Option("--compare", help="Write nothing; show what every extractor makes of the first page of each input."),
]
Url = Annotated[str | None, typer.Option(help="With --compare: the page to show.")]


def with_comparison(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command of `extract` with two options more, `--compare` and `--url`."""
    signature = inspect.signature(command)

    def compared(**given: Any) -> None:
        asked, url = given.pop("compare"), given.pop("url")
        if asked:
            _compare(url, **given)
        elif url is not None:
            raise InputError("--url goes with --compare; to extract some pages only, use `curate url-filter`")
        else:
            command(**given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter("compare", keyword, annotation=Compare, default=False),
        inspect.Parameter("url", keyword, annotation=Url, default=None),
    ]
    compared.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *more])  # type: ignore[attr-defined]
    compared.__annotations__ = {**command.__annotations__, "compare": Compare, "url": Url}
    compared.__doc__ = command.__doc__
    return compared


def _compare(url: str | None, *, inputs: list[str], as_json: bool, **given: Any) -> None:
    from curate import api
    from curate.commands import print_json

    own_names = {api.beside_run_options("extract", option): option for option in api.RUN_OPTIONS}
    params = {own_names.get(k, k): v for k, v in given.items() if k not in (*OWN, *api.RUN_OPTIONS)}
    params.pop("extractor")
    found = api.compare(inputs, url=url, base=given["base"], **params)
    if as_json:
        print_json([dataclasses.asdict(page) for page in found])
        return
    for page in found:
        show(page)


def show(page: Comparison) -> None:
    """Print one page: a column for each extractor, with its words, what it shares with the others, and its time."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    where = f"{page.url or '(no URL)'}   {page.warc_file}, {page.n_html_bytes:,} bytes, {page.charset}"
    console.print(printable(where), soft_wrap=True)
    table = Table(expand=True, show_lines=True)
    for made in page.extracted:
        table.add_column(made.extractor, ratio=1, overflow="fold")
    table.add_row(*(_figures(made) for made in page.extracted))
    table.add_row(*(_shown(made) for made in page.extracted))
    console.print(table)


def _figures(made: Extracted) -> Any:
    from rich.text import Text

    shared = "none" if made.shared_frac is None else f"{made.shared_frac:.0%}"
    lines = [
        f"{made.n_words:,} words, {shared} of them shared",
        f"{made.wall_ms:.2f} ms, keep {made.keep}, {made.format}",
    ]
    lines += [made.failed] if made.failed else []
    lines += [f"limits met: {', '.join(made.caps_hit)}"] if made.caps_hit else []
    return Text("\n".join(lines))


def _shown(made: Extracted) -> Any:
    """Return the text with whatever could steer the terminal escaped; its lines and tabs are its own."""
    from rich.text import Text

    lines = made.text[:MAX_SHOWN_CHARS].split("\n")
    more = len(made.text) - MAX_SHOWN_CHARS
    lines += [f"… {more:,} more characters; --json shows all"] if more > 0 else []
    return Text("\n".join(printable(line.expandtabs(4)) for line in lines))
