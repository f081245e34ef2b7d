"""Decides under which licence a page says it is, and finds its copyright line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from curate.kernels.html.licences import OTHER, license_of_text, license_of_url
from curate.kernels.html.values import absolute_url, text_of, without_scripts, without_tags

MAX_COPYRIGHT_CHARS = 200
_BEFORE_BYTES, _AFTER_BYTES = 600, 900  # markup around a link that is read as its words
_LINE_BEFORE_BYTES, _LINE_AFTER_BYTES = 240, 600  # markup around a copyright sign that is read as its line
_NEAR_CHARS = 160
_FOOTER_FRAC = 0.85  # a link in the last part of a page speaks of the page, if nothing near it says otherwise

_BLOCK = re.compile(
    rb"</?(?:p|div|br|hr|li|ul|ol|dl|dt|dd|td|th|tr|table|h[1-6]|footer|header|section|article|nav|aside|form|main|body"
    rb"|html|blockquote|pre|figure|figcaption|address|center|script|style|noscript|title|option|select)(?=[\s/>])",
    re.IGNORECASE,
)
_SPACES = re.compile(r"[_+]|%20")
_BADGE = re.compile(rb"\s{0,99}<(?:img|svg)\b", re.IGNORECASE)  # a link around a picture alone: the licence's button
_YEAR = re.compile(r"(?:19|20)\d\d")
_NOTICE = re.compile(r"©|\([cC]\)|copyright|rights reserved", re.IGNORECASE)
# Words that tie a licence to one picture, track or piece of software, and words that tie it to the page.
_CREDIT = re.compile(
    r"\b(?:f|ph)oto|\bbild|\bimages?\b|\bpicture|\bflickr|\bwikimedia|\bunsplash|\bpixabay|\bicons?\b|\billustration"
    r"|\bm[uú]si[ck]|\btrack\b|\blightbox|\bjquery|\bplugin|\bown work|\bcredits?:",
    re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"licen[sc]|lizen[sz]|lisens|licenc|лиценз|ライセンス|许可|許可|라이선스|unless otherwise|otherwise noted|content"
    r"|inhalt|contenu|contenid|contenut|conteúd",
    re.IGNORECASE,
)


class License(NamedTuple):
    """The name of a licence, such as cc-by-sa-4.0 or other, and where it stands; None where only its name is given."""

    name: str
    url: str | None


def declared_license(links: Sequence[str], texts: Sequence[str], base: str | None) -> License | None:
    """Return the licence that link elements, headers, meta elements and JSON-LD declare for the page.

    Links that lead elsewhere than a known licence are `other`; the first known one counts, and where links name
    licences that differ, none of them can be trusted to be the page's: `other`. Texts count only by the Creative
    Commons licence they name.
    """
    urls = [url for link in links if not link.startswith("#") and (url := absolute_url(link, base))]
    named = [(license_of_url(url) or license_of_text(_SPACES.sub(" ", url)), url) for url in urls]
    known = {name for name, _ in named if name}
    if len(known) > 1:
        return License(OTHER, urls[0])
    for name, url in named:
        if name:
            return License(name, url)
    for text in texts:
        if name := license_of_url(text) or license_of_text(text):
            return License(name, absolute_url(text, None))
    return License(OTHER, urls[0]) if urls else None


def linked_license(page: bytes, links: Sequence[tuple[int, str | None]], base: str | None) -> License | None:
    """Return the licence that a link in the page's text names without declaring it; None where it is in doubt.

    `links` are (offset after the tag, href). In doubt: links to several licences, a link beside words
    of a credit (`Photo: … CC BY 2.0`), a link that is not in the last part of the page, no badge, and beside no
    word of a licence. Software licences do not count. docs/consent.md says how often this is right.
    """
    urls = [(at, url) for at, href in links if (url := absolute_url(href, base))]
    found = [(name, at, url) for at, url in urls if (name := _text_license(url))]
    if len({name for name, _, _ in found}) != 1:
        return None
    name, at, url = found[0]
    near = nearby(page, at)
    speaks = at > _FOOTER_FRAC * len(page) or _BADGE.match(page, at) or _STATEMENT.search(near)
    if _CREDIT.search(near) or not speaks:
        return None
    return License(name, url)


def _text_license(url: str) -> str | None:
    name = license_of_url(url)
    return None if name is None or name.startswith(("gpl", "mit", "apache", OTHER)) else name


def nearby(page: bytes, at: int) -> str:
    """Return the text around an offset: up to 160 characters on either side."""
    before = text_of(without_tags(page[max(0, at - _BEFORE_BYTES) : at]), 4096) or ""
    after = text_of(without_tags(page[at : at + _AFTER_BYTES]), _NEAR_CHARS) or ""
    return f"{before[-_NEAR_CHARS:]} {after}"


def copyright_line(page: bytes, signs: Sequence[int]) -> str | None:
    """Return the line of the last copyright sign that has a year, else of the last one; None where there is none.

    `signs` are offsets, the last one first. A line ends at the tags of blocks and at 200 characters.
    """
    first = None
    for at in signs:
        line = _line(page, at)
        if line and _NOTICE.search(line):
            if _YEAR.search(line):
                return line
            first = first or line
    return first


def _line(page: bytes, at: int) -> str | None:
    before = page[max(0, at - _LINE_BEFORE_BYTES) : at]
    blocks = list(_BLOCK.finditer(before))
    if blocks:
        before = before[blocks[-1].start() :]
    elif len(before) == _LINE_BEFORE_BYTES:
        before = b""
    after = without_scripts(page[at : at + _LINE_AFTER_BYTES])
    end = _BLOCK.search(after)
    after = after[: end.start()] if end else after
    return text_of(without_tags(before + after), MAX_COPYRIGHT_CHARS)
