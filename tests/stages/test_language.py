"""Mirrors curate/stages/language.py."""

import gzip
import hashlib
import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.models import LID_176_LANGUAGES, LID_176_SHA256, asset, language_model, load_fasttext
from curate.stages.language import SAMPLE_CHARS, Language, sample_of
from tests.helpers import batch_of, shared_data

EN = "The committee met on Tuesday and agreed that the report should be published before the end of the year."
DE = "Der Ausschuss trat am Dienstag zusammen und beschloss, den Bericht noch vor Jahresende zu veröffentlichen."
FR = "Le comité s'est réuni mardi et a décidé que le rapport devait être publié avant la fin de l'année."
JA = "委員会は火曜日に会合を開き、年末までに報告書を公表することで合意した。"

# The thirty languages with most pages in Common Crawl that lid.176 and the test data both have.
_CODES = "en ru de ja zh es fr pt it pl nl id tr cs vi ko ar fa sv ro el uk hu da fi no sk bg hi th"
CLAIMED = frozenset(_CODES.split())
# The test data calls Bokmål nb; lid.176 calls it no.
SAME = {"nb": "no"}


def test_languages_and_scores_of_plain_sentences() -> None:
    verdict = Language()(batch_of(text=[EN, DE, FR, JA]))
    assert verdict.columns["language"].to_pylist() == ["en", "de", "fr", "ja"]
    assert verdict.columns["language_score"].type == pa.float32()
    assert all(0.65 < score <= 1.0 for score in verdict.columns["language_score"].to_pylist())
    assert verdict.drop_reason is None


def test_text_without_letters_gets_no_made_up_score() -> None:
    verdict = Language(keep=("en",))(batch_of(text=["", None, " \n", "12:30 — 45 %"]))
    assert verdict.columns["language"].to_pylist() == ["und"] * 4
    assert verdict.columns["language_score"].to_pylist() == [None] * 4
    assert verdict.drop_reason is not None
    assert verdict.drop_reason.to_pylist() == ["language_not_kept"] * 4


def test_keep_and_the_limit_itself_is_kept() -> None:
    batch = batch_of(text=[EN, DE, "ok"])
    scores = Language()(batch).columns["language_score"].to_pylist()
    verdict = Language(keep=("en", "fr"), min_score=scores[0])(batch)
    assert verdict.drop_reason is not None
    assert verdict.drop_reason.to_pylist()[:2] == [None, "language_not_kept"]
    above = Language(keep=("en",), min_score=min(1.0, scores[0] + 1e-3))(batch)
    assert above.drop_reason is not None
    assert above.drop_reason.to_pylist()[0] == "language_score_too_low"


def test_empty_batch_has_typed_columns() -> None:
    verdict = Language(keep=("en",))(batch_of(text=[]))
    assert verdict.columns["language"].type == pa.string()
    assert verdict.columns["language_score"].type == pa.float32()


def test_wrong_parameters_are_refused_before_any_text() -> None:
    with pytest.raises(InputError, match="'eng'"):
        Language(keep=("eng",))
    with pytest.raises(InputError, match="min_score"):
        Language(keep=("en",), min_score=65)
    with pytest.raises(InputError, match="without keep"):
        Language(min_score=0.9)


def test_model_is_the_pinned_one_and_its_labels_are_listed(tmp_path: Path) -> None:
    path = asset("lid.176.ftz")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == LID_176_SHA256
    labels = {label.removeprefix("__label__") for label in language_model(None).get_labels()}
    assert labels == LID_176_LANGUAGES
    assert Language(model=path)(batch_of(text=[EN])).columns["language"].to_pylist() == ["en"]
    with pytest.raises(InputError, match="is not a file"):
        load_fasttext(tmp_path / "none.bin")
    (tmp_path / "junk.bin").write_bytes(b"junk" * 100)
    with pytest.raises(InputError, match="expected"):
        load_fasttext(tmp_path / "junk.bin", LID_176_SHA256)
    with pytest.raises(InputError, match="not a fastText model"):
        load_fasttext(tmp_path / "junk.bin")
    with pytest.raises(InputError, match="'xx'"):
        Language(keep=("xx",), model=path)(batch_of(text=[EN]))


@given(st.text(max_size=3 * SAMPLE_CHARS))
def test_sample_is_one_bounded_line_of_the_text(text: str) -> None:
    sample = sample_of(text)
    assert "\n" not in sample
    assert len(sample) <= SAMPLE_CHARS + 2
    if len(text) <= SAMPLE_CHARS:
        assert sample.split() == text.split()


def test_sample_takes_start_middle_and_end() -> None:
    text = "a" * 333 + "x" * 5000 + "m" * 333 + "x" * 5000 + "z" * 333
    assert sample_of(text) == "a" * 333 + " " + "m" * 333 + " " + "z" * 333


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    verdict = Language()(batch_of(text=[text]))
    assert len(verdict.columns["language"]) == 1


def test_same_answer_whatever_the_batch() -> None:
    texts = [EN, "", DE, FR * 30, JA]
    whole = Language()(batch_of(text=texts))
    for i, text in enumerate(texts):
        alone = Language()(batch_of(text=[text]))
        for name, column in alone.columns.items():
            assert column[0] == whole.columns[name][i]


def accuracy(kind: str) -> dict[str, float]:
    with gzip.open(shared_data("lid", "lid-dev.jsonl.gz"), "rt", encoding="utf-8") as lines:
        docs = [doc for doc in map(json.loads, lines) if doc["kind"] == kind and doc["source"] == "lingua-rs"]
    answers = Language()(batch_of(text=[doc["text"] for doc in docs])).columns["language"].to_pylist()
    hits: dict[str, list[bool]] = defaultdict(list)
    for doc, answer in zip(docs, answers, strict=True):
        truth = SAME.get(doc["lang"], doc["lang"])
        if truth in CLAIMED:
            hits[truth].append(answer == truth)
    return {lang: sum(found) / len(found) for lang, found in hits.items()}


def test_accuracy_on_single_sentences_of_thirty_languages() -> None:
    by_language = accuracy("sentence")
    assert set(by_language) == CLAIMED
    assert sum(by_language.values()) / len(by_language) >= 0.95
    assert by_language["en"] >= 0.97
