"""From a retune's values to one HTML page, in the style of reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curate.folds.report.page import render_page

UNIT_NAMES = {"n_tokens": "tokens"}


def render(found: Mapping[str, Any]) -> str:
    """Return the page. The same values give the same bytes."""
    return render_page(
        "curate.retune", "retune.html.j2", found=found, unit=unit_name(found["unit"]), settings=settings(found)
    )


def unit_name(column: str | None) -> str | None:
    """Return what a column counts: tokens, or words where a run has none; None where it has neither."""
    return None if column is None else UNIT_NAMES.get(column, "words")


def settings(found: Mapping[str, Any]) -> list[str]:
    """Return the settings as they are written on the command line."""
    return [f"{step}.{name}={value}" for step, given in found["given"].items() for name, value in given.items()]
