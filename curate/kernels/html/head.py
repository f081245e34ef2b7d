"""Reads what a page says of itself: title, date, author, address, language, and what its owner allows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from curate.kernels.html import marks
from curate.kernels.html.jsonld import Description, read_json_ld
from curate.kernels.html.rights import License, copyright_line, declared_license, linked_license
from curate.kernels.html.robots import AGENTS, directives_of
from curate.kernels.html.values import absolute_url, date_of, folded, language_tag, text_of, url_date, without_tags

MAX_TITLE_CHARS = 512
MAX_AUTHOR_CHARS = 200
MAX_AUTHORS = 8

_TITLES = (b"og:title", b"twitter:title", b"dc.title", b"dcterms.title", b"parsely-title", b"sailthru.title")
_DATES = (  # the most reliable first
    b"article:published_time", b"og:published_time", b"datepublished", b"parsely-pub-date", b"sailthru.date",
    b"dcterms.created", b"dc.date.issued", b"dcterms.issued", b"dcterms.available", b"dc.date.created",
    b"cxenseparse:recs:publishtime", b"originalpublicationdate", b"article.published", b"published-date",
    b"publisheddate", b"publishdate", b"publish-date", b"publish_date", b"publication_date", b"pub_date", b"pubdate",
    b"citation_publication_date", b"citation_date", b"article_date_original", b"rnews:datepublished", b"prism.publicationdate",
    b"dcterms.date", b"dc.date", b"date",
)  # fmt: skip
_AUTHORS = (
    b"author", b"article:author", b"parsely-author", b"sailthru.author", b"dc.creator", b"dcterms.creator", b"byl",
    b"citation_author", b"article:author_name", b"twitter:data1",
)  # fmt: skip
_RIGHTS = (b"dcterms.license", b"dc.license", b"license", b"dcterms.rights", b"dc.rights", b"cc:license", b"og:license")
_COPYRIGHTS = (b"copyright", b"dcterms.rightsholder", b"dcterms.rights", b"dc.rights", b"rights")
_KNOWN = frozenset((
    *_TITLES, *_DATES, *_AUTHORS, *_RIGHTS, *_COPYRIGHTS, b"og:url", b"og:locale", b"og:site_name", b"content-language",
    b"dc.language", b"language", b"tdm-reservation", b"tdm-policy", b"robots", b"x-robots-tag", b"twitter:label1",
    *(agent.encode() for agent in AGENTS),
))  # fmt: skip
_LINK_HEADER = re.compile(r"<([^<>]{1,2048})>([^<>]{0,512})")
_REL = re.compile(r";\s{0,9}rel\s{0,9}=\s{0,9}\"?([^\";,]{1,128})", re.IGNORECASE)
_NO_NAME = re.compile(
    r"https?://|www\.|\A@|\A\d+\Z|\A(?:admin|administrator|author|unknown|anonymous|by)\Z", re.IGNORECASE
)
_BY = re.compile(r"\A(?:written |posted )?(?:by|von|par|por|door|di|автор:?)\s+", re.IGNORECASE)


class Head(NamedTuple):
    """What a page says of itself; None where it does not say it, or nothing that can be true."""

    title: str | None
    published: str | None  # YYYY-MM-DD
    author: str | None  # several are joined by "; "
    canonical_url: str | None
    declared_language: str | None  # BCP-47
    robots: str | None  # sorted directives joined by ",", see `curate.kernels.html.robots`
    tdm_reservation: bool | None
    tdm_policy: str | None
    license: str | None  # see `curate.kernels.html.licences`
    license_url: str | None
    copyright: str | None


class _Page(NamedTuple):
    """The marks of a page by what they are; values are bytes as they stand in the page."""

    html: bytes
    metas: dict[bytes, list[bytes]]  # by lower-case name
    rows: dict[int, list[tuple[bytes, bytes, int]]]  # kind → (key, value, where the key starts)
    signs: list[int]
    headers: Mapping[str, str]
    url: str | None  # the base of links
    described: Description


def read_head(utf8: bytes, headers: Mapping[str, str], url: str | None) -> Head:
    """Return what a page and the headers it came with say of it.

    `utf8` is the page in UTF-8; `headers` have lower-case names. Time is linear in the page. Elements count wherever
    they stand, as long as they are elements: not in comments, scripts, or the values of attributes. The rules of each
    field are told by the function that reads it.
    """
    page = _marked(utf8, headers, url)
    license = _license(page)
    return Head(
        title=_title(page),
        published=_published(page, url),
        author=_author(page),
        canonical_url=_canonical_url(page),
        declared_language=_declared_language(page),
        robots=_robots(page),
        tdm_reservation=_tdm_reservation(page),
        tdm_policy=_tdm_policy(page),
        license=license.name if license else None,
        license_url=license.url if license else None,
        copyright=_copyright(page),
    )


def _marked(utf8: bytes, headers: Mapping[str, str], url: str | None) -> _Page:
    metas: dict[bytes, list[bytes]] = {}
    rows: dict[int, list[tuple[bytes, bytes, int]]] = {}
    found = marks.find_marks(utf8)
    for kind, key_start, key_end, start, end in found.rows:
        key, value = utf8[key_start:key_end], utf8[start:end]
        if kind != marks.META:
            rows.setdefault(kind, []).append((key, value, key_start))
            continue
        name = key.strip().lower()
        if name in _KNOWN:
            metas.setdefault(name, []).append(value)
        elif name.endswith(b"license"):
            metas.setdefault(b"license", []).append(value)
    base = rows.get(marks.BASE)
    if base:
        url = absolute_url(text_of(base[0][1], 2048), url) or url
    described = read_json_ld([value for _, value, _ in rows.get(marks.JSON_LD, ())])
    return _Page(utf8, metas, rows, found.signs, headers, url, described)


def _values(page: _Page, names: Sequence[bytes], max_chars: int) -> list[str]:
    """Return the values of meta elements of these names, in the order of the names."""
    return [text for name in names for value in page.metas.get(name, ()) if (text := text_of(value, max_chars))]


def _header_links(page: _Page, rel: str) -> list[str]:
    """Return the targets of the Link header with this relation."""
    return [
        found[1].strip()
        for found in _LINK_HEADER.finditer(page.headers.get("link", "")[:16384])
        if (said := _REL.search(found[2])) and rel in said[1].lower().split()
    ]


def _title(page: _Page) -> str | None:
    """og:title, which seldom carries the site's name; then the title element, twitter:title and the JSON-LD headline."""
    if titles := _values(page, _TITLES[:1], MAX_TITLE_CHARS):
        return titles[0]
    for _, value, _ in page.rows.get(marks.TITLE, ()):
        if title := text_of(value, MAX_TITLE_CHARS):
            return title
    titles = _values(page, _TITLES[1:], MAX_TITLE_CHARS)
    return titles[0] if titles else folded(page.described.headline, MAX_TITLE_CHARS)


