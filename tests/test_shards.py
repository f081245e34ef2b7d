"""Mirrors curate/shards.py, token_shard.py, shard_writer.py: written is read, any cut gives the same bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.shard_writer import ShardWriter, join_shards
from curate.shards import Manifest, ShardEntry, TokenShards, dtype_for, file_sha256
from curate.token_shard import PROVENANCE_ROWS

EOS, VOCAB = 0, 1000
SCHEMA = pa.schema(
    [("doc_id", pa.string()), ("url", pa.string()), ("text_bytes", pa.int64()), ("n_tokens", pa.int32())]
)
Docs = list[list[int]]


def rows_of(docs: Docs, first: int = 0) -> pa.Table:
    return pa.table(
        {
            "doc_id": [f"{first + i:032x}" for i in range(len(docs))],
            "url": [f"https://example.org/{first + i}" for i in range(len(docs))],
            "text_bytes": [3 * len(doc) for doc in docs],
            "n_tokens": [len(doc) for doc in docs],
        },
        schema=SCHEMA,
    )


def write_shard(
    folder: Path,
    stem: str,
    docs: Docs,
    *,
    cuts: tuple[int, ...] = (),
    dtype: str = "uint16",
    source: str = "web",
    split: str = "train",
) -> ShardEntry:
    writer = ShardWriter(folder, stem, dtype, SCHEMA)
    for start, end in zip((0, *cuts), (*cuts, len(docs)), strict=True):
        flat = np.array([i for doc in docs[start:end] for i in doc], dtype)
        writer.add(flat, rows_of(docs[start:end], start))
    return writer.close(source, split)


def write_folder(folder: Path, entries: list[ShardEntry], dtype: str = "uint16") -> Path:
    (folder / "tokenizer.json").write_text("{}")
    digest = file_sha256(folder / "tokenizer.json")
    manifest = Manifest(dtype, VOCAB, EOS, EOS, EOS, digest, 0, "none", tuple(entries))
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def docs_of(n_docs: int, seed: int = 0) -> Docs:
    random = np.random.default_rng(seed)
    return [[*random.integers(1, VOCAB, random.integers(0, 30)).tolist(), EOS] for _ in range(n_docs)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two train shards and one val shard of `web`, one of `books`."""
    entries = [
        write_shard(tmp_path, "books-train-00000", docs_of(4, 1), source="books"),
        write_shard(tmp_path, "web-train-00000", docs_of(20, 2)),
        write_shard(tmp_path, "web-train-00001", docs_of(7, 3)),
        write_shard(tmp_path, "web-val-00000", docs_of(3, 4), split="val"),
    ]
    return write_folder(tmp_path, entries)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_documents_come_back_whole_and_in_order(tmp_path: Path, dtype: str) -> None:
    docs = docs_of(50)
    write_folder(tmp_path, [write_shard(tmp_path, "web-train-00000", docs, dtype=dtype)], dtype)
    shards = TokenShards.open(tmp_path, deep=True)
    assert [shards.document(i).tolist() for i in range(50)] == docs
    assert shards.shards[0].provenance_table() == rows_of(docs)
    with pytest.raises(IndexError):
        shards.document(50)


