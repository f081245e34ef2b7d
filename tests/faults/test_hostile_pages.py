"""Pages that hang, crash or flood a native extractor: each costs itself, by name, and the shard goes on."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest

from curate import api, extractors
from tests.extractors.hostile import hostile
from tests.helpers import ROOT
from tests.runs import children, documents, ledger, receipts, recipe_file
from tests.sources.build import http_response, members, page, record

STEP = """
import curate.extractors
from curate.extractors.child import Child
from curate.stages.extract import Extract as Hostile

child = Child("tests.extractors.hostile:hostile", {}, max_memory_bytes=512 << 20)
curate.extractors._child_of = lambda *settings: child
"""
FAULTS = {  # the first word of a page → what becomes of the doc
    "segfault": "extractor_crash",
    "abort": "extractor_crash",
    "exit": "extractor_crash",
    "kill": "extractor_crash",
    "memory": "extractor_crash",
    "recurse": "extractor_crash",
    "close": "extractor_crash",
    "hang": "extractor_timeout",
    "stop": "extractor_timeout",
    "raise": "error",
}


@pytest.fixture
def hostile_step(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The step `extract` whose extractor does to its process what a page says; imports are kept, so each has a name."""
    name = "hostile_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / f"{name}.py").write_text(dedent(STEP))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(extractors, "_child_of", extractors._child_of)  # the step is imported here too: undo it
    return f"{name}:Hostile"


@pytest.mark.slow
def test_every_way_to_die_costs_one_doc(tmp_path: Path, hostile_step: str) -> None:
    records = [page(0)]
    for number, fault in enumerate(FAULTS, 1):
        records.append(record(http_response(f"{fault} <p>of a page</p>"), url=f"https://bad.example/{fault}"))
        records.append(page(number))
    (tmp_path / "in.warc.gz").write_bytes(members(records))
    recipe = recipe_file(tmp_path / "recipes", {hostile_step: {"extractor": "resiliparse", "timeout_s": 0.5}})
    before = children(os.getpid())
    api.run(recipe, [tmp_path / "in.warc.gz"], tmp_path / "out", workers=1)
    left = {row["url"].rpartition("/")[2]: row["reason"] for row in ledger(tmp_path / "out")}
    assert left == FAULTS
    detail = [row["detail"] for row in ledger(tmp_path / "out") if row["outcome"] == "quarantined"]
    assert detail == ["RuntimeError: hostile raised ValueError: <p>of a page</p>"]
    urls = documents(tmp_path / "out")["url"].to_pylist()
    assert urls == [f"https://example.org/{number}" for number in range(len(FAULTS) + 1)]
    (receipt,) = receipts(tmp_path / "out")
    assert receipt["docs"]["dropped"] == {"hostile": {"extractor_crash": 7, "extractor_timeout": 2}}
    assert api.verify(tmp_path / "out", deep=True).ok
    assert children(os.getpid()) == before
    life = api.why(tmp_path / "out", "https://bad.example/hang")[0]
    assert life.because == "resiliparse took longer than 0.5 s"


def test_a_page_is_not_blamed_for_what_the_batch_did(tmp_path: Path, hostile_step: str) -> None:
    """Pages of 200 MB each, in one batch: more than the ceiling together, none of them alone."""
    records = [record(http_response(f"hoard {200 << 20} {n}"), url=f"https://big.example/{n}") for n in range(5)]
    (tmp_path / "in.warc.gz").write_bytes(members(records))
    recipe = recipe_file(tmp_path / "recipes", {hostile_step: {"extractor": "resiliparse"}})
    api.run(recipe, [tmp_path / "in.warc.gz"], tmp_path / "out", workers=1)
    assert documents(tmp_path / "out").num_rows == 5


def test_the_stand_in_extractor_is_one() -> None:
    assert hostile()("any page") == "any page"


@pytest.mark.slow
@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_bombs_behind_the_caps_meet_the_deadline_and_the_rest_is_kept(tmp_path: Path, extractor: str) -> None:
    bombs = {
        "divs": b"<div>" * 40_000 + b"x",
        "attributes": b"<p " + b" ".join(b"a%d=1" % n for n in range(150_000)) + b">x</p>",
        "fonts": b"".join(b"<font class=c%d>" % n for n in range(30_000)) + b"<p>x",
    }
    records = [page(0)]
    for number, (name, html) in enumerate(bombs.items(), 1):
        records.append(record(http_response(html), url=f"https://bad.example/{name}"))
        records.append(page(number, n_words=90))
    (tmp_path / "in.warc.gz").write_bytes(members(records))
    settings = {"extractor": extractor, "timeout_s": 1.0, "max_depth": 1 << 40, "max_attributes": 1 << 40}
    api.run(recipe_file(tmp_path / "r", {"extract": settings}), [tmp_path / "in.warc.gz"], tmp_path / "out", workers=1)
    kept = documents(tmp_path / "out")["url"].to_pylist()
    assert set(kept) >= {f"https://example.org/{number}" for number in range(1, len(bombs) + 1)}
    (receipt,) = receipts(tmp_path / "out")
    assert receipt["docs"]["in"] == len(records) == len(kept) + len(ledger(tmp_path / "out"))
    assert not receipt["docs"]["quarantined"]
    reasons = Counter(row["reason"] for row in ledger(tmp_path / "out"))
    assert set(reasons) <= {"extractor_timeout", "extractor_crash", "no_text"}
    if extractor == "resiliparse":
        assert reasons["extractor_timeout"] >= 2
