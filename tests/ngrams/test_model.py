"""Mirrors curate/ngrams/model.py and the kernel: the plain twin and KenLM's own library are the oracles."""

from __future__ import annotations

import gzip
import importlib.util
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.kernels.ngram_scores import score, token_texts
from curate.ngrams.arpa import Arpa, read_arpa, write_arpa
from curate.ngrams.model import load_model, perplexities, tables_of
from curate.ngrams.plain import log10_of, perplexity_of, tokens_of
from tests.helpers import shared_data
from tests.laws.specs import NGRAMS, TEXTS, byte_tokenizer
from tests.ngrams.test_arpa import TINY, written

MODEL = Path(NGRAMS)
WORDS = st.sampled_from(
    [*["the", "of", "to", "and", "a", "in", ".", ",", "\n"], "Neverseen", "<s>", "</s>", "<unk>", "\n\n"]
)


def entries(model: Arpa) -> dict[tuple[str, ...], tuple[float, float]]:
    return {
        tuple(model.words[n] for n in ngram): (float(log10), float(backoff))
        for section in model.sections
        for ngram, log10, backoff in zip(section.ngrams.tolist(), section.log10, section.backoff, strict=True)
    }


def tokens_by_kernel(texts: list[str | None]) -> list[str]:
    made, ends = token_texts(pa.array(texts, pa.string()))
    return [made[a:b].tobytes().decode() for a, b in pairwise(ends)]


def joined(text: str | None) -> str:
    return "\n".join(" ".join(line) for line in tokens_of(text or ""))


@settings(deadline=None)
@given(st.lists(st.none() | st.text(max_size=60) | st.text("aB1٣ _-.…\n\r\t\u3000\x85é👍ǅİ", max_size=30), max_size=5))
def test_tokens_are_those_of_the_plain_twin(texts: list[str | None]) -> None:
    assert tokens_by_kernel(texts) == [joined(text) for text in texts]
    padded = pa.array(["before", *texts, "after"], pa.string()).slice(1, len(texts))
    made, ends = token_texts(padded)
    assert [made[a:b].tobytes().decode() for a, b in pairwise(ends)] == tokens_by_kernel(texts)


def test_tokens_by_hand() -> None:
    (found,) = tokens_by_kernel(["Don't pay $1,299.50\tfor_it!\r\n\n \nNa\u00efve CAF\u00c9 \u0967\u0968 (2024)"])
    assert found == "don ' t pay $ 0 , 000 . 00 for_it !\nna\u00efve caf\u00e9 00 ( 0000 )"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=25).map(" ".join), max_size=4))
def test_scores_are_those_of_the_plain_twin(texts: list[str]) -> None:
    model = read_arpa(MODEL)
    tables = tables_of(model)
    log10, n_tokens = score(*token_texts(pa.array(texts, pa.string())), tables)
    for row, text in enumerate(texts):
        wanted, n = log10_of(tokens_of(text), entries(model), model.order)
        assert n_tokens[row] == n
        assert log10[row] == pytest.approx(wanted, rel=1e-5, abs=1e-4)


@pytest.mark.skipif(importlib.util.find_spec("kenlm") is None, reason="needs KenLM's library: pip install kenlm")
def test_scores_are_those_of_kenlm(tmp_path: Path) -> None:
    import kenlm

    with gzip.open(shared_data("corpora", "inaugural.jsonl.gz"), "rt", encoding="utf-8") as file:
        texts = [json.loads(row)["text"] for row in file][:20]
    texts += [text for text in TEXTS if text]
    for path in (MODEL, bundled_model(tmp_path)):
        theirs = kenlm.Model(str(path))
        tokens, ends = token_texts(pa.array(texts, pa.string()))
        log10, n_tokens = score(tokens, ends, tables_of(read_arpa(path)))
        for row, (start, end) in enumerate(pairwise(ends)):
            lines = [line for line in tokens[start:end].tobytes().decode().split("\n") if line]
            assert log10[row] == pytest.approx(_in_doubles(theirs, lines), rel=1e-6)
            assert n_tokens[row] == sum(len(line.split(" ")) + 1 for line in lines)


def _in_doubles(model: Any, lines: list[str]) -> float:
    """Return the sum of a doc's scores; `score` adds up a line in single precision."""
    return sum(log10 for line in lines for log10, _, _ in model.full_scores(line))


