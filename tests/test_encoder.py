"""Mirrors curate/encoder.py: ids are those of transformers, pieces change none, pages cannot fake an EOS."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import encoder as module
from curate.encoder import load_encoder, pieces_of
from curate.errors import InputError
from curate.folds.train_tokenizer import WORDS, TrainTokenizer
from tests.folds.drive import run_fold
from tests.folds.test_train_tokenizer import HOSTILE, LINES, corpus, shards_of

tokenizers = pytest.importorskip("tokenizers")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHARS = "aZé9語ा 's  \n\r\t.,'。、！(-_/\x1f\x85\u3000\u0301\u200d👩<|"


@pytest.fixture(scope="session")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fold = TrainTokenizer(vocab_size=700)
    return run_fold(fold, shards_of(corpus(300)), tmp_path_factory.mktemp("train")) / "tokenizer.json"


def test_ids_are_those_of_transformers(tokenizer_json: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_json), split_special_tokens=True)
    ours = load_encoder(tokenizer_json)
    for text in (*LINES, *HOSTILE, *corpus(20)):
        assert ours.encode(text).tolist() == [*theirs(text, add_special_tokens=False)["input_ids"], ours.eos_id], text


@pytest.mark.parametrize("text", ["<|endoftext|>", "a<|endoftext|>b<|pad|>", "<|endoftext|>" * 9, "<|endo", "ftext|>"])
def test_a_page_cannot_spell_the_end_of_a_document(tokenizer_json: Path, text: str) -> None:
    ours = load_encoder(tokenizer_json)
    ids = ours.encode(text).tolist()
    assert ids.index(ours.eos_id) == len(ids) - 1
    assert ours.pad_id not in ids
    assert ours.tokenizer.decode(ids[:-1]) == text


@pytest.mark.parametrize("words", [WORDS, GPT2, CL100K, O200K], ids=["ours", "gpt2", "cl100k", "o200k"])
@given(text=st.text(st.sampled_from(CHARS), max_size=60), n=st.integers(2, 9))
def test_pieces_end_between_words(words: str, text: str, n: int) -> None:
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(words), behavior="isolated")
    whole = [word for word, _ in split.pre_tokenize_str(text)]
    pieces = list(pieces_of(text, n))
    assert "".join(pieces) == text
    assert all(len(piece) <= n for piece in pieces)
    seams = np.cumsum([len(piece) for piece in pieces[:-1]])
    if all(module.is_seam(text[seam - 1], text[seam]) for seam in seams):
        assert [word for piece in pieces for word, _ in split.pre_tokenize_str(piece)] == whole


def test_pieces_of_a_long_real_text_change_no_id(tokenizer_json: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = load_encoder(tokenizer_json)
    assert ours.in_pieces
    text = "\n".join(corpus(200))
    whole = ours.encode(text)
    for n in (200, 1001, 5000):
        monkeypatch.setattr(module.pieces_of, "__defaults__", (n,))
        assert np.array_equal(ours.encode(text), whole)


def test_a_run_without_seams_is_still_cut_and_comes_back(tokenizer_json: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = load_encoder(tokenizer_json)
    monkeypatch.setattr(module.pieces_of, "__defaults__", (64,))
    for text in ("x" * 1000, "語" * 1000, " " * 1000, "\u0301" * 1000, "👩‍👩‍👧‍👦" * 100):
        assert ours.tokenizer.decode(ours.encode(text)[:-1].tolist()) == text


@pytest.mark.parametrize("char", [" ", "\n", "a", "\u0301", "=", "'", "1", "語"])
def test_a_million_of_one_character_takes_seconds_not_hours(tokenizer_json: Path, char: str) -> None:
    ours = load_encoder(tokenizer_json)
    text = char * 300_000
    assert ours.tokenizer.decode(ours.encode(text)[:-1].tolist()) == text


def wordlevel(path: Path, names: dict[str, int]) -> Path:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(names, unk_token=next(iter(names))))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(path))
    return path


def test_a_foreign_tokenizer_is_taken_whole_and_untruncated(tmp_path: Path) -> None:
    path = wordlevel(tmp_path / "tokenizer.json", {"<unk>": 0, "</s>": 1, "<s>": 2, "[PAD]": 3, "▁a": 70_000})
    ours = load_encoder(path)
    assert (ours.eos_id, ours.bos_id, ours.pad_id) == (1, 2, 3)
    assert (ours.vocab_size, ours.dtype, ours.in_pieces) == (70_001, "uint32", False)
    assert ours.encode("a a a a a").tolist() == [70_000] * 5 + [1]


@pytest.mark.parametrize(
    ("change", "in_pieces"),
    [
        ({}, True),
        ({"normalizer": {"type": "NFC"}}, True),
        ({"normalizer": {"type": "Prepend", "prepend": "x"}}, False),
        ({"pre_tokenizer": None}, False),
        (
            {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
            False,
        ),
    ],
)
def test_only_tokenizers_that_allow_it_get_pieces(
    tokenizer_json: Path, tmp_path: Path, change: dict[str, Any], in_pieces: bool
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(tokenizer_json.read_text()) | change))
    assert load_encoder(path).in_pieces is in_pieces


def test_eos_is_named_found_or_asked_for(tmp_path: Path) -> None:
    path = wordlevel(tmp_path / "tokenizer.json", {"<unk>": 0, "STOP": 1})
    with pytest.raises(InputError, match="eos_token"):
        load_encoder(path)
    with pytest.raises(InputError, match="none of HALT"):
        load_encoder(path, "HALT")
    found = load_encoder(path, "STOP")
    assert (found.eos_id, found.bos_id, found.pad_id) == (1, 1, 1)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b"\xff\xfe", None])
def test_no_tokenizer_is_an_input_error(tmp_path: Path, raw: bytes | None) -> None:
    path = tmp_path / "tokenizer.json"
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        load_encoder(path)


def test_a_changed_file_is_loaded_again(tmp_path: Path) -> None:
    path = wordlevel(tmp_path / "tokenizer.json", {"<unk>": 0, "</s>": 1})
    assert load_encoder(path) is load_encoder(path)
    assert load_encoder(path).eos_id == 1
    path.unlink()
    wordlevel(path, {"<unk>": 0, "x": 1, "</s>": 2})
    assert load_encoder(path).eos_id == 2


def test_ids_do_not_depend_on_what_was_encoded_before(tokenizer_json: Path) -> None:
    texts = corpus(50)
    ours = load_encoder(tokenizer_json)
    first = [ours.encode(text).tolist() for text in texts]
    random.Random(1).shuffle(order := list(range(50)))
    assert [ours.encode(texts[i]).tolist() for i in order] == [first[i] for i in order]
