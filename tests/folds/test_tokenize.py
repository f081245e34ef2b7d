"""Mirrors curate/folds/tokenize.py: every doc once, same bytes for any cut, and others can read the shards."""

from __future__ import annotations

import gzip
import json
import os
import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import sketches
from curate.errors import InputError
from curate.fold import Position
from curate.folds import tokenize as module
from curate.folds.tokenize import Tokenize
from curate.folds.train_tokenizer import TrainTokenizer
from curate.shards import TokenShards
from curate.sketches import Part, parts_in_order
from tests.folds.drive import run_fold, verdicts_of
from tests.folds.test_train_tokenizer import corpus, shards_of
from tests.helpers import batch_of, shared_data

tokenizers = pytest.importorskip("tokenizers")
Doc = dict[str, Any]


@pytest.fixture(scope="session")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fold = TrainTokenizer(vocab_size=700)
    return run_fold(fold, shards_of(corpus(300)), tmp_path_factory.mktemp("train")) / "tokenizer.json"


def docs_of(n_docs: int, *, sources: tuple[str, ...] = ("web", "books"), clusters: bool = False) -> list[Doc]:
    texts = corpus(n_docs)
    docs: list[Doc] = []
    for i, whole in enumerate(texts):
        text = ["", None][i % 2] if i % 29 == 5 else whole
        doc = {
            "doc_id": f"{i:032x}", "text": text, "source": sources[i % len(sources)],
            "url": f"https://example.org/{i}", "warc_file": f"{i % 3}.warc.gz", "offset_bytes": 100 * i,
        }  # fmt: skip
        docs.append(doc | ({"cluster_id": None if i % 4 else f"{i // 8:032x}", "cluster_size": 2} if clusters else {}))
    return docs


def batches_of(docs: list[Doc], n: int) -> list[pa.RecordBatch]:
    cuts = [docs[i : i + n] for i in range(0, len(docs), n)]
    plain = [batch_of(**{name: [doc[name] for doc in cut] for name in cut[0]}) for cut in cuts]
    return [batch.cast(typed(batch.schema)) for batch in plain]


def typed(schema: pa.Schema) -> pa.Schema:
    """Return the schema with the type that `cluster_id` has even where a batch holds none."""
    return pa.schema([f.with_type(pa.string()) if f.name == "cluster_id" else f for f in schema])


def run(folder: Path, fold: Tokenize, docs: list[Doc], n_shards: int = 2, n: int = 16, n_parts: int = 3) -> Path:
    folder.mkdir(exist_ok=True)
    return run_fold(fold, [batches_of(docs[i::n_shards], n) for i in range(n_shards)], folder, n_parts)


def bytes_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}


def test_every_doc_once_with_its_tokens_and_its_provenance(tokenizer_json: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_json))
    docs = docs_of(200)
    by_id = {doc["doc_id"]: doc for doc in docs}
    out = run(tmp_path, Tokenize(tokenizer=tokenizer_json, val_frac=0.2), docs)
    shards = TokenShards.open(out, deep=True)
    assert shards.manifest.totals.keys() == {(s, p) for s in ("books", "web") for p in ("train", "val")}
    for shard in shards.shards:
        rows = shard.provenance_table().to_pylist()
        for i, row in enumerate(rows):
            doc = by_id.pop(row["doc_id"])
            text = doc["text"] or ""
            assert shard.document(i).tolist() == [*theirs(text)["input_ids"], shards.manifest.eos_id]
            assert row["text_bytes"] == len(text.encode())
            assert {name: row[name] for name in doc if name != "text"} == {k: v for k, v in doc.items() if k != "text"}
        assert (
            shard.entry.n_tokens * 2 == (out / shard.entry.file).stat().st_size == 2 * sum(r["n_tokens"] for r in rows)
        )
    assert not by_id


