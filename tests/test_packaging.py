"""What the wheel carries, and that `make test` tests the wheel and not the tree around it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import curate
from tests.helpers import ROOT

INSTALLED = not Path(curate.__file__).is_relative_to(ROOT / "curate")
needs_wheel = pytest.mark.skipif(not INSTALLED, reason="runs from the source tree; `make test` runs from the wheel")


def tracked(folder: str) -> set[str]:
    """Return the files of `folder`, relative to it, without what Python leaves behind."""
    paths = (path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


def test_make_test_runs_the_installed_wheel() -> None:
    if os.environ.get("CURATE_TEST_INSTALLED") != "1":
        pytest.skip("set by `make test`")
    assert INSTALLED
    assert "site-packages" in Path(curate.__file__).parts


@needs_wheel
def test_a_child_process_runs_the_installed_wheel_too() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import curate, train; print(curate.__file__); print(train.__file__)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    ).stdout.split()  # fmt: skip
    assert len(found) == 2
    assert not [path for path in found if Path(path).is_relative_to(ROOT / "curate")]
    assert not [path for path in found if Path(path).is_relative_to(ROOT / "train")]


@needs_wheel
@pytest.mark.parametrize(
    ("folder", "home"), [("curate", "curate"), ("train", "train"), ("pipelines", "curate/pipelines")]
)
def test_the_wheel_carries_every_file_of_the_tree(folder: str, home: str) -> None:
    site_packages = Path(curate.__file__).parent.parent
    missing = {name for name in tracked(folder) if not (site_packages / home / name).is_file()}
    assert missing == set()


def test_the_licence_and_the_notice_travel_along() -> None:
    names = (
        {path.name for path in distribution("curate").files or []} if INSTALLED else {p.name for p in ROOT.iterdir()}
    )
    assert {"LICENSE", "NOTICE"} <= names
    assert "Apache License" in (ROOT / "LICENSE").read_text()
