"""The command line: the same names as in recipes and in Python, help that answers fast, answers that machines read."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from curate import __version__, api
from curate.cli import TRAINER, build_app
from curate.registry import STEPS
from tests.runs import crawl, curate, documents, recipe_file

runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
DASHED = [name.replace("_", "-") for name in STEPS]
OTHERS = ["run", "plan", "ingest", "why", "status", "verify", "gc", "steps"]


def ask(*words: object) -> tuple[int, str, str]:
    """Run a command in this process; return exit code, stdout, stderr."""
    given = [str(word) for word in words]
    result = runner.invoke(build_app(given), given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, re.sub(r"\x1b\[[0-9;]*m", "", result.stdout), result.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that the questions are asked of."""
    folder = tmp_path_factory.mktemp("run")
    recipe = recipe_file(folder / "recipe", {"extract": {"save": True}}, {"dedup": {"method": "exact"}})
    api.run(recipe, [crawl(folder / "in", n_files=2)], folder / "out")
    return folder / "out"


def test_help_names_every_command() -> None:
    code, out, _ = ask("--help")
    assert code == 0
    listed = {line.split()[1] for line in out.splitlines() if line.startswith("│ ") and len(line.split()) > 2}
    assert {*DASHED, *OTHERS, *TRAINER} <= listed
    assert "Exit codes" in out


@pytest.mark.parametrize("name", [*DASHED, *OTHERS])
def test_every_command_has_help_for_itself_and_for_each_option(name: str) -> None:
    code, out, _ = ask(name, "--help")
    assert code == 0
    command = typer.main.get_command(build_app([name])).commands[name]  # type: ignore[attr-defined]
    assert command.help
    for param in command.params:
        if param.name != "help":
            assert param.help, f"curate {name}: {param.name} has no help"
    assert "Usage:" in out


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_a_function_of_the_library_too(name: str) -> None:
    assert callable(getattr(api, name))


@pytest.mark.parametrize("name", STEPS)
def test_every_step_describes_itself(name: str) -> None:
    code, out, _ = ask("steps", name.replace("_", "-"))
    assert code == 0
    assert out.startswith(f"{name} ({STEPS[name].kind}, version ")
    code, out, _ = ask("steps", name, "--json")
    (described,) = json.loads(out)
    assert described["name"] == name
    assert described["doc"]
    for param in described["params"]:
        assert param["help"], f"{name}.{param['name']} has no help"


def test_steps_lists_all() -> None:
    assert [line.split()[0] for line in ask("steps")[1].splitlines()] == list(STEPS)
    assert [row["name"] for row in json.loads(ask("steps", "--json")[1])] == list(STEPS)


def test_the_version_is_told() -> None:
    assert ask("--version")[1].strip() == f"curate {__version__}"


def test_help_answers_fast() -> None:
    took = []
    for _ in range(3):
        started = time.monotonic()
        assert curate("--help").returncode == 0
        took.append(time.monotonic() - started)
    assert min(took) < 2.0  # 0.3 s on an idle machine; a heavy import costs more than 2 s


