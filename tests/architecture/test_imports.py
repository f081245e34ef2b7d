"""The house rules that a machine can check: imports point down, the core is light, errors are not swallowed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import curate
from curate.registry import STEPS
from tests.helpers import ROOT
from tests.runs import environment

PACKAGE = Path(curate.__file__).resolve().parent
HEAVY = (
    "torch",
    "presidio_analyzer",
    "datatrove",
    "numba",
    "fasttext",
    "spacy",
    "transformers",
    "trafilatura",
    "duckdb",
)
MODULES = sorted(PACKAGE.rglob("*.py"))
TRAINER = sorted((PACKAGE.parent / "train").rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE.parent)) for path in MODULES + TRAINER]
EVERY = pytest.mark.parametrize("path", MODULES + TRAINER, ids=NAMES)

# From the top of the house to its ground: a module imports those of lower rooms, or of its own.
ROOMS: tuple[tuple[str, ...], ...] = (
    ("curate.cli",),
    ("curate.commands", "curate.model_commands", "curate.reference", "curate.side_by_side", "curate.tell"),
    ("curate.api",),
    ("curate.why", "curate.verify", "curate.inspection", "curate.comparison", "curate.retune", "curate.export_shards"),
    ("curate.seen",),
    ("curate.runner",),
    ("curate.training", "curate.classifiers", "curate.ngrams.training"),
    ("curate.progress", "curate.publish"),
    ("curate.engines",),
    ("curate.accounting", "curate.tasks", "curate.fold_tasks", "curate.shard_pass", "curate.shard_files"),
    ("curate.verdicts", "curate.ledger"),
    ("curate.rundir",),
    ("curate.plan", "curate.phases", "curate.apply"),
    ("curate.recipe",),
)


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, *, top_only: bool = False) -> Iterator[tuple[str, int]]:
    """Yield (module, line) of every import that runs; those under TYPE_CHECKING do not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    nodes: Iterator[ast.AST] = iter(_outside_functions(tree)) if top_only else ast.walk(tree)
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _outside_functions(tree: ast.AST) -> list[ast.AST]:
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return found


def _within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def _floor(name: str) -> int | None:
    """Return the height of a module, 0 at the top; None for the ground, which all may import."""
    for height, rooms in enumerate(ROOMS):
        if any(_within(name, room) for room in rooms):
            return height
    return None


@pytest.mark.parametrize("path", MODULES, ids=NAMES[: len(MODULES)])
def test_imports_point_down(path: Path) -> None:
    own = module_name(path)
    height = _floor(own)
    for name, line in imported(path):
        other = _floor(name)
        if other is None or name.startswith(own):
            continue
        assert height is not None, f"{own}:{line}: the ground imports {name}"
        assert other >= height, f"{own}:{line} imports {name}, which stands above it"


def test_every_room_of_the_table_exists() -> None:
    known = {module_name(path) for path in MODULES}
    assert [room for rooms in ROOMS for room in rooms if room not in known] == []


@pytest.mark.parametrize("path", MODULES, ids=NAMES[: len(MODULES)])
def test_the_rooms_of_steps_and_trainer_are_kept_apart(path: Path) -> None:
    own = module_name(path)
    for name, line in imported(path):
        assert not _within(name, "train") or own == "curate.training", f"{own}:{line} imports the trainer"
        assert not _within(name, "torch"), f"{own}:{line} imports torch"
        for kind in ("stages", "folds"):
            room = ".".join(own.split(".")[:3])
            if own.startswith(f"curate.{kind}.") and name.startswith(f"curate.{kind}."):
                target = ".".join(name.split(".")[:3])
                steps = {entry.module for entry in STEPS.values()}
                assert target == room or target not in steps, f"{own}:{line}: a step imports the step {name}"
        if own.startswith("curate.stages."):
            assert not name.startswith("curate.folds"), f"{own}:{line}: a stage imports a fold"
    if own == "curate.training":
        top = [name for name, _ in imported(path, top_only=True) if _within(name, "train")]
        assert not top


@pytest.mark.parametrize("path", TRAINER, ids=NAMES[len(MODULES) :])
def test_the_trainer_knows_of_curate_only_its_shards(path: Path) -> None:
    allowed = ("curate.shards", "curate.shard_manifest", "curate.errors", "curate.encoder")
    for name, line in imported(path):
        if _within(name, "curate") and name != "curate":
            assert any(_within(name, room) for room in allowed), f"{path.name}:{line} imports {name}"


@EVERY
def test_a_module_says_in_one_sentence_what_it_is_and_is_not_too_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    if tree.body:
        said = ast.get_docstring(tree)
        assert said, f"{path.name} has no docstring"
        assert said.splitlines()[0].endswith((".", "?", ":")) or "\n\n" not in said
    assert len([line for line in text.splitlines() if line.strip()]) < 400, f"{path.name} wants to be two rooms"


@EVERY
def test_no_exception_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            where = f"{path.name}:{node.lineno}"
            assert node.type is not None, f"{where}: a bare except"
            assert not all(isinstance(s, ast.Pass) for s in node.body), f"{where}: except … pass"


@pytest.mark.parametrize("name", STEPS)
def test_a_stage_is_pure(name: str) -> None:
    """No try, no printing, no opening of files, no clock, no global random numbers in the module of a stage."""
    entry = STEPS[name]
    if entry.kind == "fold":
        return
    path = PACKAGE.parent / (entry.module.replace(".", "/") + ".py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, (ast.Try, ast.Global)), where
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "print", "eval", "exec", "input"), where
    for module, line in imported(path):
        banned = ("random", "time", "logging", "os", "subprocess", "socket", "urllib.request", "tempfile", "pickle")
        assert module.partition(".")[0] not in banned, f"{path.name}:{line} imports {module}"


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import curate.cli; curate.cli.build_app(['--help'])",
        "import curate.api, curate.runner, curate.engines.local",
        "from curate.registry import STEPS, step_class; list(map(step_class, STEPS))",
    ],
)
def test_the_core_and_the_modules_of_steps_are_light(statement: str) -> None:
    loaded = _loaded_by(statement)
    assert "curate" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_nothing_is_downloaded_or_unpickled() -> None:
    for path in MODULES + TRAINER:
        for name, line in imported(path):
            banned = ("pickle", "cPickle", "dill", "requests", "httpx", "urllib.request", "nltk.downloader")
            assert not any(_within(name, room) for room in banned), f"{path.name}:{line} imports {name}"


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of the machine it was made on stands in a file that ships."""
    if not (ROOT / "curate").is_dir():
        pytest.skip("needs a checkout")
    folders = [ROOT / name for name in ("curate", "train", "pipelines", "examples", "docs", "benchmarks")]
    files = [f for folder in folders for f in folder.rglob("*") if f.suffix in (".py", ".md", ".yaml", ".toml", ".j2")]
    assert files
    machine = ("/" + "work/", "/" + "opt/dev", "/" + "root/")
    assert [f"{f}: {word}" for f in files for word in machine if word in f.read_text(encoding="utf-8")] == []
