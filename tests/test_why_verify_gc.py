"""Questions asked of a finished run: damage is found and said, any page is found again, gc keeps what counts."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate import api
from curate.errors import InputError
from tests.runs import contents, crawl, documents, ledger, receipts, recipe_file, sentences
from tests.sources.build import page

STEPS = (
    {"extract": {"save": True}},
    {"language": {"keep": ["en"]}},
    {"dedup": {"method": "exact"}},
    {"train_tokenizer": {"vocab_size": 300}},
    "tokenize",
    "report",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of file: docs, ledgers, sketches, verdicts, tokens, a report."""
    folder = tmp_path_factory.mktemp("run")
    recipe = recipe_file(folder / "recipe", *STEPS, shard_bytes=1)
    api.run(recipe, [crawl(folder / "in", n_files=3)], folder / "out")
    return folder / "out"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy to damage; hard links become files of their own, as on another disk."""
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


# --- verify -------------------------------------------------------------------------------------------


def test_a_sound_run_is_found_sound_and_its_docs_add_up(made: Path) -> None:
    found = api.verify(made, deep=True)
    assert (found.problems, found.unfinished) == ([], [])
    assert found.n_docs_in == 18 == found.n_docs_kept + found.n_docs_left
    assert found.n_docs_kept == documents(made).num_rows
    assert found.n_docs_left == len(ledger(made))
    assert found.n_docs_left > 0


def _damage(file: Path, how: str, draw: random.Random) -> None:
    data = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
        return
    if how == "cut":
        del data[len(data) // 2 :]
    elif how == "longer":
        data += b"x"
    else:
        place = draw.randrange(len(data))
        data[place] ^= 1 << draw.randrange(8)
    file.write_bytes(bytes(data))


@pytest.mark.parametrize("how", ["gone", "cut", "longer", "one bit"])
def test_damage_to_any_data_file_is_found_and_names_it(made: Path, run: Path, how: str) -> None:
    draw = random.Random(5)
    files = [f for f in sorted(run.rglob("*")) if f.is_file() and f.suffix != ".json" and f.name != ".lock"]
    files += [f for f in sorted(run.glob("*/*.json")) if f.parent.name != "receipts"]
    kinds = {f.relative_to(run).parts[0] for f in files}
    assert {"phases", "documents", "ledger", "tokens", "tokenizer", "report"} <= kinds
    # what reduce left for finish is not wanted any more
    files = [f for f in files if f.stat().st_size and "parts" not in f.parts]
    for file in draw.sample(files, 14):
        before = file.read_bytes()
        _damage(file, how, draw)
        found = api.verify(run, deep=True)
        assert not found.ok, file
        assert any(file.name in problem for problem in found.problems), (file, found.problems)
        file.write_bytes(before)
    assert api.verify(run, deep=True).ok


@pytest.mark.parametrize("how", ["gone", "cut", "longer"])
def test_damage_to_any_receipt_is_found(run: Path, how: str) -> None:
    draw = random.Random(6)
    for file in (
        sorted(run.glob("phases/*/receipts/*.json"))[:4] + sorted(run.glob("phases/*/folds/*/receipts/finish.json"))[:3]
    ):
        before = file.read_bytes()
        _damage(file, how, draw)
        assert not api.verify(run).ok, file
        file.write_bytes(before)
    assert api.verify(run).ok


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (("docs", "kept"), 1),
        (("docs", "in"), 1),
        (("text_bytes", "in"), 1),
        (("text_bytes", "kept"), -1),
        (("text_bytes", "rewritten"), 1),
        (("docs_file", "rows"), 1),
        (("docs_file", "bytes"), 1),
        (("ledger_file", "rows"), 1),
    ],
)
def test_a_number_of_a_receipt_that_is_not_true_is_found(run: Path, path: tuple[str, str], change: int) -> None:
    file = sorted(run.glob("phases/00-*/receipts/*.json"))[1]
    receipt = json.loads(file.read_text())
    receipt[path[0]][path[1]] += change
    file.write_text(json.dumps(receipt))
    assert api.verify(run).problems


def test_bytes_of_the_input_that_nobody_read_are_found(run: Path) -> None:
    file = sorted(run.glob("phases/00-*/receipts/*.json"))[0]
    receipt = json.loads(file.read_text())
    (name,) = receipt["inputs"]
    receipt["inputs"][name]["bytes_ok"] -= 1
    file.write_text(json.dumps(receipt))
    assert any("bytes accounted for" in problem for problem in api.verify(run).problems)


def test_a_receipt_that_lacks_a_field_is_a_problem_not_a_crash(run: Path) -> None:
    file = sorted(run.glob("phases/00-*/receipts/*.json"))[0]
    for broken in ("{}", "[]", "null", '{"docs": 3}'):
        file.write_text(broken)
        found = api.verify(run, deep=True)
        assert any(file.name in problem for problem in found.problems)


def test_a_run_that_is_not_finished_says_what_is_missing(run: Path) -> None:
    (run / "published.json").unlink()
    sorted(run.glob("phases/0[34]-*/receipts/*.json"))[-1].unlink()
    found = api.verify(run)
    assert not found.ok
    assert found.unfinished
    assert not found.problems
    assert not api.status(run).finished
    assert api.status(run).phases[0]["done"]


# --- why ----------------------------------------------------------------------------------------------


def test_every_doc_is_found_by_its_id_and_url_with_its_end(made: Path) -> None:
    kept = {row["doc_id"]: row for row in documents(made).to_pylist()}
    left = {row["doc_id"]: row for row in ledger(made)}
    assert len(kept) + len(left) == 18
    for doc_id, row in {**kept, **left}.items():
        (life,) = api.why(made, doc_id)
        assert (life.doc_id, life.url) == (doc_id, row["url"])
        assert life in api.why(made, row["url"])
        if doc_id in kept:
            assert (life.outcome, life.step, life.reason) == ("kept", None, None)
            assert life.passed == [next(iter(s)) if isinstance(s, dict) else s for s in STEPS]
            assert row["text"].startswith(life.text or "?")
        else:
            assert (life.outcome, life.step, life.reason) == ("dropped", row["step"], row["reason"])
            assert life.passed == ["extract", "language"]
            assert life.rule["method"] == "exact"
        assert life.signals["language"] == "en"
        assert life.where["offset_bytes"] == row["offset_bytes"]


def test_duplicates_name_each_other_the_keeper_first(made: Path) -> None:
    dropped = [row for row in ledger(made) if row["reason"] == "exact_duplicate"]
    assert dropped
    for row in dropped:
        (life,) = api.why(made, row["doc_id"])
        assert life.cluster[0]["outcome"] == "kept"
        (keeper,) = api.why(made, life.cluster[0]["doc_id"])
        assert row["doc_id"] in {mate["doc_id"] for mate in keeper.cluster}
        size = len(life.cluster) + 1
        assert life.because == f"equal text: {keeper.url} (doc {keeper.doc_id}), kept of a cluster of {size}"


def test_what_a_fold_dropped_is_told_with_its_numbers(tmp_path: Path) -> None:
    words = [f"{sentences(n, 60)} word{n}" for n in range(8)]
    other = words[0].replace("word0", "w")  # the last of 61 words: one shingle of 57
    rows = [
        {"text": text, "url": f"http://x.test/{n}", "score": n / 10, "kind": "ab"[n % 2]}
        for n, text in enumerate(words)
    ]
    rows += [{**rows[0], "text": other, "url": "http://x.test/near"}, {**rows[5], "text": "none", "score": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    steps = ("dedup", {"quantile": {"by": "score", "keep_frac": 0.5, "per": "kind"}})
    api.run(recipe_file(tmp_path, *steps), [tmp_path / "in.parquet"], tmp_path / "out", workers=1)
    because = {
        life.reason: life.because
        for url in ("near", "1", "5")
        for life in api.why(tmp_path / "out", f"http://x.test/{url}")
    }
    kept = api.why(tmp_path / "out", "http://x.test/0")[0]
    assert because["near_duplicate"] == (
        f"Jaccard index {56 / 58:.4g} of 5-word shingles: http://x.test/0 (doc {kept.doc_id}), kept of a cluster of 2"
    )
    assert because["rank_too_low"] == "score = 0.1 < 0.5 (cut of the best 0.5 of kind b)"
    assert because["not_ranked"] == "score is None: only numbers have a place"


def test_a_page_that_is_not_there_is_an_error_with_a_hint(made: Path) -> None:
    url = documents(made)["url"][0].as_py()
    with pytest.raises(InputError, match="did you mean"):
        api.why(made, url + "/")
    with pytest.raises(InputError, match="did you mean"):
        api.why(made, url.replace("https://", "http://"))
    with pytest.raises(InputError, match="records that are not pages"):
        api.why(made, "https://nowhere.example/")
    with pytest.raises(InputError, match="no doc with the doc_id"):
        api.why(made, "0" * 32)


def test_a_url_that_is_not_utf8_is_found_by_its_bytes(tmp_path: Path) -> None:
    inputs, recipe = crawl(tmp_path / "in", n_files=1), recipe_file(tmp_path / "recipe", *STEPS)
    bytes_of_url = b"https://example.org/caf\xe9"
    with (inputs / "crawl-0.warc.gz").open("ab") as file:
        file.write(gzip.compress(page(1).replace(b"https://example.org/1", bytes_of_url)))
    api.run(recipe, [inputs], tmp_path / "out")
    (life,) = api.why(tmp_path / "out", os.fsdecode(bytes_of_url))
    assert life.url == "https://example.org/caf\ufffd"
    with pytest.raises(InputError, match="no doc with the url"):
        api.why(tmp_path / "out", os.fsdecode(bytes_of_url + b"\xff"))


# --- gc and status ------------------------------------------------------------------------------------


def test_gc_takes_what_nothing_refers_to_and_nothing_else(run: Path) -> None:
    shown = contents(run, "documents", "ledger", "tokens", "tokenizer", "report")
    assert api.gc(run).paths == []
    lost = [
        run / "phases" / "99-ffffffffffff" / "docs" / "00000.abc.parquet",
        next(run.glob("phases/00-*")) / "docs" / "00000.lostattempt.parquet",
        next(run.glob("phases/00-*")) / "receipts" / ".00000.json.abc",
        next(run.glob("phases/*/folds/*/parts")) / "0000.lost" / "x",
        run / "documents" / ".0123456789ab",
        run / ".run.json.0123456789ab",
    ]
    for path in lost:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    expected = sorted(str(path.relative_to(run)) for path in lost)
    would = api.gc(run, dry_run=True)
    assert (sorted(would.paths), would.n_bytes) == (expected, 30)
    assert all(path.exists() for path in lost)
    assert sorted(api.gc(run).paths) == expected
    assert not any(path.exists() for path in lost)
    assert not (run / "phases" / "99-ffffffffffff").exists()
    assert contents(run, "documents", "ledger", "tokens", "tokenizer", "report") == shown
    assert api.verify(run, deep=True).ok


def test_a_run_made_by_an_older_version_is_read_by_its_own_keys(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.stages.language import Language

    monkeypatch.setattr(Language, "version", 99)
    assert api.gc(run, dry_run=True).paths == []
    assert api.status(run).finished
    assert api.why(run, documents(run)["doc_id"][0].as_py())[0].outcome == "kept"


def test_a_run_that_this_version_would_cut_otherwise_is_refused(run: Path) -> None:
    about = json.loads((run / "run.json").read_text())
    del about["phases"][-1]
    (run / "run.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="phases"):
        api.gc(run)


def test_status_adds_up_what_the_receipts_say(made: Path) -> None:
    found = api.status(made)
    assert found.finished
    for phase in found.phases:
        own = [r for r in receipts(made) if r["phase"] == phase["phase"]]
        assert phase["shards_done"] == len(own) == 3
        assert phase["docs"]["in"] == sum(r["docs"]["in"] for r in own)
        assert phase["docs"]["in"] == phase["docs"]["kept"] + phase["docs"]["dropped"] + phase["docs"]["quarantined"]