def test_provenance_names_the_site_of_the_url(tokenizer_json: Path, tmp_path: Path) -> None:
    urls = {
        "https://news.bbc.co.uk/a?b": "bbc.co.uk",
        "http://alice.github.io/": "alice.github.io",
        "https://192.0.2.7:8080/x": "192.0.2.7",
        "mailto:a@b.example": None,
        "no url": None,
        "": None,
        None: None,
    }
    docs = [doc | {"url": url} for doc, url in zip(docs_of(len(urls)), urls, strict=True)]
    shards = TokenShards.open(run(tmp_path, Tokenize(tokenizer=tokenizer_json), docs))
    rows = [row for shard in shards.shards for row in shard.provenance_table().to_pylist()]
    assert {row["url"]: row["domain"] for row in rows} == urls


def test_the_clusters_of_dedup_never_stand_on_both_sides_of_the_split(tokenizer_json: Path, tmp_path: Path) -> None:
    """Copies with a word more are clustered by the real fold, and all of them kept, as where it only tags them."""
    from curate.folds.dedup import Dedup

    random, letters = np.random.default_rng(0), list("abcdefghijklmnop")
    texts = [" ".join("".join(random.choice(letters, 6)) for _ in range(60)) for _ in range(60)]
    docs = docs_of(240, sources=("web",))
    for number, doc in enumerate(docs):
        doc["text"] = f"{texts[number % 60]} {letters[number // 60]}"
    batches = batches_of(docs, 64)
    (tmp_path / "dedup").mkdir()
    found = verdicts_of(run_fold(Dedup(), [batches], tmp_path / "dedup"))
    cluster_of = [found.get((0, row), {}).get("cluster_id") for row in range(len(docs))]
    assert len(set(cluster_of)) == 60
    assert None not in cluster_of
    tagged = [doc | {"cluster_id": cluster} for doc, cluster in zip(docs, cluster_of, strict=True)]
    shards = TokenShards.open(run(tmp_path / "tokens", Tokenize(tokenizer=tokenizer_json, val_frac=0.3), tagged))
    sides: dict[str, set[str]] = {}
    for shard in shards.shards:
        for row in shard.provenance_table().to_pylist():
            sides.setdefault(row["cluster_id"], set()).add(shard.entry.split)
    assert sorted(map(len, sides.values())) == [1] * 60
    assert {side for found_sides in sides.values() for side in found_sides} == {"train", "val"}


