"""Decodes the bytes of a web page to UTF-8: which encoding it is in, by what its sender and its bytes say."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from curate.charset_decoders import BAD, decode
from curate.charset_meta import declared_in, name_of

MIN_DETECT_BYTES = 64  # bytes above 127 that detection needs; it guesses wildly on fewer
MAX_SEARCHES = 1000  # each has its price: a page full of what is looked for is left to the pattern
DEFAULT = "windows-1252"  # HTML standard, 13.2.3.2, step 9, for most locales

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16be"), (b"\xff\xfe", "utf-16le"))
_NOT_ASCII = frozenset({"iso-2022-jp", "replacement", "utf-16be", "utf-16le"})  # bytes under 128 are not just ASCII
_UCHARDET_NAMES = {"cp949": "euc-kr", "mac-cyrillic": "x-mac-cyrillic"}  # those that are no labels
_GREEK = frozenset({"iso-8859-7", "windows-1253"})  # they differ in one letter, Ά, which uchardet does not look at
_GREEK_ALPHA = re.compile(rb"\xa2[\xdc-\xfe]"), re.compile(rb"\xb6[\xdc-\xfe]")
_BAD = BAD.encode()
_HIGH = bytes(range(128, 256))

# UTF-8 that was taken for Windows-1252 and encoded again. Its bytes 80 to BF have become one of these characters:
_TRAIL = (
    rb"(?:\xc2[\x80-\xbf]|\xe2\x80[\x93\x94\x98-\x9a\x9c-\x9e\xa0-\xa2\xa6\xb0\xb9\xba]|\xe2\x82\xac|\xe2\x84\xa2"
    rb"|\xc5[\x92\x93\xa0\xa1\xb8\xbd\xbe]|\xc6\x92|\xcb[\x86\x9c])"
)
_MOJIBAKE = re.compile(  # starts with a byte that is searched fast
    rb"\xc3(?:[\x82\x83](?!\xe2\x80[\x93\x94\x99\x9d])%b"  # "Ã©"; a quote or a dash may stand behind a real "Ã"
    rb"|\xa2\xe2\x82\xac%b?"  # "â€™"
    rb"|[\x84-\x9f]%b(?:\xc3[\x84-\x9f]%b)+"  # "Ð´Ð°": two in a row, one is too often a real word's end
    rb"|[\xa0-\xaf]%b{2}(?:\xc3[\xa0-\xaf]%b{2})+)" % ((_TRAIL,) * 6)  # "æ—¥æœ¬"
)


class Decoded(NamedTuple):
    """A page as UTF-8. `utf8` is always valid and holds no NUL; of an ASCII or UTF-8 page it is the page itself."""

    utf8: bytes
    charset: str  # the encoding's name in the WHATWG Encoding standard, in lower case
    n_bad_chars: int  # U+FFFD put in for bytes that do not decode
    n_mojibake: int  # runs of characters that were encoded twice before the page was sent


def decode_html(html: bytes, http_charset: str | None) -> Decoded:
    """Return the page as UTF-8, decoded as browsers decode it: byte order mark, HTTP header, meta element, detection.

    What is declared is believed, as browsers do, though the bytes may be valid UTF-8: in 5,475 pages and 330
    responses with their own headers no page would gain by it (the one response that says ISO-8859-1 and is valid
    UTF-8 holds a lone U+FFFD). A page that was declared wrong shows in `n_bad_chars` or `n_mojibake`.
    NUL bytes are dropped, as the HTML standard does in text; other control characters stay.
    """
    name = next((name for bom, name in _BOMS if html.startswith(bom)), None)
    if name:
        html = html[3 if name == "utf-8" else 2 :]
    else:
        name = name_of(http_charset) or declared_in(html) or detected_charset(html)
    if html.isascii() and name not in _NOT_ASCII:
        return Decoded(_without_nul(html), name, 0, 0)
    if name == "utf-8" and is_utf8(html):
        return Decoded(_without_nul(html), name, 0, count_mojibake(html))
    text = decode(html, name)
    utf8 = _without_nul(text.encode())
    n_bad_chars = text.count(BAD) - (html.count(_BAD) if name == "utf-8" else 0)
    return Decoded(utf8, name, n_bad_chars, count_mojibake(utf8))


def detected_charset(html: bytes) -> str:
    """Return a guess for a page that declares nothing: UTF-8 if valid, else uchardet's, else Windows-1252.

    The standard leaves this to browsers (step 8); they do not guess UTF-8 over the network, so that authors notice.
    """
    if html.isascii():
        return DEFAULT
    if is_utf8(html):
        return "utf-8"
    if len(html) - len(html.translate(None, _HIGH)) < MIN_DETECT_BYTES:
        return DEFAULT
    from resiliparse.parse.encoding import detect_encoding

    found = str(detect_encoding(html, html5_compatible=False))
    name = _UCHARDET_NAMES.get(found) or name_of(found.replace("_", "-"))
    if name in _GREEK:
        n_windows, n_iso = (len(letter.findall(html)) for letter in _GREEK_ALPHA)
        return "iso-8859-7" if n_iso > n_windows else "windows-1253"
    return DEFAULT if name in (None, "utf-8", "replacement") else name


def is_utf8(data: bytes) -> bool:
    """Say whether bytes are valid UTF-8, without decoding them (Arrow checks four times as fast as Python decodes)."""
    offsets = pa.py_buffer(struct.pack("=ii", 0, len(data)))
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def count_mojibake(utf8: bytes) -> int:
    """Count the runs of characters that were encoded twice, such as "Ã©" for "é"."""
    n_runs, end = 0, -1
    for found in _mojibake(utf8) if b"\xc3" in utf8 else ():
        n_runs += found.start() != end
        end = found.end()
    return n_runs


def _mojibake(utf8: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the matches of the pattern, the first places of a page by a search that is three times as fast."""
    from curate.kernels.html.twice import next_twice

    at = 0
    for _ in range(MAX_SEARCHES):
        at = next_twice(utf8, at)
        if at < 0:
            return
        found = _MOJIBAKE.match(utf8, at)
        if found:
            yield found
        at = found.end() if found else at + 1
    yield from _MOJIBAKE.finditer(utf8, at)


def _without_nul(utf8: bytes) -> bytes:
    return utf8.translate(None, b"\x00") if b"\x00" in utf8 else utf8
