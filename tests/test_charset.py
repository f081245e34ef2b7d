"""Mirrors curate/charset.py: which encoding a page is in, by byte order mark, header, meta element and bytes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import charset
from curate.charset import count_mojibake, decode_html, is_utf8
from curate.charset_meta import name_of
from tests.helpers import shared_data

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
JAPANESE = "いろはにほへと散りぬるを我が世誰ぞ常ならむ有為の奥山今日越えて" * 5
CHINESE = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏" * 5
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다 " * 5
GREEK = "Άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. " * 5
FRENCH = "Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis – €5"


def _page(text: str, charset: str, meta: str | None = None) -> bytes:
    head = f'<meta charset="{meta}">' if meta else ""
    return f"<html><head>{head}</head><body>{text}</body></html>".encode(charset)


def _text(html: bytes, http_charset: str | None = None) -> str:
    return decode_html(html, http_charset).utf8.decode()


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
    decoded = decode_html(_page(text, charset), label)
    assert text in decoded.utf8.decode()
    assert (decoded.charset, decoded.n_bad_chars) == (name_of(label), 0)
    if not charset.startswith("utf-16"):
        assert text in _text(_page(text, charset, meta=label))
        assert text in _text(_page(text, charset, meta="windows-1253"), label)  # the header comes first


BOMS = {"utf-8": b"\xef\xbb\xbf", "utf-16le": b"\xff\xfe", "utf-16be": b"\xfe\xff"}
LABELS = [None, "utf-8", "utf-16le", "utf-16be", "windows-1251", "gbk", "iso-2022-kr", "x-user-defined", "nonsense"]


@pytest.mark.parametrize("http", LABELS)
@pytest.mark.parametrize("meta", LABELS)
@pytest.mark.parametrize("bom", BOMS)
def test_a_byte_order_mark_comes_before_everything(bom: str, meta: str | None, http: str | None) -> None:
    page = f"<meta charset={meta}><p>{RUSSIAN}" if meta else f"<p>{RUSSIAN}"
    decoded = decode_html(BOMS[bom] + page.encode(bom), http)
    assert (decoded.utf8.decode(), decoded.charset, decoded.n_bad_chars) == (page, bom, 0)


@pytest.mark.parametrize(
    ("http", "meta", "charset"),
    [
        ("koi8-r", "windows-1251", "koi8-r"),
        ("nonsense", "windows-1251", "windows-1251"),
        ("", "windows-1251", "windows-1251"),
        (None, "windows-1251", "windows-1251"),
        ("utf-7", "koi8-r", "koi8-r"),  # no browser reads UTF-7
        ("utf-32", "koi8-r", "koi8-r"),
        (None, "utf-7", "windows-1252"),
        (None, "nonsense", "windows-1252"),
        (None, None, "windows-1252"),
        ("x-user-defined", None, "x-user-defined"),
        (None, "x-user-defined", "windows-1252"),
        (None, "utf-16", "utf-8"),
        ("utf-16be", None, "utf-16be"),
        ("latin1", "koi8-r", "windows-1252"),
        ("iso-8859-8-i", None, "iso-8859-8-i"),
        ("hz-gb-2312", "utf-8", "replacement"),
        (None, "iso-2022-kr", "replacement"),
    ],
)
def test_the_header_comes_before_the_meta_element(http: str | None, meta: str | None, charset: str) -> None:
    assert decode_html(_page("plain", "ascii", meta), http).charset == charset


def test_encodings_that_hide_code_from_filters_are_not_read() -> None:
    assert decode_html(b"~{<script>~}", "hz-gb-2312") == ("\ufffd".encode(), "replacement", 1, 0)
    assert decode_html(b"+ADw-script+AD4-", "utf-7").utf8 == b"+ADw-script+AD4-"


def test_a_page_is_decoded_as_declared_though_it_is_valid_in_another_charset() -> None:
    """Browsers do not second-guess what a page or its server says."""
    for label in ("gbk", "windows-1251", "iso-8859-2", "euc-kr", "latin1"):
        page = _page("ģʱ", "utf-8", meta=label)
        assert decode_html(page, None).charset == decode_html(page, label).charset == name_of(label)
    assert _text(b"<p>\xc4\xa3\xca\xb1</p>", "gbk") == "<p>模时</p>"
    assert "Ã©" in _text("<meta charset=iso-8859-1>é".encode())
    wrong = decode_html("<meta charset=utf-8>L'été à la plage".encode(), "iso-8859-1")
    assert ("Ã©tÃ©" in wrong.utf8.decode(), wrong.charset, wrong.n_mojibake) == (True, "windows-1252", 3)


def test_undeclared_utf8_is_seen() -> None:
    assert decode_html(_page(RUSSIAN, "utf-8"), None).charset == "utf-8"
    assert "é" in _text("<p>é".encode())


def test_a_page_that_is_not_the_utf8_it_declares_is_decoded_as_browsers_do_and_counted() -> None:
    page = _page(RUSSIAN, "utf-8").replace("чаю".encode(), b"\xff\xfe", 1)
    decoded = decode_html(page, "utf-8")
    assert decoded.n_bad_chars == decoded.utf8.decode().count("\ufffd") == 2
    assert "мягких французских булок" in decoded.utf8.decode()
    assert decode_html("\ufffd".encode() + b"\xff", "utf-8").n_bad_chars == 1  # one was there before
    assert decode_html(_page(RUSSIAN, "cp1251"), "utf-8").n_bad_chars > 200


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "cp932"),
        (CHINESE, "gb18030"),
        (KOREAN, "cp949"),
        (GREEK, "cp1253"),
        (GREEK, "iso8859-7"),
    ],
)
def test_undeclared_charsets_are_detected_in_longer_text(text: str, charset: str) -> None:
    assert text in _text(_page(text, charset))


def test_short_undeclared_text_is_windows_1252() -> None:
    assert FRENCH in _text(_page(FRENCH, "cp1252"))
    assert "café" in _text(b"caf\xe9")


@pytest.mark.parametrize("name", ["utf-8", "utf-16le", "windows-1252", "gbk", "iso-2022-jp", "shift_jis", "big5"])
def test_nul_bytes_are_dropped(name: str) -> None:
    page = "<p>a\x00b\x00</p>".encode(name if name != "utf-16le" else "utf-16-le")
    assert decode_html(page, name).utf8 == b"<p>ab</p>"


def test_ascii_and_utf8_pages_are_not_copied() -> None:
    for page in (_page("plain", "ascii"), _page(RUSSIAN, "utf-8")):
        assert decode_html(page, "utf-8").utf8 is page


def test_wide_encodings_nobody_declares() -> None:
    """Their ASCII text can be read without the NUL bytes; UTF-32's byte order mark is that of UTF-16."""
    page = "<p>plain words"
    assert _text(page.encode("utf-16-le")) == _text(page.encode("utf-16-be")) == page
    assert _text(page.encode("utf-32-le")) == _text(page.encode("utf-32")) == page
    assert _text(f"<?xml version='1.0'?><p>{RUSSIAN}".encode("utf-16-be")).endswith(RUSSIAN)
    assert decode_html(b"\xff\xfea\x00b", None).n_bad_chars == 1  # an odd byte at the end


