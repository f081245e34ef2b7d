"""A fold of one's own that breaks its contract: the run says so, instead of losing rows without a word."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from curate import api
from curate.errors import ShardsFailed
from curate.registry import fold
from tests.runs import crawl, recipe_file

FOLD = """
from typing import Annotated
import pyarrow as pa
from curate.fold import write_verdicts
from curate.registry import fold

@fold(version=1, reads=["doc_id"], reasons=["unwanted"])
class Broken:
    how: Annotated[str, "what it does wrong"]

    def sketch(self, batch, at):
        if self.how == "no parts":
            return pa.table({"n": pa.array([1], pa.int32())})
        if self.how == "a part too many":
            return pa.table({"part": pa.array([at.n_parts], pa.int32())})
        return pa.table({"part": pa.array([0], pa.int32())})

    def reduce(self, part, out):
        pass

    def finish(self, parts, out):
        reason = "another" if self.how == "an undeclared reason" else "unwanted"
        shard, row = (7, 0) if self.how == "no such shard" else (0, 99 if self.how == "no such doc" else 0)
        schema = pa.schema([("shard", pa.int32()), ("row", pa.int64()), ("drop_reason", pa.string())])
        write_verdicts(out, pa.table({"shard": [shard], "row": [row], "drop_reason": [reason]}, schema))
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no parts", "int32 column `part`"),
        ("a part too many", "there are 1 parts"),
        ("an undeclared reason", "'another', which it does not declare"),
        ("no such doc", "none of the 3 docs"),
        ("no such shard", "00007.parquet"),
    ],
)
def test_a_fold_that_breaks_its_contract_is_an_error_that_says_how(tmp_path: Path, how: str, said: str) -> None:
    name = "broken_" + how.replace(" ", "_")  # modules stay imported: each test has one of its own
    recipe = recipe_file(tmp_path, {"extract": {"save": True}}, {f"{name}:Broken": {"how": how}})
    (tmp_path / f"{name}.py").write_text(dedent(FOLD))
    with pytest.raises(ShardsFailed, match=said):
        api.run(recipe, [crawl(tmp_path / "in", n_files=1, n_pages=3)], tmp_path / "out", workers=1)


@pytest.mark.parametrize("publishes", ["documents", "phases", "../x", "a/b", ".hidden", ""])
def test_a_fold_cannot_publish_over_what_the_runner_writes(publishes: str) -> None:
    with pytest.raises(ValueError, match="publishes="):
        fold(version=1, reads=[], publishes=publishes)


def test_two_folds_of_one_kind_show_their_files_side_by_side(tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, "extract", {"report": {"id": "before"}}, {"language": {"keep": ["fr"]}}, "report")
    out = tmp_path / "out"
    api.run(recipe, [crawl(tmp_path / "in", n_files=1, n_pages=3)], out, workers=1)
    before, after = ((out / name / "report.json").read_bytes() for name in ("report", "report-report"))
    assert before != after
    assert api.verify(out, deep=True).ok
