"""Mirrors curate/charset_decoders.py and the choice of a charset: against what Chromium answered.

Where Chromium differs from the standard, the standard holds; each such difference is named here.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.charset import decode_html
from curate.charset_decoders import BAD, MAX_ERRORS, decode
from curate.charset_meta import name_of
from tests.charset_oracle.ask_chromium import EDGES, PAIRED, SINGLE, digest

# Rows of pairs: Chromium has nothing at EUC-JP A1A1 (pointer 0, U+3000), and mangles Big5's four combined letters.
CHROMIUM_ROWS = {("euc-jp", "a1"), ("big5", "88")}


@cache
def _chromium() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "charset_oracle" / "chromium.json").read_text())


@pytest.mark.parametrize("name", SINGLE)
def test_every_byte_of_single_byte_encodings(name: str) -> None:
    assert decode(bytes(range(0x80, 0x100)), name) == _chromium()["single"][name]
    assert decode(bytes(range(0x80)), name) == bytes(range(0x80)).decode()


@pytest.mark.parametrize("name", PAIRED)
def test_every_pair_of_bytes(name: str) -> None:
    rows = _chromium()["pairs"][name]
    assert len(rows) == 128
    for lead in range(0x80, 0x100):
        if (name, f"{lead:02x}") not in CHROMIUM_ROWS:
            row = "\n".join(decode(bytes((lead, trail)), name) for trail in range(256))
            assert digest(row) == rows[f"{lead:02x}"], f"{lead:02x}"


@pytest.mark.parametrize("name", EDGES)
def test_faulty_sequences(name: str) -> None:
    cases = [(bytes.fromhex(data), text) for encoding, data, text in _chromium()["sequences"] if encoding == name]
    assert len(cases) >= 100
    n_different = 0
    for data, text in cases:
        if decode(data, name) != text:
            assert _is_known(name, data), data.hex()
            n_different += 1
    assert n_different <= 3


def _is_known(name: str, data: bytes) -> bool:
    """Say whether a sequence meets a fault of Chromium's."""
    if name == "euc-jp":  # after 8F and a faulty pair it goes on in JIS X 0212; and A1A1
        return b"\x8f" in data or b"\xa1\xa1" in data
    if name == "iso-2022-jp":  # it loses the byte after ESC ( or ESC $
        return b"\x1b(" in data or b"\x1b$" in data
    return name == "big5" and b"\x88" in data


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("euc-jp", b"\xa1\xa1", "\u3000"),
        ("big5", b"\x88\x62\x88\xa5", "\u00ca\u0304\u00ea\u030c"),
        ("big5", b"\xa2A\xa2B\xa1\xfe\xa2@a\xa4\xa2A", "\u2215\ufe68\uff0f\uff3ca丐A"),
        ("euc-jp", b"\x8f\xa2\xb7\x8f\xb0\xa1", "～丂"),
        ("euc-jp", b"\xad\xa1\xf9\xa1", "①纊"),
        ("gb18030", b"\x81\x35\xf4\x37\xa8\xbc\xa3\xa0", "\ue7c7\u1e3f\u3000"),
        ("gb18030", b"\x84\x31\xa4\x39\x90\x30\x81\x30\xe3\x32\x9a\x35", "\uffff\U00010000\U0010ffff"),
        ("gb18030", b"\xe3\x32\x9a\x36", BAD),
        ("gb18030", b"\x81\x30\x81a", BAD + "0乤"),
        ("shift_jis", b"\x81\x60\xf0\x40\xa0\xfd", "～\ue000" + 2 * BAD),
        ("iso-2022-jp", b"\x1b(J\\~\x1b(I1\x1b$B0!\x1b(B\\~", "¥‾ｱ亜\\~"),
        ("iso-2022-jp", b"\x1b$B\x1b(Ba", BAD + "a"),
        ("iso-2022-jp", b"\x1b$B0\na", 2 * BAD),
        ("utf-16le", b"a\x00\x00\xd8b\x00c", "a" + BAD + "b" + BAD),
        ("utf-16be", b"\xd8\x3d\xde\x00\xdc\x00", "😀" + BAD),
        ("replacement", b"abc", BAD),
        ("replacement", b"", ""),
    ],
)
def test_single_cases_of_the_standard(name: str, data: bytes, text: str) -> None:
    assert decode(data, name) == text


def test_the_charset_of_pages_is_the_one_that_chromium_takes() -> None:
    different = {}
    pages = _chromium()["pages"]
    assert len(pages) > 550
    for http, data, name in pages:
        page = bytes.fromhex(data)
        found = decode_html(page, http).charset
        if found != name and not _is_our_exception(page, http, found):
            different[page] = found, name
    assert different == {
        # the standard: of an attribute given twice the first counts, and the prescan knows no titles and scripts
        b"<meta charset=koi8-r charset=utf-8>": ("koi8-r", "utf-8"),
        b"<meta charset=nonsense charset=koi8-r>": ("windows-1252", "koi8-r"),
        b"<title><meta charset=koi8-r></title>": ("koi8-r", "windows-1252"),
        b"<script>'<meta charset=koi8-r>'</script>": ("koi8-r", "windows-1252"),
    }


def _is_our_exception(page: bytes, http: str | None, found: str) -> bool:
    """UTF-8 beyond ASCII that nothing is declared for: browsers could guess it, but do not over the network."""
    return found == "utf-8" and "é".encode() in page and name_of(http) is None


@given(st.text(max_size=200), st.sampled_from(["gb18030", "utf-8", "utf-16le", "utf-16be"]))
def test_what_an_encoding_can_write_comes_back(text: str, name: str) -> None:
    python = {"utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}.get(name, name)
    changed = {"\u1e3f", "\ue5e5", *map(chr, range(0xE78D, 0xE797)), "\ue7c7", "\ue81e", "\ue826", "\ue82b"}
    changed |= {chr(code) for code in range(0xE82C, 0xE865)}
    if name != "gb18030" or not changed & set(text):
        assert decode(text.encode(python), name) == text


@given(st.binary(max_size=60), st.sampled_from(sorted({*EDGES, *SINGLE, "gbk", "replacement"})))
def test_any_bytes_decode_to_unicode_and_ascii_is_kept(data: bytes, name: str) -> None:
    text = decode(data, name)
    text.encode()
    if name not in ("iso-2022-jp", "replacement", "utf-16le", "utf-16be"):
        # a byte under 128 may be the second of a pair; at the end, behind two more, it never is
        assert decode(data + b"  <p>", name) == decode(data + b"  ", name) + "<p>"


def test_beyond_the_bound_on_errors_the_rest_is_decoded_by_python() -> None:
    page = b"\xff" * (MAX_ERRORS + 10) + "天".encode("gbk")
    assert decode(page, "gbk") == BAD * (MAX_ERRORS + 10) + "天"
    assert decode(page, "gbk") == decode(page, "gbk")
