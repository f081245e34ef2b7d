"""Mirrors curate/ngrams/training.py: what training reads, refuses and writes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import InputError
from curate.ngrams.arpa import read_arpa
from curate.ngrams.model import perplexities
from curate.ngrams.plain import tokens_of
from curate.ngrams.settings import NgramSettings
from curate.ngrams.training import train_ngrams
from curate.receipts import sha256_of
from tests.classifiers.made import write
from tests.laws.specs import byte_tokenizer
from tests.runs import sentences

SMALL = {"order": 3, "held_out_frac": 0.2}
TEXTS = [sentences(number, 60) for number in range(60)]


def test_a_model_knows_its_text_and_its_card_says_what_it_is_of(tmp_path: Path) -> None:
    found = train_ngrams(str(write(tmp_path / "t.jsonl", TEXTS)), tmp_path / "out", NgramSettings(**SMALL))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["card.json", "card.md", "model.arpa.gz"]
    card = json.loads((tmp_path / "out" / "card.json").read_text("utf-8"))
    assert card["model"]["sha256"] == found.sha256 == sha256_of(found.model)
    assert found.n_tokens + found.n_held_out_tokens == sum(len(line) for text in TEXTS for line in tokens_of(text))
    assert found.n_ngrams == tuple(len(section.log10) for section in read_arpa(found.model).sections)
    known, shuffled = TEXTS[0], " ".join(random.Random(1).sample(TEXTS[0].split(), len(TEXTS[0].split())))
    values = perplexities(pa.array([known, shuffled, "Zug fährt um acht Uhr"]), found.model, None)
    assert 1.0 < values[0] < values[1] < values[2]  # type: ignore[operator]
    assert found.unknown_frac == 0.0


def test_the_same_texts_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    train_ngrams(str(write(tmp_path / "a.jsonl", TEXTS)), tmp_path / "a", NgramSettings(**SMALL))
    train_ngrams(str(write(tmp_path / "b.jsonl", TEXTS[::-1] + TEXTS[:5])), tmp_path / "b", NgramSettings(**SMALL))
    for name in ("model.arpa.gz", "card.json", "card.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_vocabulary_is_the_most_frequent_words(tmp_path: Path) -> None:
    source = str(write(tmp_path / "t.jsonl", TEXTS))
    found = train_ngrams(source, tmp_path / "out", NgramSettings(**SMALL, vocab_size=10))
    model = read_arpa(found.model)
    assert model.words[:3] == ("<unk>", "<s>", "</s>")
    assert len(model.words) == 13
    assert "." in model.words
    assert found.unknown_frac > 0.2
    assert all(0 not in ngram for section in model.sections[1:] for ngram in section.ngrams.tolist())


def test_a_tokenizer_makes_the_tokens_where_one_is_given(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(tmp_path)
    source = str(write(tmp_path / "t.jsonl", TEXTS))
    found = train_ngrams(source, tmp_path / "out", NgramSettings(**SMALL, tokenizer=tokenizer))
    assert read_arpa(found.model).notes["tokens"] == f"tokenizer {sha256_of(tokenizer)}"
    assert perplexities(pa.array(TEXTS[:1]), found.model, tokenizer)[0] < 10  # type: ignore[operator]


def test_more_tokens_than_wanted_are_left_out_by_whole_texts(tmp_path: Path) -> None:
    source = str(write(tmp_path / "t.jsonl", TEXTS))
    found = train_ngrams(source, tmp_path / "out", NgramSettings(**SMALL, max_tokens=2000))
    assert 1900 < found.n_tokens <= 2000


@pytest.mark.parametrize(("texts", "said"), [(TEXTS[:3], "tokens to learn from"), (["", " "], "no text in it")])
def test_too_little_text_is_refused_and_leaves_nothing(texts: list[str], said: str, tmp_path: Path) -> None:
    source = write(tmp_path / "t.jsonl", texts)
    with pytest.raises(InputError, match=said):
        train_ngrams(str(source), tmp_path / "out", NgramSettings(**SMALL))
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    "given",
    [
        {"order": 1}, {"order": 7}, {"vocab_size": 0}, {"min_counts": ""}, {"min_counts": "2 1"}, {"min_counts": "0"},
        {"min_counts": "x"}, {"held_out_frac": 1.0}, {"max_tokens": 10},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        NgramSettings(**given)


def test_the_last_of_the_least_counts_goes_on() -> None:
    assert NgramSettings(order=5, min_counts="1 2").least_counts == [1, 2, 2, 2]
    assert NgramSettings(order=2, min_counts="1 2 3").least_counts == [1]


def test_pieces_that_look_like_the_marks_of_a_line_are_unknown(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    byte_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.save(str(tmp_path / "marks.json"))
    source = str(write(tmp_path / "t.jsonl", [f"</s> {text} <s>" for text in TEXTS]))
    settings = NgramSettings(**SMALL, tokenizer=tmp_path / "marks.json")
    found = train_ngrams(source, tmp_path / "out", settings)
    assert found.unknown_frac > 0
    model = read_arpa(found.model)
    assert model.words[:3] == ("<unk>", "<s>", "</s>")
    assert not any(n in ngram[1:] for section in model.sections for ngram in section.ngrams.tolist() for n in (0, 1))
