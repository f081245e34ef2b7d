"""A service user without a home, on a read-only installation: kernels are compiled all the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from curate import api
from curate.engines import local
from tests.runs import recipe_file


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
    inputs = tmp_path / "in.jsonl"
    inputs.write_text('{"text": "one line"}\n{"text": "x"}\n')
    rule = {"signal": "n_text_chars", "min": 2, "reason": "short"}  # its kernel is among those that compile soonest
    recipe = recipe_file(tmp_path / "recipe", {"quality": {"rules": [rule]}})
    api.run(recipe, [inputs], tmp_path / "cached", workers=1)
    assert "NUMBA_CACHE_DIR" not in given[-1]
    monkeypatch.setattr(local, "kernel_caches", lambda: (Path("/dev/null/cache"),))
    done = api.run(recipe, [inputs], tmp_path / "uncached", workers=1)
    assert done.phases[-1]["docs"]["kept"] == 1
    assert Path(given[-1]["NUMBA_CACHE_DIR"]).name == "kernels"
