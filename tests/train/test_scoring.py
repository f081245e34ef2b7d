"""Mirrors train/scoring.py and train/scores.py: log-probabilities by hand, tasks, losses per document."""

from __future__ import annotations

import gzip
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from tests.helpers import shared_data
from tests.train.corpus import byte_bpe, fables, write_tokens
from tests.train.micro import SETTINGS, lively_model
from train import api
from train.checkpoint import find_checkpoint
from train.errors import ConfigError
from train.generate import load_model
from train.scoring import answer_log_probs, read_task, wilson

OPTIONS: dict[str, Any] = {"seq_len": 48, "batch_size": 8, "device": "cpu", "learning_rate": 0.02}


@pytest.fixture(scope="module")
def run(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "train"
    api.train(tokens, out, steps=120, settings=SETTINGS, **OPTIONS)
    return out


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_log_probabilities_are_those_of_one_text_at_a_time() -> None:
    model, tokenizer = lively_model(), byte_bpe(fables(30), 300)
    rows = [("The cat", " sees the dog."), ("", "The miller paints."), ("The queen calls", " the"), ("a " * 90, " fox")]
    found = answer_log_probs(rows, model, tokenizer, 32)
    for (context, answer), total in zip(rows, found, strict=True):
        after = tokenizer.encode(answer).ids
        ids = [0, *tokenizer.encode(context).ids, *after][-33:]
        with torch.no_grad():
            logs = torch.log_softmax(model(torch.tensor([ids[:-1]])).double(), dim=-1)[0]
        by_hand = sum(float(logs[k - 1, ids[k]]) for k in range(len(ids) - len(after), len(ids)))
        assert total == pytest.approx(by_hand, rel=1e-4)


def test_a_trained_model_knows_its_language(run: Path, tmp_path: Path) -> None:
    pairs = [
        {
            "sentence_good": f"The {a} sees the {b} by the sea.",
            "sentence_bad": f"The {a} the sees {b} sea the by.",
            "UID": a,
        }
        for a in ("cat", "dog")
        for b in ("queen", "fox", "judge")
    ]
    choices = [
        {"ctx": f"The {a} forgets the {b} in the", "endings": ["sea", "garden.", "market"], "label": 1}
        for a in ("cat", "fox")
        for b in ("dog", "queen")
    ]
    files = (written(tmp_path / "pairs.jsonl.gz", pairs), written(tmp_path / "choices.jsonl", choices))
    whole, cat, dog, choice = api.eval(run, task=files, device="cpu")
    assert (whole.task, whole.group, whole.n_items, whole.chance) == ("pairs", "", 6, 0.5)
    assert (cat.group, dog.group) == ("cat", "dog")
    assert whole.accuracy == 1.0
    assert 0 < whole.low < whole.high == 1.0
    assert whole.accuracy_per_byte is None
    assert choice.chance == pytest.approx(1 / 3)
    assert choice.accuracy == 1.0


def test_equal_answers_are_not_right(run: Path, tmp_path: Path) -> None:
    same = written(tmp_path / "same.jsonl", [{"sentence_good": "The cat.", "sentence_bad": "The cat."}])
    assert api.eval(run, task=(same,), device="cpu")[0].accuracy == 0.0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "x"}, ":1 is no question"),
        ({"ctx": "a", "endings": ["b"], "label": 0}, "label 0 of 1"),
        ({"ctx": "a", "endings": ["b", "c"], "label": 2}, "label 2 of 2"),
        ({"sentence_good": "", "sentence_bad": "x"}, "none may be empty"),
        ([1], ":1 is no question"),
        ({"ctx": "a", "endings": "xyz", "label": 1}, "endings is no list"),
        ({"ctx": "a", "endings": ["x", None], "label": 1}, "an ending is no text"),
        ({"ctx": "a", "endings": ["x", " \n"], "label": 0}, "none may be empty"),
        ({"ctx": "a\ud800", "endings": ["x", "y"], "label": 0}, "no UTF-8"),
        ({"ctx": "a", "endings": ["x", "y"], "label": True}, "label is no whole number"),
        ({"ctx": "a", "endings": ["x", "y"], "label": 0.7}, "label is no whole number"),
        ({"ctx": "a", "endings": ["x", "y"], "label": ""}, "label is no whole number"),
        ({"ctx": "a", "endings": ["x", "y"]}, "'label' is missing"),
        ({"sentence_good": None, "sentence_bad": "x"}, "sentence_good is no text"),
    ],
)
def test_a_file_that_holds_no_questions_is_refused(tmp_path: Path, row: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_task(written(tmp_path / "task.jsonl", [row]))
    with pytest.raises(ConfigError, match="cannot read"):
        read_task(tmp_path / "nowhere.jsonl")
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match=":1 is no question"):
        read_task(tmp_path / "deep.jsonl")


