"""The plan: decided from names and sizes, the same wherever the inputs lie and in whatever order they are named."""

from __future__ import annotations

import random
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.plan import Plan, make_plan
from curate.recipe import SourceSpec
from tests.runs import crawl


def _web(*paths: object, name: str = "web") -> SourceSpec:
    return SourceSpec(name, tuple(map(str, paths)))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = crawl(tmp_path_factory.mktemp("plan") / "in", n_files=5, n_pages=3)
    crawl(folder / "deeper", n_files=2, n_pages=2)
    (folder / "lines.jsonl").write_text('{"text": "a"}\n' * 200)
    (folder / ".hidden").write_text("x")
    (folder / "_SUCCESS").write_text("")
    return folder


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shard_bytes=st.integers(1, 10_000))
def test_every_byte_of_every_input_is_planned_once_and_shards_are_of_one_kind(inputs: Path, shard_bytes: int) -> None:
    plan = make_plan([_web(inputs)], shard_bytes)
    assert [shard.number for shard in plan.shards] == list(range(len(plan.shards)))
    files = {str(p.relative_to(inputs)): p.stat().st_size for p in inputs.rglob("*") if p.suffix in (".gz", ".jsonl")}
    assert plan.inputs == files
    covered: dict[str, list[tuple[int, int]]] = {}
    for shard in plan.shards:
        assert len({(s.kind, s.source) for s in shard.slices}) == 1
        for piece in shard.slices:
            covered.setdefault(piece.name, []).append((piece.start, piece.end))
    for name, size in files.items():
        spans = sorted(covered[name])
        assert spans[0][0] == 0
        assert spans[-1][1] == size
        assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert Plan.from_json(plan.to_json()) == plan


def test_the_key_depends_on_names_sizes_and_cuts_and_on_nothing_else(inputs: Path, tmp_path: Path) -> None:
    plan = make_plan([_web(inputs)], 3000)
    named = sorted(str(p) for p in inputs.rglob("*") if p.suffix in (".gz", ".jsonl"))
    random.Random(1).shuffle(named)
    assert make_plan([_web(*named)], 3000) == plan
    moved = shutil.copytree(inputs, tmp_path / "other" / "place")
    assert make_plan([_web(moved)], 3000).key == plan.key
    assert make_plan([_web(inputs.name)], 3000, str(inputs.parent)).key == plan.key
    assert make_plan([_web(inputs)], 2000).key != plan.key
    assert make_plan([_web(inputs, name="other")], 3000).key != plan.key
    (moved / "crawl-0.warc.gz").rename(moved / "crawl-00.warc.gz")
    assert make_plan([_web(moved)], 3000).key != plan.key


def test_globs_are_expanded_sorted_and_names_with_glob_characters_are_files_too(inputs: Path, tmp_path: Path) -> None:
    plan = make_plan([_web(inputs / "crawl-[12].warc.gz")], 1 << 30)
    assert list(plan.inputs) == ["crawl-1.warc.gz", "crawl-2.warc.gz"]
    odd = tmp_path / "a[1]*.warc.gz"
    shutil.copy(inputs / "crawl-0.warc.gz", odd)
    assert list(make_plan([_web(odd)], 1 << 30).inputs) == ["a[1]*.warc.gz"]
    assert len(make_plan([_web(inputs / "**" / "*.gz")], 1 << 30).inputs) == 7


def test_two_sources_keep_their_names_and_never_share_a_shard(inputs: Path) -> None:
    plan = make_plan([_web(inputs / "crawl-0.warc.gz", name="b"), _web(inputs / "crawl-1.warc.gz", name="a")], 1 << 30)
    assert [[s.source for s in shard.slices] for shard in plan.shards] == [["a"], ["b"]]
    with pytest.raises(InputError, match=r"given twice \(sources 'b' and 'a'\)"):
        make_plan([_web(inputs, name="b"), _web(inputs / "crawl-1.warc.gz", name="a")], 1 << 30)


def test_no_inputs_is_an_error() -> None:
    with pytest.raises(InputError, match="no inputs"):
        make_plan([], 1)


def test_a_file_name_that_is_no_text_is_an_error(tmp_path: Path, inputs: Path) -> None:
    shutil.copy(inputs / "crawl-0.warc.gz", bytes(tmp_path) + b"/bad-\xff.warc.gz")
    with pytest.raises(InputError, match="name"):
        make_plan([_web(tmp_path)], 1 << 30)
