"""One compiled pass over a page's bytes that lists what it says of itself: meta, link, title, licence and date tags.

The pass follows the tokeniser of the HTML standard (section 13.2.5) as far as tags go: comments, declarations, quoted
values and the text of script, style, textarea, title, iframe and the like hide what they hold; of a repeated attribute
the first counts; a tag cut off by the end of the page is no tag. Not followed: the double escape of scripts in
`<!-- <script> -->`. It never steps back, so its time is linear in the page, whatever the page holds.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# What a row is. Its key and its value are byte spans of the page; an absent one is (0, 0).
HTML = 1  # value: the language of the html element
META = 2  # key: name, property, itemprop or http-equiv; value: content (or datetime, href of an itemprop)
CANONICAL = 3  # value: href of link rel=canonical
LICENSE_LINK = 4  # key: what follows the tag; value: href of a link element with rel, itemprop or property license
LICENSE_ANCHOR = 5  # the same of an a or area
LICENSE_WEAK = 6  # key: what follows the tag; value: href of an a or area to a known licence that does not say so
TIME = 7  # key: itemprop, class or pubdate; value: datetime of a time element
BASE = 8  # value: href
TITLE = 9  # value: the text of the first title element outside svg and math
JSON_LD = 10  # value: the text of a script of type application/ld+json
AUTHOR = 11  # key: rel or itemprop; value: what follows the tag

MAX_MARKS = 1024  # rows of a page; 5,475 real pages have 12 in the mean and 180 at most
MAX_SIGNS = 8  # copyright signs that are kept of a page: the last ones
MAX_RUNS = 512  # runs of text, from the end, in which signs are looked for
MIN_RUN_BYTES, MAX_RUN_BYTES = 2, 4096  # a © alone takes two bytes; of a long run only the end is looked at
WINDOW_BYTES = 400  # how much of what follows an author's tag is shown


def _packed(name: str) -> int:
    """Return the last eight bytes of a name as one number, as `_name` makes it."""
    return int.from_bytes(name.encode()[-8:], "big")


_T = {
    name: np.uint64(_packed(name))
    for name in "html meta link a area time base title script style textarea xmp iframe noembed noframes svg math".split()
}
_T_HTML, _T_META, _T_LINK, _T_A, _T_AREA, _T_TIME = (_T[n] for n in ("html", "meta", "link", "a", "area", "time"))
_T_BASE, _T_TITLE, _T_SCRIPT, _T_SVG, _T_MATH = (_T[n] for n in ("base", "title", "script", "svg", "math"))
_T_STYLE, _T_TEXTAREA, _T_XMP = (_T[n] for n in ("style", "textarea", "xmp"))
_T_IFRAME, _T_NOEMBED, _T_NOFRAMES = (_T[n] for n in ("iframe", "noembed", "noframes"))

# Attributes that are kept, by their place in the array of spans.
_ATTRIBUTES = "rel href name lang type class content property itemprop datetime pubdate xml:lang http-equiv".split()
_REL, _HREF, _NAME, _LANG, _TYPE, _CLASS, _CONTENT, _PROPERTY, _ITEMPROP, _DATETIME, _PUBDATE, _XML_LANG, _EQUIV = (
    range(len(_ATTRIBUTES))
)
_N_ATTRIBUTES = len(_ATTRIBUTES)
_MAX_NAME = max(map(len, _ATTRIBUTES))
_WORDS = np.zeros((_N_ATTRIBUTES, _MAX_NAME), np.uint8)
_WHICH = np.full((_MAX_NAME + 1, 256), -1, np.int8)  # by length and first letter, which no two names share
for _i, _word in enumerate(_ATTRIBUTES):
    _WORDS[_i, : len(_word)] = list(_word.encode())
    _WHICH[len(_word), [ord(_word[0]), ord(_word[0].upper())]] = _i
_NAME_ENDS = np.zeros(256, np.uint8)
_NAME_ENDS[[*range(33), *b"/>="]] = 1

_LICEN, _AUTHOR, _CANONICAL, _LD_JSON, _DATEPUB, _HEADLINE, _RIGHT = (
    np.frombuffer(word.encode(), np.uint8)
    for word in ("licen", "author", "canonical", "ld+json", "datepub", "headline", "copyright")
)
_LICENSE_HOSTS = tuple(
    np.frombuffer(host.encode(), np.uint8)
    for host in ("creativecommons.org/", "gnu.org/", "nationalarchives.gov.uk/doc/open-g", "opendatacommons.org/lic")
)
_CC_HOST, _GNU_HOST, _OGL_HOST, _ODC_HOST = _LICENSE_HOSTS
_WWW = np.frombuffer(b"www.", np.uint8)

# Bytes of text that need a look: < and what a copyright notice may begin with, © in UTF-8, &copy; (c) and Copyright.
_LOOK = np.zeros(256, np.uint8)
_LOOK[[0xC2, ord("&"), ord("("), ord("C")]] = 1
_COPY_ENTITIES = tuple(np.frombuffer(word, np.uint8) for word in (b"&copy", b"&#169", b"&#xa9", b"copyright", b"(c)"))
_AND_COPY, _AND_169, _AND_XA9, _COPYRIGHT, _C_SIGN = _COPY_ENTITIES
_LT, _GT, _SLASH, _BANG, _QUESTION, _DASH, _EQUALS, _QUOTE, _APOSTROPHE = b"<>/!?-=\"'"

_compiled: Any = functools.partial(numba.njit, cache=True, nogil=True, boundscheck=False)
_inlined: Any = functools.partial(numba.njit, cache=True, nogil=True, boundscheck=False, inline="always")


class Marks(NamedTuple):
    """The rows of a page in page order, (kind, key start, key end, value start, value end) each, and its © signs."""

    rows: list[list[int]]
    signs: list[int]  # offsets of the last MAX_SIGNS copyright signs in text, the last first


def find_marks(utf8: bytes) -> Marks:
    """Return the marks of a page. At most MAX_MARKS rows: what comes after them in the page is not listed."""
    page = np.frombuffer(utf8, np.uint8)
    rows = np.empty((MAX_MARKS, 5), np.int64)
    signs = np.empty(MAX_SIGNS, np.int64)
    n_rows, n_signs = _find(page, rows, signs)
    return Marks(rows[:n_rows].tolist(), signs[:n_signs].tolist())


@intrinsic
def _memchr(_context: Any, page: Any, at: Any, end: Any, byte: Any) -> Any:
    """The C library's memchr: return the offset of the next `byte` in page[at:end], `end` where there is none."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, at, end, byte = args
        i8p, i32, i64 = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
        search = cgutils.get_or_insert_function(builder.module, ir.FunctionType(i8p, [i8p, i32, i64]), "memchr")
        base = builder.bitcast(context.make_array(signature.args[0])(context, builder, array).data, i8p)
        found = builder.call(search, [builder.gep(base, [at]), builder.trunc(byte, i32), builder.sub(end, at)])
        offset = builder.sub(builder.ptrtoint(found, i64), builder.ptrtoint(base, i64))
        return builder.select(builder.icmp_unsigned("==", found, ir.Constant(i8p, None)), end, offset)

    return types.int64(page, types.int64, types.int64, types.int64), emit


