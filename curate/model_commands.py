"""The commands that train small models: their options are the fields of a class of settings."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.commands import Json, TextColumn, UrlColumn, as_help, option_type, print_json, with_signature
from curate.errors import printable
from curate.registry import params

if TYPE_CHECKING:
    from curate.classifiers import TrainedClassifier
    from curate.ngrams.settings import TrainedNgrams

MODELS = {
    "train-classifier": "Train a fastText model that tells good text from other text, with its card.",
    "train-ngrams": "Estimate an n-gram model of text, as an ARPA file with its card.",
}

NewFolder = Annotated[Path, typer.Option("-o", "--out", help="Folder of the model; it must not exist.")]
Side = "file, folder, glob, list or earlier run of text: JSONL, Parquet, Arrow, CSV, WET."
Positives = Annotated[str, typer.Argument(help=f"Good text: {Side}")]
Texts = Annotated[str, typer.Argument(help=f"Text to learn from: {Side}")]
Negatives = Annotated[str, typer.Argument(help=f"Other text, such as a sample of the crawl: {Side}")]


def model_command(name: str) -> Callable[..., None]:
    """Return the command that trains one kind of model."""
    return {"train-classifier": _train_classifier, "train-ngrams": _train_ngrams}[name]()


def _train_classifier() -> Callable[..., None]:
    from curate import api
    from curate.classifiers import ClassifierSettings

    def command(positives: str, negatives: str, out: Path, **given: Any) -> None:
        as_json, columns = given.pop("as_json"), _columns(given)
        done = api.train_classifier(positives, negatives, out, ClassifierSettings(**given), say=_say, **columns)
        _answer(done, _classifier_lines(done), as_json)

    inputs = {"positives": Positives, "negatives": Negatives}
    return _made(command, inputs, ClassifierSettings, api.train_classifier.__doc__)


def _train_ngrams() -> Callable[..., None]:
    from curate import api
    from curate.ngrams.settings import NgramSettings

    def command(texts: str, out: Path, **given: Any) -> None:
        as_json, columns = given.pop("as_json"), _columns(given)
        done: TrainedNgrams = api.train_ngrams(texts, out, NgramSettings(**given), say=_say, **columns)
        _answer(done, _ngram_lines(done), as_json)

    return _made(command, {"texts": Texts}, NgramSettings, api.train_ngrams.__doc__)


def _made(command: Callable[..., None], inputs: dict[str, Any], settings: Any, doc: str | None) -> Callable[..., None]:
    """Give a command its arguments, `--out`, an option for each setting, and those of reading."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, keyword, annotation=kind) for name, kind in inputs.items()]
    parameters.append(inspect.Parameter("out", keyword, annotation=NewFolder))
    for param in params(settings):
        option = Annotated[option_type(param.type), typer.Option(help=param.help)]  # type: ignore[valid-type]
        parameters.append(inspect.Parameter(param.name, keyword, annotation=option, default=param.default))
    for name, kind, default in (
        ("text_column", TextColumn, None), ("url_column", UrlColumn, None), ("as_json", Json, False),
    ):  # fmt: skip
        parameters.append(inspect.Parameter(name, keyword, annotation=kind, default=default))
    text = f"{inspect.cleandoc(doc or '')}\n\n{inspect.getdoc(settings) or ''}"
    return with_signature(command, parameters, as_help(text))


def _columns(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given.pop(name) for name in ("text_column", "url_column")}


def _say(line: str) -> None:
    typer.echo(printable(line), err=True)


def _answer(done: Any, lines: list[str], as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    for line in lines:
        typer.echo(printable(line))


def _classifier_lines(done: TrainedClassifier) -> list[str]:
    figures, (_, tenth) = done.figures, done.figures.by_top_frac[2]
    half = figures.at_half
    return [
        f"{done.model}  {done.model_bytes:,} bytes  sha256 {done.sha256}",
        f"held out: ROC-AUC {figures.roc_auc:.4f}, at 0.5 precision {half.precision:.4f} and recall {half.recall:.4f}",
        f"a tenth of the negatives scores {tenth.threshold:.6f} or more; {done.model.parent / 'card.md'} has the rest",
    ]


def _ngram_lines(done: TrainedNgrams) -> list[str]:
    counts = ", ".join(f"{count:,} {n}-grams" for n, count in enumerate(done.n_ngrams, 1))
    return [
        f"{done.model}  {done.model_bytes:,} bytes  sha256 {done.sha256}",
        f"{counts} of {done.n_tokens:,} tokens",
        f"held out: perplexity {done.perplexity:.1f}, {done.unknown_frac:.2%} unknown words in "
        f"{done.n_held_out_tokens:,} tokens",
    ]
