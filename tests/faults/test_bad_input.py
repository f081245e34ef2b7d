"""The table of bad inputs: one line that says what is wrong and where, the right exit code, nothing half-written."""

from __future__ import annotations

import fcntl
import gzip
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curate import api
from curate.errors import InputError
from tests.runs import (
    children,
    command,
    contents,
    crawl,
    curate,
    documents,
    environment,
    receipts,
    recipe_file,
    said_in_one_line,
)

STEPS = ({"extract": {"save": True}}, {"dedup": {"method": "exact"}})


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return recipe_file(tmp_path / "recipe", *STEPS)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return crawl(tmp_path / "in", n_files=2)


def _with(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.warc")
    return folder / "pipe.warc"


def _unfinished_run(folder: Path) -> Path:
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{}")
    return folder / "run"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "missing.warc", "no such file"),
        (lambda folder: folder / "nothing-*.warc", "no such file"),
        (_with("empty.warc.gz", b""), "empty"),
        (_with("empty-inside.warc.gz", gzip.compress(b"", mtime=0)), "empty"),
        (_with("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(100)), "not a WARC, .* or CSV file"),
        (_with("error.warc.gz", b"<!doctype html><html></html>"), "not a WARC, .* or CSV file"),
        (_with("table.csv", b"title,body\nx,y\n"), "needs a header row with a column `text`"),
        (_with("wide.csv", b"text," + b",".join(b"c%d" % n for n in range(100_000)) + b"\n"), "has 100,001 columns"),
        (_with("twice.csv", b"text,text\nx,y\n"), "two columns of one name"),
        (_with("cut.arrow", b"ARROW1\0\0" + bytes(50)), "not a readable Arrow file"),
        (_with("words.txt", b"just words\n"), "line 1: is read as a list of inputs"),
        (_with("cut.parquet", b"PAR1" + bytes(50)), "not a readable Parquet file"),
        (_with("a.bz2", b"BZh91AY"), "bzip2"),
        (_empty_folder, "no files"),
        (_pipe, "not a regular file"),
        (lambda folder: "ftp://bucket/crawl.warc.gz", "inputs are local files, or s3://"),
        (lambda folder: "http://127.0.0.1:1/crawl.warc.gz", "the connection failed"),
        (_unfinished_run, "no documents yet"),
    ],
)
def test_an_input_that_cannot_be_read_is_refused_before_any_work(
    tmp_path: Path, recipe: Path, make: Callable[[Path], Path | str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_REMOTE_WAIT_S", "0.001")
    given = make(tmp_path)
    with pytest.raises(InputError, match=said) as raised:
        api.run(recipe, [given], tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert Path(str(given)).name.partition("*")[0] in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_input_ends_the_command_with_exit_code_2(tmp_path: Path, recipe: Path) -> None:
    result = curate("run", recipe, tmp_path / "missing.warc", "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "missing.warc" in said_in_one_line(result)
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_input_given_twice_is_refused(tmp_path: Path, recipe: Path, inputs: Path) -> None:
    with pytest.raises(InputError, match="given twice"):
        api.run(recipe, [inputs, inputs / "crawl-0.warc.gz"], tmp_path / "out")


def test_an_unknown_key_is_named_with_its_line(tmp_path: Path, inputs: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nsteps:\n  - extract\n  - dedup:\n      method: exact\n      metod: exact\n")
    result = curate("run", recipe, inputs, "-o", tmp_path / "out")
    assert result.returncode == 2
    line = said_in_one_line(result)
    assert line.startswith(f"error: {recipe}:6: ")
    assert "did you mean 'method'?" in line
    assert not (tmp_path / "out").exists()


def test_a_truncated_gzip_is_read_to_the_cut_with_one_warning(tmp_path: Path, recipe: Path, inputs: Path) -> None:
    whole = (inputs / "crawl-0.warc.gz").read_bytes()
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "crawl-0.warc.gz").write_bytes(whole[: len(whole) * 2 // 3])
    out = tmp_path / "out"
    result = curate("run", recipe, cut, "-o", out)
    assert result.returncode == 0, result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("warning: ")]) == 1
    (tally,) = next(receipts(out))["inputs"].values()
    assert tally["bytes_bad"] > 0
    assert tally["bytes_ok"] + tally["bytes_bad"] + tally["bytes_padding"] == len(whole) * 2 // 3
    assert 0 < documents(out).num_rows < 6
    assert api.verify(out, deep=True).ok


# --- outputs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["a file", "below a file", "a place nobody can write to", "a folder of other things"])
def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, recipe: Path, inputs: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "mine.txt").write_text("mine")
    out = {
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "out",
        "a place nobody can write to": Path("/proc/curate-out"),
        "a folder of other things": tmp_path / "things",
    }[where]
    with pytest.raises(InputError) as raised:
        api.run(recipe, [inputs], out)
    assert str(out) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "file").read_text() == "mine"
    assert [p.name for p in (tmp_path / "things").iterdir()] == ["mine.txt"]


def test_the_folder_of_another_recipe_or_of_other_inputs_is_refused_and_untouched(
    tmp_path: Path, recipe: Path, inputs: Path
) -> None:
    out = tmp_path / "out"
    api.run(recipe, [inputs], out)
    before, frozen = contents(out, "."), (out / "run.json").read_bytes()
    other = tmp_path / "other.yaml"
    other.write_text("name: other\nsteps: [extract]\n")
    with pytest.raises(InputError, match="holds a run of the recipe 'tested', not 'other'"):
        api.run(other, [inputs], out)
    with pytest.raises(InputError, match="planned for other inputs"):
        api.run(recipe, [inputs / "crawl-0.warc.gz"], out)
    with pytest.raises(InputError, match="cut into shards differently"):
        api.run(recipe, [inputs], out, shard_bytes=1)
    (inputs / "crawl-0.warc.gz").write_bytes((inputs / "crawl-0.warc.gz").read_bytes()[:-10])
    with pytest.raises(InputError, match=r"crawl-0.warc.gz changed in size"):
        api.run(recipe, [inputs], out)
    assert contents(out, ".") == before
    assert (out / "run.json").read_bytes() == frozen


def test_an_output_over_the_inputs_is_refused(tmp_path: Path, recipe: Path, inputs: Path) -> None:
    before = sorted(p.name for p in inputs.iterdir())
    with pytest.raises(InputError, match="holds the input"):
        api.run(recipe, [inputs], inputs)
    assert sorted(p.name for p in inputs.iterdir()) == before


def test_a_run_inside_its_input_folder_can_be_run_again(tmp_path: Path, recipe: Path, inputs: Path) -> None:
    """`curate ingest . -o out` is the first thing people type; its own results are no input of it."""
    out = inputs / "out"
    assert api.run(recipe, [inputs], out).wrote_anything
    assert not api.run(recipe, [inputs], out).wrote_anything


def test_a_changed_or_cut_run_json_is_an_error_that_names_it(tmp_path: Path, recipe: Path, inputs: Path) -> None:
    out = tmp_path / "out"
    api.run(recipe, [inputs], out)
    text = (out / "run.json").read_text()
    for broken in ("", "[]", "null", "{}", '{"format": 1}', text[:300], text.replace('"shards"', '"shardz"')):
        (out / "run.json").write_text(broken)
        for ask in (
            api.status,
            api.verify,
            api.gc,
            lambda run: api.why(run, "x"),
            lambda run: api.run(recipe, [inputs], run),
        ):
            with pytest.raises(InputError, match=r"run\.json"):
                ask(out)


def test_two_runs_on_one_folder_the_second_is_turned_away(tmp_path: Path, recipe: Path, inputs: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = curate("run", recipe, inputs, "-o", out)
        assert result.returncode == 2
        assert "another run is working in" in said_in_one_line(result)
        assert [p.name for p in out.iterdir()] == [".lock"]
    api.run(recipe, [inputs], out)


@pytest.mark.slow
def test_many_runs_started_at_once_one_wins_and_the_result_is_whole(tmp_path: Path, inputs: Path, recipe: Path) -> None:
    out = tmp_path / "out"
    words = command("run", recipe, inputs, "-o", out)
    runs = [
        subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment())
        for _ in range(3)
    ]
    said = [run.communicate(timeout=240)[1] for run in runs]
    codes = [run.returncode for run in runs]
    assert 0 in codes, said
    assert set(codes) <= {0, 2}, said
    assert api.verify(out, deep=True).ok


def test_a_file_name_of_several_lines_is_told_in_one(tmp_path: Path, recipe: Path, inputs: Path) -> None:
    """Names come from the crawl's side; one must not be able to write lines of its own into a log."""
    cut = (inputs / "crawl-0.warc.gz").read_bytes()[:-20]
    (inputs / "a\nerror: all is lost.warc.gz").write_bytes(cut)
    result = curate("run", recipe, inputs, "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "a\\nerror: all is lost" in said_in_one_line(result, begins="warning: ")
    shown = curate("status", tmp_path / "out").stdout
    assert not [line for line in shown.splitlines() if line.startswith("error")]


def test_an_input_that_vanishes_while_the_run_goes_on_is_an_error_not_a_crash(tmp_path: Path) -> None:
    inputs = crawl(tmp_path / "in", n_files=12)
    recipe, out = recipe_file(tmp_path / "recipe", "extract", shard_bytes=1), tmp_path / "out"
    words = command("run", recipe, inputs, "-o", out, "--workers", 1)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment()) as driver:
        deadline = time.monotonic() + 60
        while not children(driver.pid) and time.monotonic() < deadline:
            time.sleep(0.002)
        (inputs / "crawl-11.warc.gz").unlink()
        _, stderr = driver.communicate(timeout=60)
    assert driver.returncode in (2, 3)
    assert "crawl-11.warc.gz" in said_in_one_line(subprocess.CompletedProcess((), 3, "", stderr))
    assert not (out / "documents").exists()


# --- disk full ----------------------------------------------------------------------------------------


@contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of this size; skip where that is not allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_in_order_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    inputs = crawl(tmp_path / "in", n_files=4, n_pages=40)
    recipe = recipe_file(tmp_path / "recipe", *STEPS, shard_bytes=1)
    undisturbed = tmp_path / "undisturbed"
    api.run(recipe, [inputs], undisturbed)
    with _small_disk(tmp_path / "disk", "260k") as disk:
        out = disk / "out"
        result = curate("run", recipe, inputs, "-o", out, "--workers", 1)
        assert result.returncode == 75, result.stderr
        line = said_in_one_line(result, begins="stopped: ")
        assert "disk full" in line or "No space left" in line
        assert not (out / "documents").exists()
        n_free = os.statvfs(disk).f_bavail
        assert curate("run", recipe, inputs, "-o", out, "--workers", 1).returncode == 75
        # an attempt that failed leaves nothing behind
        assert abs(os.statvfs(disk).f_bavail - n_free) <= 2
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert curate("run", recipe, inputs, "-o", out, "--workers", 1).returncode == 0
        assert contents(out) == contents(undisturbed)
        assert api.verify(out, deep=True).ok
        assert api.gc(out).n_bytes == 0
