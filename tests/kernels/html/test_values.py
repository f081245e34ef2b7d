"""Mirrors curate/kernels/html/values.py."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.html.values import absolute_url, date_of, first_run, language_tag, text_of, url_date, without_tags


@given(st.dates(datetime.date(1990, 1, 1), datetime.date(2099, 12, 31)))
def test_a_date_is_understood_however_it_is_written(day: datetime.date) -> None:
    for form in ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%d.%m.%Y", "%-d.%-m.%Y", "%d %B %Y", "%B %-d, %Y", "%a, %d %b %Y"):
        assert date_of(day.strftime(form)) == day.isoformat(), form
        assert date_of(f"{day.strftime(form)} 12:30:00 GMT") == day.isoformat(), form
    assert date_of(day.strftime("%Y-%m-%dT23:59:59+02:00")) == day.isoformat()
    assert url_date(day.strftime("https://example.org/%Y/%m/%d/story")) == day.isoformat()
    assert url_date(day.strftime("https://example.org/news/%Y-%m-%d-story.html")) == day.isoformat()


@pytest.mark.parametrize(
    "value", ["", "now", "2013", "2013-04", "2013-13-01", "2013-02-29", "31 April 2013", "1/2/2013"]
)
def test_what_is_no_date(value: str) -> None:
    assert date_of(value) is None


@pytest.mark.parametrize(
    "url",
    [None, "", "https://example.org/2013/04/", "https://example.org/?d=/2013/99/01/", "https://e.org/id/120130405"],
)
def test_urls_without_a_date(url: str | None) -> None:
    assert url_date(url) is None


@pytest.mark.parametrize(
    ("value", "base", "url"),
    [
        ("/x", "https://example.org/a", "https://example.org/x"),
        ("//o.org/x", "https://example.org/a", "https://o.org/x"),
        (" https://o.org ", None, "https://o.org"),
        ("/x", None, None),
        ("mailto:a@example.org", "https://example.org/", None),
        ("data:text/html,x", "https://example.org/", None),
        ("http://[::1]/x", None, "http://[::1]/x"),
        ("http://[", "https://example.org/", None),
        ("http://a b/", None, None),
        ("https://o.org/" + "x" * 3000, None, None),
    ],
)
def test_absolute_urls(value: str, base: str | None, url: str | None) -> None:
    assert absolute_url(value, base) == url


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("en", "en"),
        ("DE_at", "de-at"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("german", None),
        ("", None),
        ("e", None),
        ("en,de", None),
    ],
)
def test_language_tags(value: str, tag: str | None) -> None:
    assert language_tag(value) == tag


def test_texts_are_folded_decoded_and_bounded() -> None:
    assert text_of(b"  a&nbsp;\n&lt;b&gt;\t\x01&#xd800;&#0; ", 99) == "a <b> \ufffd\ufffd"
    assert text_of("soft\u00adhyphen".encode(), 99) == "softhyphen"
    assert text_of(b"word word", 5) == "word"
    assert text_of(b" &#32; ", 5) is None
    assert text_of("é".encode() * 5000, 9999) == "é" * 2048
    assert text_of(b"\xff\xfea", 9) == "a"


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_a_clean_text(value: bytes, max_chars: int) -> None:
    text = text_of(value, max_chars)
    if text is not None:
        assert 0 < len(text) <= max_chars
        text.encode()
        assert text == text.strip()


def test_markup_is_taken_off() -> None:
    assert without_tags(b"a<b>c</b><script>d</script> e<br").split() == [b"a", b"c", b"e"]
    assert first_run(b"<b> </b>by <i>Jane</i> Doe") == b"Jane"
    assert first_run(b"<b><i") == b""
