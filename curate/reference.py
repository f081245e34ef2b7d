"""Descriptions of steps, for `curate steps` and for the generated reference in docs/."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.registry import STEPS, params, step_class


def describe_step(name: str) -> dict[str, Any]:
    """Return everything a user can know of a step. Raises InputError for an unknown name."""
    cls = step_class(name)
    entry = STEPS.get(name)
    known = [param for param in params(cls) if param.is_given]
    specs = _instances(cls)
    return {
        "name": name,
        "kind": cls.kind,
        "version": cls.version,
        "summary": entry.summary if entry else (inspect.getdoc(cls) or "").partition("\n")[0],
        "doc": inspect.getdoc(cls) or "",
        "params": [
            {
                "name": param.name,
                "type": type_name(param.type),
                "default": "required" if param.default is dataclasses.MISSING else _shown(param.default),
                "help": param.help,
            }
            for param in known
        ],
        "reads": list(dict.fromkeys(column for spec in specs or [cls] for column in spec.reads)),
        "writes": {column: str(kind) for spec in specs for column, kind in spec.writes.items()},
        "reasons": list(dict.fromkeys(reason for spec in specs for reason in spec.reasons)),
        "decides": list(getattr((specs or [cls])[0], "decides", ())),  # parameters that `curate retune` changes
    }


def _instances(cls: type[Any]) -> list[Any]:
    """Return the step with its defaults; where a choice must be made, the step with each of the choices.

    Columns and reasons may depend on the choice. Empty where a parameter must be given that is no choice, and
    the contract depends on it.
    """
    required = [param for param in params(cls) if param.default is dataclasses.MISSING]
    if not required:
        return [cls()]
    if not any(isinstance(getattr(cls, name, None), property) for name in ("writes", "reasons")):
        return [cls]
    if len(required) == 1 and (choices := _choices(required[0].type)):
        return [cls(**{required[0].name: choice}) for choice in choices]
    if len(required) == 1 and required[0].type is Path:
        return [cls(**{required[0].name: Path(required[0].name)})]  # no step opens a file before it works
    return []


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the values of a `Literal`, alone or beside other types."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    return next((typing.get_args(one) for one in kinds if typing.get_origin(one) is typing.Literal), ())


def type_name(kind: Any) -> str:
    """Return a type as people write it: `float`, `gopher | c4`, `list of str`."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " | ".join(map(str, args))
    if origin in (typing.Union, types.UnionType):
        return " | ".join("none" if a is type(None) else type_name(a) for a in args)
    if origin in (tuple, list):
        return f"list of {type_name(args[0])}"
    if origin in (dict, Mapping):
        return f"mapping of {type_name(args[0])} to {type_name(args[1])}"
    return str(getattr(kind, "__name__", kind)).lower().replace("posixpath", "path")


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def step_lines(step: dict[str, Any]) -> Iterator[str]:
    """Yield a described step as people read it."""
    yield f"{step['name']} ({step['kind']}, version {step['version']}): {step['summary']}"
    yield ""
    if step["doc"] != step["summary"]:
        yield from [*step["doc"].splitlines(), ""]
    for param in step["params"]:
        yield f"  {param['name']}: {param['type']} = {param['default']}"
        if param["help"]:
            yield f"      {param['help']}"
    for word in ("reads", "writes", "reasons", *(["decides"] if step["decides"] else [])):
        yield f"  {word}: {', '.join(step[word]) or 'none'}"