@given(docs=st.lists(st.lists(st.integers(1, VOCAB - 1), max_size=5), min_size=1, max_size=12), data=st.data())
@settings(max_examples=25, deadline=None)
def test_bytes_do_not_depend_on_the_cut(
    docs: Docs, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    docs = [[*doc, EOS] for doc in docs]
    cuts = tuple(sorted(data.draw(st.lists(st.integers(0, len(docs)), max_size=4))))
    one, other = (tmp_path_factory.mktemp("cut") for _ in range(2))
    assert write_shard(one, "s", docs) == write_shard(other, "s", docs, cuts=cuts)


def test_provenance_spans_row_groups(tmp_path: Path) -> None:
    docs = [[1, EOS]] * (PROVENANCE_ROWS + 5)
    whole = write_shard(tmp_path, "whole", docs)
    cut = write_shard(tmp_path, "cut", docs, cuts=(3, PROVENANCE_ROWS - 1, PROVENANCE_ROWS + 2))
    assert whole.provenance_sha256 == cut.provenance_sha256
    shard = TokenShards.open(write_folder(tmp_path, [whole])).shards[0]
    for doc in (0, PROVENANCE_ROWS - 1, PROVENANCE_ROWS, PROVENANCE_ROWS + 4):
        assert shard.provenance(doc)["doc_id"] == f"{doc:032x}"


def test_joining_shards_keeps_documents_and_bytes(folder: Path, tmp_path: Path) -> None:
    pieces = TokenShards.open(folder).stream("web").shards
    joined = join_shards(tmp_path, "joined", pieces)
    assert (joined.n_docs, joined.n_tokens) == (27, sum(p.entry.n_tokens for p in pieces))
    shard = TokenShards.open(write_folder(tmp_path, [joined]), deep=True).shards[0]
    assert np.array_equal(shard.tokens, np.concatenate([p.tokens for p in pieces]))
    assert [shard.document(i).tolist() for i in range(27)] == docs_of(20, 2) + docs_of(7, 3)


def test_a_stream_reads_across_shards_and_traces_every_token(folder: Path) -> None:
    stream = TokenShards.open(folder).stream("web")
    docs = docs_of(20, 2) + docs_of(7, 3)
    flat = [i for doc in docs for i in doc]
    owner = [n for n, doc in enumerate(docs) for _ in doc]
    assert stream.read(0, len(stream)).tolist() == flat
    for position in range(len(stream)):
        place = stream.locate(position)
        n = owner[position]
        assert place.provenance()["doc_id"] == f"{n if n < 20 else n - 20:032x}"
        assert docs[n][place.offset] == flat[position]
    found = stream.documents(5, len(stream) - 9)
    assert [n for low, high, _ in found for n in range(low, high)] == list(range(len(stream) - 9))
    assert all(
        high - low <= len(docs[place.doc + 20 * ("1.ds" in place.shard.entry.file)]) for low, high, place in found
    )
    for start, n in ((-1, 2), (0, 0), (len(stream) - 1, 2)):
        with pytest.raises(IndexError):
            stream.read(start, n)


def test_a_stream_gives_many_places_at_once_and_knows_where_its_documents_lie(folder: Path) -> None:
    stream = TokenShards.open(folder).stream("web")
    docs = docs_of(20, 2) + docs_of(7, 3)
    whole = stream.read(0, len(stream)).tolist()
    second = int(stream.starts[1])
    places = np.array([(0, 5), (len(stream) - 3, 3), (second - 2, 4), (second, 1), (second - 1, 1), (0, len(stream))])
    found = stream.views(places[:, 0], places[:, 1])
    assert [view.tolist() for view in found] == [whole[start : start + n] for start, n in places.tolist()]
    assert stream.views(places[:0, 0], places[:0, 1]) == []
    first, n_tokens = stream.document_spans(np.arange(27))
    assert [whole[a : a + n] for a, n in zip(first.tolist(), n_tokens.tolist(), strict=True)] == docs
    assert [list(pair) for pair in zip(*stream.document_spans(np.array([26, 0, 20])), strict=True)] == [
        [first[doc], n_tokens[doc]] for doc in (26, 0, 20)
    ]
    for wrong in (-1, 27):
        with pytest.raises(IndexError):
            stream.document_spans(np.array([0, wrong]))
    for start in (-1, len(stream) - 1, len(stream)):
        with pytest.raises(IndexError):
            stream.views(np.array([0, start]), np.array([2, 2]))


def test_the_facts_of_a_manifest_change_with_any_of_its_files(folder: Path) -> None:
    manifest = TokenShards.open(folder).manifest
    facts = manifest.facts()
    assert facts["totals.web.train.n_docs"] == 27
    other = dataclasses.replace(manifest.shards[0], provenance_sha256="0" * 64)
    changed = dataclasses.replace(manifest, shards=(other, *manifest.shards[1:])).facts()
    assert [name for name in facts if facts[name] != changed[name]] == ["shards"]


def test_totals_and_streams_by_source_and_split(folder: Path) -> None:
    shards = TokenShards.open(folder.parent if (folder.parent / "tokens").exists() else folder)
    assert shards.sources == ("books", "web")
    totals = shards.manifest.totals
    assert totals["web", "train"].n_docs == 27
    assert totals["web", "train"].n_tokens == len(shards.stream("web"))
    assert totals["web", "train"].text_bytes == 3 * len(shards.stream("web"))
    assert len(shards.stream("books", "val")) == 0
    with pytest.raises(InputError, match="books, web"):
        shards.stream("web2")


def test_a_corpus_may_have_more_shards_than_files_may_be_open(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    from tests.train.corpus import fables, write_tokens

    tokens = write_tokens(tmp_path / "tokens", {"web": fables(60)}, n_held_out=0, docs_per_shard=1)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 30, limits[1]))
        stream = TokenShards.open(tokens, deep=True).stream("web")
        assert len(stream.shards) == 60
        assert len(stream.read(0, len(stream))) == len(stream)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_shard_pickles_without_its_tokens(folder: Path) -> None:
    shard = TokenShards.open(folder).stream("web").shards[0]
    assert len(shard.tokens) > 100
    blob = pickle.dumps(shard)
    assert len(blob) < 1000
    assert np.array_equal(pickle.loads(blob).tokens, shard.tokens)


def test_a_run_folder_opens_too_and_no_documents_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    write_folder(tmp_path / "tokens", [])
    assert TokenShards.open(tmp_path).sources == ()
    with pytest.raises(InputError, match="manifest"):
        TokenShards.open(tmp_path / "elsewhere")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["web-train-00000.ds", "web-train-00000.ds.index", "web-train-00000.prov.parquet"])
