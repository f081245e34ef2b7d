"""A stage of one's own that raises, dies, hangs or breaks its contract: the doc is named, the rest is kept."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from curate import api
from curate.errors import ShardsFailed
from tests.runs import crawl, curate, documents, ledger, recipe_file, said_in_one_line

POISONED = "https://site1.example.org/1/4"
OTHER = "https://site2.example.org/1/5"

STAGE = """
import os, signal, time
from typing import Annotated
import pyarrow as pa
from curate.registry import stage
from curate.stage import Verdict

@stage(version=1, reads=["url"], writes={"seen": pa.bool_()}, reasons=["disliked"])
class Poison:
    how: Annotated[str, "what happens"]

    def __call__(self, batch):
        urls = batch["url"].to_pylist()
        found = [url for url in urls if url in ("https://site1.example.org/1/4",)]
        columns = {"seen": pa.array([True] * len(urls), pa.bool_())}
        reasons = pa.nulls(len(urls), pa.string())
        if found:
            if self.how == "raises":
                raise ValueError("poison in " + found[0])
            if self.how == "exits":
                os._exit(7)
            if self.how == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "hangs":
                time.sleep(600)
            if self.how == "undeclared column":
                columns["extra"] = columns["seen"]
            if self.how == "missing column":
                columns = {}
            if self.how == "wrong type":
                columns["seen"] = pa.array([1] * len(urls), pa.int64())
            if self.how == "wrong length":
                columns["seen"] = columns["seen"].slice(1)
            if self.how == "undeclared reason":
                reasons = pa.array(["because"] * len(urls), pa.string())
            if self.how == "reasons of another type":
                reasons = pa.nulls(len(urls), pa.large_string())
        return Verdict(columns, reasons)
"""


@pytest.fixture
def poison(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A module of its own in the recipe's folder; each test has another name, as imports are kept."""
    name = "poison_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / f"{name}.py").write_text(dedent(STAGE))
    return f"{name}:Poison"


def _run(tmp_path: Path, poison: str, how: str, *steps: object, **options: object) -> tuple[Path, api.Summary]:
    recipe = recipe_file(tmp_path / "recipes", {"extract": {"save": True}}, {poison: {"how": how}}, *steps)
    out = tmp_path / "out"
    return out, api.run(recipe, [crawl(tmp_path / "in", n_files=3)], out, **options)  # type: ignore[arg-type]


def _only_the_poisoned_is_gone(out: Path, n_docs: int = 18) -> str:
    rows = [row for row in ledger(out) if row["outcome"] == "quarantined"]
    assert [row["url"] for row in rows] == [POISONED]
    assert rows[0]["reason"] == "error"
    assert rows[0]["step"] == "poison"
    kept = documents(out)
    assert kept.num_rows == n_docs - 1
    assert POISONED not in kept["url"].to_pylist()
    assert kept["seen"].to_pylist() == [True] * kept.num_rows
    assert api.verify(out, deep=True).ok
    return str(rows[0]["detail"])


def test_a_doc_on_which_a_stage_raises_is_quarantined_with_the_exception(tmp_path: Path, poison: str) -> None:
    out, summary = _run(tmp_path, poison, "raises")
    assert _only_the_poisoned_is_gone(out) == f"ValueError: poison in {POISONED}"
    assert summary.phases[-1]["quarantined"] == {"poison": 1}
    life = api.why(out, POISONED)[0]
    assert (life.outcome, life.step, life.passed) == ("quarantined", "poison", ["extract"])


@pytest.mark.parametrize("how", ["exits", pytest.param("is killed", marks=pytest.mark.slow)])
def test_a_doc_that_takes_its_process_with_it_is_quarantined_in_the_end(tmp_path: Path, poison: str, how: str) -> None:
    out, _ = _run(tmp_path, poison, how)
    assert "died" in _only_the_poisoned_is_gone(out)


@pytest.mark.slow
def test_a_doc_that_hangs_is_killed_after_the_limit_and_quarantined(tmp_path: Path, poison: str) -> None:
    out, _ = _run(tmp_path, poison, "hangs", stall_s=4.0)
    _only_the_poisoned_is_gone(out)


@pytest.mark.slow
def test_the_rows_of_folds_stay_true_beside_a_quarantined_doc(tmp_path: Path, poison: str) -> None:
    out, _ = _run(tmp_path, poison, "raises", {"dedup": {"method": "exact"}})
    healthy = tmp_path / "healthy"
    recipe = recipe_file(tmp_path / "healthy-recipe", {"extract": {"save": True}}, {"dedup": {"method": "exact"}})
    api.run(recipe, [tmp_path / "in"], healthy)
    expected = set(documents(healthy)["url"].to_pylist()) - {POISONED}
    kept = set(documents(out)["url"].to_pylist())
    # its copy in the next file, if it has one, may now be the one that is kept
    assert expected <= kept
    assert len(kept - expected) <= 1
    assert api.verify(out, deep=True).ok


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("undeclared column", "no such column"),
        ("missing column", "did not write ['seen']"),
        ("wrong type", "seen: int64[18]; it declares bool[18]"),
        ("wrong length", "seen: bool[17]; it declares bool[18]"),
        ("undeclared reason", "gave the reason 'because', which it does not declare"),
        ("reasons of another type", "drop_reason is large_string[18], not string[18]"),
    ],
)
def test_a_stage_that_breaks_its_contract_is_an_error_that_says_how(
    tmp_path: Path, poison: str, how: str, said: str
) -> None:
    with pytest.raises(ShardsFailed, match="stage") as raised:
        _run(tmp_path, poison, how)
    assert said in str(raised.value)
    assert not (tmp_path / "out" / "documents").exists()