def test_json_is_all_there_is_on_stdout(tmp_path: Path) -> None:
    result = curate("ingest", crawl(tmp_path / "in", n_files=1), "-o", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["phases"][0]["docs"] == {"in": 6, "kept": 6, "dropped": 0, "quarantined": 0}
    assert summary["wrote_anything"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "no-such-recipe", "-o", "x"), "no recipe 'no-such-recipe'"),
        (("steps", "nonsense"), "unknown step 'nonsense'"),
        (("status", "/proc"), "is not a run"),
        (("verify", "/proc"), "is not a run"),
        (("gc", "/proc"), "is not a run"),
        (("why", "/proc", "x"), "is not a run"),
        (("ingest", "/no/such/file"), "no such file"),
        (("language", "/no/such/file", "--keep", "klingon"), "klingon"),
        (("dedup", "/no/such/file", "--n-bands", "0"), "n_bands is 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(words: tuple[str, ...], said: str) -> None:
    code, out, err = ask(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert said in err


def test_control_characters_of_crawled_text_never_reach_the_terminal(run: Path) -> None:
    code, _, err = ask("why", run, "https://evil.example/\x1b[31m\u202e")
    assert code == 2
    assert "\x1b" not in err
    assert "\u202e" not in err


def test_questions_are_answered_for_people_and_for_machines(run: Path) -> None:
    url = documents(run)["url"][0].as_py()
    for words in (
        ("status", run),
        ("verify", run),
        ("verify", run, "--deep"),
        ("why", run, url),
        ("gc", run, "--dry-run"),
    ):
        code, out, _ = ask(*words)
        assert code == 0
        assert out.strip()
        code, out, _ = ask(*words, "--json")
        assert code == 0
        json.loads(out)
    assert ask("verify", run)[1].splitlines()[-1].endswith(": ok")


def test_a_broken_run_ends_verify_with_exit_code_4(run: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    next(broken.glob("phases/*/docs/*.parquet")).unlink()
    code, _, err = ask("verify", broken)
    assert code == 4
    assert "missing" in err


def test_the_plan_of_a_shipped_recipe_is_shown_and_nothing_is_written(tmp_path: Path) -> None:
    inputs = crawl(tmp_path / "in", n_files=2)
    code, out, _ = ask("plan", "c4", inputs, "--json")
    assert code == 0
    plan = json.loads(out)
    assert (plan["n_inputs"], plan["n_shards"]) == (2, 1)
    assert ask("plan", "c4", inputs)[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_a_step_on_the_command_line_is_a_recipe_of_one_step(run: Path, tmp_path: Path) -> None:
    code, _, _ = ask("language", run, "-o", tmp_path / "a", "--keep", "en", "--min-score", "0.5", "--json")
    assert code == 0
    api.language([run], tmp_path / "b", keep=["en"], min_score=0.5)
    assert documents(tmp_path / "a").equals(documents(tmp_path / "b"))
    stored = json.loads((tmp_path / "a" / "run.json").read_text())["recipe"]["steps"]
    assert stored == [{"name": "language", "given": {"keep": ["en"], "min_score": 0.5}, "id": "language"}]
    assert ask("language", run, "-o", tmp_path / "c", "--mode", "tag", "--keep", "de")[0] == 0
    assert set(documents(tmp_path / "c")["language_reason"].to_pylist()) == {"language_not_kept"}


def test_jsonl_documents_are_what_parquet_holds(run: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    assert ask("normalize", run, "-o", tmp_path / "out", "--format", "jsonl")[0] == 0
    (file,) = (tmp_path / "out" / "documents").iterdir()
    assert file.name == "00000.jsonl.zst"
    with pa.CompressedInputStream(pa.OSFile(str(file)), "zstd") as stream:
        rows = [json.loads(line) for line in stream.read().decode().splitlines()]
    docs = documents(run).to_pylist()
    assert [row["id"] for row in rows] == [doc["doc_id"] for doc in docs]
    assert [row["metadata"]["url"] for row in rows] == [doc["url"] for doc in docs]
    again = tmp_path / "again"
    api.dedup([tmp_path / "out"], again, method="exact")
    assert documents(again)["text"].to_pylist() == [row["text"] for row in rows]


def test_thresholds_are_given_by_name_and_value(tmp_path: Path) -> None:
    inputs = tmp_path / "in.jsonl"
    inputs.write_text('{"text": "' + "word " * 60 + '"}\n')
    code, _, _ = ask("quality", inputs, "--rules", "ccnet", "--threshold", "min_chars=301", "-o", tmp_path / "out")
    assert code == 0
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["recipe"]["steps"][-1]["given"] == {"rules": "ccnet", "thresholds": {"min_chars": 301.0}}
    assert api.status(tmp_path / "out").phases[0]["dropped"] == {"quality": {"too_few_chars": 1}}
    for wrong in ("min_chars", "min_chars=", "min_chars=many"):
        code, _, err = ask("quality", inputs, "--rules", "ccnet", "--thresholds", wrong, "-o", tmp_path / "no")
        assert (code, "write NAME=VALUE" in err) == (2, True)
    code, _, err = ask("quality", inputs, "--rules", "ccnet", "--thresholds", "min_char=3", "-o", tmp_path / "no")
    assert (code, "did you mean 'min_chars'" in err) == (2, True)