def test_verdicts_written_in_passes_are_the_same(
    tokenizer_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs, fold = docs_of(120), Tokenize(tokenizer=tokenizer_json)
    at_once = verdicts_of(run(tmp_path / "once", fold, docs, n_shards=5))
    monkeypatch.setattr(module, "VERDICT_ROWS", 30)
    assert verdicts_of(run(tmp_path / "passes", fold, docs, n_shards=5)) == at_once
    assert len(at_once) == 120


def test_verdicts_carry_the_tokens_of_each_row(tokenizer_json: Path, tmp_path: Path) -> None:
    docs = docs_of(60)
    out = run(tmp_path, Tokenize(tokenizer=tokenizer_json), docs, n_shards=3)
    shards = TokenShards.open(out)
    stored = {row["doc_id"]: row["n_tokens"] for shard in shards.shards for row in shard.provenance_table().to_pylist()}
    verdicts = verdicts_of(out)
    assert verdicts == {
        (i % 3, i // 3): {"drop_reason": None, "n_tokens": stored[doc["doc_id"]]} for i, doc in enumerate(docs)
    }
    assert stored[docs[5]["doc_id"]] == 1  # an empty text is one EOS


@pytest.mark.parametrize(("n_shards", "n"), [(1, 100), (4, 1), (7, 13)])
def test_bytes_do_not_depend_on_the_cut(tokenizer_json: Path, tmp_path: Path, n_shards: int, n: int) -> None:
    docs = docs_of(120, clusters=True)
    fold = Tokenize(tokenizer=tokenizer_json, val_frac=0.1, max_shard_tokens=500)
    one = run(tmp_path / "one", fold, docs)
    other = run(tmp_path / "other", fold, docs[::-1], n_shards, n)
    assert len(TokenShards.open(one).shards) > 10
    assert bytes_of(one) == bytes_of(other)


def test_token_order_does_not_depend_on_the_number_of_parts(tokenizer_json: Path, tmp_path: Path) -> None:
    docs = docs_of(150)
    streams = []
    for n_parts in (1, 2, 17):
        out = run(tmp_path / str(n_parts), Tokenize(tokenizer=tokenizer_json), docs, n_parts=n_parts)
        stream = TokenShards.open(out, deep=True).stream("web")
        streams.append(stream.read(0, len(stream)).tolist())
    assert streams[0] == streams[1] == streams[2]


def test_a_part_that_does_not_fit_in_memory_gives_the_same_bytes(
    tokenizer_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = docs_of(300)
    at_once = run(tmp_path / "once", Tokenize(tokenizer=tokenizer_json), docs, n_shards=5, n_parts=1)
    monkeypatch.setitem(Part.sorted.__kwdefaults__, "budget_bytes", 8_000)
    monkeypatch.setattr(sketches, "BLOCK_BYTES", 1_000)
    spilled = run(tmp_path / "spilled", Tokenize(tokenizer=tokenizer_json), docs, n_shards=5, n_parts=1)
    assert bytes_of(at_once) == bytes_of(spilled)


@given(
    keys=st.lists(st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 2**63, 2**64 - 1]))),
    n_parts=st.integers(1, 4096),
)
def test_parts_are_key_ranges_in_order(keys: list[int], n_parts: int) -> None:
    parts = parts_in_order(np.array(keys, np.uint64), n_parts)
    assert parts.tolist() == [(key * n_parts) >> 64 for key in keys]


def test_small_pieces_are_joined_and_large_ones_adopted(
    tokenizer_json: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = docs_of(150, sources=("web",))
    fold = Tokenize(tokenizer=tokenizer_json, val_frac=0)
    joined = TokenShards.open(run(tmp_path / "joined", fold, docs, n_parts=20))
    assert [shard.entry.file for shard in joined.shards] == ["web-train-00000.ds"]
    monkeypatch.setattr(module, "JOIN_TOKENS", 1)
    apart = TokenShards.open(run(tmp_path / "apart", fold, docs, n_parts=20), deep=True)
    assert len(apart.shards) == 20
    assert (apart.folder / apart.shards[0].entry.file).stat().st_nlink == 2
    together = [shard.provenance_table() for shard in apart.shards]
    assert pa.concat_tables(together) == joined.shards[0].provenance_table()
    assert np.array_equal(np.concatenate([shard.tokens for shard in apart.shards]), joined.shards[0].tokens)


def test_joining_many_pieces_needs_few_open_files(tokenizer_json: Path, tmp_path: Path) -> None:
    docs = docs_of(300)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, limits[1]))
    try:
        out = run(tmp_path, Tokenize(tokenizer=tokenizer_json, val_frac=0.3), docs, n_parts=60)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert sum(total.n_docs for total in TokenShards.open(out, deep=True).manifest.totals.values()) == 300


def test_no_shard_passes_the_limit_unless_one_doc_does(tokenizer_json: Path, tmp_path: Path) -> None:
    docs = docs_of(80, sources=("web",))
    docs[7]["text"] = "long " * 3000
    out = run(tmp_path, Tokenize(tokenizer=tokenizer_json, max_shard_tokens=500, val_frac=0), docs)
    shards = TokenShards.open(out, deep=True).shards
    assert sum(shard.entry.n_docs for shard in shards) == 80
    over = [shard.entry for shard in shards if shard.entry.n_tokens > 500]
    assert [entry.n_docs for entry in over] == [1]


