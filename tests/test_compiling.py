"""Mirrors curate/compiling.py: kernels are compiled once on a machine, before the work starts, and noted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curate import api
from curate.compiling import cache_folder, do_job, jobs_of, missing
from curate.rundir import open_run
from curate.signals import COMPILED_TOGETHER, SIGNALS
from tests.helpers import ROOT
from tests.runs import crawl, recipe_file


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    recipe = recipe_file(tmp_path / "recipe", "extract", {"quality": {"rules": "fineweb"}})
    api.run(recipe, [crawl(tmp_path / "in")], out, workers=1)
    return out


def test_families_are_compiled_together_once() -> None:
    families = [family for group in COMPILED_TOGETHER.values() for family in group]
    assert sorted(families) == sorted({signal.family for signal in SIGNALS.values()})


def test_what_is_noted_is_not_compiled_again(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(run_folder)
    assert missing(run) == []  # the run has compiled all it needs
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    assert missing(run) == list(range(len(jobs_of(run))))
    names = [(job.name, job.share) for job in jobs_of(run)]
    assert ("signals", "words spacy_en") in names
    assert len(names) == len(set(names))


def test_what_a_parameter_chooses_is_noted_by_itself(tmp_path: Path) -> None:
    texts = tmp_path / "in.jsonl"
    texts.write_text('{"text": "The cat sat on the mat, and looked at the rain."}\n')
    steps = [
        {"language": {"spans": True}}, {"quality": {"rules": "c4"}}, {"quality": {"rules": "refinedweb"}},
        {"toxicity": {"method": "classifier"}},
    ]  # fmt: skip
    api.run(recipe_file(tmp_path / "recipe", *steps), [texts], tmp_path / "out", workers=1)
    run = open_run(tmp_path / "out")
    names = {(job.name, job.share) for job in jobs_of(run)}
    assert names >= {
        ("language", "spans"),
        ("quality", "c4_datatrove"),
        ("quality", "refinedweb"),
        ("toxicity", "classifier"),
    }
    assert missing(run) == []


def test_a_job_leaves_its_kernels_in_the_cache(run_folder: Path, tmp_path: Path) -> None:
    jobs = [(job.name, job.share) for job in jobs_of(open_run(run_folder))]
    number = jobs.index(("signals", "families characters"))
    cache = tmp_path / "cache"
    code = f"""
from pathlib import Path
from curate.compiling import do_job, missing
from curate.rundir import open_run
run = open_run(Path({str(run_folder)!r}))
before = len(missing(run))
do_job(run, {number})
print(before - len(missing(run)))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
    assert list(cache.rglob("*characters_kernel*.nbi"))
    assert not list(cache.rglob("*spacy_segmenter*"))


def test_where_nothing_can_be_kept_nothing_is_compiled_ahead(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr("curate.compiling.kernel_caches", lambda: (Path("/dev/null/cache"),))
    run = open_run(run_folder)
    assert missing(run) == []
    do_job(run, 0)  # without a place for a note