@_compiled()
def _next(page, at, n, byte):  # type: ignore[no-untyped-def]
    """Return the offset of the next `byte` from `at` on, `n` where there is none."""
    return _memchr(page, at, n, byte) if at < n else n


@_compiled()
def _lower(c):  # type: ignore[no-untyped-def]
    return c + np.uint8(32) if np.uint8(65) <= c <= np.uint8(90) else c


@_compiled()
def _starts(page, at, end, word):  # type: ignore[no-untyped-def]
    """Say whether `word` (lower case) stands at `at`, in any case."""
    if at + word.size > end:
        return False
    for i in range(word.size):
        if _lower(page[at + i]) != word[i]:
            return False
    return True


@_compiled()
def _mentions(page, span, attribute, word):  # type: ignore[no-untyped-def]
    """Say whether the value of an attribute holds `word`; only its first 256 bytes are looked at."""
    start = span[attribute, 0]
    end = min(span[attribute, 1], start + 256)
    for at in range(start, end - word.size + 1):
        if _lower(page[at]) == word[0] and _starts(page, at, end, word):
            return True
    return False


@_compiled()
def _to_licence(page, span):  # type: ignore[no-untyped-def]
    """Say whether an href begins with the host of a licence text."""
    at, end = span[_HREF, 0], span[_HREF, 1]
    while at < end and page[at] <= 32:
        at += 1
    stop = min(at + 8, end - 1)
    while at < stop and not (page[at] == _SLASH and page[at + 1] == _SLASH):
        at += 1
    if at >= stop:
        return False
    at += 2
    if _starts(page, at, end, _WWW):
        at += 4
    return (
        _starts(page, at, end, _CC_HOST)
        or _starts(page, at, end, _GNU_HOST)
        or _starts(page, at, end, _OGL_HOST)
        or _starts(page, at, end, _ODC_HOST)
    )


