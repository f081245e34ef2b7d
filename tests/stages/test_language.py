"""Mirrors curate/stages/language.py."""

import gzip
import hashlib
import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.languages import same_language
from curate.models import LID_176_LANGUAGES, LID_176_SHA256, asset, language_identifier, load_fasttext
from curate.stage import Verdict
from curate.stages.language import Language
from tests.helpers import batch_of, shared_data

EN = "The committee met on Tuesday and agreed that the report should be published before the end of the year."
DE = "Der Ausschuss trat am Dienstag zusammen und beschloss, den Bericht noch vor Jahresende zu veröffentlichen."
FR = "Le comité s'est réuni mardi et a décidé que le rapport devait être publié avant la fin de l'année."
JA = "委員会は火曜日に会合を開き、年末までに報告書を公表することで合意した。"
NOTHING = ["", None, " \n", "\0\0"]
HOSTILE = [
    "e\u0301" * 50,
    "\u0301" * 1000,
    "\0" * 5000,
    "\n" * 5000,
    "a" * 100_000,
    "ß" * 9999,
    "🎈" * 3000,
    "Ⱥ" * 4000,
]

# The thirty languages with most pages in Common Crawl that lid.176 and the test data both have.
_CODES = "en ru de ja zh es fr pt it pl nl id tr cs vi ko ar fa sv ro el uk hu da fi no sk bg hi th"
CLAIMED = frozenset(_CODES.split())
# The test data calls Bokmål nb; lid.176 calls it no.
SAME = {"nb": "no"}


def found(texts: list[str | None], **params: Any) -> dict[str, list[Any]]:
    """Return the columns that the stage writes, as lists."""
    return {name: column.to_pylist() for name, column in Language(**params)(batch_of(text=texts)).columns.items()}


def reasons(verdict: Verdict) -> list[str | None]:
    assert verdict.drop_reason is not None
    told: list[str | None] = verdict.drop_reason.to_pylist()
    return told


def test_languages_scores_and_scripts_of_plain_sentences() -> None:
    verdict = Language()(batch_of(text=[EN, DE, FR, JA]))
    assert verdict.columns["language"].to_pylist() == ["en", "de", "fr", "ja"]
    assert verdict.columns["language_raw"].to_pylist() == ["en", "de", "fr", "ja"]
    assert verdict.columns["script"].to_pylist() == ["Latn", "Latn", "Latn", "Jpan"]
    assert {name: column.type for name, column in verdict.columns.items()} == dict(Language().writes)
    assert all(0.65 < score <= 1.0 for score in verdict.columns["language_score"].to_pylist())
    assert verdict.drop_reason is None


def test_text_without_letters_gets_no_made_up_score_but_the_models_label_where_there_is_a_word() -> None:
    columns = found([*NOTHING, "12:30 — 45 %"])
    assert columns["language"] == ["und"] * 5
    assert columns["language_score"] == [None] * 5
    assert columns["script"] == [None] * 5
    assert columns["language_raw"][:4] == [None] * 4
    assert columns["language_raw"][4] in LID_176_LANGUAGES
    assert reasons(Language(keep=("en",))(batch_of(text=NOTHING))) == ["language_not_kept"] * 4


@pytest.mark.parametrize(
    ("text", "language", "script"),
    [
        ("안", "ko", "Hang"),
        ("Ω", "el", "Grek"),
        ("ไทย", "th", "Thai"),
        ("తె", "te", "Telu"),
        ("հաց", "hy", "Armn"),
        ("ಕಾ", "kn", "Knda"),
        ("ලංකා", "si", "Sinh"),
        ("リンゴ", "ja", "Jpan"),
    ],
)
def test_a_script_with_one_language_decides_however_short_the_text(text: str, language: str, script: str) -> None:
    columns = found([text])
    assert (columns["language"], columns["script"]) == ([language], [script])


def test_a_script_the_model_knows_no_language_of_is_undetermined_and_the_label_stays() -> None:
    columns = found(["ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎠᏂᏣᎳᎩ"])
    assert columns["language"] == ["und"]
    assert columns["language_score"] == [None]
    assert columns["script"] == ["Cher"]
    assert columns["language_raw"][0] in LID_176_LANGUAGES


def test_capitals_and_small_letters_are_one_language() -> None:
    texts = [EN, DE, FR]
    assert found([text.upper() for text in texts])["language"] == found(texts)["language"] == ["en", "de", "fr"]


