"""What a person reads in a terminal: --help of every command, and what every step says of its sources."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from curate.cli import TRAINER, build_app
from curate.commands import step_command
from curate.model_commands import MODELS
from curate.reference import describe_step
from curate.registry import STEPS, params, step_class

OWN = ("run", "plan", "ingest", "why", "status", "verify", "gc", "steps")
SOURCE = re.compile(r"arXiv|et al\.|\b(19|20)\d\d\b|Unicode|RFC|spaCy|datatrove|nanoGPT|fastText|Resiliparse")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def help_of(*words: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    result = CliRunner().invoke(build_app(words), [*words, "--help"])
    assert result.exit_code == 0, result.output
    return ANSI.sub("", result.output)


def test_the_list_names_every_command_and_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = help_of(monkeypatch=monkeypatch)
    for name in (*STEPS, *OWN, *TRAINER, *MODELS):
        assert re.search(rf"^[│|] {name.replace('_', '-')} ", shown, re.MULTILINE), name
    for code in ("0 ok", "2 bad input", "3 finished", "4 accounting", "75 stopped", "130 interrupted"):
        assert code in shown


@pytest.mark.parametrize("name", STEPS)
def test_help_of_a_step_shows_its_options_with_their_help(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = help_of(name.replace("_", "-"), monkeypatch=monkeypatch)
    options = inspect.signature(step_command(name)).parameters
    for param in params(step_class(name)):
        assert param.is_given or (param.name not in options and f"--{param.name}" not in shown)
        if param.name in options:
            assert f"--{param.name.replace('_', '-')}" in shown
            assert " ".join(param.help.split()[:3]) in re.sub(r"\s+", " ", shown)
    for option in ("--out", "--workers", "--json", "--format"):
        assert option in shown


@pytest.mark.parametrize("name", [*OWN, *TRAINER, *MODELS])
def test_help_of_a_command_shows_every_option(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = help_of(name, monkeypatch=monkeypatch)
    command = next(c for c in build_app([name]).registered_commands if (c.name or c.callback.__name__) == name)  # type: ignore[union-attr]
    callback = inspect.unwrap(command.callback)  # type: ignore[arg-type]
    for hint in typing.get_type_hints(callback, include_extras=True).values():
        for info in typing.get_args(hint)[1:]:
            if isinstance(info, (typer.models.OptionInfo, typer.models.ArgumentInfo)):
                assert info.help, f"{name}: a parameter without help"
                assert " ".join(info.help.split()[:3]) in re.sub(r"\s+", " ", shown)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_explains_itself(name: str) -> None:
    cls = step_class(name)
    doc = inspect.getdoc(cls) or ""
    assert len(doc) > 100
    told = doc + " ".join(param.help for param in params(cls)) + (inspect.getdoc(sys.modules[cls.__module__]) or "")
    assert SOURCE.search(told), f"{name}: where its numbers or its method come from"
    assert not [param.name for param in params(cls) if not param.help], f"{name}: a parameter without help"
    assert {param.name for param in params(cls)} == {field.name for field in dataclasses.fields(cls)}


@pytest.mark.parametrize("name", STEPS)
def test_the_summary_is_one_sentence(name: str) -> None:
    summary = describe_step(name)["summary"]
    assert summary.endswith(".")
    assert len(summary) <= 80


@pytest.mark.parametrize("name", [name for name in STEPS if name != "quality"])
def test_steps_tells_all_of_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(build_app(["steps"]), ["steps", name])
    assert result.exit_code == 0, result.output
    spec = step_class(name)
    required = [p for p in params(spec) if p.default is dataclasses.MISSING]
    paths = {p.name: Path(p.name) for p in required if p.type is Path}
    made = spec(**paths) if len(paths) == len(required) else spec
    contract = (getattr(made, part) for part in ("reasons", "writes", "reads"))
    stated = (word for words in contract if not isinstance(words, property) for word in words)
    for word in (*stated, *(param.name for param in params(spec) if param.is_given)):
        assert word in result.output