@_compiled()
def _name(page, at, n):  # type: ignore[no-untyped-def]
    """Return (code, end) of the tag name at `at`: its last eight bytes in lower case."""
    code = np.uint64(0)
    while at < n:
        c = page[at]
        if c <= 32 or c == _SLASH or c == _GT:
            break
        code = (code << np.uint64(8)) | np.uint64(_lower(c))
        at += 1
    return code, at


@_compiled()
def _attributes(page, at, n, span):  # type: ignore[no-untyped-def]
    """Read the attributes up to the end of a tag; return (which of _ATTRIBUTES it has, next offset or -1).

    The spans of those it has go into `span`; -1 means that the page ends within the tag.
    """
    seen = 0
    while True:
        while at < n and (page[at] <= 32 or page[at] == _SLASH):
            at += 1
        if at >= n:
            return 0, -1
        if page[at] == _GT:
            return seen, at + 1
        first = at
        at += 1  # an = here would be part of the name
        while at < n and _NAME_ENDS[page[at]] == 0:
            at += 1
        length, start, end = at - first, 0, 0
        while at < n and page[at] <= 32:
            at += 1
        if at < n and page[at] == _EQUALS:
            at += 1
            while at < n and page[at] <= 32:
                at += 1
            if at < n and (page[at] == _QUOTE or page[at] == _APOSTROPHE):
                quote = page[at]
                at += 1
                start = at
                at = _next(page, at, n, quote)
                end = at
                at += 1
            else:
                start = at
                while at < n and page[at] > 32 and page[at] != _GT:
                    at += 1
                end = at
        if length <= _MAX_NAME:
            i = _WHICH[length, page[first]]
            if i >= 0 and not seen >> i & 1 and _starts(page, first, n, _WORDS[i, :length]):
                seen |= 1 << i
                span[i, 0], span[i, 1] = start, end


@_compiled()
def _raw_end(page, at, n, tag):  # type: ignore[no-untyped-def]
    """Return where the end tag of a raw text element begins; the end of the page where there is none."""
    while True:
        at = _next(page, at, n, _LT)
        if at + 1 >= n:
            return n
        if page[at + 1] == _SLASH:
            code, _ = _name(page, at + 2, min(n, at + 12))
            if code == tag:
                return at
        at += 1


@_compiled()
def _declaration_end(page, at, n):  # type: ignore[no-untyped-def]
    """Return the offset after a comment, a doctype or a processing instruction that begins at `at`."""
    if at + 3 < n and page[at + 1] == _BANG and page[at + 2] == _DASH and page[at + 3] == _DASH:
        at += 4
        if at < n and page[at] == _GT:  # <!-->
            return at + 1
        if at + 1 < n and page[at] == _DASH and page[at + 1] == _GT:  # <!--->
            return at + 2
        first = at
        while True:
            at = _next(page, at, n, _GT)
            if at >= n:
                return n
            dash = at - 2 if page[at - 1] == _BANG else at - 1  # --!> ends a comment too
            if dash - 1 >= first and page[dash] == _DASH and page[dash - 1] == _DASH:
                return at + 1
            at += 1
    return _next(page, at, n, _GT) + 1


@_compiled()
def _add(rows, n_rows, kind, key_start, key_end, start, end):  # type: ignore[no-untyped-def]
    if n_rows == rows.shape[0]:
        return n_rows
    rows[n_rows, 0], rows[n_rows, 1], rows[n_rows, 2] = kind, key_start, key_end
    rows[n_rows, 3], rows[n_rows, 4] = start, end
    return n_rows + 1


