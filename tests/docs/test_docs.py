"""Everything the documentation shows is run: the blocks of README.md and docs/, and the scripts in examples/."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from curate.errors import InputError
from tests.helpers import ROOT


def _blocks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_blocks", ROOT / "docs" / "blocks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


blocks = _blocks()
GENERATED = ROOT / "docs" / "reference"
PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
    if page.exists() and not page.is_relative_to(GENERATED)
]
FAST = [page for page in PAGES if any(not b.needs_demo for b in blocks.blocks_of(page))]
SLOW = [page for page in PAGES if any(b.needs_demo for b in blocks.blocks_of(page))]
SCRIPTS = [path for path in sorted((ROOT / "examples").glob("*.*")) if path.suffix in (".py", ".sh")]
LONG = ("docs/model-quality.md", "docs/training.md", "docs/tutorial.md", "README.md")  # these train, or run much
NOT_EXAMPLES = {"make_data.py", "made_pages.py"}  # they built examples/data
OF_A_RUN = {"read_tokens.py", "who_was_hit.py"}  # they look at a run: the demo's
MAX_NOT_RUN = 6


def check_page(page: Path, workspace: object, *, needs_demo: bool) -> None:
    for block in blocks.blocks_of(page):
        if block.needs_demo == needs_demo:
            try:
                blocks.check(block, workspace)
            except Exception as error:
                raise AssertionError(f"{block.where}: {error}") from error


def _named(page: Path) -> object:
    name = str(page.relative_to(ROOT))
    return pytest.param(page, id=name, marks=pytest.mark.slow if name in LONG else ())


@pytest.mark.parametrize("page", [_named(page) for page in FAST])
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    check_page(page, blocks.Workspace(tmp_path), needs_demo=False)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A workspace for all blocks and scripts that look at the demo's run, so that it is run once."""
    return blocks.Workspace(tmp_path_factory.mktemp("demo"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", SLOW, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_about_the_demo_run(page: Path, demo: object) -> None:
    check_page(page, demo, needs_demo=True)


@pytest.mark.parametrize(
    "script", [s for s in SCRIPTS if s.name not in NOT_EXAMPLES | OF_A_RUN], ids=lambda path: path.name
)
def test_an_example_runs(script: Path, tmp_path: Path) -> None:
    said = blocks.Workspace(tmp_path).shell(f"{'bash' if script.suffix == '.sh' else 'python'} examples/{script.name}")
    assert "kept" in said


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(OF_A_RUN))
def test_an_example_that_looks_at_a_run_runs(name: str, demo: object) -> None:
    demo.demo()  # type: ignore[attr-defined]
    assert demo.shell(f"python examples/{name} {blocks.DEMO}").strip()  # type: ignore[attr-defined]


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    found = [(b.where, b.not_run) for page in PAGES for b in blocks.blocks_of(page) if b.not_run]
    assert len(found) <= MAX_NOT_RUN, found
    assert all(len(reason.split()) > 2 for _, reason in found), found


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = str(page.relative_to(ROOT / "docs"))
        assert name == "README.md" or page.parent.name == "decisions" or f"({name})" in index, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


@pytest.mark.parametrize(
    ("shown", "said", "same"),
    [
        ("a\nb\n", "a  \nb\n\n", True),
        ("a …\n", "a 3 of 4\n", True),
        ("…\nend\n", "1\n2\nend\n", True),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("", "something\n", False),
    ],
)
def test_output_is_compared(shown: str, said: str, same: bool) -> None:
    assert blocks.matches(shown, said) is same


def test_a_block_that_is_wrong_is_found(tmp_path: Path) -> None:
    workspace = blocks.Workspace(tmp_path)
    page = ROOT / "docs" / "page.md"
    for language, text in (
        ("bash", "false\n"),
        ("bash", "make no-such-target\n"),
        ("bash", "pip install 'curate[nonsense]'\n"),
        ("console", "$ echo one\ntwo\n"),
        ("python", "raise SystemExit(1)\n"),
        ("yaml", "steps: [no_such_step]\n"),
        ("yaml", "# pipelines/demo.yaml\nsteps: [extract]\n"),
        ("json", "{"),
        ("ruby", "puts 1"),
    ):
        with pytest.raises((AssertionError, ValueError, InputError)):
            blocks.check(blocks.Block(page, 1, language, text), workspace)
