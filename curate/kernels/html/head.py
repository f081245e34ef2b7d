"""Reads what a page says of itself: title, date, author, address, language, and what its owner allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from curate.kernels.html import marks
from curate.kernels.html.jsonld import Description, read_json_ld
from curate.kernels.html.licences import OTHER
from curate.kernels.html.names import author_names, without_site
from curate.kernels.html.rights import License, copyright_line, declared_license, linked_license
from curate.kernels.html.robots import AGENTS, directives_of
from curate.kernels.html.values import absolute_url, date_of, first_run, folded, language_tag, text_of, url_date

MAX_TITLE_CHARS = 512
MAX_URL_BYTES = 4096
MAX_HEADER_CHARS = 16_384

# Names of meta elements by what they say, the most reliable first.
_NAMES: Mapping[str, list[str]] = {
    "title": ["og:title"],
    "other title": ["twitter:title", "dc.title", "dcterms.title", "parsely-title", "sailthru.title"],
    "site": ["og:site_name", "application-name"],
    "published": ["article:published_time", "og:published_time"],
    "dated": [
        "datepublished", "parsely-pub-date", "sailthru.date", "dcterms.created", "dc.date.issued", "dcterms.issued",
        "dc.date.created", "cxenseparse:recs:publishtime", "originalpublicationdate", "article.published",
        "published-date", "publisheddate", "publishdate", "publish-date", "publish_date", "publication_date",
        "pub_date", "pubdate", "citation_publication_date", "citation_date", "article_date_original",
        "rnews:datepublished", "prism.publicationdate", "dcterms.date", "dc.date", "date",
    ],
    "author": [
        "author", "article:author", "parsely-author", "sailthru.author", "citation_author", "dc.creator",
        "dcterms.creator", "byl",
    ],
    "url": ["og:url"],
    "language": ["content-language", "dc.language", "language"],
    "locale": ["og:locale"],
    "tdm-reservation": ["tdm-reservation"],
    "tdm-policy": ["tdm-policy"],
    "robots": ["robots", *sorted(AGENTS)],
    "license": [
        "dcterms.license", "dc.license", "license", "cc:license", "og:license", "dcterms.rights", "dc.rights", "rights",
    ],
    "copyright": ["copyright", "dcterms.rights", "dc.rights", "rights"],
}  # fmt: skip
_SAYS: dict[bytes, list[tuple[str, int]]] = {}  # name → (what it says, rank)
for _what, _names in _NAMES.items():
    for _rank, _name in enumerate(_names):
        _SAYS.setdefault(_name.encode(), []).append((_what, _rank))

_PUBLISHED_WORDS = (b"publi", b"pubdate", b"entry-date", b"post-date")
_LINK_HEADER = re.compile(r"<([^<>]{1,2048})>([^<>]{0,512})")
_REL = re.compile(r";\s{0,9}rel\s{0,9}=\s{0,9}\"?([^\";,]{1,128})", re.IGNORECASE)


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


class _Row(NamedTuple):
    """A mark of the page: its key and value as they stand there, and where the key starts."""

    key: bytes
    value: bytes
    at: int


class _Page(NamedTuple):
    """What a page holds that `read_head` looks at, sorted by kind."""

    html: bytes
    said: dict[str, list[tuple[int, bytes, bytes]]]  # by _NAMES: (rank, name, content)
    rows: dict[int, list[_Row]]  # by kind of mark
    signs: list[int]
    headers: Mapping[str, str]
    base: str | None  # what links are relative to
    described: Description


def read_head(utf8: bytes, headers: Mapping[str, str], url: str | None) -> Head:
    """Return what a page and the headers it came with say of it.

    `utf8` is the page in UTF-8; `headers` have lower-case names. Time is linear in the page. Elements count wherever
    they stand, as long as they are elements: not in comments, scripts, or the values of attributes. Each field has
    its own rule, told by the function that reads it.
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
    said: dict[str, list[tuple[int, bytes, bytes]]] = {}
    rows: dict[int, list[_Row]] = {}
    found = marks.find_marks(utf8)
    for kind, key_start, key_end, start, end in found.rows:
        if kind != marks.META:
            rows.setdefault(kind, []).append(_Row(utf8[key_start:key_end], utf8[start:end], key_start))
            continue
        name = utf8[key_start:key_end].strip().lower()
        for what, rank in _SAYS.get(name, ()):
            said.setdefault(what, []).append((rank, name, utf8[start:end]))
    for values in said.values():
        values.sort(key=_rank_of)
    base = rows.get(marks.BASE)
    if base:
        url = absolute_url(text_of(base[0].value, MAX_URL_BYTES), url) or url
    blocks = rows.get(marks.JSON_LD)
    described = read_json_ld([row.value for row in blocks]) if blocks else Description()
    return _Page(utf8, said, rows, found.signs, headers, url, described)


