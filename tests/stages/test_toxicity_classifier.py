"""Mirrors curate/toxicity/linear.py and external.py: sentences scored by the shipped model, or by one of one's own.

Slurs and hate stand in the functional cases (benchmarks/toxicity/functional.tsv), because the classifier is asked
about them.
"""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.toxicity.data import Case, authored, class_words, functional_cases
from curate.errors import InputError
from curate.kernels.toxicity.classes import CLASSES
from curate.models import asset, load_fasttext
from curate.stages.toxicity import DEFAULT_MIN_SENTENCE_SCORE, Toxicity
from curate.toxicity.c4_list import count_bad_words
from curate.toxicity.linear import ASSET, ASSET_SHA256, load_model, score_sentences
from tests.helpers import ROOT, batch_of

CASES = functional_cases()
OWN_MODEL = ROOT / "tests" / "laws" / "classifier.ftz"  # labels cc and hq
CLEAN = "The river runs past the old mill. The children feed the ducks there. "
HATE = "You are a worthless piece of shit, you stupid fucking faggot. "


def scores(texts: list[str | None], label: str = "toxicity_score") -> list[float | None]:
    column = Toxicity(method="classifier")(batch_of(text=texts)).columns[label]
    found: list[float | None] = column.to_pylist()
    return found


def reasons(texts: list[str | None], **parameters: object) -> list[str | None]:
    verdict = Toxicity(**{"method": "classifier", **parameters})(batch_of(text=texts))  # type: ignore[arg-type]
    assert verdict.drop_reason is not None
    found: list[str | None] = verdict.drop_reason.to_pylist()
    return found


def flagged(cases: list[Case]) -> np.ndarray:
    found = score_sentences(pa.array([case.text for case in cases]), None, DEFAULT_MIN_SENTENCE_SCORE, spans=False)
    return np.asarray(found.n_over[:, 0] > 0)


def listed(cases: list[Case]) -> np.ndarray:
    return np.asarray(count_bad_words(pa.array([case.text for case in cases]), ("en",), "c4")) > 0


def of_kind(kind: str) -> list[Case]:
    return [case for case in CASES if case.kind == kind]


def test_there_are_enough_functional_cases_of_many_kinds() -> None:
    assert len(CASES) >= 300
    assert len({case.category for case in CASES}) >= 20
    assert len({case.text for case in CASES}) == len(CASES)


GROUPS = {word for word, number in class_words().items() if CLASSES[number] == "group"}


def group_blind(text: str) -> str:
    """Return the words of a text, each group of people as one word, so that a swapped group is the same text."""
    return " ".join("GROUP" if word in GROUPS else word for word in re.findall(r"[a-z0-9']+", text.lower()))


def test_no_functional_case_is_among_the_training_sentences() -> None:
    trained = {group_blind(doc.text) for doc in authored()}
    assert [case.text for case in CASES if group_blind(case.text) in trained] == []
    for module in ("train.py", "matrix.py"):  # nothing that trains reads the cases
        assert "functional" not in (ROOT / "benchmarks" / "toxicity" / module).read_text("utf-8")


def test_benign_mentions_are_flagged_a_quarter_as_often_as_by_the_list_at_no_lower_recall() -> None:
    benign, hate = of_kind("benign"), of_kind("hate")
    assert flagged(benign).mean() <= listed(benign).mean() / 4
    assert flagged(hate).mean() >= listed(hate).mean()


@pytest.mark.parametrize("category", ["counter_quote", "counter_reference", "reclaimed"])
def test_counter_speech_and_reclaimed_slurs_mostly_pass(category: str) -> None:
    cases = [case for case in CASES if case.category == category]
    assert flagged(cases).mean() <= 0.5
    assert flagged(of_kind("hate")).mean() >= 0.4


