"""A worker starts without pandas, SciPy and CFFI: loading them costs more than a small shard, and none is missed."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import curate
from curate.engines.lean import is_lean
from curate.imports import without
from curate.recipe import parse_recipe
from tests.runs import environment

PACKAGE = Path(curate.__file__).resolve().parent
BLAS = {"dot", "vdot", "matmul", "linalg", "inner", "kron"}  # what numba compiles into a call of SciPy's BLAS

START = """
import sys
from types import SimpleNamespace
import pyarrow as pa
from curate.engines import lean
lean.start_pyarrow()
step = SimpleNamespace(spec=SimpleNamespace(uses=("numba",)))
lean.start_numba(SimpleNamespace(stages=[step], folds=[]))
from curate.stages.extract import Extract
verdict = Extract()(pa.RecordBatch.from_pylist([], schema=pa.schema([(n, pa.string()) for n in Extract.reads])))
print([name for name in ("pandas", "scipy.linalg", "cffi") if name in sys.modules])
"""


def said_by(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_extraction_runs_without_what_it_does_not_need() -> None:
    assert said_by(START) == "[]"


@pytest.mark.parametrize("name", ["pandas", "scipy.linalg", "cffi"])
def test_who_needs_it_afterwards_gets_it(name: str) -> None:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"{name} is not installed")
    assert said_by(f"{START}\nimport {name}\nprint({name}.__name__)").splitlines()[-1] == name


def test_a_module_is_missing_only_within() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys"), pytest.raises(ModuleNotFoundError, match="colorsys"):
        import colorsys
    import colorsys

    with without("colorsys"):
        import colorsys  # it is there already: nobody loses it

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)


def test_a_run_with_a_step_of_the_user_gets_all_modules() -> None:
    recipe = parse_recipe("name: r\nsteps: [extract, normalize]")
    own = replace(recipe.steps[0], name="my.package:Step")
    assert is_lean(recipe)
    assert not is_lean(replace(recipe, steps=(own, *recipe.steps[1:])))


@pytest.mark.parametrize("path", [p for p in sorted(PACKAGE.rglob("*.py")) if "numba" in p.read_text(encoding="utf-8")])
def test_no_kernel_calls_a_blas(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not isinstance(getattr(node, "op", None), ast.MatMult), f"{path}:{getattr(node, 'lineno', 0)}"
        assert not (isinstance(node, ast.Attribute) and node.attr in BLAS), f"{path}:{getattr(node, 'lineno', 0)}"