def _rank_of(value: tuple[int, bytes, bytes]) -> int:
    return value[0]


def _said(page: _Page, what: str, max_chars: int) -> list[str]:
    """Return what the meta elements say, the most reliable name first."""
    values = page.said.get(what)
    return [text for _, _, value in values if (text := text_of(value, max_chars))] if values else []


def _links(page: _Page, kind: int) -> list[str]:
    """Return the links of the marks of this kind."""
    rows = page.rows.get(kind)
    return [text for row in rows if (text := text_of(row.value, MAX_URL_BYTES))] if rows else []


def _header_links(page: _Page, rel: str) -> list[str]:
    """Return the targets of the Link header with this relation."""
    header = page.headers.get("link")
    if not header:
        return []
    return [
        found[1].strip()
        for found in _LINK_HEADER.finditer(header[:MAX_HEADER_CHARS])
        if (said := _REL.search(found[2])) and rel in said[1].lower().split()
    ]


def _title(page: _Page) -> str | None:
    """og:title, then the title element, then other meta elements and the JSON-LD headline; without the site's name.

    The name of the site goes where page or URL tell it, and from a title element also what follows a main heading.
    Of the 130 titles that Readability's test pages expect, 108 come out so, word for word; og:title alone has 67, the
    title element alone 65.
    """
    if titles := _said(page, "title", MAX_TITLE_CHARS):
        return without_site(titles[0], _said(page, "site", 128), page.base, ())
    for row in page.rows.get(marks.TITLE, ()):
        if title := text_of(row.value, MAX_TITLE_CHARS):
            headings = (text_of(first_run(row.value), MAX_TITLE_CHARS) for row in page.rows.get(marks.H1, ())[:3])
            return without_site(title, _said(page, "site", 128), page.base, headings)
    titles = _said(page, "other title", MAX_TITLE_CHARS)
    return titles[0] if titles else text_of(page.described.headline.encode("utf-8", "ignore"), MAX_TITLE_CHARS)


def _published(page: _Page, url: str | None) -> str | None:
    """The first date of: the meta elements made for it, JSON-LD, other meta elements, time elements, the URL's path.

    Last-Modified is no date of the text: servers send when they made the page.
    """
    for value in _said(page, "published", 128):
        if date := date_of(value):
            return date
    if date := date_of(page.described.published):
        return date
    for value in _said(page, "dated", 128):
        if date := date_of(value):
            return date
    return _time_date(page) or url_date(url)


def _time_date(page: _Page) -> str | None:
    """Return the date of the first time element that says it is the date of publication, or of the only one."""
    times = page.rows.get(marks.TIME, [])
    for row in times:
        said = row.key.lower()
        date = date_of(text_of(first_run(row.value), 128)) if any(word in said for word in _PUBLISHED_WORDS) else None
        if date:
            return date
    return date_of(text_of(first_run(times[0].value), 128)) if len(times) == 1 else None