@pytest.mark.slow
def test_failed_shards_end_in_exit_code_3_and_the_others_are_kept_when_allowed(tmp_path: Path, poison: str) -> None:
    steps = ("extract", {poison: {"how": "undeclared column", "save": True}}, "normalize")
    recipe = recipe_file(tmp_path / "recipes", *steps, shard_bytes=1)
    inputs, out = crawl(tmp_path / "in", n_files=3), tmp_path / "out"
    result = curate("run", recipe, inputs, "-o", out)
    assert result.returncode == 3
    assert "shard 00001" in said_in_one_line(result)
    assert not (out / "documents").exists()
    result = curate("run", recipe, inputs, "-o", out, "--allow-failed")
    assert result.returncode == 3
    assert result.stderr.count("failed: ") == 1, result.stderr  # once, not again in each phase below
    assert sorted(p.name for p in (out / "documents").iterdir()) == ["00000.parquet", "00002.parquet"]
    assert POISONED not in documents(out)["url"].to_pylist()


@pytest.mark.slow
def test_a_fold_that_left_a_failed_shard_out_never_passes_for_one_that_saw_all(tmp_path: Path, poison: str) -> None:
    """After `--allow-failed`, mending the shard must not leave verdicts that never saw its docs."""
    folder = tmp_path / "recipes"
    steps = ("extract", {poison: {"how": "undeclared column"}}, {"dedup": {"method": "exact"}})
    recipe = recipe_file(folder, *steps, shard_bytes=1)
    inputs, out = crawl(tmp_path / "in", n_files=3), tmp_path / "out"
    assert curate("run", recipe, inputs, "-o", out, "--allow-failed").returncode == 3
    module = next(folder.glob("poison_*.py"))
    module.write_text(module.read_text().replace('columns["extra"]', 'columns["seen"]'))
    mended = curate("run", recipe, inputs, "-o", out)
    fresh = tmp_path / "fresh"
    assert curate("run", recipe, inputs, "-o", fresh).returncode == 0
    if mended.returncode == 0:
        assert documents(out).equals(documents(fresh))
    else:
        assert said_in_one_line(mended)


@pytest.mark.slow
def test_a_quarantined_doc_of_a_pass_without_docs_stays_in_one_place(tmp_path: Path) -> None:
    """A fold that kills its process in a phase that writes no docs cannot take the doc away from those above."""
    name = "deadly_fold"
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / f"{name}.py").write_text(dedent(FOLD))
    recipe = recipe_file(tmp_path / "recipes", {"extract": {"save": True}}, f"{name}:Deadly")
    out = tmp_path / "out"
    result = curate("run", recipe, crawl(tmp_path / "in", n_files=2), "-o", out)
    if result.returncode == 0:
        assert api.verify(out, deep=True).ok
    else:
        assert result.returncode == 3
        said_in_one_line(result)


FOLD = """
import os
import pyarrow as pa
from curate.registry import fold

@fold(version=1, reads=["url"])
class Deadly:
    def sketch(self, batch, at):
        if "https://site1.example.org/1/4" in batch["url"].to_pylist():
            os._exit(9)
        return pa.table({"part": pa.array([0] * batch.num_rows, pa.int32())})

    def reduce(self, part, out):
        (out / "n").write_text(str(sum(b.num_rows for b in part.batches())))

    def finish(self, parts, out):
        (out / "n").write_text(str(sum(int((p / "n").read_text()) for p in parts)))
"""


@pytest.mark.parametrize(("n_docs", "over_full"), [(12_000, False), (8_000, True)])
def test_too_many_quarantined_is_a_share_of_the_whole_shard(tmp_path: Path, n_docs: int, over_full: bool) -> None:
    """The first 110 docs raise: 0.9 % or 1.4 % of the shard, but all of those seen by then."""
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "docs.jsonl").open("w") as file:
        file.writelines(f'{{"text": "t{n}", "url": "{POISONED if n < 110 else n}"}}\n' for n in range(n_docs))
    name = f"poison_{n_docs}"
    (tmp_path / f"{name}.py").write_text(dedent(STAGE))
    recipe, out = recipe_file(tmp_path, {f"{name}:Poison": {"how": "raises"}}), tmp_path / "out"
    if over_full:
        with pytest.raises(ShardsFailed, match=f"110 of {n_docs} docs raised"):
            api.run(recipe, [tmp_path / "in"], out, workers=1)
    else:
        assert api.run(recipe, [tmp_path / "in"], out, workers=1).phases[-1]["quarantined"] == {"poison": 110}


@pytest.mark.timeout(90)  # less than the child lives
def test_a_worker_that_leaves_a_child_behind_is_found_dead(tmp_path: Path) -> None:
    """The child inherits the answer pipe and keeps it open; the driver must not wait for it."""
    (tmp_path / "forking.py").write_text(
        '''
import os
import time

import pyarrow as pa

from curate.registry import stage
from curate.stage import Verdict


@stage(version=1, reads=["text"], writes={}, reasons=[])
class Forking:
    """Fork, and die on the doc that says so."""

    def __call__(self, batch):
        if "die" in batch["text"].to_pylist():
            if os.fork() == 0:
                time.sleep(100)
                os._exit(0)
            os._exit(9)
        return Verdict({})
'''
    )
    (tmp_path / "recipe.yaml").write_text("name: forking\nsteps:\n  - forking:Forking\n")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in ("one", "die", "two")))
    summary = api.run(tmp_path / "recipe.yaml", [tmp_path / "in.jsonl"], tmp_path / "out", workers=1)
    assert summary.phases[0]["docs"] == {"in": 3, "kept": 2, "dropped": 0, "quarantined": 1}
