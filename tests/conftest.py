"""Say at the top of every test run which `curate` is being tested."""

from __future__ import annotations

import curate


def pytest_report_header() -> str:
    return f"curate {curate.__version__} from {curate.__file__}"
