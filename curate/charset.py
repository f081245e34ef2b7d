"""Decodes the bytes of a web page: which charset it is in, by what its sender and its bytes say."""

from __future__ import annotations

import codecs
import re

META_BYTES = 4096  # the HTML standard looks at 1,024; real heads hold scripts before their meta element
MIN_DETECT_BYTES = 64  # bytes above 127 that detection needs; it guesses wildly on fewer
MAX_WRONG_FRAC = 0.25  # of the bytes above 127: a page that fails more often is not what it declares

# A label stands for more than its name says: the supersets that browsers use (WHATWG Encoding, section 4.2).
_SUPERSETS = {"gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949"}
_MULTIBYTE = frozenset({"gb18030", "big5hkscs", "cp932", "cp949", "euc_jp", "iso2022_jp"})
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"<meta[\s/][^>]{0,1024}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w.:+-]{1,40})", re.IGNORECASE)
_HIGH = bytes(range(128, 256))


def decode_html(html: bytes, http_charset: str | None) -> str:
    """Return the page as text without lone surrogates; bytes that do not decode become U+FFFD.

    The order is byte order mark, HTTP header, meta element, detection, with two exceptions made for what the
    web is like: bytes that are valid UTF-8 with characters beyond ASCII are UTF-8 unless a multi-byte charset
    is declared that fits as well (servers often declare a default nobody set), and a page declared UTF-8 is
    not where more than MAX_WRONG_FRAC of its bytes above 127 are no UTF-8.
    """
    for bom, name in _BOMS:
        if html.startswith(bom):
            return html[len(bom) :].decode(name, "replace")
    declared = known_charset(http_charset) or meta_charset(html)
    if declared in ("utf-16-le", "utf-16-be"):
        if b"\x00" in html[:META_BYTES]:
            return html.decode(declared, "replace")
        declared = None  # its tags are plain ASCII
    if html.isascii() and declared != "iso2022_jp":
        return html.decode("ascii")
    utf8 = _strictly(html, "utf-8")
    if declared in _MULTIBYTE and (text := _strictly(html, declared)) is not None:
        return text
    if utf8 is not None:
        return utf8
    n_high = len(html) - len(html.translate(None, _HIGH))
    if declared == "utf-8":
        text = html.decode("utf-8", "replace")
        if text.count("\ufffd") <= MAX_WRONG_FRAC * n_high:
            return text
        declared = None
    return html.decode(declared or detected_charset(html, n_high), "replace")


def known_charset(label: str | None) -> str | None:
    """Return Python's name of the charset that browsers take a label for; None for labels they do not know."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    name = map_encoding_to_html5(label, fallback_utf8=False) if label else None
    return _SUPERSETS.get(name, name) if name else None


def meta_charset(html: bytes) -> str | None:
    """Return the charset that a meta element near the start declares."""
    found = _META.search(html, 0, META_BYTES)
    name = known_charset(found.group(1).decode("ascii", "replace")) if found else None
    # A page whose ASCII tags could be read is not UTF-16, whatever it says (HTML standard, 13.2.3.2).
    return "utf-8" if name and name.startswith("utf-16") else name


def detected_charset(html: bytes, n_high: int) -> str:
    """Return a guess for bytes that are no UTF-8: uchardet's, or Windows-1252 where there is too little to see."""
    from resiliparse.parse.encoding import detect_encoding

    if n_high < MIN_DETECT_BYTES:
        return "cp1252"
    name = detect_encoding(html) or "utf-8"
    return "cp1252" if name == "utf-8" else _SUPERSETS.get(name, name)


def _strictly(html: bytes, name: str) -> str | None:
    try:
        return html.decode(name)
    except UnicodeDecodeError:
        return None
