"""A service user without a home, on a read-only installation: kernels are compiled all the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from curate import api
from curate.engines import local
from tests.runs import crawl, recipe_file


def test_where_nothing_can_be_cached_kernels_go_to_the_folder_of_the_run_s_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, str]] = []
    real = subprocess.Popen

    def start(*args: object, **options: object) -> object:
        given.append(dict(options["env"]))  # type: ignore[call-overload]
        return real(*args, **options)  # type: ignore[call-overload]

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(subprocess, "Popen", start)
    recipe, inputs = (
        recipe_file(tmp_path / "recipe", "extract", {"quality": {"rules": "gopher"}}),
        crawl(tmp_path / "in"),
    )
    api.run(recipe, [inputs], tmp_path / "cached", workers=1)
    assert "NUMBA_CACHE_DIR" not in given[-1]
    monkeypatch.setattr(local, "kernel_caches", lambda: (Path("/dev/null/cache"),))
    api.run(recipe, [inputs], tmp_path / "uncached", workers=1)
    assert Path(given[-1]["NUMBA_CACHE_DIR"]).name == "kernels"
