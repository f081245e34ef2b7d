"""Mirrors curate/stages/normalize.py."""

import time
import unicodedata

import ftfy
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stages.normalize import _UNTIDY, Normalize, _suspect_pattern, normalized, tidy
from tests.helpers import batch_of, shared_data

# Characters the rules are about, next to any other.
TRICKY = " \t\n\r\v\f\x00\x1b\x7f\x85\x92\xa0\xad\u0301\u200b\u200d\u2028\u2029\u3000\ufeff[0m;&#amplt3840eÃ©â€™ÂÐвЂ"
BAD = "".join(MOJIBAKE_CATEGORIES[name].replace("-", "") for name in MOJIBAKE_CATEGORIES)
any_text = st.text(st.sampled_from(TRICKY) | st.characters(codec="utf-8"), max_size=40)
fragments = st.lists(
    st.sampled_from(
        ["&amp;", "&lt;", "&#38;", "amp;", "#38;", "&#x26;", "Ã©", "â€™", "Ã\xad", "Â\xa0", "\xad", "\x1b[1m"]
    )
    | any_text,
    max_size=8,
).map("".join)


def run(*texts: str | None) -> list[str]:
    found: list[str] = Normalize()(batch_of(text=list(texts))).columns["text"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\u2029b", "a\n\nb"),
        ("one  two\t\xa0three\u3000four", "one two three four"),
        ("  a \n\n \n\n b  ", "a\n\nb"),
        ("so\xadft zero\u200bwidth \ufeffbom\x00", "soft zerowidth bom"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("e\u0301", "é"),
        ("caf&eacute; &amp;amp; bar &#8211; x&nbsp;y", "café & bar – x y"),
        ("this&not that, AT&T", "this&not that, AT&T"),  # no semicolon, no reference
        ("schÃ¶n, l'Ã©tÃ©, InfogrÃ¡fico, paÃ\xads", "schön, l'été, Infográfico, país"),
        ("individual\x92s", "individual’s"),
        ("don’t “quote” ﬁne Ｆ ½", "don’t “quote” ﬁne Ｆ ½"),  # what an author wrote stays
        ("می\u200cخواهم 👩\u200d💻", "می\u200cخواهم 👩\u200d💻"),
        ("Größe à\xa0la mode, naïve, Ångström", "Größe à la mode, naïve, Ångström"),
    ],
)
def test_repairs_by_example(text: str, expected: str) -> None:
    assert run(text) == [expected]


def test_nothing_left_is_a_reason_and_null_is_nothing() -> None:
    verdict = Normalize()(batch_of(text=["", None, " \u200b\n", "x"]))
    assert verdict.drop_reason is not None
    assert verdict.drop_reason.to_pylist() == ["empty", "empty", "empty", None]
    assert verdict.columns["text"].to_pylist() == ["", "", "", "x"]
    assert verdict.columns["text"].type == pa.string()


def test_empty_batch() -> None:
    assert len(Normalize()(batch_of(text=[])).columns["text"]) == 0


@given(fragments)
@settings(max_examples=400)
def test_applying_twice_changes_nothing_more(text: str) -> None:
    once = run(text)[0]
    assert run(once) == [once]
    assert normalized(text) == once  # the scans by RE2 skip nothing that the plain definition would change


@given(st.text(st.sampled_from(BAD + "abcÀé \n-") | st.characters(codec="utf-8"), max_size=12))
@settings(max_examples=400)
def test_prescan_finds_all_that_ftfy_calls_bad(text: str) -> None:
    if any(map(is_bad, text.split("\n"))):
        assert pc.match_substring_regex(pa.array([text]), _suspect_pattern()).to_pylist() == [True]


@given(any_text)
@settings(max_examples=400)
def test_prescan_finds_all_that_tidying_would_change(text: str) -> None:
    if tidy(text) != text:
        assert pc.match_substring_regex(pa.array([text]), _UNTIDY).to_pylist() == [True]


def test_every_char_alone_and_after_a_letter_passes_the_prescan_only_if_composed() -> None:
    chars = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    for before in ("", "e", "가", "か", "ا"):
        texts = [before + char for char in chars]
        found = pc.match_substring_regex(pa.array(texts), _UNTIDY).to_pylist()
        missed = [t for t, f in zip(texts, found, strict=True) if not f and unicodedata.normalize("NFC", t) != t]
        assert missed == []


@given(any_text)
def test_result_is_composed_and_folded(text: str) -> None:
    result = run(text)[0]
    assert unicodedata.is_normalized("NFC", result)
    assert "  " not in result
    assert "\n\n\n" not in result
    assert result == result.strip()
    assert not any(unicodedata.category(char) == "Cc" and char != "\n" for char in result)


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "windows-1251", "macroman"])
def test_utf8_read_as_another_encoding_is_undone_as_ftfy_does(encoding: str) -> None:
    text = "Übergrößenträger können „schöne“ Möbel – naïve café"
    garbled = text.encode().decode(encoding, "replace")
    if "\ufffd" not in garbled:
        assert run(garbled) == [text]
        assert ftfy.fix_text(garbled, uncurl_quotes=False) == text


@pytest.mark.parametrize("unit", ["&amp;", "amp;&", "&&#35;38;", "&#38;#38;", "Ã", "\x1b[", " \n", "\u0301", "&" * 9])
def test_hostile_repeats_cost_linear_time(unit: str) -> None:
    def seconds(n: int) -> float:
        began = time.perf_counter()
        run("é" + unit * n)
        return time.perf_counter() - began

    seconds(10)
    assert seconds(100_000 // len(unit)) < 5.0


def test_real_pages_settle() -> None:
    import gzip
    import json

    path = shared_data("pages", "web-dev.gold.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [doc["text"] for doc in map(json.loads, lines) if doc.get("text")][:400]
    once = run(*texts)
    assert run(*once) == once
    assert [normalized(text) for text in texts[:100]] == once[:100]