def bundled_model(folder: Path) -> Path:
    """Return the bundled model, unpacked: KenLM's wheels may lack zlib."""
    from curate.models import asset

    path = folder / "bundled.arpa"
    path.write_bytes(gzip.decompress(asset("ngrams.en.arpa.gz").read_bytes()))
    return path


@pytest.mark.skipif(importlib.util.find_spec("kenlm") is None, reason="needs KenLM's library: pip install kenlm")
@pytest.mark.parametrize("kind", ["probing", "trie"])
def test_a_binary_of_kenlm_gives_what_its_arpa_file_gives(kind: str) -> None:
    """The files were made of the ARPA file by KenLM's build_binary, as the two kinds of its tables."""
    texts = pa.array(TEXTS, pa.string())
    theirs = perplexities(texts, Path(__file__).with_name(f"kenlm_{kind}.bin"), None)
    ours = perplexities(texts, MODEL, None)
    assert [value is None for value in theirs] == [value is None for value in ours]
    assert [v for v in theirs if v] == pytest.approx([v for v in ours if v], rel=1e-3, abs=0.1)


@pytest.mark.skipif(importlib.util.find_spec("kenlm") is None, reason="needs KenLM's library: pip install kenlm")
def test_what_kenlm_cannot_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "broken.bin"
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + b"\0" * 200)
    with pytest.raises(InputError, match=r"broken\.bin"):
        load_model(path, None)


def test_a_binary_without_the_library_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kenlm", None)
    path = tmp_path / "other.bin"
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0")
    with pytest.raises(InputError, match="pip install kenlm"):
        load_model(path, None)


def test_perplexity_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path, TINY)
    # "word": -0.1 after <s>, then </s> -0.2. "word word": -0.1; no bigram, backoff -0.25 and -0.3; -0.2.
    found = perplexities(pa.array(["Word", "word word", "", None, "?"], pa.string()), path, None)
    assert found[:4] == [perplexity_of(-0.3, 2), perplexity_of(-0.85, 3), None, None]
    assert found[4] == perplexity_of(-0.5 - 1.0 - 0.7, 2)  # unknown after <s>, then </s> after what no context knows


def test_words_that_look_like_the_marks_of_a_line_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "pieces.arpa"
    write_arpa(read_arpa(written(tmp_path, TINY)), path)
    tables = tables_of(read_arpa(path))
    text = np.frombuffer(b"<s> </s> nope", np.uint8)
    three = score(text, np.array([0, len(text)]), tables)
    assert three[0][0] == pytest.approx(-0.5 - 3.0 - 0.7)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("</s>", "end", "no <s> or no </s>"),
        ("word </s>", "<s> word", "come twice"),
        ("ngram 1=4", "ngram 1=5", "come twice"),
    ],
)
def test_models_that_break_the_rules_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = TINY.replace(old, new)
    if "1=5" in new:
        text = text.replace("-0.3\tword", "-0.4\tword\n-0.3\tword")
    with pytest.raises(InputError, match=said):
        load_model(written(tmp_path, text), None)


def test_a_trigram_without_its_bigram_is_refused(tmp_path: Path) -> None:
    text = TINY.replace("ngram 2=2\n", "ngram 2=2\nngram 3=1\n")
    text = text.replace("\\end\\", "\\3-grams:\n-0.1\tword word </s>\n\n\\end\\")
    with pytest.raises(InputError, match="1 3-grams begin with words that are no n-gram"):
        load_model(written(tmp_path, text), None)


def test_a_model_without_unknown_word_gives_it_almost_nothing(tmp_path: Path) -> None:
    text = TINY.replace("ngram 1=4", "ngram 1=3").replace("-1.0\t<unk>\n", "")
    log10, _ = load_model(written(tmp_path, text), None)(np.frombuffer(b"nope", np.uint8), np.array([0, 4]))
    assert log10[0] == pytest.approx(-0.5 - 100 - 0.7)


def test_a_model_of_pieces_is_asked_with_its_tokenizer_only(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(tmp_path)
    from curate.ngrams.settings import tokens_note

    path = written(tmp_path, TINY.replace("tokens: words", f"tokens: {tokens_note(tokenizer)}").replace("word", "w"))
    with pytest.raises(InputError, match="asked with words"):
        load_model(path, None)
    assert perplexities(pa.array(["w\n\n", " "], pa.string()), path, tokenizer) == [perplexity_of(-0.3, 2), None]


def test_missing_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a file"):
        load_model(tmp_path / "no.arpa", None)
