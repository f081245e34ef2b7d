"""Say at the top of every test run which `curate` is being tested."""

from __future__ import annotations

import sys
from pathlib import Path

import curate

# For what tests take from `benchmarks`. Last, so that an installed `curate` comes before the one of the tree.
sys.path.append(str(Path(__file__).resolve().parents[1]))


def pytest_report_header() -> str:
    return f"curate {curate.__version__} from {curate.__file__}"


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a test by no bytes but text: compressed ones may hold a clock, and all processes must name tests alike."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and not val.isascii() else None
