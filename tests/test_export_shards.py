"""Exported shards: the bodies are the same tokens, byte for byte as the formats say, and real readers read them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate.export_shards as module
from curate.errors import InputError
from curate.export_shards import export_shards
from tests.runs import curate, said_in_one_line
from tests.test_shards import EOS, write_folder, write_shard

DOCS = {
    ("web", "train", 0): [[5, 6, 7, EOS], [8, EOS], [9, 10, EOS]],
    ("web", "train", 1): [[11, EOS]],
    ("books", "train", 0): [[12, 13, 14, 15, EOS]],
    ("web", "val", 0): [[16, 17, EOS]],
}


def all_tokens(split: str) -> list[int]:
    """Return the tokens of a split in the manifest's order: by source, then number."""
    return [i for (_, s, _), docs in sorted(DOCS.items()) if s == split for doc in docs for i in doc]


def write_all(folder: Path, dtype: str) -> Path:
    folder.mkdir()
    entries = [
        write_shard(folder, f"{source}-{split}-{number:05d}", docs, dtype=dtype, source=source, split=split)
        for (source, split, number), docs in sorted(DOCS.items())
    ]
    return write_folder(folder, entries, dtype)


@pytest.fixture(params=["uint16", "uint32"])
def shards(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return write_all(tmp_path / "tokens", request.param)


def dtype_of(shards: Path) -> str:
    return "<u2" if '"uint16"' in (shards / "manifest.json").read_text() else "<u4"


def test_megatron_files_are_laid_out_as_its_indexed_dataset_reads_them(tmp_path: Path, shards: Path) -> None:
    export_shards(shards, "megatron", tmp_path / "out")
    size = np.dtype(dtype_of(shards)).itemsize
    for (source, split, number), docs in DOCS.items():
        stem = f"{source}-{split}-{number:05d}"
        body = (tmp_path / "out" / f"{stem}.bin").read_bytes()
        assert body == np.array([i for doc in docs for i in doc], dtype_of(shards)).tobytes()
        assert (tmp_path / "out" / f"{stem}.bin").samefile(shards / f"{stem}.ds")
        lengths = [len(doc) for doc in docs]
        starts = [size * sum(lengths[:k]) for k in range(len(docs))]
        n = len(docs)
        expected = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, {2: 8, 4: 4}[size], n, n + 1)
        expected += struct.pack(f"<{n}i{n}q{n + 1}q", *lengths, *starts, *range(n + 1))
        assert (tmp_path / "out" / f"{stem}.idx").read_bytes() == expected
        assert len(expected) == 34 + 12 * n + 8 * (n + 1)


def test_nanogpt_files_are_all_tokens_of_a_split(tmp_path: Path) -> None:
    shards = write_all(tmp_path / "tokens", "uint16")
    export_shards(shards, "nanogpt", tmp_path / "out")
    for split in ("train", "val"):
        assert np.fromfile(tmp_path / "out" / f"{split}.bin", "<u2").tolist() == all_tokens(split)
    assert (tmp_path / "out" / "val.bin").samefile(shards / "web-val-00000.ds")


def test_nanogpt_cannot_hold_wide_ids(tmp_path: Path) -> None:
    shards = write_all(tmp_path / "tokens", "uint32")
    done = curate("export-shards", shards, "--format", "nanogpt", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "uint16 only" in said_in_one_line(done)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tokens"]


@pytest.mark.parametrize("tokens_a_file", [100_000_000, 4, 1])
def test_llmc_files_have_its_header_and_the_separator_before_each_document(
    tmp_path: Path, shards: Path, tokens_a_file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LLMC_TOKENS", tokens_a_file)
    monkeypatch.setattr(module, "READ_TOKENS", 3)
    export_shards(shards, "llm.c", tmp_path / "out")
    magic, version = (20240520, 1) if dtype_of(shards) == "<u2" else (20240801, 7)
    for split in ("train", "val"):
        found: list[int] = []
        n_tokens: list[int] = []
        for file in sorted((tmp_path / "out").glob(f"tokens_{split}_*.bin")):
            header = np.fromfile(file, "<i4", 256)
            tokens = np.frombuffer(file.read_bytes()[1024:], dtype_of(shards)).tolist()
            assert header[:3].tolist() == [magic, version, len(tokens)]
            assert not header[3:].any()
            found += tokens
            n_tokens.append(len(tokens))
        assert max(n_tokens) <= tokens_a_file
        assert max(n_tokens) - min(n_tokens) <= 1  # llm.c refuses a file that is shorter than a batch
        assert found == [EOS, *all_tokens(split)[:-1]]


def test_datatrove_reads_what_is_exported_for_it(tmp_path: Path, shards: Path) -> None:
    dataset = pytest.importorskip("datatrove.utils.dataset")
    pytest.importorskip("torch")
    export_shards(shards, "datatrove", tmp_path / "out")
    size = np.dtype(dtype_of(shards)).itemsize
    for (source, split, number), docs in DOCS.items():
        path = tmp_path / "out" / f"{source}-{split}-{number:05d}.ds"
        flat = [i for doc in docs for i in doc]
        read = dataset.DatatroveFileDataset(str(path), len(flat) - 1, size, return_positions=True)[0]
        assert read["input_ids"].tolist() == flat
        assert read["positions"].tolist() == [k for doc in docs for k in range(len(doc))]


def test_the_files_for_datatrove_are_those_it_writes_itself(tmp_path: Path, shards: Path) -> None:
    tokenizer = pytest.importorskip("datatrove.pipeline.tokens.tokenizer")
    export_shards(shards, "datatrove", tmp_path / "out")
    size = np.dtype(dtype_of(shards)).itemsize
    for (source, split, number), docs in DOCS.items():
        theirs = tokenizer.TokenizedFile(
            str(tmp_path / "theirs"), f"{source}-{split}-{number:05d}.ds", token_size=size,
            tokenizer_name_or_path="tokenizer.json", save_final_metadata=True,
        )  # fmt: skip
        for doc in docs:
            theirs.write(doc, None)
        theirs.close()
    written = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    assert len(written) == 3 * len(DOCS)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in written} == written


@given(st.one_of(st.integers(1, 10**6), st.integers(1, 10**15), st.integers(0, 5).map(lambda k: 10 ** (3 * k + 1) - 1)))
def test_counts_are_shown_as_datatrove_shows_them(n_tokens: int) -> None:
    humanize = pytest.importorskip("humanize")  # of which datatrove asks it
    assert module._humanised(n_tokens) == humanize.metric(n_tokens, unit="T")


def test_a_damaged_shard_is_refused_and_nothing_is_left(tmp_path: Path, shards: Path) -> None:
    """Cut, or with one bit turned: the files of the other formats carry no checksum that would show it later."""
    file = shards / "web-train-00000.ds"
    whole = file.read_bytes()
    for damaged in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:]):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="web-train-00000"):
            export_shards(shards, "megatron", tmp_path / "out")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["tokens"]


def test_an_output_folder_with_something_in_it_is_refused(tmp_path: Path, shards: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        export_shards(shards, "megatron", tmp_path / "out")
    with pytest.raises(InputError, match="did you mean 'megatron'"):
        export_shards(shards, "megatrn", tmp_path / "new")
    assert (tmp_path / "out" / "mine").read_text() == "x"
