"""Mirrors curate/stages/toxicity.py. Offensive words stand here because the stage is about them."""

import gzip
import json
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.models import asset
from curate.stages.toxicity import Toxicity
from curate.toxicity.lexicon import LEXICONS, lexicon_of, terms_of
from tests.helpers import batch_of, shared_data

CLEAN = "the river runs past the old mill and the children feed the ducks there "


def hits(text: str, *lexicon: str) -> int:
    column = Toxicity(lexicon=lexicon or ("en",))(batch_of(text=[text])).columns["toxic_words"]
    found: int = column[0].as_py()
    return found


def reasons(text: list[str | None], **parameters: object) -> list[str | None]:
    verdict = Toxicity(**parameters)(batch_of(text=text))  # type: ignore[arg-type]
    assert verdict.drop_reason is not None
    found: list[str | None] = verdict.drop_reason.to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("what a load of bullshit", 1),
        ("Bullshit! BULLSHIT? bullshit.", 3),
        ("Scunthorpe, Sussex, Essex, a classic assassin, Dickens, cockatoo, Matsushita, shitake", 0),
        ("breast cancer and sex education, penis, vagina, rape trial, sexual orientation, nude portrait", 0),
        ("gay and lesbian Muslims, transgender Jews, Black women, Romani people", 0),
        ("a great tit, Dick Cheney, a cock crows, Santorum, suck it up, butt joint, hardcore punk", 0),
        ("fuck you, you dick", 2),  # the ambiguous word counts beside a plain one; the phrase counts once
        ("two girls one cup", 1),
        ("two\n girls  one cup", 1),
        ("", 0),
    ],
)
def test_hits_counted_by_hand(text: str, n: int) -> None:
    assert hits(text) == n


def test_scripts_without_spaces_and_with_particles() -> None:
    assert hits("你他妈的是个王八蛋", "zh") >= 1
    assert hits("彼はクソだ、アナル", "ja") >= 1
    assert hits("アナルシス", "ja") == 0  # katakana goes on: another word
    assert hits("씨발놈아", "ko") == 1
    assert hits("Scheiße, du Arschloch", "de") == 2
    assert hits("Arschlochkarte", "de") == 0


def test_no_single_word_drops_a_page_and_density_decides() -> None:
    assert reasons(["shit", CLEAN * 20 + "shit", CLEAN * 20 + "shit shit"]) == [None, None, None]
    assert reasons(["shit fuck", CLEAN + "fuck this shit"]) == ["toxic_vocabulary"] * 2
    assert reasons(["shit"], min_toxic_words=1) == ["toxic_vocabulary"]


def test_both_limits_are_kept_when_met_exactly() -> None:
    text = "fuck shit " + "word " * 98  # 2 of 100
    assert reasons([text], max_toxic_word_frac=0.02) == [None]
    assert reasons([text], max_toxic_word_frac=0.0199) == ["toxic_vocabulary"]
    assert reasons([text], max_toxic_word_frac=0.0, min_toxic_words=3) == [None]


def test_columns_types_and_null_fraction_without_words() -> None:
    verdict = Toxicity()(batch_of(text=["fuck off now please", None, "", " ... "]))
    assert verdict.columns["toxic_words"].to_pylist() == [1, 0, 0, 0]
    assert verdict.columns["n_toxicity_words"].to_pylist() == [4, 0, 0, 0]
    assert verdict.columns["toxic_word_frac"].to_pylist() == [0.25, None, None, None]
    for batch in (batch_of(text=["x"]), batch_of(text=[])):
        columns = Toxicity()(batch).columns
        assert {name: column.type for name, column in columns.items()} == dict(Toxicity().writes)


def test_every_listed_term_is_found_or_ambiguous() -> None:
    for code in LEXICONS:
        listed, ambiguous = terms_of(code)
        assert listed, code
        terms = sorted(listed)
        counts = Toxicity(lexicon=(code,))(batch_of(text=[f"... {term} ..." for term in terms])).columns["toxic_words"]
        missed = [t for t, n in zip(terms, counts.to_pylist(), strict=True) if (n == 0) != (t in ambiguous)]
        assert missed == [], code


def test_notes_speak_of_listed_terms_only() -> None:
    for line in asset("toxicity_words.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            code, kind, terms = line.split("\t")
            listed = {term.lower() for term in asset(f"ldnoobw/{code}.txt").read_text("utf-8").splitlines()}
            for term in terms.split(", "):
                assert (term.lower() in listed) == (kind == "ambiguous"), (code, term)


words = st.sampled_from(
    ["fuck", "shit", "Sussex", "sex", "big", "tits", "two", "girls", "one", "cup", "ünfuck", "ok", "x"]
)
texts = st.lists(words | st.text(max_size=5), max_size=12).map(" ".join)


@given(texts)
@settings(max_examples=200)
def test_prescan_misses_nothing_the_count_finds(text: str) -> None:
    assert hits(text) == lexicon_of(("en",)).count(text)


@given(st.lists(texts, max_size=5))
@settings(max_examples=50)
def test_same_answer_whatever_the_batch(batch: list[str]) -> None:
    assert reasons(list(batch)) == [reason for text in batch for reason in reasons([text])]


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="'english'"):
        Toxicity(lexicon=("english",))
    with pytest.raises(InputError, match="at least one"):
        Toxicity(lexicon=())
    with pytest.raises(InputError, match="min_toxic_words"):
        Toxicity(min_toxic_words=0)
    with pytest.raises(InputError, match="max_toxic_word_frac"):
        Toxicity(max_toxic_word_frac=2)
    for method, name, value in (
        ("classifier", "lexicon", ("de",)),
        ("lexicon", "min_sentence_score", 0.3),
        ("c4", "max_toxic_word_frac", 0.5),
        ("classifier", "min_toxic_words", 1),
    ):
        with pytest.raises(InputError, match=f"{name} has no effect with method {method}, only with"):
            Toxicity(method=method, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", ["fuck ", "two girls ", "big ", "乳", "ア", "a", "씨발"])
def test_hostile_repeats_cost_linear_time(unit: str) -> None:
    hits("shit", *LEXICONS)
    began = time.perf_counter()
    hits("shit " + unit * (200_000 // len(unit)), *LEXICONS)
    assert time.perf_counter() - began < 60


def precision_and_recall(file: str, **parameters: object) -> tuple[float, float]:
    with gzip.open(shared_data("toxicity", file), "rt", encoding="utf-8") as lines:
        docs = [json.loads(line) for line in lines]
    flagged = [reason is not None for reason in reasons([doc["text"] for doc in docs], **parameters)]
    hit = sum(1 for doc, flag in zip(docs, flagged, strict=True) if flag and doc["toxic"])
    return hit / sum(flagged), hit / sum(doc["toxic"] for doc in docs)


def test_precision_and_recall_on_comments_and_tweets() -> None:
    precision, recall = precision_and_recall("wiki-talk-dev.jsonl.gz")
    assert precision >= 0.92
    assert recall >= 0.22
    precision, recall = precision_and_recall("davidson-dev.jsonl.gz", min_toxic_words=1)
    assert precision >= 0.98
    assert recall >= 0.84


def test_arrow_slices_are_read_at_their_offset() -> None:
    batch = batch_of(text=["fuck", "fine", "shit shit"]).slice(1, 2)
    assert Toxicity()(batch).columns["toxic_words"].equals(pa.array([0, 2], pa.int32()))
