"""Recipes: YAML read into frozen dataclasses, every mistake an error that names its line."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from curate.errors import CurateError, InputError, RecipeError
from curate.measuring import with_signals
from curate.registry import Param, nearest, params, step_class

MAX_RECIPE_BYTES = 1 << 20
MAX_RECIPE_NODES = 20_000  # an alias bomb ends here
MAX_RECIPE_DEPTH = 32  # and a value that holds itself here
SHARD_BYTES = 256_000_000

RECIPE_KEYS = ("name", "sources", "steps", "train", "shard_bytes", "format", "max_file_bytes", "seed")
SOURCE_KEYS = ("name", "paths", "weight", "base", "check_digests", "text_column", "url_column")
RUNNER_KEYS = ("id", "mode", "save", "skip_tagged")  # valid on any step, next to its own parameters


@dataclass(frozen=True)
class SourceSpec:
    """A named source of a recipe: paths, globs, folders or URLs, its weight in a training mixture, and how to read it.

    Raises InputError for a value that is not allowed.
    """

    name: str
    paths: tuple[str, ...]
    weight: float = 1.0
    base: str | None = None  # where the relative lines of list files start: a URL or a folder
    check_digests: bool = False  # compare WARC blocks and payloads with the digests their records carry
    text_column: str | None = None  # what `text` is called in its JSONL, Parquet, Arrow and CSV files
    url_column: str | None = None  # what `url` is called there

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise InputError(f"`weight` is a number above 0; got {self.weight}")
        for key in ("base", "text_column", "url_column"):
            if getattr(self, key) == "":
                raise InputError(f"`{key}` is empty; leave it out")
        if self.text_column is not None and self.text_column == self.url_column:
            raise InputError(f"`text_column` and `url_column` are both {self.text_column!r}")


@dataclass(frozen=True)
class Step:
    """One line of a recipe: a stage or fold with its parameters, and what the runner does with it."""

    id: str
    name: str
    spec: Any  # the Stage or Fold, ready to call
    mode: Literal["drop", "tag"] = "drop"
    save: bool = False
    skip_tagged: bool = False
    where: str = ""  # file:line, for errors
    given: Mapping[str, Any] = field(default_factory=dict)  # parameters as written, for run.json

    @property
    def is_fold(self) -> bool:
        return bool(self.spec.kind == "fold")

    @property
    def tag_column(self) -> str:
        """Name of the column that `mode: tag` writes instead of dropping."""
        return f"{self.id}_reason"


@dataclass(frozen=True)
class Recipe:
    """A checked recipe. Its steps hold those that measure what the given ones decide by, see `curate.measuring`."""

    name: str
    steps: tuple[Step, ...]
    sources: tuple[SourceSpec, ...] = ()
    train: Mapping[str, Any] | None = None
    shard_bytes: int = SHARD_BYTES
    format: Literal["parquet", "jsonl"] = "parquet"
    max_file_bytes: int | None = None  # of a file in documents/; None: one file per shard
    seed: int | None = None  # of all steps that draw and are not given one of their own
    folder: str = "."  # relative source paths start here; own stages are imported from here

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", with_signals(self.steps))

    def seeded(self) -> Recipe:
        """Return the recipe with its seed handed to the steps that have one and were not given their own."""
        if self.seed is None:
            return self
        steps = []
        for step in self.steps:
            if "seed" in {f.name for f in dataclasses.fields(step.spec)} and "seed" not in step.given:
                step = dataclasses.replace(step, spec=dataclasses.replace(step.spec, seed=self.seed))
            steps.append(step)
        train = None if self.train is None else {"seed": self.seed, **self.train}
        return dataclasses.replace(self, steps=tuple(steps), train=train)


def load_recipe(name: str) -> Recipe:
    """Read a recipe from a path, or by name from those that ship with the package (`demo`, `c4`, …)."""
    path = Path(name)
    if not path.is_file():
        shipped = {p.stem: p for folder in _recipe_folders() for p in sorted(folder.glob("*.yaml"))}
        if name not in shipped:
            raise InputError(f"no recipe {name!r}: neither a file nor one of those that ship{nearest(name, shipped)}")
        path = shipped[name]
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError("a recipe is UTF-8 text", str(path)) from error
    return parse_recipe(text, file=str(path), folder=str(path.resolve().parent))


def _recipe_folders() -> list[Path]:
    package = Path(__file__).resolve().parent
    return [package.parent / "pipelines", package / "pipelines"]  # a checkout, the wheel


def parse_recipe(text: str, file: str = "recipe", folder: str = ".") -> Recipe:
    """Read a recipe. Raises RecipeError with `file:line` for anything that is wrong in it."""
    if len(text) > MAX_RECIPE_BYTES:
        raise RecipeError(f"a recipe may have up to {MAX_RECIPE_BYTES:,} bytes, this one has {len(text):,}", file)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        raise RecipeError(f"not valid YAML: {getattr(error, 'problem', None) or error}", where) from error
    except RecursionError as error:
        raise RecipeError("values nest too deep", file) from error
    find_own_steps(folder)
    reader = _Reader(file, folder)
    top = reader.mapping(root, RECIPE_KEYS, "a recipe")
    if "steps" not in top:
        raise RecipeError("a recipe needs `steps`, a list of step names", file)
    steps = reader.steps(top["steps"])
    kinds = {"name": str, "shard_bytes": int, "format": Literal["parquet", "jsonl"], "max_file_bytes": int, "seed": int}
    scalars = {key: reader.value(top[key]) for key in (*kinds, "train") if key in top}
    for key, kind in kinds.items():
        if key in scalars:
            scalars[key] = reader.coerced(scalars[key], kind, f"`{key}`", top[key])
    for key in ("shard_bytes", "max_file_bytes"):
        if scalars.get(key, 1) < 1:
            raise RecipeError(f"`{key}` must be at least 1", reader.where(top[key]))
    if "train" in scalars and not isinstance(scalars["train"], dict):
        raise RecipeError("`train` is a mapping of trainer options, such as {preset: tiny}", reader.where(top["train"]))
    sources = reader.sources(top["sources"]) if "sources" in top else ()
    scalars.setdefault("name", Path(file).stem)
    return Recipe(steps=steps, sources=sources, folder=folder, **scalars)


def find_own_steps(folder: str) -> None:
    """Let own steps be imported from a recipe's folder. It comes last, so that no file there shadows a module."""
    if (path := str(Path(folder).resolve())) not in sys.path:
        sys.path.append(path)


