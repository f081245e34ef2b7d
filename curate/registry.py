"""The one registry: step name → where its class lives, and what its parameters are."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, dataclass_transform

from curate.errors import InputError

if typing.TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

MAX_NAMED = 40  # of what is known, in an error
BY_RECIPE = "by recipe"  # in `Annotated` behind the help: a field that the recipe sets, and nobody gives
RUN_FOLDERS = ("documents", "ledger", "phases", "train")  # of a run; the runner alone writes there


@dataclass(frozen=True)
class Entry:
    """Where a step's class lives. The summary is repeated here so that help imports nothing heavy."""

    module: str
    class_name: str
    kind: Literal["stage", "fold"]
    summary: str


STEPS: Mapping[str, Entry] = {
    "url_filter": Entry(
        "curate.stages.url_filter",
        "UrlFilter",
        "stage",
        "Drop docs by their URL: no web page, on a list, with such words.",
    ),
    "extract": Entry("curate.stages.extract", "Extract", "stage", "Turn HTML into the page's main text."),
    "consent": Entry(
        "curate.stages.consent", "Consent", "stage", "Drop docs whose owners said no, or keep only licences you name."
    ),
    "normalize": Entry(
        "curate.stages.normalize", "Normalize", "stage", "Repair mojibake, apply NFC, fold white space."
    ),
    "language": Entry("curate.stages.language", "Language", "stage", "Identify the language; keep the ones you name."),
    "signals": Entry(
        "curate.stages.signals", "Signals", "stage", "Measure numbers of the text, as columns that rules decide by."
    ),
    "quality": Entry(
        "curate.stages.quality", "Quality", "stage", "Drop docs by a published set of rules, or by rules of your own."
    ),
    "toxicity": Entry(
        "curate.stages.toxicity", "Toxicity", "stage", "Score toxic words or sentences; drop docs dense with them."
    ),
    "model_quality": Entry(
        "curate.stages.model_quality", "ModelQuality", "stage", "Score each doc with a classifier of good text."
    ),
    "perplexity": Entry(
        "curate.stages.perplexity", "Perplexity", "stage", "Measure how surprising each doc is to an n-gram model."
    ),
    "redact": Entry("curate.stages.redact", "Redact", "stage", "Mask e-mail addresses, phone numbers, IPs and more."),
    "quantile": Entry(
        "curate.folds.quantile", "Quantile", "fold", "Keep the best share of docs by a column, or name bands of them."
    ),
    "dedup": Entry("curate.folds.dedup", "Dedup", "fold", "Keep one doc of each cluster of (near-)duplicates."),
    "boilerplate": Entry(
        "curate.folds.boilerplate", "Boilerplate", "fold", "Cut lines that stand on many pages of one site."
    ),
    "train_tokenizer": Entry(
        "curate.folds.train_tokenizer", "TrainTokenizer", "fold", "Train a byte-level BPE tokenizer on the docs."
    ),
    "tokenize": Entry(
        "curate.folds.tokenize", "Tokenize", "fold", "Write shuffled token shards that the trainer reads."
    ),
    "report": Entry(
        "curate.folds.report", "Report", "fold", "Write the audit: languages, sites, TLDs, what was dropped and why."
    ),
}


@dataclass_transform(frozen_default=True)
def stage(
    *,
    version: int,
    reads: Sequence[str] | None = None,
    writes: Mapping[str, pa.DataType] | None = None,
    reasons: Sequence[str] | None = None,
    uses: Sequence[str] = (),
    assets: Sequence[str] = (),
) -> Callable[[type[T]], type[T]]:
    """Make a class a stage: a frozen dataclass that carries its contract.

    A class whose columns or reasons depend on its parameters leaves `reads`, `writes` or `reasons` out and defines
    a property of that name. `uses` names distributions whose version can change the output, `assets` files
    under `curate/assets/`; both enter the key of a phase.
    """
    contract: dict[str, Any] = {"version": version, "uses": tuple(uses), "assets": tuple(assets)}
    if reads is not None:
        contract["reads"] = tuple(reads)
    if writes is not None:
        contract["writes"] = dict(writes)
    if reasons is not None:
        contract["reasons"] = tuple(reasons)
    return _contracted("stage", contract, required=("reads", "writes", "reasons"))