def test_docs_are_shuffled_over_the_whole_corpus(tokenizer_json: Path, tmp_path: Path) -> None:
    docs = docs_of(1000, sources=("web",))
    out = run(tmp_path / "0", Tokenize(tokenizer=tokenizer_json, val_frac=0), docs, n_shards=4, n=64)
    place = [int(i, 16) for i in TokenShards.open(out).shards[0].provenance_table()["doc_id"].to_pylist()]
    assert sorted(place) == list(range(1000))
    assert abs(np.corrcoef(place, range(1000))[0, 1]) < 0.1
    assert sum(b == a + 1 for a, b in pairwise(place)) < 10
    other = run(tmp_path / "1", Tokenize(tokenizer=tokenizer_json, val_frac=0, seed=1), docs, n_shards=4, n=64)
    assert place != [int(i, 16) for i in TokenShards.open(other).shards[0].provenance_table()["doc_id"].to_pylist()]


def test_the_split_has_its_share_and_keeps_clusters_together(tokenizer_json: Path) -> None:
    docs = [doc | {"text": "x"} for doc in docs_of(4000, clusters=True)]
    for doc in docs:
        doc["cluster_id"] = f"{int(doc['doc_id'], 16) // 5:032x}"
    (batch,) = batches_of(docs, 4000)
    splits = Tokenize(tokenizer=tokenizer_json, val_frac=0.1).sketch(batch, Position(0, 0, 1))["split"].to_pylist()
    assert 0.06 < splits.count("val") / 4000 < 0.14
    assert all(len(set(splits[i : i + 5])) == 1 for i in range(0, 4000, 5))
    alone = Tokenize(tokenizer=tokenizer_json, val_frac=0.1).sketch(
        batch.drop_columns(["cluster_id"]), Position(0, 0, 1)
    )
    assert 0.08 < alone["split"].to_pylist().count("val") / 4000 < 0.12
    none = Tokenize(tokenizer=tokenizer_json, val_frac=0).sketch(batch, Position(0, 0, 1))["split"].to_pylist()
    assert set(none) == {"train"}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=8), n_parts=st.integers(1, 5))
def test_any_text_is_in_the_shards_as_it_was(
    tokenizer_json: Path, tmp_path_factory: pytest.TempPathFactory, texts: list[str | None], n_parts: int
) -> None:
    docs = [doc | {"text": text} for doc, text in zip(docs_of(len(texts)), texts, strict=True)]
    empty = batch_of(**{name: [] for name in docs_of(1)[0]})
    shards = [[empty, *batches_of(docs, 3)], [empty]]
    out = run_fold(Tokenize(tokenizer=tokenizer_json), shards, tmp_path_factory.mktemp("any"), n_parts)
    opened = TokenShards.open(out, deep=True)
    tokenizer = tokenizers.Tokenizer.from_file(str(out / "tokenizer.json"))
    found = {
        row["doc_id"]: tokenizer.decode(shard.document(i).tolist()[:-1], skip_special_tokens=False)
        for shard in opened.shards
        for i, row in enumerate(shard.provenance_table().to_pylist())
    }
    assert found == {doc["doc_id"]: doc["text"] or "" for doc in docs}


