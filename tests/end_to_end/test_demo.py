"""The demo the whole way: each step works, its results open elsewhere, the model learns, nothing is read twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from curate import api
from curate.shards import TokenShards
from tests.helpers import ROOT
from tests.runs import contents, curate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
DEMO = ROOT / "pipelines" / "demo.yaml"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    done = curate("run", DEMO, "-o", out, "--workers", "2")
    assert done.returncode == 0, done.stderr
    return out


def recipe_with(folder: Path, *, train: bool = False, **changes: dict[str, object]) -> Path:
    """Write the demo's recipe into a folder with other parameters for the steps named, and return its path."""
    recipe = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    recipe["sources"][0]["paths"] = [str(ROOT / "examples" / "data" / "*.warc.gz")]
    if not train:
        del recipe["train"]
    for i, step in enumerate(recipe["steps"]):
        name, given = (step, {}) if isinstance(step, str) else next(iter(step.items()))
        given = {**given, **changes.get(given.get("id", name), {})}
        recipe["steps"][i] = {name: given} if given else name
    path = folder / "demo.yaml"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def test_every_step_that_drops_drops_something(demo: Path) -> None:
    dropped = {step for phase in api.status(demo).phases for step in phase["dropped"]}
    assert {"extract", "language", "quality", "repetition", "c4", "dedup"} <= dropped
    report = json.loads((demo / "report" / "report.json").read_text())
    assert report["unit"] == "tokens"
    assert report["totals"]["in"]["docs"] == sum(
        report["totals"][k]["docs"] for k in ("kept", "dropped", "quarantined")
    )
    assert len(report["composition"]["site"]["by_tokens"]) >= 5


def test_the_run_adds_up_by_independent_code(demo: Path) -> None:
    found = api.verify(demo, deep=True)
    assert found.ok, found.problems
    assert found.n_docs_in == found.n_docs_kept + found.n_docs_left == 847


def test_documents_open_in_datasets_duckdb_and_polars(demo: Path) -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    datasets = pytest.importorskip("datasets")
    files = str(demo / "documents" / "*.parquet")
    n_docs = api.status(demo).phases[-1]["docs"]["kept"]
    ((by_duckdb, n_languages),) = duckdb.sql(
        f"select count(*), count(distinct language) from read_parquet('{files}') where length(text) > 0"
    ).fetchall()
    by_polars = polars.scan_parquet(files).select(polars.len()).collect().item()
    opened = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(demo.parent / "cache"))
    assert by_duckdb == by_polars == len(opened) == n_docs
    assert n_languages == 1
    assert {"doc_id", "url", "text", "language", "n_words__spacy_en", "cluster_size"} <= set(opened.column_names)


def test_the_tokenizer_opens_in_transformers_and_gives_the_ids_of_the_shards(demo: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(demo / "tokenizer" / "tokenizer.json"))
    shards = TokenShards.open(demo / "tokens", deep=True)
    stream = shards.stream("web", "train")
    ids = stream.read(0, 200).tolist()
    words = tokenizer.decode(ids)
    assert sum(word in words for word in (" the", " of", " and")) >= 2
    import pyarrow.parquet as pq

    text = pq.read_table(demo / "documents")["text"][0].as_py()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_sixty_steps_lower_the_loss_and_the_model_writes(demo: Path) -> None:
    rows = [json.loads(line) for line in (demo / "train" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert sum(losses[-5:]) / 5 < losses[0] - 1
    first, again = (curate("generate", demo / "train", "--prompt", "The", "--max-new-tokens", "8") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    assert first.stdout.strip()


def test_a_finished_run_run_again_writes_nothing(demo: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        found = [Path(parent, name) for parent, _, files in os.walk(demo) for name in files]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}

    before = state()
    done = curate("run", DEMO, "-o", demo, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["wrote_anything"] is False, done.stderr
    assert state() == before


def test_a_changed_threshold_reads_no_crawl_again(demo: Path, tmp_path: Path) -> None:
    before = contents(demo, "phases")
    out = tmp_path / "out"
    first = api.run(recipe_with(tmp_path), [], out)
    extracted = first.phases[0]["phase"]
    receipts = {p: p.stat().st_mtime_ns for p in (out / "phases" / extracted).rglob("*") if p.is_file()}
    second = api.run(recipe_with(tmp_path, quality={"thresholds": {"min_words": 200}}), [], out)
    assert second.phases[0]["phase"] == extracted
    assert {p: p.stat().st_mtime_ns for p in receipts} == receipts
    assert [p["phase"] for p in second.phases[1:]] != [p["phase"] for p in first.phases[1:]]
    assert second.phases[-1]["docs"]["kept"] < first.phases[-1]["docs"]["kept"]
    assert api.verify(out, deep=True).ok
    assert contents(demo, "phases") == before


def test_the_same_bytes_for_any_workers_and_batches(demo: Path, tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path)
    shown = contents(demo, "documents", "tokens", "report", "tokenizer")
    assert shown
    for workers, batch_docs in ((1, 5), (2, 64)):
        out = tmp_path / f"out-{workers}"
        api.run(recipe, [], out, workers=workers, batch_docs=batch_docs)
        assert contents(out, "documents", "tokens", "report", "tokenizer") == shown
