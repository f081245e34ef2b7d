"""Mirrors train/trace.py: the documents it names hold exactly the tokens the step read."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from tests.train.micro import SETTINGS, micro_config
from train import api
from train.errors import ConfigError
from train.trace import trace_document, trace_step


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
@pytest.mark.parametrize("weights", [{}, {"fables": 1, "news": 3}], ids=["by size", "by weight"])
def test_named_documents_hold_the_tokens_of_the_batch(tokens: Path, weights: dict[str, float], packing: str) -> None:
    config, corpus = micro_config(tokens, data={"seq_len": 200, "weights": weights, "packing": packing})
    documents = {}
    for shard in corpus.shards.shards:
        for doc, row in enumerate(shard.provenance_table().to_pylist()):
            documents[row["url"]] = (shard.document(doc), row)
    for step in (1, 2, 11):
        first = (step - 1) * config.data.batch_size
        batch = corpus.read(corpus.sampler(0).samples(first, first + config.data.batch_size))
        traced = list(trace_step(config, corpus, step))
        assert {t.row for t in traced} == set(range(config.data.batch_size))
        for part in traced:
            ids, row = documents[part.url]
            assert (part.doc_id, part.warc_file, part.offset_bytes) == (
                row["doc_id"],
                row["warc_file"],
                row["offset_bytes"],
            )
            read = np.append(batch.tokens[part.row], batch.labels[part.row, -1])
            here = slice(part.first_position, part.first_position + part.n_tokens)
            there = slice(part.doc_first_token, part.doc_first_token + part.n_tokens)
            assert read[here].tolist() == ids[there].tolist()
        for row_number in range(config.data.batch_size):
            spans = [(t.first_position, t.n_tokens) for t in traced if t.row == row_number]
            ends = [start + n for start, n in spans]
            assert [start for start, _ in spans] == [spans[0][0], *ends[:-1]]
            n_labels = int((batch.labels[row_number] != -100).sum())
            if packing == "concat":
                assert (spans[0][0], ends[-1]) == (0, 1 + n_labels)
            else:  # a piece that goes on brings the token before it, which is no label
                assert n_labels == sum(t.n_tokens - (t.doc_first_token > 0) for t in traced if t.row == row_number)


def test_the_command_traces_a_run(tokens: Path, tmp_path: Path) -> None:
    api.train(tokens, tmp_path / "run", steps=3, seq_len=32, batch_size=4, device="cpu", settings=SETTINGS)
    whole = api.trace(tmp_path / "run", step=2)
    assert [t for t in whole if t.row == 1] == api.trace(tmp_path / "run", step=2, row=1)
    assert all(t.url and t.url.startswith(f"https://{t.source}.example.org/") for t in whole)
    assert "doc_id" in dataclasses.asdict(whole[0])
    with pytest.raises(ConfigError, match="step must be 1 to 3, got 4"):
        api.trace(tmp_path / "run", step=4)
    with pytest.raises(ConfigError, match="row must be 0 to 3, got 4"):
        api.trace(tmp_path / "run", step=1, row=4)


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
@pytest.mark.parametrize("weights", [{}, {"fables": 1, "news": 3}], ids=["by size", "by weight"])
def test_a_document_was_seen_where_the_steps_say_it_was(tokens: Path, weights: dict[str, float], packing: str) -> None:
    config, corpus = micro_config(
        tokens, data={"seq_len": 64, "weights": weights, "packing": packing}, loop={"steps": 60}
    )
    by_document: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    for step in range(1, 61):
        for t in trace_step(config, corpus, step):
            place = (t.step, t.row, t.first_position, t.n_tokens, t.doc_first_token)
            by_document.setdefault((t.source, t.doc_id), []).append(place)
    for number in (0, 3, 17):
        doc_id = f"{number:032x}"  # both sources have one of this id
        expected = sorted(place for source in corpus.sources for place in by_document.get((source, doc_id), []))
        seen = trace_document(config, corpus, doc_id, 60)
        assert [(s.step, s.row, s.first_position, s.n_tokens, s.doc_first_token) for s in seen] == expected
        assert expected


def test_the_command_asks_for_a_step_or_a_document(tokens: Path, tmp_path: Path) -> None:
    api.train(tokens, tmp_path / "run", steps=3, seq_len=32, batch_size=4, device="cpu", settings=SETTINGS)
    some = api.trace(tmp_path / "run", step=1)[0]
    assert 1 in {seen.step for seen in api.trace(tmp_path / "run", doc=some.doc_id)}
    for wrong in ({}, {"step": 1, "doc": "x"}, {"doc": "x", "row": 1}):
        with pytest.raises(ConfigError, match="--step N"):
            api.trace(tmp_path / "run", **wrong)
    with pytest.raises(ConfigError, match="no document 'x'"):
        api.trace(tmp_path / "run", doc="x")


def test_a_document_that_was_not_read_is_told_from_one_that_is_not_there(
    tokens: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = (*SETTINGS, "data.weights={news: 1}")
    api.train(tokens, tmp_path / "out" / "train", steps=1, seq_len=32, batch_size=1, device="cpu", settings=settings)
    caplog.set_level(logging.INFO, logger="train")
    read = {part.doc_id for part in api.trace(tmp_path / "out", step=1)}  # found below the folder of a recipe's run
    ids = {number: f"{number:032x}" for number in (5, 6, 40, 88)}
    unread = next(ids[number] for number in (5, 6) if ids[number] not in read)
    for doc, said in (
        (unread, "the steps up to 1 did not come to it"),
        (ids[40], "of source 'fables', which the run does not train on"),
        (ids[88], "held out of source 'fables'"),
    ):
        assert api.trace(tmp_path / "out", doc=doc) == []
        assert f"{doc} was not read: " in caplog.text
        assert said in caplog.text
        caplog.clear()


def test_a_step_that_is_not_done_yet_is_told(tokens: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tmp_path / "run"
    api.train(tokens, run, steps=3, seq_len=32, batch_size=1, device="cpu", settings=SETTINGS)
    log = run / "metrics.jsonl"  # as if it had been stopped after two steps
    log.write_text("".join(line for line in log.read_text().splitlines(True) if json.loads(line)["step"] < 3))
    saved = (run / "checkpoints").rename(tmp_path / "saved")
    caplog.set_level(logging.INFO, logger="train")
    caplog.clear()
    assert api.trace(run, step=2)
    assert not caplog.text
    assert api.trace(run, step=3)
    assert "step 3 is not done yet, only 2 are" in caplog.text
    caplog.clear()
    log.unlink()
    saved.rename(run / "checkpoints")  # by which it is known what was read, with or without a log
    assert {seen.step for seen in api.trace(run, doc=api.trace(run, step=3)[0].doc_id)} >= {3}
    assert not caplog.text


def test_the_run_of_a_recipe_without_training_is_no_training_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1}')
    with pytest.raises(ConfigError, match="is not a training run"):
        api.trace(tmp_path, step=1)
