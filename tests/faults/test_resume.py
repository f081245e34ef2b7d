"""Driver and workers are killed at random moments; run again, the result is byte for byte that of a run left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from curate import api
from tests.runs import children, command, contents, crawl, curate, environment, recipe_file, said_in_one_line, tree

SHOWN = ("documents", "ledger", "tokens", "tokenizer", "report")
STEPS = (
    {"extract": {"save": True}},
    "normalize",
    "language",
    {"dedup": {"method": "exact"}},
    {"train_tokenizer": {"vocab_size": 300}},
    "tokenize",
    "report",
)


@dataclass(frozen=True)
class Undisturbed:
    recipe: Path
    inputs: Path
    shown: dict[str, str]
    took_s: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The run that all others are compared with: eight shards, one worker."""
    folder = tmp_path_factory.mktemp("undisturbed")
    recipe, inputs = recipe_file(folder / "recipe", *STEPS, shard_bytes=1), crawl(folder / "in")
    started = time.monotonic()
    result = curate("run", recipe, inputs, "-o", folder / "out", "--workers", 1)
    took_s = time.monotonic() - started
    assert result.returncode == 0, result.stderr
    assert len(list((folder / "out" / "documents").iterdir())) == 8
    shown = contents(folder / "out", *SHOWN)
    assert {name.partition("/")[0] for name in shown} == set(SHOWN)
    return Undisturbed(recipe, inputs, shown, took_s)


Kill = Callable[["subprocess.Popen[bytes]", random.Random], None]


def _kill_driver(driver: subprocess.Popen[bytes], draw: random.Random) -> None:
    driver.kill()


def _kill_worker(driver: subprocess.Popen[bytes], draw: random.Random) -> None:
    with suppress(ProcessLookupError, FileNotFoundError):  # it may just have ended
        if found := children(driver.pid):
            os.kill(draw.choice(found), signal.SIGKILL)


def _kill_both(driver: subprocess.Popen[bytes], draw: random.Random) -> None:
    _kill_worker(driver, draw)
    driver.kill()


def _disturb(undisturbed: Undisturbed, out: Path, kill: Kill, seed: int, n_kills: int = 2) -> None:
    """Start the run, kill at moments drawn from the time a whole run takes, until it has been killed often enough."""
    draw = random.Random(seed)
    words = ("run", undisturbed.recipe, undisturbed.inputs, "-o", out, "--workers", 2)
    for _ in range(n_kills):
        driver = subprocess.Popen(command(*words), stderr=subprocess.DEVNULL, env=environment())
        with suppress(subprocess.TimeoutExpired):
            driver.wait(draw.uniform(0.15, 0.8) * undisturbed.took_s)
        kill(driver, draw)
        if kill is _kill_worker:
            assert driver.wait(240) == 0
        driver.wait(240)
    result = curate(*words)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("kill", "seed"),
    [
        (_kill_driver, 1),
        (_kill_worker, 2),
        *(
            pytest.param(kill, seed, marks=pytest.mark.slow)
            for kill in (_kill_driver, _kill_worker, _kill_both)
            for seed in range(10, 13)
        ),
    ],
)
def test_a_killed_run_ends_like_one_that_was_not(
    undisturbed: Undisturbed, tmp_path: Path, kill: Kill, seed: int
) -> None:
    out = tmp_path / "out"
    _disturb(undisturbed, out, kill, seed)
    assert contents(out, *SHOWN) == undisturbed.shown
    assert api.verify(out, deep=True).ok
    api.gc(out)
    assert contents(out, *SHOWN) == undisturbed.shown
    assert api.verify(out, deep=True).ok