def test_too_few_letters_or_too_low_a_score_is_undetermined_and_the_rest_of_the_row_stays() -> None:
    texts: list[str | None] = ["Haus", EN]
    plain, short = found(texts), found(texts, min_letters=5)
    assert short == {**plain, "language": ["und", "en"]}
    assert found(texts, min_letters=4) == plain
    low = plain["language_score"][1]
    assert found([EN], und_below=low)["language"] == ["en"]
    assert found([EN], und_below=min(1.0, low + 1e-4))["language"] == ["und"]


def test_keep_and_the_limit_itself_is_kept() -> None:
    batch = batch_of(text=[EN, DE, "ok"])
    scores = Language()(batch).columns["language_score"].to_pylist()
    verdict = Language(keep=("en", "fr"), min_score=scores[0])(batch)
    assert reasons(verdict)[:2] == [None, "language_not_kept"]
    above = Language(keep=("en",), min_score=min(1.0, scores[0] + 1e-3))(batch)
    assert reasons(above)[0] == "language_score_too_low"


def test_what_has_no_language_can_be_kept_at_any_score() -> None:
    batch = batch_of(text=[EN, DE, "12", None, "ok"])
    stage = Language(keep=("en", "und"), min_score=0.8, und_below=0.9)
    verdict = stage(batch)
    assert verdict.columns["language"].to_pylist() == ["en", "de", "und", "und", "und"]
    assert verdict.columns["language_score"].to_pylist()[4] < stage.min_score
    assert reasons(verdict) == [None, "language_not_kept", None, None, None]
    with pytest.raises(InputError, match="min_scores has 'und'"):
        Language(keep=("und",), min_scores={"und": 0.5})


def test_limits_for_single_languages() -> None:
    batch = batch_of(text=[EN, DE, FR])
    assert reasons(Language(min_scores={"de": 1.0})(batch)) == [None, "language_score_too_low", None]
    both = Language(keep=("en", "de"), min_score=1.0, min_scores={"de": 0.5})(batch)
    assert reasons(both) == ["language_score_too_low", None, "language_not_kept"]
    told = Language(min_scores={"de": 0.999}).explain(
        "language_score_too_low", {"language": "de", "language_score": 0.9968}
    )
    assert told == "language_score = 0.9968 < 0.999 of de"


def test_the_decision_is_made_again_from_the_columns() -> None:
    batch = batch_of(text=[EN, DE, FR, JA, "ok", None, "12"])
    for params in ({"keep": ("en",)}, {"keep": ("de", "ja"), "min_score": 0.2}, {"min_scores": {"fr": 1.0}}):
        stage = Language(**params)  # type: ignore[arg-type]
        assert {*params} <= {*Language.decides}
        stored = Language()(batch).columns
        again = stage.decide(pa.RecordBatch.from_pydict({name: stored[name] for name in stage.decides_by}))
        assert again.equals(stage(batch).drop_reason)


def test_empty_batch_has_typed_columns() -> None:
    stage = Language(keep=("en",), spans=True, agree_with=asset("lid.176.ftz"))
    verdict = stage(batch_of(text=[]))
    assert {name: column.type for name, column in verdict.columns.items()} == dict(stage.writes)


def test_wrong_parameters_are_refused_before_any_text() -> None:
    with pytest.raises(InputError, match="'eng'"):
        Language(keep=("eng",))
    with pytest.raises(InputError, match="min_score"):
        Language(keep=("en",), min_score=65)
    with pytest.raises(InputError, match="without keep"):
        Language(min_score=0.9)
    with pytest.raises(InputError, match=r"min_scores\.de"):
        Language(min_scores={"de": 2})
    with pytest.raises(InputError, match=r"'undd', .* did you mean 'und'"):
        Language(keep=("en", "undd"))
    with pytest.raises(InputError, match="'deu'"):
        Language(min_scores={"deu": 0.5})
    with pytest.raises(InputError, match="keep has not"):
        Language(keep=("en",), min_scores={"de": 0.5})
    with pytest.raises(InputError, match="min_letters"):
        Language(min_letters=0)
    with pytest.raises(InputError, match="und_below"):
        Language(und_below=-1)


