"""Model quality through whole runs: trained, scored, ranked, retuned, and the same however the input is cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate import api
from tests.classifiers.made import BAD, GOOD, texts, write
from tests.runs import curate, documents, ledger, recipe_file

RANKED = {"by": "model_quality_score", "keep_frac": 0.25, "per": "source"}
BANDS = {"by": "perplexity", "best": "lowest", "bands": {"head": 0.3, "middle": 0.6, "tail": 1.0}, "id": "bands"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with docs of both kinds, and a classifier and an n-gram model of them, made by the command line."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "in").mkdir()
    for name, words in (("good", GOOD), ("bad", BAD)):
        write(folder / f"{name}.jsonl", texts(words, 200))
        write(folder / "in" / f"{name}.jsonl", texts(words, 60, seed=1))
    options = ("--n-buckets", 1000, "--dim", 4, "--epochs", 20, "--held-out-frac", 0.2, "--split-by", "text", "--json")
    sides = (folder / "good.jsonl", folder / "bad.jsonl")
    done = curate("train-classifier", *sides, "-o", folder / "classifier", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == str(folder / "classifier" / "model.bin")
    done = curate("train-ngrams", folder / "good.jsonl", "-o", folder / "ngrams", "--order", 3, "--held-out-frac", 0.1)
    assert done.returncode == 0, done.stderr
    assert "held out: perplexity" in done.stdout
    return folder


def _recipe(made: Path, folder: Path) -> Path:
    return recipe_file(
        folder,
        {"model_quality": {"model": str(made / "classifier" / "model.bin")}},
        {"perplexity": {"model": str(made / "ngrams" / "model.arpa.gz")}},
        {"quantile": RANKED},
        {"quantile": BANDS},
    )


def test_the_best_share_is_kept_and_bands_are_named(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    api.run(_recipe(made, tmp_path), [made / "in"], out, workers=1)
    assert api.verify(out, deep=True).ok
    kept = documents(out)
    assert kept.num_rows == 30
    assert set(kept["warc_file"].to_pylist()) == {"good.jsonl"}
    assert sorted(kept["perplexity_band"].to_pylist()) == ["head"] * 9 + ["middle"] * 9 + ["tail"] * 12
    cut = json.loads((out / "quantile" / "quantile.json").read_text("utf-8"))["groups"][0]["cut"]
    assert min(kept["model_quality_score"].to_pylist()) == cut
    dropped = ledger(out)
    assert {(row["step"], row["reason"]) for row in dropped} == {("quantile", "rank_too_low")}
    assert max(row["model_quality_score"] for row in dropped) < cut
    assert json.loads((out / "quantile-bands" / "quantile.json").read_text("utf-8"))["groups"][0]["n_kept"] == 30


def test_neither_shards_nor_workers_play_a_part(made: Path, tmp_path: Path) -> None:
    recipe = _recipe(made, tmp_path)
    api.run(recipe, [made / "in"], tmp_path / "whole", workers=1)
    api.run(recipe, [made / "in"], tmp_path / "cut", workers=2, shard_bytes=3000, batch_docs=7)
    columns = ["doc_id", "model_quality_score", "perplexity", "perplexity_band"]
    whole, cut = (documents(tmp_path / name).select(columns).sort_by("doc_id") for name in ("whole", "cut"))
    assert whole.equals(cut)
    for name in ("quantile", "quantile-bands"):
        files = [tmp_path / run / name / "quantile.json" for run in ("whole", "cut")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_threshold_is_changed_without_reading_text(made: Path, tmp_path: Path) -> None:
    recipe = recipe_file(
        tmp_path,
        {"model_quality": {"model": str(made / "classifier" / "model.bin"), "min_score": 0.1, "mode": "tag"}},
        {"perplexity": {"model": str(made / "ngrams" / "model.arpa.gz"), "max_perplexity": 1e6, "mode": "tag"}},
    )
    api.run(recipe, [made / "in"], tmp_path / "run", workers=1)
    scores = documents(tmp_path / "run")["model_quality_score"].to_pylist()
    found = api.retune(tmp_path / "run", ["model_quality.min_score=0.9"], tmp_path / "retuned", documents=True)
    assert found.ran_again is None
    kept = documents(tmp_path / "retuned")
    assert kept.num_rows == sum(score >= 0.9 for score in scores) < len(scores)


def test_why_tells_the_score(made: Path, tmp_path: Path) -> None:
    recipe = recipe_file(
        tmp_path, {"model_quality": {"model": str(made / "classifier" / "model.bin"), "min_score": 0.9}}
    )
    api.run(recipe, [made / "in"], tmp_path / "run", workers=1)
    dropped = next(row for row in ledger(tmp_path / "run"))
    done = curate("why", tmp_path / "run", dropped["doc_id"])
    assert f"model_quality_score = {dropped['model_quality_score']:.6f} < 0.9 (min_score)" in done.stdout


def test_a_label_the_model_does_not_know_is_refused_before_data_is_read(made: Path, tmp_path: Path) -> None:
    model = made / "classifier" / "model.bin"
    done = curate("model-quality", made / "in", "--model", model, "--label", "best", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "label 'best' is none of the model's; known: cc, hq" in done.stderr
    assert not (tmp_path / "out").exists()
