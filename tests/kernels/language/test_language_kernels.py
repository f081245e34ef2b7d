"""Mirrors curate/kernels/language and curate/languages.py."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.compiled import kernel
from curate.kernels.language import sample
from curate.kernels.language.generate_scripts import TARGET, table
from curate.kernels.language.identify import identify, texts_of
from curate.kernels.language.sample import LINE_BYTES, N_PIECES, PIECE_BYTES, lowered, sample_of, script_counts_of
from curate.kernels.language.spans import MAX_PARAGRAPHS, MIN_PARAGRAPH_BYTES, paragraphs
from curate.kernels.language.tables import letters, scripts, written_in
from curate.languages import code_of, languages, same_language, scripts_of
from curate.models import LID_176_LANGUAGES, language_identifier

take_sample, count_letters, lower_letters = (
    kernel(part.py_func) for part in (sample.take_sample, sample.count_letters, sample.lower_letters)
)
BOUND = N_PIECES * PIECE_BYTES
TEXTS = st.text(max_size=40) | st.text("aBÉжЖ中かカ안🎈ẞȺ \n\0", max_size=60)
LONG = st.builds(lambda part, n: part * n, TEXTS, st.integers(1, 400))


def compiled_sample(text: bytes, n_pieces: int = N_PIECES) -> bytes:
    line = np.zeros(LINE_BYTES, np.uint8)
    data = np.frombuffer(b"before" + text + b"after", np.uint8)
    size = take_sample(data, np.int64(6), np.int64(6 + len(text)), np.int64(n_pieces), line)
    return line[:size].tobytes()


def compiled_letters(text: bytes) -> tuple[dict[str, int], str]:
    """Return the letters by script, and the text as the model sees it."""
    line, lower = np.frombuffer(text, np.uint8), np.zeros(2 * len(text) + 8, np.uint8)
    counts = np.full(len(scripts()), 7, np.int64)
    n_letters, n_capitals = count_letters(line, np.int64(len(text)), letters(), counts)
    assert counts.sum() == n_letters
    size = lower_letters(line, np.int64(len(text)), letters(), lower)
    shown = lower[:size].tobytes() if 3 * n_capitals > 2 * n_letters else text
    return {scripts()[i]: int(n) for i, n in enumerate(counts) if n}, shown.decode()


@given(TEXTS | LONG, st.sampled_from([2, N_PIECES]))
@settings(deadline=None)
def test_the_sample_is_that_of_its_twin_bounded_and_whole_characters(text: str, n_pieces: int) -> None:
    sample = compiled_sample(text.encode(), n_pieces)
    assert sample == sample_of(text.encode(), n_pieces)
    assert len(sample) <= n_pieces * (PIECE_BYTES + 1)
    sample.decode()
    if len(text.encode()) <= n_pieces * PIECE_BYTES:
        assert sample == text.encode()


def test_the_sample_comes_from_start_to_end() -> None:
    text = "".join(f"{number:06d} " for number in range(3000)).encode()
    pieces = sample_of(text)
    assert pieces.startswith(b"000000 ")
    assert pieces.endswith(b"002999 ")
    assert b"001499" in sample_of(text, 3)


@given(TEXTS | LONG)
@settings(deadline=None)
def test_letters_scripts_and_capitals_are_those_of_the_twins(text: str) -> None:
    counts, shown = compiled_letters(text.encode())
    assert counts == script_counts_of(text)
    assert shown == lowered(text)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_utf8_stay_in_bounds(text: bytes) -> None:
    line, counts = np.frombuffer(text, np.uint8), np.zeros(len(scripts()), np.int64)
    count_letters(line, np.int64(len(text)), letters(), counts)
    lower = np.zeros(2 * len(text) + 8, np.uint8)
    assert lower_letters(line, np.int64(len(text)), letters(), lower) <= 2 * len(text)
    assert len(compiled_sample(text * 200)) <= LINE_BYTES


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("東京タワー", {"Jpan": 4}),  # the long vowel sign is of no script
        ("中文維基百科の一個條目是自由的內容", {"Hani": 17}),
        ("한국어 漢字", {"Hang": 3, "Hani": 2}),
        ("Ελληνικά and English", {"Grek": 8, "Latn": 10}),
        ("𠀀𠀁", {"Hani": 2}),
        ("e\u0301 12 ªº", {"Latn": 3}),
        ("\u0301\u0302", {}),
    ],
)
def test_letters_by_script(text: str, counts: dict[str, int]) -> None:
    assert script_counts_of(text) == compiled_letters(text.encode())[0] == counts


def test_capitals_are_lowered_only_where_they_are_most() -> None:
    assert lowered("ALL CAPITALS and") == "all capitals and"
    assert lowered("Title Case Stays") == "Title Case Stays"
    assert lowered("ÄÖ ΣΊΣΥΦΟΣ ЖЖ") == "äö σίσυφοσ жж"
    assert lowered("12:30!") == "12:30!"


@given(st.lists(LONG | TEXTS, max_size=4))
@settings(deadline=None)
def test_paragraphs_follow_one_another_and_are_few(texts: list[str]) -> None:
    column = pa.array(["before", *texts], pa.string()).slice(1)
    found = texts_of(column)
    pieces, bounds = paragraphs(found)
    for number, text in enumerate(texts):
        first, last = bounds[number], bounds[number + 1]
        assert last - first <= MAX_PARAGRAPHS
        joined = b"".join(found.data[pieces.starts[i] : pieces.ends[i]].tobytes() for i in range(first, last))
        assert joined == text.encode()
        for i in range(first, last - 1):
            assert pieces.ends[i] - pieces.starts[i] >= MIN_PARAGRAPH_BYTES
            assert found.data[pieces.ends[i] - 1] == ord("\n")


def test_the_score_is_the_share_of_what_the_scripts_leave() -> None:
    identifier = language_identifier(None)
    found = identify(texts_of(pa.array(["Ωμέγα", "Ωμέγα hello world of letters", "ᏣᎳᎩ", "12"])), identifier)
    names = [identifier.fasttext.labels[label] for label in found.labels]
    assert names[0] == "el"
    assert found.scores[0] == 1
    assert names[1] in {label for label in LID_176_LANGUAGES if scripts_of(label) & {"Grek", "Latn"}}
    assert np.isnan(found.scores[2:]).all()
    assert found.n_letters.tolist() == [5, 24, 3, 0]


def test_every_label_of_lid_176_has_a_script_that_unicode_has() -> None:
    for label in LID_176_LANGUAGES:
        assert scripts_of(label)
        assert scripts_of(label) <= {*scripts()}
    allowed = written_in(["en", "eng_Latn", "unheard-of"])
    assert allowed[scripts().index("Latn")].tolist() == [True, True, True]
    assert allowed[scripts().index("Hang")].tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("label", "other", "same"),
    [
        ("en", "eng_Latn", True),
        ("en", "deu_Latn", False),
        ("zh", "cmn_Hani", True),
        ("zh", "yue_Hant", True),  # zh is the macrolanguage of Cantonese
        ("yue", "cmn_Hani", False),
        ("no", "nob_Latn", True),
        ("nn", "nob_Latn", False),
        ("ar", "arb_Arab", True),
        ("fa", "pes_Arab", True),
        ("et", "ekk_Latn", True),
        ("ku", "kmr_Latn", True),
        ("sh", "hrv_Latn", True),
        ("hr", "srp_Cyrl", False),
        ("bh", "bho_Deva", True),
        ("als", "gsw_Latn", True),  # lid.176's code of Alemannic is ISO 639-3's of Tosk Albanian
        ("sq", "als_Latn", True),
        ("als", "als_Latn", False),
        ("tl", "fil_Latn", True),
        ("en", "en", True),
        ("new-scheme", "new-scheme", True),
    ],
)
def test_labels_of_two_schemes_are_compared(label: str, other: str, same: bool) -> None:
    assert same_language(label, other) is same_language(other, label) is same


def test_the_table_of_languages_is_consistent() -> None:
    assert len({language.alpha_3 for language in languages().values() if language.alpha_3}) >= 183
    for code, language in languages().items():
        assert code == code.lower()
        assert language.scripts <= {*scripts()} or code not in LID_176_LANGUAGES
        if language.alpha_3:
            assert code_of(f"{language.alpha_3}_Latn") == code


def test_the_committed_table_of_scripts_is_that_of_unicode() -> None:
    pytest.importorskip("regex")
    assert TARGET.read_text("utf-8") == table()