def test_a_cut_or_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    cut(folder / name)
    with pytest.raises(InputError, match=name):
        TokenShards.open(folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match=name):
        TokenShards.open(folder)


def test_one_flipped_bit_is_found_by_a_deep_check_only(folder: Path) -> None:
    path = folder / "web-train-00001.ds"
    raw = bytearray(path.read_bytes())
    raw[8] ^= 1
    path.write_bytes(raw)
    TokenShards.open(folder)
    with pytest.raises(InputError, match=r"web-train-00001\.ds.*sha256"):
        TokenShards.open(folder, deep=True)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("format", "other", "not a curate-tokens manifest"),
        ("version", 99, "version"),
        ("dtype", "int16", "dtype"),
        ("dtype", "uint32", "bytes"),
        ("vocab_size", 1 << 17, "does not fit"),
        ("eos_id", VOCAB, "eos_id"),
        ("tokenizer_sha256", "00", "tokenizer"),
        ("totals", [], "sums"),
        ("shards", [{"file": "x"}], "damaged"),
        ("shards", None, "damaged"),
        ("vocab_size", "1000", "vocab_size is '1000'"),
        ("vocab_size", 1e3, "vocab_size"),
        ("pad_id", -1, "pad_id"),
        ("dtype", None, "dtype"),
        ("split_rule", 0, "split_rule"),
        ("unknown", 1, "damaged"),
    ],
)
def test_a_changed_manifest_is_refused(folder: Path, field: str, value: object, says: str) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(InputError, match=says):
        TokenShards.open(folder)


def test_a_shard_name_cannot_leave_the_folder(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("web-train-00000.ds", "../web-train-00000.ds"))
    with pytest.raises(InputError, match="plain name"):
        TokenShards.open(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "curate-tokens"', "\ufffd"])
def test_a_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="damaged manifest"):
        TokenShards.open(folder)


def test_ids_outside_the_vocabulary_are_found(tmp_path: Path) -> None:
    write_folder(tmp_path, [write_shard(tmp_path, "web-train-00000", [[VOCAB, EOS]])])
    with pytest.raises(InputError, match=f"token id {VOCAB}"):
        TokenShards.open(tmp_path, deep=True)


def test_a_document_without_eos_is_found(tmp_path: Path) -> None:
    write_folder(tmp_path, [write_shard(tmp_path, "web-train-00000", [[5, EOS], [5, 6], [EOS]])])
    with pytest.raises(InputError, match="does not end with EOS"):
        TokenShards.open(tmp_path, deep=True)


def test_a_shard_listed_twice_is_refused(tmp_path: Path) -> None:
    entry = write_shard(tmp_path, "web-train-00000", docs_of(3))
    write_folder(tmp_path, [entry, entry])
    with pytest.raises(InputError, match="twice"):
        TokenShards.open(tmp_path)


@pytest.mark.parametrize(("field", "value"), [("n_docs", "3"), ("n_tokens", -1), ("sha256", None), ("n_bytes", True)])
def test_a_shard_entry_of_wrong_type_is_refused(folder: Path, field: str, value: object) -> None:
    path = folder / "manifest.json"
    plain = json.loads(path.read_text())
    plain["shards"][1][field] = value
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=field):
        TokenShards.open(folder)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_to_the_manifest_is_an_input_error_or_harmless(folder: Path, data: st.DataObject) -> None:
    raw = Manifest("uint16", VOCAB, EOS, EOS, EOS, "0" * 64, 0, "none", ()).to_json()
    at = data.draw(st.integers(0, len(raw) - 1))
    hurt = raw[:at] + data.draw(st.sampled_from(["", "9", '"', "[", "null", "-", "\ufffd"])) + raw[at + 1 :]
    with contextlib.suppress(InputError):
        again = Manifest.of_json(hurt, "manifest.json")
        assert Manifest.of_json(again.to_json(), "again") == again


def test_the_writer_refuses_tokens_that_do_not_add_up(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, "s", "uint16", SCHEMA)
    with pytest.raises(ValueError, match="2 tokens"):
        writer.add(np.array([1, EOS], np.uint16), rows_of([[1, 2, EOS]]))
    with pytest.raises(ValueError, match="uint32"):
        writer.add(np.array([1, EOS], np.uint32), rows_of([[1, EOS]]))


def test_the_narrowest_dtype_is_chosen() -> None:
    assert [dtype_for(n) for n in (257, 65_536, 65_537)] == ["uint16", "uint16", "uint32"]


def test_datatrove_reads_our_shards(folder: Path) -> None:
    dataset = pytest.importorskip("datatrove.utils.dataset")
    stream = TokenShards.open(folder).stream("web")
    path = folder / "web-train-00000.ds"
    theirs = dataset.DatatroveFileDataset(str(path), seq_len=9, token_size=2)
    assert len(theirs) == stream.shards[0].entry.n_tokens // 10
    for i in range(len(theirs)):
        assert theirs[i]["input_ids"].tolist() == stream.read(10 * i, 10).tolist()
