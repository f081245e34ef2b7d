"""One compiled pass over a page's bytes that lists what it says of itself: meta, link, title, licence and date tags.

The pass follows the tokeniser of the HTML standard (section 13.2.5) as far as tags go: comments, declarations, quoted
values and the text of script, style, textarea, title, iframe and the like hide what they hold; of a repeated attribute
the first counts; a tag cut off by the end of the page is no tag. Not followed: the double escape of scripts in
`<!-- <script> -->`. It never steps back, so its time is linear in the page, whatever the page holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curate.kernels.html.signs import MAX_RUNS, MAX_SIGNS, MIN_RUN_BYTES, last_signs
from curate.kernels.html.tag_reader import (
    ATTRIBUTES,
    BANG,
    CLASS,
    CONTENT,
    DATETIME,
    GREATER,
    HREF,
    HTTP_EQUIV,
    ITEMPROP,
    LANG,
    LESS,
    NAME,
    PROPERTY,
    PUBDATE,
    QUESTION,
    REL,
    SLASH,
    TYPE,
    XML_LANG,
    compiled,
    declaration_end,
    lower,
    mentions,
    next_of,
    packed,
    raw_end,
    read_attributes,
    starts,
    tag_name,
)  # fmt: skip

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
AUTHOR = 11  # key: rel or itemprop; value: what follows the tag; content of a meta element
H1 = 12  # value: what follows the tag of a main heading

MAX_MARKS = 1024  # rows of a page; 5,475 real pages have 14 in the mean and 292 at most
WINDOW_BYTES = 400  # how much of what follows an author's tag is shown


_TAGS = (
    "html", "meta", "link", "a", "area", "time", "base", "title", "script", "svg", "math", "h1",
    "style", "textarea", "xmp", "iframe", "noembed", "noframes",  # raw text, as script and title
)  # fmt: skip
_T_HTML, _T_META, _T_LINK, _T_A, _T_AREA, _T_TIME, _T_BASE, _T_TITLE, _T_SCRIPT, _T_SVG, _T_MATH, _T_H1 = (
    packed(name) for name in _TAGS[:12]
)
_T_STYLE, _T_TEXTAREA, _T_XMP, _T_IFRAME, _T_NOEMBED, _T_NOFRAMES = (packed(name) for name in _TAGS[12:])

_LOOKED_AT = 1 << HREF | 1 << ITEMPROP  # what is of interest on any element

_LICEN, _AUTHOR, _CANONICAL, _LD_JSON, _DATEPUB = (
    np.frombuffer(word, np.uint8) for word in (b"licen", b"author", b"canonical", b"ld+json", b"datepub")
)
_CC_HOST, _GNU_HOST, _OGL_HOST, _ODC_HOST = (
    np.frombuffer(host, np.uint8)
    for host in (
        b"creativecommons.org/",
        b"gnu.org/",
        b"nationalarchives.gov.uk/doc/open-g",
        b"opendatacommons.org/lic",
    )
)
_WWW = np.frombuffer(b"www.", np.uint8)


class Marks(NamedTuple):
    """The rows of a page in page order, (kind, key start, key end, value start, value end) each, and its © signs."""

    rows: list[list[int]]
    signs: list[int]  # offsets of the last MAX_SIGNS copyright signs in text, the last first


def find_marks(utf8: bytes) -> Marks:
    """Return the marks of a page. At most MAX_MARKS rows: what comes after them in the page is not listed."""
    page = np.frombuffer(utf8, np.uint8)
    rows = np.empty((MAX_MARKS, 5), np.int64)
    signs = np.empty(MAX_SIGNS, np.int64)
    span = np.empty((len(ATTRIBUTES), 2), np.int64)
    runs = np.empty((MAX_RUNS, 2), np.int64)
    n_rows, n_signs = _find(page, rows, signs, span, runs)
    return Marks(rows[:n_rows].tolist(), signs[:n_signs].tolist())


@compiled()
def _to_licence(page, span):  # type: ignore[no-untyped-def]
    """Say whether an href begins with the host of a licence text."""
    at, end = span[HREF, 0], span[HREF, 1]
    while at < end and page[at] <= 32:
        at += 1
    stop = min(at + 8, end - 1)
    while at < stop and not (page[at] == SLASH and page[at + 1] == SLASH):
        at += 1
    if at >= stop:
        return False
    at += 2
    if starts(page, at, end, _WWW):
        at += 4
    first = lower(page[at]) if at < end else 0
    if first == _CC_HOST[0]:
        return starts(page, at, end, _CC_HOST)
    if first == _GNU_HOST[0]:
        return starts(page, at, end, _GNU_HOST)
    if first == _OGL_HOST[0]:
        return starts(page, at, end, _OGL_HOST)
    return first == _ODC_HOST[0] and starts(page, at, end, _ODC_HOST)


@compiled()
def _add(rows, n_rows, kind, key_start, key_end, start, end):  # type: ignore[no-untyped-def]
    if n_rows == rows.shape[0]:
        return n_rows
    rows[n_rows, 0], rows[n_rows, 1], rows[n_rows, 2] = kind, key_start, key_end
    rows[n_rows, 3], rows[n_rows, 4] = start, end
    return n_rows + 1


@compiled()
def _add_meta(page, rows, n, seen, span):  # type: ignore[no-untyped-def]
    """Add a row for each name that a meta element goes by."""
    start, end = span[CONTENT, 0], span[CONTENT, 1]
    for key in (NAME, PROPERTY, ITEMPROP, HTTP_EQUIV):
        if seen >> key & 1 and seen >> CONTENT & 1:
            author = key == ITEMPROP and mentions(page, span, ITEMPROP, _AUTHOR)
            n = _add(rows, n, AUTHOR if author else META, span[key, 0], span[key, 1], start, end)
    return n


@compiled()
def _add_link(page, rows, n, tag, seen, span, at):  # type: ignore[no-untyped-def]
    """Add the rows of a link, a or area element with an href. `at` is where its tag ends."""
    start, end = span[HREF, 0], span[HREF, 1]
    rel = seen >> REL & 1
    if tag == _T_LINK and rel and mentions(page, span, REL, _CANONICAL):
        n = _add(rows, n, CANONICAL, 0, 0, start, end)
    says = rel and mentions(page, span, REL, _LICEN)
    says = says or (seen >> PROPERTY & 1 and mentions(page, span, PROPERTY, _LICEN))
    says = says or (seen >> ITEMPROP & 1 and mentions(page, span, ITEMPROP, _LICEN))
    if says:
        kind = LICENSE_LINK if tag == _T_LINK else LICENSE_ANCHOR
        n = _add(rows, n, kind, at, min(page.size, at + WINDOW_BYTES), start, end)
    elif tag != _T_LINK and _to_licence(page, span):
        n = _add(rows, n, LICENSE_WEAK, at, min(page.size, at + WINDOW_BYTES), start, end)
    if tag == _T_A and rel and mentions(page, span, REL, _AUTHOR):
        n = _add(rows, n, AUTHOR, span[REL, 0], span[REL, 1], at, min(page.size, at + WINDOW_BYTES))
    return n


@compiled()
def _add_itemprop(page, rows, n, seen, span, at):  # type: ignore[no-untyped-def]
    """Add the row of an element with an itemprop that is of interest. `at` is where its tag ends."""
    key_start, key_end = span[ITEMPROP, 0], span[ITEMPROP, 1]
    dates = mentions(page, span, ITEMPROP, _DATEPUB)
    if dates or mentions(page, span, ITEMPROP, _LICEN):
        for value in (CONTENT, DATETIME, HREF):
            if seen >> value & 1:
                return _add(rows, n, META, key_start, key_end, span[value, 0], span[value, 1])
    if mentions(page, span, ITEMPROP, _AUTHOR):
        return _add(rows, n, AUTHOR, key_start, key_end, at, min(page.size, at + WINDOW_BYTES))
    if dates:
        return _add(rows, n, TIME, key_start, key_end, at, min(page.size, at + WINDOW_BYTES))
    return n


@compiled()
def _add_element(page, rows, n, tag, seen, span, at):  # type: ignore[no-untyped-def]
    """Add the rows of a start tag, apart from title and script."""
    if tag == _T_META:
        return _add_meta(page, rows, n, seen, span)
    if tag == _T_HTML:
        key = LANG if seen >> LANG & 1 else XML_LANG
        return _add(rows, n, HTML, 0, 0, span[key, 0], span[key, 1]) if seen >> key & 1 else n
    if tag == _T_BASE:
        return _add(rows, n, BASE, 0, 0, span[HREF, 0], span[HREF, 1]) if seen >> HREF & 1 else n
    if seen >> HREF & 1 and tag in (_T_A, _T_LINK, _T_AREA):
        n = _add_link(page, rows, n, tag, seen, span, at)
    if seen >> ITEMPROP & 1:
        n = _add_itemprop(page, rows, n, seen, span, at)
    if tag == _T_TIME and seen >> DATETIME & 1:
        key = PUBDATE if seen >> PUBDATE & 1 else ITEMPROP if seen >> ITEMPROP & 1 else CLASS
        start, end = (span[key, 0], span[key, 1]) if seen >> key & 1 else (0, 0)
        n = _add(rows, n, TIME, start, end, span[DATETIME, 0], span[DATETIME, 1])
    return n


@compiled()
def _is_raw(tag):  # type: ignore[no-untyped-def]
    return tag in (_T_SCRIPT, _T_STYLE, _T_TEXTAREA, _T_XMP, _T_IFRAME, _T_NOEMBED, _T_NOFRAMES)


@compiled()
def _find(page, rows, signs, span, runs):  # type: ignore[no-untyped-def]
    """Fill `rows` and `signs`; return how many rows there are, and how many signs were seen.

    `span` and `runs` are room to work in: the attributes of a tag, the last runs of text.
    """
    n, at, n_rows, n_runs, foreign, titled = page.size, 0, 0, 0, 0, False
    while at < n:
        text = at
        at = next_of(page, at, n, LESS)
        if at - text >= MIN_RUN_BYTES:
            runs[n_runs % MAX_RUNS, 0], runs[n_runs % MAX_RUNS, 1] = text, at
            n_runs += 1
        if at >= n:
            break
        closes = at + 1 < n and page[at + 1] == SLASH
        name_at = at + 2 if closes else at + 1
        letter = lower(page[name_at]) if name_at < n else np.uint8(0)
        if not 97 <= letter <= 122:
            declares = closes or (name_at < n and letter in (BANG, QUESTION))
            at = declaration_end(page, at, n) if declares and name_at < n else at + 1
            continue
        if closes and letter != 115 and letter != 109:  # neither s(vg) nor m(ath): a > ends it
            at = next_of(page, name_at, n, GREATER) + 1
            continue
        tag, at = tag_name(page, name_at, n)
        seen, at = read_attributes(page, at, n, span)
        if at < 0:
            break
        if tag in (_T_SVG, _T_MATH):
            foreign = max(0, foreign - 1) if closes else foreign + (page[at - 2] != SLASH)
        if closes:
            continue
        if seen & _LOOKED_AT or (seen and tag in (_T_META, _T_HTML, _T_TIME)):
            n_rows = _add_element(page, rows, n_rows, tag, seen, span, at)
        elif tag == _T_H1 and foreign == 0:
            n_rows = _add(rows, n_rows, H1, 0, 0, at, min(n, at + WINDOW_BYTES))
        if (tag == _T_TITLE and foreign == 0) or _is_raw(tag):
            end = raw_end(page, at, n, tag)
            if tag == _T_TITLE and not titled:
                titled = True
                n_rows = _add(rows, n_rows, TITLE, 0, 0, at, end)
            elif tag == _T_SCRIPT and seen >> TYPE & 1 and mentions(page, span, TYPE, _LD_JSON):
                n_rows = _add(rows, n_rows, JSON_LD, 0, 0, at, end)
            at = end
    return n_rows, last_signs(page, runs, n_runs, signs)