def test_datatrove_reads_the_shards_and_their_documents(tokenizer_json: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datatrove.utils.dataset")
    out = run(tmp_path, Tokenize(tokenizer=tokenizer_json, val_frac=0), docs_of(90, sources=("web",)))
    (shard,) = TokenShards.open(out).shards
    path = out / shard.entry.file
    theirs = datasets.DatatroveFileDataset(str(path), seq_len=31, token_size=2, return_positions=True)
    assert len(theirs) == shard.entry.n_tokens // 32
    starts = {0, *shard.ends.tolist()}
    for i in range(len(theirs)):
        window = theirs[i]
        assert window["input_ids"].tolist() == shard.tokens[32 * i : 32 * i + 32].tolist()
        inside = window["positions"].tolist()
        assert [j for j, p in enumerate(inside) if p == 0 and j] == [j for j in range(1, 32) if 32 * i + j in starts]


def test_the_smallest_columns_are_enough(tokenizer_json: Path, tmp_path: Path) -> None:
    out = run_fold(Tokenize(tokenizer=tokenizer_json), shards_of(corpus(20)), tmp_path)
    shards = TokenShards.open(out, deep=True)
    assert shards.sources == ("unnamed",)
    names = ["doc_id", "source", "domain", "url", "warc_file", "offset_bytes", "text_bytes", "n_tokens"]
    assert shards.shards[0].provenance_table().schema.names == names


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path) -> None:
    vocab = {"<unk>": 0, "</s>": 1, "a": 2, "b": 70_000}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    docs = [doc | {"text": "a b c"} for doc in docs_of(5, sources=("web",))]
    out = run(tmp_path / "run", Tokenize(tokenizer=tmp_path / "tokenizer.json", val_frac=0), docs)
    shards = TokenShards.open(out, deep=True)
    assert (shards.manifest.dtype, shards.manifest.vocab_size, shards.manifest.eos_id) == ("uint32", 70_001, 1)
    assert shards.document(0).tolist() == [2, 70_000, 0, 1]


def test_sources_of_any_name_get_files_of_their_own(tokenizer_json: Path, tmp_path: Path) -> None:
    names = ("a/b", "a_b", "../x", "猫", "my-web.v2")
    out = run(tmp_path, Tokenize(tokenizer=tokenizer_json, val_frac=0), docs_of(50, sources=names))
    shards = TokenShards.open(out, deep=True)
    assert shards.sources == tuple(sorted(names))
    files = {shard.entry.source: shard.entry.file for shard in shards.shards}
    assert len(set(files.values())) == 5
    assert (files["a_b"], files["my-web.v2"]) == ("a_b-train-00000.ds", "my-web.v2-train-00000.ds")


def test_the_manifest_names_what_made_it(tokenizer_json: Path, tmp_path: Path) -> None:
    out = run(tmp_path, Tokenize(tokenizer=tokenizer_json, val_frac=0.25, seed=3), docs_of(40))
    plain = json.loads((out / "manifest.json").read_text())
    assert (plain["format"], plain["version"], plain["dtype"], plain["seed"]) == ("curate-tokens", 1, "uint16", 3)
    assert (plain["vocab_size"], plain["eos_id"], plain["bos_id"], plain["pad_id"]) == (700, 0, 0, 1)
    assert "0.25" in plain["split_rule"]
    assert sum(total["n_docs"] for total in plain["totals"]) == 40
    assert (out / "tokenizer.json").read_bytes() == tokenizer_json.read_bytes()


@pytest.mark.parametrize("parameters", [{"val_frac": 1.0}, {"val_frac": -0.1}, {"max_shard_tokens": 0}])
def test_impossible_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(parameters))):
        Tokenize(**parameters)


def test_no_tokenizer_says_what_to_do() -> None:
    with pytest.raises(InputError, match="train_tokenizer"):
        Tokenize().sketch(shards_of(["x"])[0][0], Position(0, 0, 1))


@pytest.mark.slow
def test_a_real_corpus_adds_up(tmp_path: Path) -> None:
    with gzip.open(shared_data("corpora", "fortunes.jsonl.gz"), "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    shards = shards_of(texts, 3, 64)
    (tmp_path / "train").mkdir()
    (tmp_path / "tokens").mkdir()
    trained = run_fold(TrainTokenizer(vocab_size=8192), shards, tmp_path / "train")
    out = run_fold(Tokenize(tokenizer=trained / "tokenizer.json"), shards, tmp_path / "tokens")
    totals = TokenShards.open(out, deep=True).manifest.totals.values()
    assert sum(total.n_docs for total in totals) == len(texts)
    assert sum(total.text_bytes for total in totals) == sum(len(text.encode()) for text in texts)