class _Reader:
    """Turns YAML nodes into checked values; keeps the file name for errors."""

    def __init__(self, file: str, folder: str) -> None:
        self.file = file
        self.folder = folder
        self.n_nodes = 0

    def where(self, node: yaml.Node) -> str:
        return f"{self.file}:{node.start_mark.line + 1}"

    def mapping(self, node: yaml.Node | None, known: tuple[str, ...] | None, what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise RecipeError(f"{what} is a mapping of keys to values", self.where(node) if node else self.file)
        found: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node)
            if not isinstance(key, str):
                raise RecipeError(f"key {key!r} is not a word; quote it if it is one", self.where(key_node))
            if key in found:
                raise RecipeError(f"key `{key}` is given twice", self.where(key_node))
            if known is not None and key not in known:
                raise RecipeError(f"unknown key `{key}`{nearest(key, known)}", self.where(key_node))
            found[key] = value_node
        return found

    def value(self, node: yaml.Node, depth: int = 0) -> Any:
        """Return plain Python for a node: str, int, float, bool, None, list, dict; nothing else."""
        self.n_nodes += 1
        if self.n_nodes > MAX_RECIPE_NODES:
            raise RecipeError(f"a recipe may have up to {MAX_RECIPE_NODES:,} values", self.file)
        if depth > MAX_RECIPE_DEPTH:
            raise RecipeError("values nest too deep", self.where(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, depth + 1) for child in node.value]
        if isinstance(node, yaml.MappingNode):
            return {key: self.value(child, depth + 1) for key, child in self.mapping(node, None, "this value").items()}
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (
            yaml.YAMLError,
            ValueError,
            AttributeError,
        ) as error:  # PyYAML's own readers of dates raise the last two
            raise RecipeError(f"value not allowed: {node.value!r} with tag {node.tag}", self.where(node)) from error

    def coerced(self, value: Any, kind: Any, what: str, node: yaml.Node) -> Any:
        try:
            return coerce(value, kind, what)
        except InputError as error:
            raise RecipeError(str(error), self.where(node)) from error

    def sources(self, node: yaml.Node) -> tuple[SourceSpec, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise RecipeError("`sources` is a list such as [{name: web, paths: [crawl/*.warc.gz]}]", self.where(node))
        found: list[SourceSpec] = []
        for child in node.value:
            keys = self.mapping(child, SOURCE_KEYS, "a source")
            if "name" not in keys or "paths" not in keys:
                raise RecipeError("a source needs `name` and `paths`", self.where(child))
            hints = typing.get_type_hints(SourceSpec)
            values = {k: self.coerced(self.value(n), hints[k], f"`{k}`", n) for k, n in keys.items()}
            check_source_name(values["name"], self.where(keys["name"]))
            if values["name"] in {spec.name for spec in found}:
                raise RecipeError(f"two sources are called {values['name']!r}", self.where(keys["name"]))
            try:
                found.append(SourceSpec(**values))
            except InputError as error:
                raise RecipeError(str(error), self.where(child)) from error
        return tuple(found)

    def steps(self, node: yaml.Node) -> tuple[Step, ...]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise RecipeError("`steps` is a list of step names, one a line", self.where(node))
        found: list[Step] = []
        for child in node.value:
            if isinstance(child, yaml.ScalarNode):
                name, given = self.value(child), {}
            else:
                pairs = self.mapping(child, None, "a step")
                if len(pairs) != 1:
                    raise RecipeError("a step is a name, or {name: {parameter: value}}", self.where(child))
                name, options = next(iter(pairs.items()))
                empty = isinstance(options, yaml.ScalarNode) and self.value(options) is None
                given = (
                    {}
                    if empty
                    else {k: (self.value(n), n) for k, n in self.mapping(options, None, f"`{name}`").items()}
                )
            if not isinstance(name, str):
                raise RecipeError(f"{name!r} is not the name of a step", self.where(child))
            taken = {step.id for step in found}
            values = {k: v for k, (v, _) in given.items()}
            lines = {k: self.where(n) for k, (_, n) in given.items()}
            found.append(make_step(name, values, taken=taken, where=self.where(child), lines=lines, folder=self.folder))
        return tuple(found)


def make_step(
    name: str,
    given: Mapping[str, Any],
    *,
    taken: set[str] = frozenset(),  # type: ignore[assignment]
    where: str = "",
    lines: Mapping[str, str] | None = None,
    folder: str = ".",
) -> Step:
    """Build one step from plain values. Raises RecipeError for unknown names, keys and wrong types.

    Paths among them start at `folder`, as the recipe's sources do.
    """
    lines, given = lines or {}, dict(given)
    try:
        cls = step_class(name)
    except InputError as error:
        raise RecipeError(str(error), where) from error
    known: dict[str, Param] = {param.name: param for param in params(cls)}
    own: dict[str, Any] = {}
    for key, value in given.items():
        at = lines.get(key, where)
        if key in RUNNER_KEYS:
            continue
        if key in known and not known[key].is_given:
            raise RecipeError(f"step `{name}`: `{key}` follows from the steps above; leave it out", at)
        if key not in known:
            raise RecipeError(f"step `{name}` has no parameter `{key}`{nearest(key, [*known, *RUNNER_KEYS])}", at)
        try:
            own[key] = coerce(value, known[key].type, f"`{key}` of step `{name}`")
        except InputError as error:
            raise RecipeError(str(error), at) from error
        if isinstance(own[key], Path):
            own[key] = _from_folder(own[key], folder)
            given[key] = str(own[key])
        elif own[key] and isinstance(own[key], tuple) and isinstance(own[key][0], Path):
            own[key] = tuple(_from_folder(path, folder) for path in own[key])
            given[key] = [str(path) for path in own[key]]
    missing = [p.name for p in known.values() if p.default is dataclasses.MISSING and p.name not in own]
    if missing:
        raise RecipeError(f"step `{name}` needs `{missing[0]}`", where)
    try:
        spec = cls(**own)
    except CurateError as error:
        raise RecipeError(str(error), where) from error
    runner = _runner_words(name, given, bool(spec.kind == "fold"), where, lines)
    base = str(runner.pop("id", name.rpartition(":")[2].lower()))
    step_id, n = base, 2
    while step_id in taken:
        if "id" in given:
            raise RecipeError(f"two steps have the id {base!r}", lines.get("id", where))
        step_id, n = f"{base}_{n}", n + 1
    return Step(id=step_id, name=name, spec=spec, where=where, given=given, **runner)


def _from_folder(path: Path, folder: str) -> Path:
    return Path(os.path.abspath(os.path.join(folder, path)))


def _runner_words(
    name: str, given: Mapping[str, Any], is_fold: bool, where: str, lines: Mapping[str, str]
) -> dict[str, Any]:
    kinds: dict[str, Any] = {"id": str, "mode": Literal["drop", "tag"], "save": bool, "skip_tagged": bool}
    found = {}
    for key in RUNNER_KEYS:
        if key not in given:
            continue
        at = lines.get(key, where)
        try:
            found[key] = coerce(given[key], kinds[key], f"`{key}` of step `{name}`")
        except InputError as error:
            raise RecipeError(str(error), at) from error
        if is_fold and key in ("mode", "save"):
            raise RecipeError(f"`{key}` is for stages; `{name}` is a fold", at)
        if not is_fold and key == "skip_tagged":
            raise RecipeError(f"`skip_tagged` is for folds; `{name}` is a stage", at)
        if key == "id" and not found[key].replace("_", "a").replace("-", "a").isalnum():
            raise RecipeError(f"id {found[key]!r} may have letters, digits, - and _ only", at)
    return found


def check_source_name(name: str, where: str = "") -> None:
    """Raise RecipeError unless `name` can stand in file names."""
    if not name.replace("_", "a").replace("-", "a").isalnum():
        raise RecipeError(f"source name {name!r} may have letters, digits, - and _ only", where)


def coerce(value: Any, kind: Any, what: str) -> Any:
    """Return `value` as `kind`, or raise InputError. Numbers are never made from words, nor words from numbers."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        choices = [a for a in args if a is not type(None)]
        wanted = isinstance(value, (list, tuple))  # of `one name | list of rules` the one that has the value's form
        fit = [a for a in choices if (typing.get_origin(a) in (tuple, list)) == wanted]
        return coerce(value, (fit or choices)[0], what)
    if origin is Literal:
        if value in args and not isinstance(value, bool):
            return value
        raise InputError(f"{what} is one of {', '.join(map(str, args))}; got {value!r}")
    if origin in (tuple, list):
        if args[:1] == (Path,) and isinstance(value, (str, Path)):
            value = [value]  # one path needs no brackets
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{what} is a list; got {value!r}")
        return tuple(coerce(v, args[0] if args else str, f"an entry of {what}") for v in value)
    if origin in (dict, Mapping) or kind is dict:
        if not isinstance(value, dict):
            raise InputError(f"{what} is a mapping; got {value!r}")
        return {str(k): coerce(v, args[1], f"{what}[{k}]") if args else v for k, v in value.items()}
    if kind is Path:
        if isinstance(value, (str, Path)):
            return Path(value)
    elif kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            with suppress(OverflowError):  # a whole number of more than 308 digits is none
                return float(value)
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(kind, type) and kind is not Any and isinstance(value, kind):  # a set[str] is none that is allowed
        return value
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    hint = " (quote it)" if kind is str and value is not None and not isinstance(value, (list, dict)) else ""
    raise InputError(f"{what} is {names.get(kind, kind)}; got {value!r}{hint}")