@_compiled()
def _add_meta(rows, n, seen, span):  # type: ignore[no-untyped-def]
    """Add a row for each name that a meta element goes by."""
    for key in (_NAME, _PROPERTY, _ITEMPROP, _EQUIV):
        if seen >> key & 1 and seen >> _CONTENT & 1:
            n = _add(rows, n, META, span[key, 0], span[key, 1], span[_CONTENT, 0], span[_CONTENT, 1])
    return n


@_compiled()
def _add_link(page, rows, n, tag, seen, span, at):  # type: ignore[no-untyped-def]
    """Add the rows of a link, a or area element with an href. `at` is where its tag ends."""
    start, end = span[_HREF, 0], span[_HREF, 1]
    rel = seen >> _REL & 1
    if tag == _T_LINK and rel and _mentions(page, span, _REL, _CANONICAL):
        n = _add(rows, n, CANONICAL, 0, 0, start, end)
    says = rel and _mentions(page, span, _REL, _LICEN)
    says = says or (seen >> _PROPERTY & 1 and _mentions(page, span, _PROPERTY, _LICEN))
    says = says or (seen >> _ITEMPROP & 1 and _mentions(page, span, _ITEMPROP, _LICEN))
    if says:
        kind = LICENSE_LINK if tag == _T_LINK else LICENSE_ANCHOR
        n = _add(rows, n, kind, at, min(page.size, at + WINDOW_BYTES), start, end)
    elif tag != _T_LINK and _to_licence(page, span):
        n = _add(rows, n, LICENSE_WEAK, at, min(page.size, at + WINDOW_BYTES), start, end)
    if tag == _T_A and rel and _mentions(page, span, _REL, _AUTHOR):
        n = _add(rows, n, AUTHOR, span[_REL, 0], span[_REL, 1], at, min(page.size, at + WINDOW_BYTES))
    return n


@_compiled()
def _add_itemprop(page, rows, n, seen, span, at):  # type: ignore[no-untyped-def]
    """Add the row of an element with an itemprop that is of interest. `at` is where its tag ends."""
    key_start, key_end = span[_ITEMPROP, 0], span[_ITEMPROP, 1]
    for value in (_CONTENT, _DATETIME, _HREF):
        if seen >> value & 1:
            if (
                _mentions(page, span, _ITEMPROP, _DATEPUB)
                or _mentions(page, span, _ITEMPROP, _LICEN)
                or (value == _CONTENT and _mentions(page, span, _ITEMPROP, _AUTHOR))
            ):
                return _add(rows, n, META, key_start, key_end, span[value, 0], span[value, 1])
    if _mentions(page, span, _ITEMPROP, _AUTHOR):
        return _add(rows, n, AUTHOR, key_start, key_end, at, min(page.size, at + WINDOW_BYTES))
    if _mentions(page, span, _ITEMPROP, _DATEPUB):
        return _add(rows, n, TIME, key_start, key_end, at, min(page.size, at + WINDOW_BYTES))
    return n


@_compiled()
def _add_element(page, rows, n, tag, seen, span, at):  # type: ignore[no-untyped-def]
    """Add the rows of a start tag, apart from title and script."""
    if tag == _T_META:
        return _add_meta(rows, n, seen, span)
    if tag == _T_HTML:
        key = _LANG if seen >> _LANG & 1 else _XML_LANG
        return _add(rows, n, HTML, 0, 0, span[key, 0], span[key, 1]) if seen >> key & 1 else n
    if tag == _T_BASE:
        return _add(rows, n, BASE, 0, 0, span[_HREF, 0], span[_HREF, 1]) if seen >> _HREF & 1 else n
    if seen >> _HREF & 1 and (tag == _T_A or tag == _T_LINK or tag == _T_AREA):
        n = _add_link(page, rows, n, tag, seen, span, at)
    if seen >> _ITEMPROP & 1:
        n = _add_itemprop(page, rows, n, seen, span, at)
    if tag == _T_TIME and seen >> _DATETIME & 1:
        key = _PUBDATE if seen >> _PUBDATE & 1 else _ITEMPROP if seen >> _ITEMPROP & 1 else _CLASS
        start, end = (span[key, 0], span[key, 1]) if seen >> key & 1 else (0, 0)
        n = _add(rows, n, TIME, start, end, span[_DATETIME, 0], span[_DATETIME, 1])
    return n