def test_any_group_scores_the_same_in_the_same_sentence() -> None:
    groups = ["women", "Muslims", "gays", "Jews", "Mexicans", "immigrants", "blacks", "Christians", "Germans"]
    for sentence in ("I live next to {}.", "{} are disgusting.", "Some {} came and we danced.", "I love {}."):
        assert len(set(scores([sentence.format(group) for group in groups]))) == 1


def test_columns_types_and_nulls() -> None:
    for texts in (["one two.", None, "", "..."], []):
        step = Toxicity(method="classifier", spans=True)
        columns = step(batch_of(text=texts)).columns
        assert {name: column.type for name, column in columns.items()} == dict(step.writes)
    columns = Toxicity(method="classifier", spans=True)(batch_of(text=["one two.", None, "", "..."])).columns
    assert columns["n_toxicity_sentences"].to_pylist() == [1, 0, 0, 0]
    assert columns["toxicity_score"].to_pylist()[1:] == [None] * 3
    assert columns["toxic_spans"].to_pylist() == [[], [], [], []]


def test_spans_are_the_toxic_sentences_in_bytes() -> None:
    text = f"Caf\u00e9 \u4e2d. {CLEAN}{HATE}{CLEAN}"
    columns = Toxicity(method="classifier", spans=True)(batch_of(text=[text])).columns
    (spans,) = columns["toxic_spans"].to_pylist()
    hate = [span for span in spans if span["label"] == "hate"]
    assert [text.encode()[span["start_bytes"] : span["end_bytes"]].decode() for span in hate] == [HATE]
    assert hate[0]["score"] == columns["toxicity_score"][0].as_py() >= DEFAULT_MIN_SENTENCE_SCORE
    assert columns["n_toxic_sentences"].to_pylist() == [1]
    without = Toxicity(method="classifier")(batch_of(text=[text, CLEAN]))
    beside = Toxicity(method="classifier", spans=True)(batch_of(text=[text, CLEAN]))
    for name, column in without.columns.items():
        assert column.equals(beside.columns[name]), name


def test_no_single_sentence_drops_a_page_and_density_decides() -> None:
    assert reasons([HATE, CLEAN * 20 + HATE * 2, CLEAN + HATE * 2, None]) == [None, None, "toxic_sentences", None]
    assert reasons([HATE], min_toxic_sentences=1) == ["toxic_sentences"]
    assert reasons([CLEAN * 2 + HATE], min_toxic_sentences=1, max_toxic_sentence_frac=0.2) == [
        None
    ]  # the limit is kept


def test_explicit_text_is_nsfw_and_clinical_text_is_not() -> None:
    def share(*categories: str) -> float:
        texts = [case.text for case in CASES if case.category in categories]
        found = score_sentences(pa.array(texts), None, DEFAULT_MIN_SENTENCE_SCORE, spans=False)
        return float((found.n_over[:, 1] > 0).mean())

    assert share("clinical_vs_explicit") >= 0.6
    assert share("medical", "sex_education", "legal_news") <= 0.1


def test_deciding_again_from_columns_is_deciding() -> None:
    texts = [HATE * 3, CLEAN + HATE * 2, CLEAN, None]
    for given in ({}, {"min_toxic_sentences": 3}, {"max_toxic_sentence_frac": 0.7}):
        measured = Toxicity(method="classifier")(batch_of(text=texts)).columns
        again = Toxicity(method="classifier", **given).decide(pa.RecordBatch.from_pydict(dict(measured)))
        assert again.to_pylist() == reasons(texts, **given)
    assert set(Toxicity(method="classifier").decides_by) <= set(measured)


