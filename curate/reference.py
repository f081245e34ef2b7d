"""Descriptions of steps, for `curate steps` and for the generated reference in docs/."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from curate.registry import STEPS, params, step_class


def describe_step(name: str) -> dict[str, Any]:
    """Return everything a user can know of a step. Raises InputError for an unknown name."""
    cls = step_class(name)
    entry = STEPS.get(name)
    known = params(cls)
    required = any(param.default is dataclasses.MISSING for param in known)
    spec = cls if required else cls()
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
        "reads": list(cls.reads),
        "writes": {column: str(kind) for column, kind in spec.writes.items()}
        if not isinstance(spec.writes, property)
        else {},
        "reasons": list(spec.reasons) if not isinstance(spec.reasons, property) else [],
    }


def type_name(kind: Any) -> str:
    """Return a type as people write it: `float`, `gopher | c4`, `list of str`."""
    import types
    import typing

    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " | ".join(map(str, args))
    if origin in (typing.Union, types.UnionType):
        return " | ".join("none" if a is type(None) else type_name(a) for a in args)
    if origin in (tuple, list):
        return f"list of {type_name(args[0])}"
    if origin is dict:
        return f"mapping of {type_name(args[0])} to {type_name(args[1])}"
    return str(getattr(kind, "__name__", kind)).lower().replace("posixpath", "path")


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def step_lines(step: dict[str, Any]) -> Iterator[str]:
    """Yield a described step as people read it."""
    yield f"{step['name']} ({step['kind']}, version {step['version']}): {step['summary']}"
    yield ""
    yield from step["doc"].splitlines()
    yield ""
    for param in step["params"]:
        yield f"  {param['name']}: {param['type']} = {param['default']}"
        if param["help"]:
            yield f"      {param['help']}"
    for word in ("reads", "writes", "reasons"):
        yield f"  {word}: {', '.join(step[word]) or 'none'}"
