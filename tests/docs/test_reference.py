"""The generated reference says what the code says now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from curate.registry import STEPS
from tests.helpers import ROOT

REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_current(generate: ModuleType) -> None:
    for name, text in generate.pages().items():
        assert (REFERENCE / name).read_text("utf-8") == text, f"{name} is out of date: run python docs/generate.py"


def test_nothing_else_lies_there(generate: ModuleType) -> None:
    assert {path.name for path in REFERENCE.iterdir()} == set(generate.pages())


@pytest.mark.parametrize("name", STEPS)
def test_every_step_has_a_section_with_its_parameters(name: str) -> None:
    from curate.registry import params, step_class

    section = _section(REFERENCE / "steps.md", f"## {name}")
    for param in params(step_class(name)):
        assert (f"| `{param.name}` |" in section) is param.is_given


def test_every_command_has_a_section() -> None:
    from curate.cli import TRAINER

    for name in (*STEPS, "run", "plan", "ingest", "why", "status", "verify", "gc", "steps", *TRAINER):
        assert "--json" in _section(REFERENCE / "cli.md", f"## curate {name.replace('_', '-')}")


def test_choices_that_must_be_made_show_what_follows_from_each() -> None:
    section = _section(REFERENCE / "steps.md", "## quality")
    for reason in ("too_few_stop_words", "repeated_lines", "lorem_ipsum"):  # one of each rule set
        assert f"`{reason}`" in section


def _section(page: Path, title: str) -> str:
    text = page.read_text("utf-8")
    assert f"\n{title}\n" in text
    return text.partition(f"\n{title}\n")[2].partition("\n## ")[0]
