"""Decodes the encodings of the web as the WHATWG Encoding standard defines them, on top of Python's codecs.

Python's codecs differ from the standard in a few characters, in bytes they know nothing for, and in how many
bytes one U+FFFD stands for: here a page is decoded as browsers decode it. Each difference is named below.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Callable
from functools import cache

from curate.charset_tables import (
    BIG5_ADDITIONS,
    BIG5_CHANGES,
    BIG5_SLASHES,
    EUC_JP_CHANGES,
    GB18030_CHANGES,
    SHIFT_JIS_CHANGES,
    SINGLE_BYTE_CHANGES,
)

MAX_ERRORS = 100_000  # in one page; from then on one U+FFFD a byte sequence, as Python cuts them
BAD = "\ufffd"

_local = threading.local()


def decode(data: bytes, name: str) -> str:
    """Return the bytes as text; `name` is an encoding's name in the standard, in lower case.

    What cannot be decoded becomes U+FFFD; the text has no lone surrogates. A byte order mark is not looked for.
    """
    _local.n_errors = 0
    if name in _DECODERS:
        return _DECODERS[name](data)
    if name in ("utf-8", "utf-16le", "utf-16be"):
        return data.decode(_PYTHON_NAMES.get(name, name), "replace")
    return codecs.charmap_decode(data, "replace", _single_byte(name))[0]


_PYTHON_NAMES = {
    "ibm866": "cp866",
    "macintosh": "mac_roman",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
    "iso-8859-8-i": "iso-8859-8",
}


@cache
def _single_byte(name: str) -> str:
    """Return what each of the 256 bytes stands for. In the standard, unused bytes under A0 are control characters."""
    if name == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in range(256))
    table = list(bytes(range(256)).decode(_PYTHON_NAMES.get(name, name), "replace"))
    if name.startswith("windows-"):
        table[0x80:0xA0] = [chr(0x80 + i) if c == BAD else c for i, c in enumerate(table[0x80:0xA0])]
    for byte, char in SINGLE_BYTE_CHANGES.get(name, ()):
        table[byte] = char
    return "".join(table)


# -- encodings of several bytes: error handlers for Python's codecs

_Fault = tuple[str, int]  # what stands for a faulty sequence, and where decoding goes on


def _after_pair(data: bytes, at: int) -> _Fault:
    """A pair that stands for nothing: an ASCII byte in second place is read again, any other is gone with the first."""
    return BAD, at + (1 if at + 1 < len(data) and data[at + 1] < 0x80 else 2)


def _gb18030_fault(data: bytes, at: int) -> _Fault:
    first, rest = data[at], data[at + 1 : at + 4]
    if first == 0x80:
        return "€", at + 1
    if first == 0xFF:
        return BAD, at + 1
    if not rest or not 0x30 <= rest[0] <= 0x39:
        return _after_pair(data, at)
    if (len(rest) > 1 and not 0x81 <= rest[1] <= 0xFE) or (len(rest) > 2 and not 0x30 <= rest[2] <= 0x39):
        return BAD, at + 1
    return BAD, at + 4  # four bytes of the right form that stand for nothing, or the end of the page


def _big5_fault(data: bytes, at: int) -> _Fault:
    if data[at] in (0x80, 0xFF):
        return BAD, at + 1
    more = BIG5_ADDITIONS.get(data[at : at + 2])
    return (more, at + 2) if more else _after_pair(data, at)


def _euc_kr_fault(data: bytes, at: int) -> _Fault:
    return (BAD, at + 1) if data[at] in (0x80, 0xFF) else _after_pair(data, at)


def _shift_jis_fault(data: bytes, at: int) -> _Fault:
    return _after_pair(data, at) if 0x81 <= data[at] <= 0x9F or 0xE0 <= data[at] <= 0xFC else (BAD, at + 1)


def _euc_jp_fault(data: bytes, at: int) -> _Fault:
    first = data[at]
    if first == 0x8F and at + 1 < len(data) and 0xA1 <= data[at + 1] <= 0xFE:
        return BAD, at + (2 if at + 2 < len(data) and data[at + 2] < 0x80 else 3)
    if first not in (0x8E, 0x8F) and not 0xA1 <= first <= 0xFE:
        return BAD, at + 1
    if first >= 0xA1 and at + 1 < len(data) and 0xA1 <= data[at + 1] <= 0xFE:
        char = _jis0208(first - 0xA1, data[at + 1] - 0xA1)  # NEC's and IBM's rows, which Python leaves out
        return (char or BAD), at + 2
    return _after_pair(data, at)


@cache
def _jis0208(row: int, cell: int) -> str | None:
    """Return the character at a place of JIS X 0208 with the rows of NEC and IBM, by way of Shift JIS."""
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + (0x9F if row % 2 else 0x40 if cell < 63 else 0x41)
    try:
        char = bytes((lead, trail)).decode("cp932")
    except UnicodeDecodeError:
        return None
    return None if "\ue000" <= char <= "\uf8ff" else char


def _register(name: str, fault: Callable[[bytes, int], _Fault]) -> str:
    def handler(error: UnicodeError) -> _Fault:
        assert isinstance(error, UnicodeDecodeError)
        _local.n_errors += 1
        if _local.n_errors > MAX_ERRORS:
            return error.object[error.start :].decode(error.encoding, "replace"), len(error.object)
        chars, end = fault(error.object, error.start)
        return chars, min(end, len(error.object))

    codecs.register_error(f"curate-{name}", handler)
    return f"curate-{name}"


_GB18030 = _register("gb18030", _gb18030_fault)
_BIG5 = _register("big5", _big5_fault)
_EUC_KR = _register("euc-kr", _euc_kr_fault)
_SHIFT_JIS = _register("shift_jis", _shift_jis_fault)
_EUC_JP = _register("euc-jp", _euc_jp_fault)


# -- characters that Python gives and the standard does not


def _changed(text: str, changes: dict[int, int]) -> str:
    return text.translate(changes) if any(chr(char) in text for char in changes) else text


def _gb18030(data: bytes) -> str:
    return _changed(data.decode("gb18030", _GB18030), GB18030_CHANGES)


def _euc_kr(data: bytes) -> str:
    return data.decode("cp949", _EUC_KR)


def _shift_jis(data: bytes) -> str:
    return _changed(data.decode("cp932", _SHIFT_JIS), SHIFT_JIS_CHANGES)


def _euc_jp(data: bytes) -> str:
    # JIS X 0212's tilde, 8FA2B7, is a wide one like that of JIS X 0208
    return _changed(data.replace(b"\x8f\xa2\xb7", b"\xa1\xc1").decode("euc_jp", _EUC_JP), EUC_JP_CHANGES)


_BIG5_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xff]")


def _big5(data: bytes) -> str:
    parts: list[str] = []
    at = 0
    if b"\xa2A" in data or b"\xa2B" in data:
        for pair in _BIG5_PAIR.finditer(data):
            if pair[0] in BIG5_SLASHES:
                if at < pair.start():
                    parts.append(_big5_piece(data[at : pair.start()]))
                parts.append(BIG5_SLASHES[pair[0]])
                at = pair.end()
    return "".join([*parts, _big5_piece(data[at:])])


def _big5_piece(data: bytes) -> str:
    return _changed(data.decode("big5hkscs", _BIG5), BIG5_CHANGES)


# -- the encodings that have no like among Python's


def _replacement(data: bytes) -> str:
    return BAD if data else ""


_ESCAPE = re.compile(rb"\x1b(?:\(([BJI])|\$[@B])")
_ASCII_RUNS = re.compile(rb"[^\x0e\x0f\x1b\x80-\xff]+"), re.compile(rb"[\x0e\x0f\x80-\xff]+")
_RUNS = {  # what decodes and what does not, one U+FFFD a byte, by the letter of the escape sequence
    b"B": _ASCII_RUNS,
    b"J": _ASCII_RUNS,
    b"I": (re.compile(rb"[\x21-\x5f]+"), re.compile(rb"[^\x1b\x21-\x5f]+")),
    b"$": (re.compile(rb"(?:[\x21-\x7e]{2})+"), re.compile(rb"[^\x1b\x21-\x7e]+")),
}
_ROMAN = str.maketrans("\\~", "¥‾")
_KATAKANA = {byte: 0xFF61 - 0x21 + byte for byte in range(0x21, 0x60)}
_TO_EUC = bytes(byte | 0x80 for byte in range(256))


def _iso_2022_jp(data: bytes) -> str:
    """Decode by runs of one state; section 12.2.1 of the standard says what each faulty byte does."""
    parts: list[str] = []
    at, state, just_escaped = 0, b"B", False
    while at < len(data):
        if data[at] == 0x1B:
            escape = _ESCAPE.match(data, at)
            if escape is None or just_escaped:  # an escape sequence with nothing before the next one is a fault
                parts.append(BAD)
            at = escape.end() if escape else at + 1
            state = (escape[1] or b"$") if escape else state
            just_escaped = escape is not None
            continue
        if run := _RUNS[state][0].match(data, at):
            parts.append(_iso_2022_jp_run(run[0], state))
            at = run.end()
        elif run := _RUNS[state][1].match(data, at):
            parts.append(BAD * len(run[0]))
            at = run.end()
        else:  # a pair cut short: both bytes are gone, but for an escape sequence in second place
            parts.append(BAD)
            at += 1 if data[at + 1 : at + 2] == b"\x1b" else 2
        just_escaped = False
    return "".join(parts)


def _iso_2022_jp_run(run: bytes, state: bytes) -> str:
    if state == b"$":
        return _euc_jp(run.translate(_TO_EUC))
    text = run.decode("ascii")
    return text.translate(_KATAKANA) if state == b"I" else text.translate(_ROMAN) if state == b"J" else text


_DECODERS: dict[str, Callable[[bytes], str]] = {
    "big5": _big5,
    "euc-jp": _euc_jp,
    "euc-kr": _euc_kr,
    "gb18030": _gb18030,
    "gbk": _gb18030,
    "iso-2022-jp": _iso_2022_jp,
    "replacement": _replacement,
    "shift_jis": _shift_jis,
}