def test_model_is_the_pinned_one_and_its_labels_are_listed(tmp_path: Path) -> None:
    path = asset("lid.176.ftz")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == LID_176_SHA256
    assert set(language_identifier(None).fasttext.labels) == LID_176_LANGUAGES
    assert found([EN], model=path)["language"] == ["en"]
    with pytest.raises(InputError, match="'xx'"):
        Language(keep=("xx",), model=path)(batch_of(text=[EN]))
    with pytest.raises(InputError, match="is not a file"):
        load_fasttext(tmp_path / "none.bin")
    (tmp_path / "junk.bin").write_bytes(b"junk" * 100)
    with pytest.raises(InputError, match="expected"):
        load_fasttext(tmp_path / "junk.bin", LID_176_SHA256)
    with pytest.raises(InputError, match="not a fastText model"):
        load_fasttext(tmp_path / "junk.bin")


@pytest.fixture(scope="module")
def second_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two languages whose labels are written as GlotLID writes them."""
    import fasttext

    folder = tmp_path_factory.mktemp("second")
    lines = [f"__label__{label} {text}" for label, text in (("eng_Latn", EN), ("deu_Latn", DE))] * 300
    (folder / "lines.txt").write_text("\n".join(lines), "utf-8")
    # fewer than ten threads leave most of fastText's input matrix as memory was found
    model = fasttext.train_supervised(str(folder / "lines.txt"), minn=2, maxn=3, bucket=5000, thread=10, verbose=0)
    model.save_model(str(folder / "model.bin"))
    return folder / "model.bin"


def test_docs_on_which_two_models_disagree_are_dropped(second_model: Path) -> None:
    texts = [EN, DE, FR, JA, "", "12"]
    stage = Language(agree_with=second_model)
    verdict = stage(batch_of(text=texts))
    assert reasons(verdict) == [None, None, "models_disagree", "models_disagree", None, None]
    second = verdict.columns["language_2"].to_pylist()
    assert second[:2] == ["eng_Latn", "deu_Latn"]
    assert second[4] is None
    scores = verdict.columns["language_2_score"].to_pylist()
    assert scores[3:] == [None] * 3  # no language of the second model is written in Kana, or without letters
    stored = pa.RecordBatch.from_pydict({name: verdict.columns[name] for name in stage.decides_by})
    assert stage.decide(stored).equals(verdict.drop_reason)
    told = stage.explain("models_disagree", {"language_raw": "fr", "language_2": "eng_Latn"})
    assert told == "language_raw = fr, language_2 = eng_Latn"
    both = Language(keep=("en", "fr"), agree_with=second_model)(batch_of(text=texts))
    assert reasons(both)[:3] == [None, "language_not_kept", "models_disagree"]


@pytest.mark.parametrize(
    ("label", "of_lid", "agree"),
    [
        ("eng_Latn", "en", True),
        ("eng", "en", True),
        ("cmn_Hani", "zh", True),  # a member of its macrolanguage
        ("arb_Arab", "ar", True),
        ("ekk_Latn", "et", True),
        ("als_Latn", "sq", True),  # Tosk Albanian; the Wikipedia `als` is Alemannic
        ("gsw_Latn", "als", True),
        ("als_Latn", "als", False),
        ("deu_Latn", "en", False),
        ("xyz_Latn", "en", False),  # no table has it: a language that lid.176 does not know
        ("English", "en", False),
    ],
)
def test_labels_of_other_schemes_mean_languages(label: str, of_lid: str, agree: bool) -> None:
    assert same_language(of_lid, label) is same_language(label, of_lid) is agree


def test_a_second_model_may_say_that_it_knows_no_language_but_must_know_one(tmp_path: Path) -> None:
    import fasttext

    def model(*labels: str) -> Path:
        file = tmp_path / f"{labels[0]}.bin"
        rows = [f"__label__{label} {text}" for label, text in zip(labels, (EN, DE, FR), strict=True)] * 300
        (tmp_path / "lines.txt").write_text("\n".join(rows), "utf-8")
        made = fasttext.train_supervised(str(tmp_path / "lines.txt"), minn=2, maxn=3, bucket=5000, thread=10, verbose=0)
        made.save_model(str(file))
        return file

    verdict = Language(agree_with=model("eng_Latn", "und_Latn", "xyz_Latn"))(batch_of(text=[EN, DE, FR]))
    assert verdict.columns["language_2"].to_pylist() == ["eng_Latn", "und_Latn", "xyz_Latn"]
    assert reasons(verdict) == [None, None, "models_disagree"]
    with pytest.raises(InputError, match=r"no label of .*, such as 'English', is a language .* such as en, eng"):
        Language(agree_with=model("English", "German", "French")).checks_columns({})


def test_labels_of_a_model_of_ones_own_are_the_languages(second_model: Path) -> None:
    columns = found([EN, DE], model=second_model, keep=("eng_Latn",))
    assert columns["language"] == ["eng_Latn", "deu_Latn"]
    with pytest.raises(InputError, match="'en'"):
        Language(model=second_model, keep=("en",)).checks_columns({})


def test_a_second_model_that_is_none_is_refused_before_any_text(tmp_path: Path) -> None:
    (tmp_path / "junk.bin").write_bytes(b"junk" * 100)
    with pytest.raises(InputError, match="not a fastText model"):
        Language(agree_with=tmp_path / "junk.bin").checks_columns({})


@given(st.lists(st.none() | st.text() | st.sampled_from(HOSTILE), max_size=4))
@settings(deadline=None)
def test_any_text_is_answered_and_its_spans_cover_it(texts: list[str | None]) -> None:
    columns = found(texts, spans=True)
    for text, language, spans in zip(texts, columns["language"], columns["language_spans"], strict=True):
        assert language in LID_176_LANGUAGES | {"und"}
        if spans:
            assert spans[0]["start_bytes"] == 0
            assert spans[-1]["end_bytes"] == len((text or "").encode())
            assert all(a["end_bytes"] == b["start_bytes"] for a, b in pairwise(spans))


def test_same_answer_whatever_the_batch() -> None:
    texts = [EN, "", DE, FR * 30, JA, *HOSTILE, EN.upper(), "\n".join([EN, EN, DE, DE, JA, JA])]
    stage = Language(spans=True, agree_with=asset("lid.176.ftz"))
    whole = stage(batch_of(text=texts))
    sliced = stage(batch_of(text=["before", *texts, "behind"]).slice(1, len(texts)))
    for i, text in enumerate(texts):
        alone = stage(batch_of(text=[text]))
        for name, column in alone.columns.items():
            assert column[0] == whole.columns[name][i] == sliced.columns[name][i]


def test_spans_name_the_stretches_of_a_text_in_two_languages() -> None:
    english, german = "\n".join([EN] * 6) + "\n", "\n".join([DE] * 6) + "\n"
    (spans,) = found([english + german], spans=True)["language_spans"]
    assert [span["language"] for span in spans] == ["en", "de"]
    cut = len(english.encode())
    assert abs(spans[0]["end_bytes"] - cut) < len(EN) + len(DE)
    assert found([EN], spans=True)["language_spans"][0] == [
        {"start_bytes": 0, "end_bytes": len(EN), "language": "en", "score": found([EN])["language_score"][0]}
    ]
    assert found([None, "", "12"], spans=True)["language_spans"] == [[], [], []]


def test_a_huge_text_takes_no_longer_than_reading_it() -> None:
    text = (EN + "\n") * 1_000_000
    columns = found([text], spans=True)
    assert columns["language"] == ["en"]
    assert [span["language"] for span in columns["language_spans"][0]] == ["en"]


def macro_f1(truths: list[str], answers: list[str | None]) -> float:
    right = Counter(truth for truth, answer in zip(truths, answers, strict=True) if truth == answer)
    wanted, given = Counter(truths), Counter(answers)
    return sum(2 * right[name] / (wanted[name] + given[name]) for name in wanted) / len(wanted)


@pytest.mark.parametrize("kind", ["sentence", "word"])
def test_raw_labels_are_no_worse_than_those_of_plain_fasttext_on_the_whole_text(kind: str) -> None:
    with gzip.open(shared_data("lid", "lid-dev.jsonl.gz"), "rt", encoding="utf-8") as lines:
        docs = [doc for doc in map(json.loads, lines) if doc["kind"] == kind and doc["source"] == "lingua-rs"]
    docs = [doc for doc in docs if SAME.get(doc["lang"], doc["lang"]) in LID_176_LANGUAGES]
    truths, texts = [SAME.get(doc["lang"], doc["lang"]) for doc in docs], [doc["text"] for doc in docs]
    predict = load_fasttext(asset("lid.176.ftz")).f.predict
    answers = [predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict") for text in texts]
    plain = [label.removeprefix("__label__") for ((_, label),) in answers]
    assert macro_f1(truths, found(texts)["language_raw"]) >= macro_f1(truths, plain)


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