@_compiled()
def _is_sign(page, at, n):  # type: ignore[no-untyped-def]
    """Say whether a copyright notice may begin at `at`."""
    c = page[at]
    if c == 0xC2:
        return at + 1 < n and page[at + 1] == 0xA9
    if c == 38:
        return _starts(page, at, n, _AND_COPY) or _starts(page, at, n, _AND_169) or _starts(page, at, n, _AND_XA9)
    return _starts(page, at, n, _C_SIGN) if c == 40 else _starts(page, at, n, _COPYRIGHT)


@_compiled()
def _signs(page, runs, n_runs, signs):  # type: ignore[no-untyped-def]
    """Fill `signs` with the last copyright signs in the last runs of text, the last first; return how many."""
    n_signs = 0
    for i in range(n_runs - 1, max(-1, n_runs - 1 - MAX_RUNS), -1):
        start, end = runs[i % MAX_RUNS, 0], runs[i % MAX_RUNS, 1]
        for at in range(end - 1, max(start, end - MAX_RUN_BYTES) - 1, -1):
            if _LOOK[page[at]] and _is_sign(page, at, end):
                signs[n_signs] = at
                n_signs += 1
                if n_signs == signs.size:
                    return n_signs
    return n_signs


@_compiled()
def _is_raw(tag):  # type: ignore[no-untyped-def]
    return (
        tag == _T_SCRIPT
        or tag == _T_STYLE
        or tag == _T_TEXTAREA
        or tag == _T_XMP
        or tag == _T_IFRAME
        or tag == _T_NOEMBED
        or tag == _T_NOFRAMES
    )


@_compiled()
def _find(page, rows, signs):  # type: ignore[no-untyped-def]
    """Fill `rows` and `signs`; return how many rows there are, and how many signs were seen."""
    n, at, n_rows, n_runs, foreign, titled = page.size, 0, 0, 0, 0, False
    span = np.empty((_N_ATTRIBUTES, 2), np.int64)
    runs = np.empty((MAX_RUNS, 2), np.int64)
    while at < n:
        text = at
        at = _next(page, at, n, _LT)
        if at - text >= MIN_RUN_BYTES:
            runs[n_runs % MAX_RUNS, 0], runs[n_runs % MAX_RUNS, 1] = text, at
            n_runs += 1
        if at >= n:
            break
        closes = at + 1 < n and page[at + 1] == _SLASH
        name_at = at + 2 if closes else at + 1
        letter = _lower(page[name_at]) if name_at < n else np.uint8(0)
        if not 97 <= letter <= 122:
            declares = closes or (name_at < n and (letter == _BANG or letter == _QUESTION))
            at = _declaration_end(page, at, n) if declares and name_at < n else at + 1
            continue
        if closes and letter != 115 and letter != 109:  # neither s(vg) nor m(ath): a > ends it
            at = _next(page, name_at, n, _GT) + 1
            continue
        tag, at = _name(page, name_at, n)
        seen, at = _attributes(page, at, n, span)
        if at < 0:
            break
        if tag == _T_SVG or tag == _T_MATH:
            foreign = max(0, foreign - 1) if closes else foreign + (page[at - 2] != _SLASH)
        if closes:
            continue
        if seen:
            n_rows = _add_element(page, rows, n_rows, tag, seen, span, at)
        if (tag == _T_TITLE and foreign == 0) or _is_raw(tag):
            end = _raw_end(page, at, n, tag)
            if tag == _T_TITLE and not titled:
                titled = True
                n_rows = _add(rows, n_rows, TITLE, 0, 0, at, end)
            elif tag == _T_SCRIPT and seen >> _TYPE & 1 and _mentions(page, span, _TYPE, _LD_JSON):
                n_rows = _add(rows, n_rows, JSON_LD, 0, 0, at, end)
            at = end
    return n_rows, _signs(page, runs, n_runs, signs)