@dataclass_transform(frozen_default=True)
def fold(
    *,
    version: int,
    reads: Sequence[str],
    may_read: Sequence[str] = (),
    writes: Mapping[str, pa.DataType] | None = None,
    absent: Mapping[str, object] | None = None,
    reasons: Sequence[str] = (),
    sees: Literal["kept", "all"] = "kept",
    needs: Mapping[str, str] | None = None,
    publishes: str | None = None,
    uses: Sequence[str] = (),
    assets: Sequence[str] = (),
) -> Callable[[type[T]], type[T]]:
    """Make a class a fold: a frozen dataclass that carries its contract (see `curate.fold.Fold`).

    Raises ValueError for a `publishes` that is no plain name, or one of the runner's own folders.
    """
    if publishes is not None and (publishes in RUN_FOLDERS or not publishes.replace("_", "a").isalnum()):
        raise ValueError(f"publishes={publishes!r}: a name of letters, digits and _, none of {', '.join(RUN_FOLDERS)}")
    contract = {
        "version": version, "reads": tuple(reads), "may_read": tuple(may_read), "writes": dict(writes or {}),
        "absent": dict(absent or {}), "reasons": tuple(reasons), "sees": sees, "needs": dict(needs or {}),
        "publishes": publishes, "uses": tuple(uses), "assets": tuple(assets),
    }  # fmt: skip
    return _contracted("fold", contract, required=())


def _contracted(kind: str, contract: dict[str, Any], required: Sequence[str]) -> Callable[[type[T]], type[T]]:
    def decorate(cls: type[T]) -> type[T]:
        for name in required:
            if name not in contract and not isinstance(getattr(cls, name, None), property):
                raise TypeError(f"{cls.__name__}: give `{name}` to @stage or define a property of that name")
        for name, value in contract.items():
            if not isinstance(getattr(cls, name, None), property):  # else it depends on the parameters
                setattr(cls, name, value)
        cls.kind = kind  # type: ignore[attr-defined]
        return dataclasses.dataclass(frozen=True)(cls)

    return decorate


@dataclass(frozen=True)
class Param:
    """One parameter of a step: its type, default and one line of help."""

    name: str
    type: Any
    default: Any  # dataclasses.MISSING where it must be given
    help: str
    is_given: bool = True  # False for a field that the recipe sets


def step_class(name: str) -> type[Any]:
    """Return the class of a step: a registered name, or `package.module:Class` for one of your own.

    Raises InputError for an unknown name, with the nearest known one.
    """
    if ":" in name:
        module, _, class_name = name.partition(":")
        try:
            found = getattr(importlib.import_module(module), class_name)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"step {name!r} cannot be imported: {error}") from error
        if getattr(found, "kind", None) not in ("stage", "fold"):
            raise InputError(f"step {name!r} is not decorated with @stage or @fold")
        return typing.cast("type[Any]", found)
    entry = STEPS.get(name)
    if entry is None:
        raise InputError(f"unknown step {name!r}{nearest(name, STEPS)}")
    return typing.cast("type[Any]", getattr(importlib.import_module(entry.module), entry.class_name))


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """Return '; did you mean …?' for a near miss, else the list of what is known."""
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"; known: {', '.join(names[:MAX_NAMED])}{more}"


def params(cls: type[Any]) -> list[Param]:
    """Return the parameters of a step in the order they are declared.

    The help of a field is the string in `Annotated[type, "help"]`; BY_RECIPE behind it says who sets the field.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    found = []
    for field in dataclasses.fields(cls):
        hint, text, is_given = hints[field.name], "", True
        if typing.get_origin(hint) is typing.Annotated:
            hint, text, is_given = hint.__origin__, str(hint.__metadata__[0]), BY_RECIPE not in hint.__metadata__
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        found.append(Param(field.name, hint, default, text, is_given))
    return found
