"""Mirrors curate/charset.py: which charset a page is in, by header, meta element and bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.charset import decode_html, known_charset, meta_charset

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
JAPANESE = "いろはにほへと散りぬるを我が世誰ぞ常ならむ有為の奥山今日越えて" * 5
CHINESE = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏" * 5
FRENCH = "Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis – €5"


def _page(text: str, charset: str, meta: str | None = None) -> bytes:
    head = f'<meta charset="{meta}">' if meta else ""
    return f"<html><head>{head}</head><body>{text}</body></html>".encode(charset)


@pytest.mark.parametrize(
    ("text", "charset", "label"),
    [
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8-r", "KOI8-R"),
        (RUSSIAN, "utf-8", "utf8"),
        (FRENCH, "cp1252", "ISO-8859-1"),  # what browsers take the label for
        (JAPANESE, "cp932", "x-sjis"),
        (JAPANESE, "euc_jp", "euc-jp"),
        (JAPANESE, "iso2022_jp", "iso-2022-jp"),  # ASCII bytes only
        (CHINESE, "gb18030", "gb2312"),
        ("天地玄黃", "big5hkscs", "big5"),
        ("한글 텍스트", "cp949", "ks_c_5601-1987"),
        (RUSSIAN, "utf-16-le", "utf-16"),
    ],
)
def test_declared_charsets(text: str, charset: str, label: str) -> None:
    assert text in decode_html(_page(text, charset), label)
    if not charset.startswith("utf-16"):
        assert text in decode_html(_page(text, charset, meta=label), None)
        assert text in decode_html(_page(text, charset, meta="windows-1253"), label)  # the header comes first


@pytest.mark.parametrize(("charset", "bom"), [("utf-8-sig", ""), ("utf-16", ""), ("utf-16-be", "\ufeff")])
def test_a_byte_order_mark_comes_first(charset: str, bom: str) -> None:
    text = decode_html((bom + f"<p>{RUSSIAN}").encode(charset), "koi8-r")
    assert text == f"<p>{RUSSIAN}"


@pytest.mark.parametrize("label", [None, "iso-8859-1", "windows-1251", "nonsense"])
def test_valid_utf8_is_utf8_whatever_single_byte_charset_is_declared(label: str | None) -> None:
    assert FRENCH in decode_html(_page(FRENCH, "utf-8", meta=label), label)


def test_gbk_that_happens_to_be_valid_utf8_stays_gbk() -> None:
    page = b"<p>\xc4\xa3\xca\xb1</p>"
    assert page.decode("utf-8") == "<p>ģʱ</p>"
    assert decode_html(page, "gbk") == "<p>模时</p>"


def test_a_page_whose_header_says_utf16_without_reason_is_read() -> None:
    assert decode_html(b"<p>plain</p>", "utf-16") == "<p>plain</p>"


def test_a_page_that_is_not_the_utf8_it_declares_is_detected() -> None:
    assert RUSSIAN in decode_html(_page(RUSSIAN, "cp1251", meta="utf-8"), "utf-8")


def test_a_utf8_page_with_a_few_bad_bytes_stays_utf8() -> None:
    page = _page(RUSSIAN, "utf-8").replace("чаю".encode(), b"\xff\xfe", 1)
    text = decode_html(page, "utf-8")
    assert text.count("\ufffd") == 2
    assert "мягких французских булок" in text


@pytest.mark.parametrize(
    ("text", "charset"), [(RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "euc_jp"), (JAPANESE, "cp932")]
)
def test_undeclared_charsets_are_detected_in_longer_text(text: str, charset: str) -> None:
    assert text in decode_html(_page(text, charset), None)


def test_short_undeclared_text_is_windows_1252() -> None:
    assert FRENCH in decode_html(_page(FRENCH, "cp1252"), None)
    assert "café" in decode_html(b"caf\xe9", None)


def test_meta_elements_are_read_in_both_forms() -> None:
    for meta in (b"<META CHARSET=koi8-r>", b"<meta http-equiv='Content-Type' content='text/html; charset = koi8-r'/>"):
        assert meta_charset(b"<html><head>" + meta) == "koi8-r"
    assert meta_charset(b"<meta charset=utf-16>") == "utf-8"
    assert meta_charset(b"<meta name=charset>" + b" " * 5000 + b"<meta charset=koi8-r>") is None


@pytest.mark.parametrize(
    "label", ["replacement", "utf-7", "x-user-defined", "rot13", "base64", "idna", "", None, "\x00", "ü"]
)
def test_labels_that_browsers_do_not_know_are_none(label: str | None) -> None:
    """Python knows codecs that are none for text, and that could be used to expand a page."""
    assert known_charset(label) is None


@given(
    st.binary(max_size=300),
    st.sampled_from([None, "utf-8", "utf-16", "utf-16be", "gb18030", "big5", "iso-2022-jp", "x", "cp874"]),
)
def test_any_bytes_become_text_without_surrogates(page: bytes, label: str | None) -> None:
    for html in (page, page * 10, b'<meta charset="' + page):
        decode_html(html, label).encode()


@pytest.mark.timeout(20)
def test_hostile_heads_take_no_time() -> None:
    for filler in (b"<meta " * 700, b"<meta" + b" " * 4000, b"charset=" * 500, b"<meta charset" + b" " * 4000):
        assert meta_charset(filler * 100) is None
