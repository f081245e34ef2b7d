"""Files of a run are lost or cut, or a step works on no doc at all: the run says so and what to do, and goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from curate import api
from tests.runs import contents, crawl, curate, recipe_file, said_in_one_line

STEPS = ({"extract": {"save": True}}, {"language": {"keep": ["en"]}}, {"dedup": {"method": "exact"}})

BROKEN = """
import os
from typing import Annotated
import pyarrow as pa
from curate.registry import stage
from curate.stage import Verdict

@stage(version=1, reads=["url"], writes={}, reasons=["disliked"])
class Broken:
    how: Annotated[str, "what happens to every doc"]

    def __call__(self, batch):
        if self.how == "raises":
            raise ValueError("no such table")
        if self.how == "exits":
            os._exit(7)
        if self.how == "raises on some" and batch["url"][0].as_py().endswith(("0", "1", "2", "3", "4")):
            raise ValueError("poison")
        return Verdict({}, pa.array(["disliked"] * batch.num_rows, pa.string()))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    recipe = recipe_file(folder / "recipe", *STEPS, shard_bytes=1)
    api.run(recipe, [crawl(folder / "in", n_files=2)], folder / "out")
    return folder


def _again(made: Path, out: Path) -> tuple[int, str]:
    result = curate("run", next((made / "recipe").iterdir()), made / "in", "-o", out)
    return result.returncode, said_in_one_line(result) if result.returncode else ""


@pytest.mark.parametrize(("damage", "said"), [("gone", "is gone"), ("cut", "was cut or changed")])
def test_docs_that_a_receipt_names_but_are_not_there_are_told_with_the_remedy(
    made: Path, tmp_path: Path, damage: str, said: str
) -> None:
    out = shutil.copytree(made / "out", tmp_path / "out")
    (docs,) = out.glob("phases/00-*/docs/00001.*")
    if damage == "gone":
        docs.unlink()
    else:
        docs.write_bytes(docs.read_bytes()[:-9])
    next(out.glob("phases/01-*/receipts/00001.json")).unlink()
    code, line = _again(made, out)
    (receipt,) = out.glob("phases/00-*/receipts/00001.json")
    assert code == 3
    assert said in line
    assert str(receipt) in line
    receipt.unlink()
    assert _again(made, out) == (0, "")
    assert contents(out) == contents(made / "out")
    assert api.verify(out, deep=True).ok


@pytest.mark.parametrize("name", ["published.json", "phases/01-*/receipts/00001.json"])
@pytest.mark.parametrize("left", [b"", b'{"docs": {"in', b"[]"])
def test_a_damaged_receipt_is_named_with_the_remedy(made: Path, tmp_path: Path, name: str, left: bytes) -> None:
    out = shutil.copytree(made / "out", tmp_path / "out")
    (file,) = out.glob(name)
    file.write_bytes(left)
    code, line = _again(made, out)
    assert code != 0
    assert f"{file} is damaged" in line
    assert not api.verify(out).ok
    file.unlink()
    assert _again(made, out) == (0, "")
    assert contents(out) == contents(made / "out")
    assert api.verify(out, deep=True).ok


@pytest.mark.parametrize("how", ["raises", pytest.param("exits", marks=pytest.mark.slow)])
def test_a_step_that_lets_no_doc_through_fails_instead_of_emptying_the_run(tmp_path: Path, how: str) -> None:
    """A library that cannot be loaded fails on every doc; that is no fault of theirs, and must not pass as done."""
    module = f"broken_{how}"
    (tmp_path / f"{module}.py").write_text(dedent(BROKEN))
    recipe = recipe_file(tmp_path, "extract", {f"{module}:Broken": {"how": how}}, shard_bytes=1)
    inputs = crawl(tmp_path / "in", n_files=1, n_pages=5)  # as few as are enough: each costs two processes
    result = curate("run", recipe, inputs, "-o", tmp_path / "out", "--workers", 1)
    assert result.returncode == 3, result.stderr
    assert "docs came through" in said_in_one_line(result)
    assert not (tmp_path / "out" / "documents").exists()


def test_a_step_that_drops_all_it_can_read_is_not_broken(tmp_path: Path) -> None:
    (tmp_path / "broken_some.py").write_text(dedent(BROKEN))
    recipe = recipe_file(tmp_path, "extract", {"broken_some:Broken": {"how": "raises on some"}})
    done = api.run(recipe, [crawl(tmp_path / "in", n_files=3)], tmp_path / "out", batch_docs=1)
    docs = done.phases[-1]["docs"]
    assert docs["kept"] == 0
    assert docs["quarantined"] >= 5
    assert docs["dropped"] > 0
