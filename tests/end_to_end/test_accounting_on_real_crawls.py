"""Every record of real crawls of all makes is accounted for: bytes, docs, and the kinds that warcio counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from curate import api
from curate.sources import sniff
from tests.helpers import shared_data
from tests.runs import documents, ledger, receipts, recipe_file

STEPS = ({"extract": {"save": True}}, "normalize", "language", {"dedup": {"method": "exact"}})
# damaged on purpose: warcio stops at the damage or reads on in another place, so its counts are no oracle there
DAMAGED = ("trunc", "damage", "corrupt", "broken", "invalid", "bad", "flip", "cut", "wrong")
MAX_BYTES = 40 << 20


def _inputs() -> list[Path]:
    folder = shared_data("warc")
    found = [p for p in sorted(folder.rglob("*")) if p.name.endswith((".warc", ".warc.gz")) and p.is_file()]
    return [p for p in found if 0 < p.stat().st_size <= MAX_BYTES and sniff(str(p)) == "warc"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    recipe = recipe_file(folder / "recipe", *STEPS, shard_bytes=20_000_000)
    api.run(recipe, _inputs(), folder / "out")
    return folder / "out"


def test_the_equations_hold_and_every_doc_is_kept_or_in_the_ledger(run: Path) -> None:
    found = api.verify(run, deep=True)
    assert (found.problems, found.unfinished) == ([], [])
    kept, left = documents(run)["doc_id"].to_pylist(), [row["doc_id"] for row in ledger(run)]
    assert len(kept) + len(left) == found.n_docs_in
    assert len({*kept, *left}) == found.n_docs_in
    first = api.status(run).phases[0]
    assert sum(first["input_bytes"].values()) == sum(path.stat().st_size for path in _inputs())
    assert first["input_bytes"]["bad"] == sum(span["n_bytes"] for span in first["damaged"])


def test_records_by_kind_add_up_to_what_warcio_counts(run: Path) -> None:
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    records: Counter[str] = Counter()
    n_bad: Counter[str] = Counter()
    for receipt in receipts(run):
        for place, tally in receipt["inputs"].items():
            name = place.rpartition("[")[0]
            records[name] += sum(tally["records"].values())
            n_bad[name] += tally["bytes_bad"]
    differing, compared = {}, 0
    for path in _inputs():
        (name,) = [n for n in records if str(path).endswith(f"/{n}")]
        if n_bad[name] or any(word in path.name for word in DAMAGED):
            continue
        try:
            with path.open("rb") as opened:
                expected = sum(1 for _ in ArchiveIterator(opened))
        except ArchiveLoadFailed:  # it does not read every form that crawlers write
            continue
        if records[name] != expected:
            differing[name] = (records[name], expected)
        compared += 1
    assert differing == {}
    assert compared >= 20


def test_pages_of_the_crawls_can_be_asked_for(run: Path) -> None:
    for row in ledger(run)[:5] + documents(run).slice(0, 5).to_pylist():
        (life,) = api.why(run, row["doc_id"])
        assert life.url == row["url"]
        assert life.outcome == row.get("outcome", "kept")