def _published(page: _Page, url: str | None) -> str | None:
    """The first date of: meta elements made for it, JSON-LD, itemprop, time elements that say so, the URL's path."""
    for name in _DATES[:2]:
        for value in page.metas.get(name, ()):
            if date := date_of(text_of(value, 128)):
                return date
    if date := date_of(page.described.published):
        return date
    for value in _values(page, _DATES[2:], 128):
        if date := date_of(value):
            return date
    return _time_date(page) or url_date(url)


def _time_date(page: _Page) -> str | None:
    """Return the date of the first time element that is marked as the date of publication, or that is the only one."""
    times = page.rows.get(marks.TIME, [])
    for key, value, _ in times:
        said = key.lower()
        if b"publi" in said or b"pubdate" in said or b"entry-date" in said or b"post-date" in said:
            if date := date_of(text_of(_first_run(value), 128)):
                return date
    return date_of(text_of(_first_run(times[0][1]), 128)) if len(times) == 1 else None


def _first_run(markup: bytes) -> bytes:
    """Return the first text of some markup that has a letter or digit; a value without markup is its own."""
    return next((run for run in re.split(rb"<[^<>]{0,512}>", markup) if any(run) and not run.isspace()), b"")


def _author(page: _Page) -> str | None:
    """Names in meta elements, then in JSON-LD, then the text of rel=author and itemprop=author; never a URL."""
    for name in _AUTHORS[:-1]:
        if names := _names(_values(page, (name,), MAX_AUTHOR_CHARS)):
            return names
    if names := _names([folded(name, MAX_AUTHOR_CHARS) for name in page.described.authors]):
        return names
    marked = [text_of(_first_run(value), MAX_AUTHOR_CHARS) for _, value, _ in page.rows.get(marks.AUTHOR, ())[:1]]
    return _names(marked)