@pytest.mark.parametrize("batch_docs", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_neither_workers_nor_batches_play_a_part(undisturbed: Undisturbed, tmp_path: Path, batch_docs: int) -> None:
    out = tmp_path / "out"
    api.run(undisturbed.recipe, [undisturbed.inputs], out, workers=2, batch_docs=batch_docs)
    assert contents(out, *SHOWN) == undisturbed.shown


@pytest.mark.slow
def test_where_the_inputs_and_the_output_lie_plays_no_part(undisturbed: Undisturbed, tmp_path: Path) -> None:
    other = crawl(tmp_path / "elsewhere" / "deeper")
    api.run(undisturbed.recipe, [other], tmp_path / "out2")
    assert contents(tmp_path / "out2", *SHOWN) == undisturbed.shown


def test_a_finished_run_writes_nothing_when_run_again(tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path / "recipe", {"extract": {"save": True}}, {"dedup": {"method": "exact"}})
    inputs, out = crawl(tmp_path / "in", n_files=2), tmp_path / "out"
    assert api.run(recipe, [inputs], out).wrote_anything
    before = tree(out)
    assert not api.run(recipe, [inputs], out).wrote_anything
    assert tree(out) == before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 75), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_stops_in_order_and_the_run_can_go_on(tmp_path: Path, number: int, code: int) -> None:
    recipe = recipe_file(tmp_path / "recipe", "extract", {"dedup": {"method": "exact"}}, shard_bytes=1)
    inputs, out = crawl(tmp_path / "in", n_files=24, n_pages=4), tmp_path / "out"
    words = ("run", recipe, inputs, "-o", out, "--workers", 1)
    with subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True, env=environment()) as driver:
        deadline = time.monotonic() + 60
        while not list(out.glob("phases/00-*/receipts/*.json")) and time.monotonic() < deadline:
            time.sleep(0.002)
        driver.send_signal(number)
        _, stderr = driver.communicate(timeout=60)
    assert driver.returncode == code, stderr
    assert said_in_one_line(subprocess.CompletedProcess((), code, "", stderr), begins="stopped: ")
    assert not (out / "documents").exists()
    n_done = len(list(out.glob("phases/00-*/receipts/*.json")))
    assert 0 < n_done < 24
    assert curate(*words).returncode == 0
    assert api.verify(out, deep=True).ok


def test_no_worker_outlives_its_driver(tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path / "recipe", "extract", shard_bytes=1)
    inputs = crawl(tmp_path / "in", n_files=24, n_pages=4)
    driver = subprocess.Popen(
        command("run", recipe, inputs, "-o", tmp_path / "out"), stderr=subprocess.DEVNULL, env=environment()
    )
    deadline = time.monotonic() + 60
    while not (workers := children(driver.pid)) and time.monotonic() < deadline:
        time.sleep(0.002)
    assert workers
    driver.kill()
    driver.wait()
    while any(Path(f"/proc/{pid}/cmdline").exists() and _runs(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Say whether a process is alive and no zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_first_write_that_was_cut_short_does_not_lock_the_folder(tmp_path: Path) -> None:
    recipe, inputs, out = recipe_file(tmp_path / "recipe", "extract"), crawl(tmp_path / "in", n_files=1), tmp_path / "o"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".run.json.0123456789ab").write_text("{")
    api.run(recipe, [inputs], out)
    assert (out / "run.json").exists()


@pytest.mark.slow
def test_a_changed_step_redoes_its_phase_and_those_below_only(tmp_path: Path) -> None:
    inputs, out = crawl(tmp_path / "in", n_files=2), tmp_path / "out"
    steps = ({"extract": {"save": True}}, {"language": {"keep": ["en"]}}, {"dedup": {"method": "exact"}})
    api.run(recipe_file(tmp_path / "recipe", *steps), [inputs], out)
    first = tree(out / "phases")
    changed = (steps[0], {"language": {"keep": ["en"], "min_score": 0.99}}, steps[2])
    summary = api.run(recipe_file(tmp_path / "recipe", *changed), [inputs], out)
    extracted = summary.phases[0]["phase"]
    assert {k: v for k, v in tree(out / "phases").items() if k in first} == first
    assert sorted(p.name[:2] for p in (out / "phases").iterdir()) == ["00", "01", "01", "02", "02"]
    fresh = tmp_path / "fresh"
    api.run(recipe_file(tmp_path / "recipe", *changed), [inputs], fresh)
    assert contents(out, *SHOWN) == contents(fresh, *SHOWN)
    removed = api.gc(out)
    assert removed.paths
    assert not any(path.startswith(f"phases/{extracted}/") for path in removed.paths)
    assert api.verify(out, deep=True).ok
