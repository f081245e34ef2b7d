"""Mirrors curate/charset_meta.py: the charset a page declares, case by case of the HTML standard and by html5lib."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.charset_meta import MAX_BYTES, PRESCAN_BYTES, declared_in, name_of

KOI = "koi8-r"
FILL = b" " * (PRESCAN_BYTES + 10)


DECLARATIONS = [
    # where a value begins and ends
    (b"<meta charset=koi8-r>", KOI),
    (b'<meta charset="koi8-r">', KOI),
    (b"<meta charset='koi8-r'>", KOI),
    (b"<META CHARSET=KOI8-R>", KOI),
    (b"<meta\tcharset\n=\x0c' koi8-r '>", KOI),
    (b"<meta/charset=koi8-r>", KOI),
    (b"<meta charset=koi8-r/>", None),  # the slash is part of the label
    (b"<meta charset=koi8-r />", KOI),
    (b"<meta charset=koi8-r name=x>", KOI),
    (b"<meta name=x charset=koi8-r>", KOI),
    (b"<meta name='x'charset=koi8-r>", KOI),
    (b"<meta = charset=koi8-r>", KOI),
    (b"<meta charset>", None),
    (b"<meta charset=>", None),
    (b"<meta charset=''>", None),
    (b"<meta charset='koi8-r>", None),  # the quote does not close
    (b"<meta charset=koi8-r", None),  # the tag does not either
    (b"<meta charset=koi8-r ", None),
    (b"<meta charset=\"koi8-r'>", None),
    (b"<metacharset=koi8-r>", None),
    (b"<metax charset=koi8-r>", None),
    (b"<meta>charset=koi8-r", None),
    (b"< meta charset=koi8-r>", None),
    (b"<meta charset=nonsense><meta charset=koi8-r>", KOI),
    (b"<meta charset=koi8-r><meta charset=utf-8>", KOI),
    (b"<meta charset=koi8-r charset=utf-8>", KOI),  # of an attribute twice the first counts
    (b"<meta charset=nonsense charset=koi8-r>", None),
    # content and http-equiv
    (b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', KOI),
    (b'<meta content="text/html; charset=koi8-r" http-equiv=CONTENT-TYPE>', KOI),
    (b'<meta content="text/html; charset=koi8-r">', None),  # the pragma is missing
    (b'<meta name="Content-Type" content="text/html; charset=koi8-r">', None),
    (b'<meta http-equiv="refresh" content="0; charset=koi8-r">', None),
    (b"<meta http-equiv=content-type content='charset=koi8-r'>", KOI),
    (b"<meta http-equiv=content-type content='text/html; charset = koi8-r; x'>", KOI),
    (b"<meta http-equiv=content-type content='text/html; charset=\"koi8-r\"'>", KOI),
    (b"<meta http-equiv=content-type content='text/html; charset=\"koi8-r'>", None),
    (b"<meta http-equiv=content-type content=\"text/html; charset='koi8-r' ;\">", KOI),
    (b"<meta http-equiv=content-type content='text/html; charset charset=koi8-r'>", KOI),
    (b"<meta http-equiv=content-type content='xcharset=koi8-r'>", KOI),
    (b"<meta http-equiv=content-type content='text/html; charset='>", None),
    (b"<meta http-equiv=content-type content=charset=koi8-r;x>", KOI),
    (b"<meta http-equiv=content-type charset=koi8-r content='charset=utf-8'>", KOI),
    (b"<meta http-equiv=content-type charset=nonsense content='charset=koi8-r'>", None),
    # what is no meta element
    (b"<!-- <meta charset=utf-8> --><meta charset=koi8-r>", KOI),
    (b"<!--><meta charset=koi8-r>", KOI),  # a comment's end may share the dashes of its start
    (b"<!---><meta charset=koi8-r>", KOI),
    (b"<!-- > <meta charset=utf-8> --><meta charset=koi8-r>", KOI),
    (b"<!-- <meta charset=koi8-r>", None),
    (b"<!- <meta charset=utf-8><meta charset=koi8-r>", KOI),
    (b"<!doctype html><meta charset=koi8-r>", KOI),
    (b"<?php <meta charset=utf-8> ?><meta charset=koi8-r>", KOI),
    (b"</ <meta charset=utf-8><meta charset=koi8-r>", KOI),
    (b"<a title='<meta charset=utf-8>'><meta charset=koi8-r>", KOI),
    (b"<a title='<meta charset=koi8-r>", None),
    (b"</a title='<meta charset=utf-8>'><meta charset=koi8-r>", KOI),
    (b"<a<meta charset=koi8-r>", None),  # one tag with an odd name
    (b"<a <meta charset=koi8-r>", None),
    (b"<p charset=utf-8><meta charset=koi8-r>", KOI),
    (b"<title>charset=utf-8</title><meta charset=koi8-r>", KOI),
    (b"<title><meta charset=koi8-r></title>", KOI),  # the prescan knows no titles
    (b"<script>'<meta charset=koi8-r>'</script>", KOI),  # and no scripts
    (b"<body><p>text<meta charset=koi8-r>", KOI),
    (b"\x00<\x00meta charset=utf-8><meta charset=koi8-r>", KOI),
    (b"\xff\x80<meta charset=koi8-r>", KOI),
    # labels that stand for another encoding here
    (b"<meta charset=utf-16>", "utf-8"),
    (b"<meta charset=utf-16be>", "utf-8"),
    (b"<meta charset=x-user-defined>", "windows-1252"),
    (b"<meta charset=iso-8859-1>", "windows-1252"),
    (b"<meta charset=ascii>", "windows-1252"),
    (b"<meta charset=gb2312>", "gbk"),
    (b"<meta charset=ks_c_5601-1987>", "euc-kr"),
    (b"<meta charset=tis-620>", "windows-874"),
    (b"<meta charset=hz-gb-2312>", "replacement"),
    (b"<meta charset=utf-7>", None),
    (b"<meta charset=\xff>", None),
    # the XML declaration, after meta elements
    (b"<?xml version='1.0' encoding='koi8-r'?>", KOI),
    (b'<?xml version="1.0" encoding = "koi8-r" ?><html>', KOI),
    (b"<?xml encoding='utf-16'?>", "utf-8"),
    (b"<?xml encoding='utf-8'?><meta charset=koi8-r>", KOI),
    (b"<?xml encoding='koi8-r'?><meta charset=nonsense>", KOI),
    (b"<?xml encoding='koi8-r", None),
    (b"<?xml encoding='koi8 -r'?>", None),
    (b"<?xml encoding=koi8-r?>", None),
    (b" <?xml encoding='koi8-r'?>", None),
    (b"<?XML encoding='koi8-r'?>", None),
    (b"<?xml version='1.0'?><p encoding='koi8-r'>", None),
    ("<?xml encoding='koi8-r'?>".encode("utf-16-le"), "utf-16le"),
    ("<?xml encoding='koi8-r'?>".encode("utf-16-be"), "utf-16be"),
    # how far it looks
    (b" " * (PRESCAN_BYTES - 21) + b"<meta charset=koi8-r>", KOI),
    (FILL + b"<meta charset=koi8-r>", KOI),
    (b"<head><title>a</title>" + FILL + b"<link><meta name=x><meta charset=koi8-r>", KOI),
    (b"<script>" + b"<p>" * PRESCAN_BYTES + b"</script><meta charset=koi8-r>", KOI),
    (b"<style>" + FILL + b"</style><!--" + FILL + b"--><meta charset=koi8-r>", KOI),
    (FILL + b"<body><meta charset=koi8-r>", None),
    (FILL + b"</head><meta charset=koi8-r>", None),
    (FILL + b"<p><meta charset=koi8-r>", None),
    (FILL + b"<script><meta charset=koi8-r>", None),
    (b" " * MAX_BYTES + b"<meta charset=koi8-r>", None),
    (b"", None),
]


@pytest.mark.parametrize(("html", "charset"), DECLARATIONS)
def test_what_a_page_declares(html: bytes, charset: str | None) -> None:
    assert declared_in(html) == charset


@pytest.mark.parametrize(
    "label", ["\x0bkoi8-r", "koi8-r\x00", "koi8\u2010r", "ＫＯＩ8-R", "utf8\u017f", "ü", "x" * 200]
)
def test_labels_are_compared_byte_by_byte(label: str) -> None:
    assert name_of(label) is None


def test_labels() -> None:
    assert name_of("\t\n\x0c\r KOI8-R ") == name_of(b" koi") == KOI
    assert name_of("rot13") is name_of("base64") is name_of("idna") is name_of("") is name_of(None) is None
    assert name_of("unicode-1-1-utf-8") == "utf-8"
    assert name_of("l1") == name_of("us-ascii") == "windows-1252"


PIECES = st.sampled_from(
    [b"<meta ", b"charset", b"=", b"'", b'"', b">", b"/", b" ", b"\n", b"koi8-r", b"utf-16", b"content=", b"<!--",
     b"-->", b"http-equiv", b"content-type", b";", b"<a ", b"<", b"</p>", b"<!x", b"x", b"<meta charset=", b"<p a='",
     b"<meta http-equiv=content-type content=\"text/html; charset="]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_the_prescan_agrees_with_html5lib(html: bytes) -> None:
    """It is an older reading of the standard: of two things said in one meta element, here the first counts."""
    inputstream = pytest.importorskip("html5lib._inputstream")
    found = inputstream.EncodingParser(html[:PRESCAN_BYTES]).getEncoding()
    if html.lower().count(b"charset") > 1 or b"/" in html:  # it differs there, on purpose of the standard's
        return
    want = None if found is None else found.name
    if want in ("utf-16le", "utf-16be"):
        want = "utf-8"
    assert declared_in(html) == want


@pytest.mark.timeout(20)
def test_hostile_heads_take_no_time() -> None:
    for filler in (
        b"<meta " * 700,
        b"<meta" + b" " * 4000,
        b"charset=" * 500,
        b"<meta charset" + b" " * 4000,
        b"<!--" * 900,
        b"<a b='" * 600,
        b"<script>" * 500,
        b"<meta content='charset" * 200,
    ):
        for _ in range(20):
            assert declared_in(filler * 100) is None