def _names(values: Sequence[str | None]) -> str | None:
    """Return the values that can be names, each once, joined by "; "."""
    names = [
        _BY.sub("", value) for value in values if value and not _NO_NAME.search(value) and any(map(str.isalpha, value))
    ]
    joined = "; ".join(list(dict.fromkeys(names))[:MAX_AUTHORS])
    return joined[:MAX_AUTHOR_CHARS].rstrip("; ") or None


def _canonical_url(page: _Page) -> str | None:
    """link rel=canonical, then the Link header, then og:url."""
    links = [text_of(value, 4096) for _, value, _ in page.rows.get(marks.CANONICAL, ())]
    for link in [*links, *_header_links(page, "canonical"), *_values(page, (b"og:url",), 4096)]:
        if url := absolute_url(link, page.url):
            return url
    return None


def _declared_language(page: _Page) -> str | None:
    """html lang or xml:lang, then meta and header Content-Language where they name one language, then og:locale."""
    html = [text_of(value, 64) for _, value, _ in page.rows.get(marks.HTML, ())]
    metas = _values(page, (b"content-language", b"dc.language", b"language"), 64)
    for value in [*html, *metas, page.headers.get("content-language"), *_values(page, (b"og:locale",), 64)]:
        if tag := language_tag(value):
            return tag
    return None


def _robots(page: _Page) -> str | None:
    """All meta elements named robots or after a crawler, and the X-Robots-Tag header."""
    metas = [
        (name.decode(), text)
        for name, values in page.metas.items()
        if name == b"robots" or name.decode("utf-8", "ignore") in AGENTS
        for value in values
        if (text := text_of(value, 2048))
    ]
    header = page.headers.get("x-robots-tag")
    return directives_of(metas, header) if metas or header else None


def _tdm_reservation(page: _Page) -> bool | None:
    """True where header or meta element reserve (1), False where one of them says 0 and none reserves.

    Source: TDM Reservation Protocol, W3C community group final report, May 2024. A reservation counts wherever it
    stands: which of two that differ is the newer one cannot be seen from here.
    """
    said = {value.strip() for value in _values(page, (b"tdm-reservation",), 16)}
    said |= {value.strip() for value in page.headers.get("tdm-reservation", "").split(",")}
    return True if "1" in said else False if "0" in said else None


def _tdm_policy(page: _Page) -> str | None:
    """The URL of the policy, of the header before the meta element."""
    for value in [page.headers.get("tdm-policy"), *_values(page, (b"tdm-policy",), 4096)]:
        if url := absolute_url(value, page.url):
            return url
    return None


def _license(page: _Page) -> License | None:
    """What is declared in the head, headers and JSON-LD, then rel=license in the text, then a plain link in the footer."""
    links = [text for _, value, _ in page.rows.get(marks.LICENSE_LINK, ()) if (text := text_of(value, 4096))]
    links += _header_links(page, "license")
    texts = [*_values(page, _RIGHTS, 512), folded(page.described.license, 512) or ""]
    found = declared_license(links, texts, page.url)
    if found is not None and found.name != "other":
        return found
    anchors = [text for _, value, _ in page.rows.get(marks.LICENSE_ANCHOR, ()) if (text := text_of(value, 4096))]
    weak = [(at, 0, text) for _, value, at in page.rows.get(marks.LICENSE_WEAK, ()) if (text := text_of(value, 4096))]
    said = declared_license(anchors, (), page.url)
    if said is not None and (said.name != "other" or found is None):
        return said
    return found or linked_license(page.html, weak, page.url)


def _copyright(page: _Page) -> str | None:
    """The line of the copyright sign nearest to the end of the page, else the meta element of that name."""
    if line := copyright_line(page.html, page.signs):
        return line
    values = _values(page, _COPYRIGHTS, 200)
    return values[0] if values else None