def test_the_least_score_itself_is_toxic_and_at_zero_every_sentence_is() -> None:
    texts = [case.text for case in CASES[::9]]
    batch = batch_of(text=texts)
    columns = Toxicity(method="classifier", min_sentence_score=0.0)(batch).columns
    assert columns["n_toxic_sentences"].equals(columns["n_toxicity_sentences"])
    score = max(found for found in scores(list(texts)) if found is not None and found < 1.0)
    limits = (score, float(np.nextafter(np.float32(score), np.float32(2))))
    at, above = (Toxicity(method="classifier", min_sentence_score=limit)(batch).columns for limit in limits)
    n_at, n_above = (pc.sum(columns["n_toxic_sentences"]).as_py() for columns in (at, above))
    assert n_at == n_above + scores(list(texts)).count(score)


def test_the_numbers_behind_a_reason() -> None:
    signals = {"n_toxic_sentences": 3, "n_toxicity_sentences": 12, "toxicity_score": 0.97}
    told = Toxicity(method="classifier").explain("toxic_sentences", signals)
    assert told == "3 of 12 sentences are toxic: 0.25 > 0.1 (max_toxic_sentence_frac), the worst scores 0.97"


def test_the_same_answer_whatever_the_batch() -> None:
    texts = [case.text for case in CASES[::7]]
    assert scores(list(texts)) == [score for text in texts for score in scores([text])]


def test_a_model_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a file"):
        load_model(tmp_path / "none.npz")
    changed = tmp_path / ASSET
    changed.write_bytes(asset(ASSET).read_bytes() + b" ")
    with pytest.raises(InputError, match="sha256"):
        load_model(changed, "0" * 64)
    assert asset(ASSET).stat().st_size < 2_000_000
    assert ASSET_SHA256 in asset(ASSET).with_suffix(".md").read_text("utf-8")


def test_a_model_of_ones_own_fills_the_same_columns() -> None:
    step = Toxicity(method="model", model=OWN_MODEL, labels=("cc",), spans=True, min_toxic_sentences=1)
    text = "The river runs. You idiot! Caf\u00e9 talk\nOld mill."
    verdict = step(batch_of(text=[text, "", None]))
    assert {name: column.type for name, column in verdict.columns.items()} == dict(step.writes)
    assert verdict.columns["n_toxicity_sentences"].to_pylist() == [4, 0, 0]
    (spans, *_) = verdict.columns["toxic_spans"].to_pylist()
    said = [text.encode()[span["start_bytes"] : span["end_bytes"]].decode() for span in spans]
    assert all(part in text for part in said)
    assert len(spans) == verdict.columns["n_toxic_sentences"][0].as_py()
    told = {}
    for sentence in ("The river runs.", "You idiot!", "Caf\u00e9 talk", "Old mill."):
        found = load_fasttext(OWN_MODEL).f.predict(sentence + "\n", -1, 0.0, "strict")
        told[sentence] = {label: chance for chance, label in found}["__label__cc"]
    assert verdict.columns["toxicity_score"][0].as_py() == pytest.approx(max(told.values()), abs=1e-5)
    assert len(spans) == sum(score >= DEFAULT_MIN_SENTENCE_SCORE for score in told.values())
    assert "nsfw_score" not in step.writes
    both = Toxicity(method="model", model=OWN_MODEL, labels=("cc",), nsfw_labels=("hq",), min_sentence_score=0.0)
    columns = both(batch_of(text=[text])).columns
    assert columns["n_nsfw_sentences"].to_pylist() == columns["n_toxic_sentences"].to_pylist() == [4]


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="'worse' is none of the model's"):
        Toxicity(method="model", model=OWN_MODEL, labels=("worse",)).checks_columns({})
    for wrong in (
        {"method": "model", "labels": ("bad",)},
        {"method": "model", "model": OWN_MODEL},
        {"method": "classifier", "model": OWN_MODEL, "labels": ("bad",)},
        {"method": "classifier", "labels": ("bad",)},
        {"spans": True},
        {"method": "classifier", "min_sentence_score": 1.5},
        {"method": "classifier", "min_toxic_sentences": 0},
    ):
        with pytest.raises(InputError, match="toxicity: "):
            Toxicity(**wrong)  # type: ignore[arg-type]