def test_a_question_of_hellaswag_is_read_as_it_stands_there(tmp_path: Path) -> None:
    row = {"ind": 4, "activity_label": "Roof", "ctx_a": "A man", "ctx": "A man sits. he ", "endings": ["x.", " y."]}
    for label in (1, "1"):  # a number in the original, a text in some copies
        [item] = read_task(written(tmp_path / "task.jsonl", [{**row, "label": label, "split": "val"}]))
        assert (item.context, item.answers, item.label) == ("A man sits. he", (" x.", " y."), 1)
        assert (item.group, item.is_pair) == ("Roof", False)


def test_real_files_are_read() -> None:
    items = read_task(shared_data("bias", "blimp.jsonl.gz"))
    assert {len(item.answers) for item in items} == {2}
    assert len({item.group for item in items}) > 40
    questions = read_task(shared_data("bias", "bbq", "Age.jsonl.gz"))
    assert {len(item.answers) for item in questions} == {3}


def test_the_interval_is_wilsons() -> None:
    assert wilson(11, 50) == pytest.approx((0.1275, 0.3524), abs=5e-4)
    assert wilson(0, 10)[0] == 0.0


def test_every_document_has_its_loss_and_the_sums_are_those_of_the_source(
    run: Path, tokens: Path, tmp_path: Path
) -> None:
    sums = api.eval(run, per_document=tmp_path / "losses.parquet", device="cpu")
    table = pq.read_table(tmp_path / "losses.parquet")
    rows = table.to_pylist()
    assert [(score.source, score.n_docs) for score in sums] == [("fables", 4), ("news", 4)]
    model = load_model(find_checkpoint(run), torch.device("cpu"))
    from curate.shards import TokenShards

    shards = TokenShards.open(tokens)
    for row in rows:
        shard = shards.stream(row["source"], "val").shards[0]
        number = shard.provenance_table()["doc_id"].to_pylist().index(row["doc_id"])
        ids = [0, *shard.document(number).tolist()]
        nats = 0.0
        for start in range(0, len(ids) - 1, 48):
            piece = torch.tensor([ids[start : start + 49]])
            with torch.no_grad():
                nats += float(model.token_losses(piece[:, :-1], piece[:, 1:]).double().sum())
        assert row["nats"] == pytest.approx(nats, rel=1e-5)
        assert row["nats_per_token"] == pytest.approx(nats / row["n_tokens"], rel=1e-5)
        assert row["url"].startswith("https://")
    for score in sums:
        own = [row for row in rows if row["source"] == score.source]
        assert score.nats_per_token == pytest.approx(sum(r["nats"] for r in own) / sum(r["n_tokens"] for r in own))
        assert score.perplexity == pytest.approx(math.exp(score.nats_per_token))
    assert table.schema.metadata[b"checkpoint"].decode().endswith("step-0000120")


def test_held_out_loss_is_that_of_the_training_run(run: Path) -> None:
    scores = api.eval(run, device="cpu")
    last = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = {row["source"]: row["nats_per_token"] for row in last if row.get("split") == "val" and row["step"] == 120}
    assert {s.source: pytest.approx(s.nats_per_token) for s in scores if s.domain is None} == logged


def test_wrong_questions_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="split is val or train"):
        api.eval(run, split="test")
    with pytest.raises(ConfigError, match="max_tokens"):
        api.eval(run, max_tokens=0)
    for asked, said in (
        ({"per_document": tmp_path}, "is a folder"),
        ({"per_document": tmp_path / "file" / "losses.parquet"}, "cannot make the folder"),
        ({"task": (tmp_path / "file",), "per_document": tmp_path / "losses.parquet"}, "leave out --tokens and --per"),
    ):
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match=said):
            api.eval(run, device="cpu", **asked)
    shutil.copytree(find_checkpoint(run), tmp_path / "alone")
    with pytest.raises(ConfigError, match="--tokens"):
        api.eval(tmp_path / "alone")


def test_other_shards_are_scored_however_little_is_there_to_train_on(run: Path, tmp_path: Path) -> None:
    texts = [*fables(90, seed=1), *fables(24, seed=2)]  # those of the run, so that the tokenizer is the same
    few = write_tokens(tmp_path / "few", {"other": texts}, n_held_out=113)
    [score] = api.eval(run, tokens=few, device="cpu", max_tokens=500)
    assert score.source == "other"
    none = write_tokens(tmp_path / "none", {"other": texts}, n_held_out=0)
    with pytest.raises(ConfigError, match="no documents of the split 'val'"):
        api.eval(run, tokens=none, device="cpu")