@given(
    st.binary(max_size=300),
    st.sampled_from([*LABELS, "gb18030", "big5", "iso-2022-jp", "euc-jp", "shift_jis", "euc-kr", "x-mac-cyrillic"]),
)
def test_any_bytes_become_valid_utf8_without_nul(page: bytes, label: str | None) -> None:
    for html in (page, page * 10, b'<meta charset="' + page, b"\xff\xfe" + page):
        decoded = decode_html(html, label)
        decoded.utf8.decode()
        assert b"\x00" not in decoded.utf8
        assert decoded.n_bad_chars <= decoded.utf8.count("\ufffd".encode())


@given(st.binary(max_size=40) | st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_utf8_is_what_python_says_it_is(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(data)
    else:
        assert is_utf8(data)


@pytest.mark.parametrize(
    "text", ["café", "â", "Ã", "日本語", "Привет", "“quoted” – Ünïcödé’s", "naïve €5 à côté de ça"]
)
@pytest.mark.parametrize("charset", ["cp1252", "latin-1"])
def test_text_encoded_twice_is_counted_by_runs(text: str, charset: str) -> None:
    trail = {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}  # what browsers read where Python has nothing

    def twice(word: str) -> str:
        return "".join(trail.get(byte) or bytes([byte]).decode(charset) for byte in word.encode())

    assert count_mojibake(text.encode()) == 0
    if text not in ("Ã", "â") and not (text.startswith("“") and charset == "latin-1"):
        assert count_mojibake(f"{twice(text)} and {twice(text)}".encode()) >= 2


def test_what_only_looks_encoded_twice_is_not_counted() -> None:
    honest = "IRMÃ’S “MAÇÔ – MENÜ” “À CÔTɔ PÂTÉ » Ð’ naïve «É» ÂME Àa Îles ß’s Ãœ"
    assert count_mojibake(honest.replace("Ãœ", "").encode()) == 0
    assert count_mojibake(honest.encode()) == 1


@given(
    st.lists(
        st.sampled_from([b"\xc3", b"\x84", b"\x83", b"\xa2", b"\xa9", b"\xc2", b"\xe2\x82\xac", b"\xc5\x93", b"x"])
    )
)
def test_runs_are_those_that_the_pattern_finds(pieces: list[bytes]) -> None:
    page = b"".join(pieces)
    n_runs, end = 0, -1
    for found in charset._MOJIBAKE.finditer(page):
        n_runs += found.start() != end
        end = found.end()
    assert count_mojibake(page) == n_runs
    longer = b"\xc3\x84\xc2." * charset.MAX_SEARCHES + page  # the search gives up, the pattern goes on
    assert count_mojibake(longer) == n_runs


@pytest.mark.timeout(20)
def test_hostile_pages_take_no_time() -> None:
    for filler in (
        b"\xc3\x84\xc2\x80",
        b"\xc3",
        b"\xc3\xa0\xc2\x80",
        b"\xc3\x82\xc2\xa0",
        b"\x80",
        b"\xff\x80",
        b"\x00",
    ):
        for label in ("utf-8", "gbk", "euc-jp", "big5", "shift_jis", "iso-2022-jp"):
            decode_html(filler * (500_000 // len(filler)), label).utf8.decode()


def test_real_pages_of_many_languages_become_valid_utf8() -> None:
    """Every twentieth page of the shared set: none has a byte that does not decode, but for those known."""
    fastwarc = pytest.importorskip("fastwarc.warc")
    from curate.sources import http

    charsets: Counter[str] = Counter()
    n_bad = n_pages = 0
    for path in sorted(shared_data("pages").glob("*.warc.gz")):
        with open(path, "rb") as file:
            records = fastwarc.ArchiveIterator(file, record_types=fastwarc.WarcRecordType.response, parse_http=False)
            for number, record in enumerate(records):
                response = http.parse_response(record.reader.read()) if number % 20 == 0 else None
                if response is not None:
                    decoded = decode_html(http.payload_of(response), response.charset)
                    decoded.utf8.decode()
                    charsets[decoded.charset] += 1
                    n_bad += decoded.n_bad_chars > 0
                    n_pages += 1
    assert n_pages > 200
    assert charsets["utf-8"] > 0.9 * n_pages
    assert len(charsets) >= 3
    assert n_bad <= 2