def _author(page: _Page) -> str | None:
    """Names in the best meta element that has any, then in JSON-LD, then the text of rel=author or itemprop=author."""
    values = page.said.get("author", [])
    for rank in dict.fromkeys(rank for rank, _, _ in values):
        if names := author_names(text_of(value, 256) for own, _, value in values if own == rank):
            return names
    if names := author_names(text_of(name.encode("utf-8", "ignore"), 256) for name in page.described.authors):
        return names
    rows = page.rows.get(marks.AUTHOR)
    return author_names([text_of(first_run(rows[0].value), 256)]) if rows else None


def _canonical_url(page: _Page) -> str | None:
    """link rel=canonical, then the Link header, then og:url."""
    for link in _links(page, marks.CANONICAL):
        if url := absolute_url(link, page.base):
            return url
    for link in [*_header_links(page, "canonical"), *_said(page, "url", MAX_URL_BYTES)]:
        if url := absolute_url(link, page.base):
            return url
    return None


def _declared_language(page: _Page) -> str | None:
    """html lang or xml:lang, then meta and header Content-Language where they name one language, then og:locale."""
    for row in page.rows.get(marks.HTML, ()):
        if tag := language_tag(text_of(row.value, 64)):
            return tag
    for value in [*_said(page, "language", 64), page.headers.get("content-language"), *_said(page, "locale", 64)]:
        if tag := language_tag(value):
            return tag
    return None


def _robots(page: _Page) -> str | None:
    """All meta elements named robots or after a crawler, and the X-Robots-Tag header."""
    metas = [(name.decode(), text) for _, name, value in page.said.get("robots", ()) if (text := text_of(value, 2048))]
    header = page.headers.get("x-robots-tag")
    return directives_of(metas, header) if metas or header else None


def _tdm_reservation(page: _Page) -> bool | None:
    """True where the header or a meta element reserves (1), False where one of them says 0 and none reserves.

    Source: TDM Reservation Protocol, final report of the W3C community group, May 2024. A reservation counts wherever
    it stands, for where two differ it cannot be seen from here which of them is meant.
    """
    said = {value.strip() for value in _said(page, "tdm-reservation", 16)}
    header = page.headers.get("tdm-reservation")
    if header:
        said |= {value.strip() for value in header[:128].replace("\n", ",").split(",")}
    return True if "1" in said else False if "0" in said else None


def _tdm_policy(page: _Page) -> str | None:
    """The URL of the policy: the header's before the meta element's."""
    for value in [page.headers.get("tdm-policy"), *_said(page, "tdm-policy", MAX_URL_BYTES)]:
        if url := absolute_url(value, page.base):
            return url
    return None


def _license(page: _Page) -> License | None:
    """What head, headers, meta elements and JSON-LD declare; then rel=license in the text; then a plain link.

    The last must stand in the footer or beside words that speak of a licence, see `linked_license`. A declared
    licence of unknown name, `other`, gives way to a known one that comes later in this order.
    """
    texts = _said(page, "license", 512)
    if page.described.license:
        texts += [text for text in [folded(page.described.license, 512)] if text]
    links = [*_links(page, marks.LICENSE_LINK), *_header_links(page, "license")]
    declared = declared_license(links, texts, page.base)
    if declared is not None and declared.name != OTHER:
        return declared
    anchored = declared_license(_links(page, marks.LICENSE_ANCHOR), (), page.base)
    if anchored is not None and anchored.name != OTHER:
        return anchored
    if declared or anchored:
        return declared or anchored
    weak = page.rows.get(marks.LICENSE_WEAK)
    if not weak:
        return None
    return linked_license(page.html, [(row.at, text_of(row.value, MAX_URL_BYTES)) for row in weak], page.base)


def _copyright(page: _Page) -> str | None:
    """The line of the copyright sign nearest to the end of the page, else the meta element of that name."""
    if line := copyright_line(page.html, page.signs):
        return line
    values = _said(page, "copyright", 200)
    return values[0] if values else None
