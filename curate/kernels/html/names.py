"""Tells names from what stands around them: a page's title from its site's, authors from bylines."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

MAX_AUTHORS = 8
MAX_AUTHOR_CHARS = 200  # of all of them
MAX_NAME_CHARS, MAX_NAME_WORDS = 100, 12  # longer ones are sentences

_SIGNS = re.compile(r"[-|–—·•»:ǀ]+")
_AT_END = re.compile(r"\s*(?:\s[-–—·•:ǀ]|[|»ǀ:,.-])+\s")
_HOST = re.compile(r"https?://(?:[^/?#@]{0,256}@)?(?:www\.)?([^/?#@:]{1,253})", re.IGNORECASE)
_NOT_A_WORD = re.compile(r"[\W_]+")
_NO_NAME = re.compile(
    r"https?://|www\.|\A@|\A[\W\d_]+\Z|[<>{}]|\A(?:admin(?:istrator)?|authors?|unknown|anonymous|publisher|name|editor|staff"
    r"|by|von|par|por|door|di|da|written by|posted by|autor|автор|作者|archiv anzeigen|copyright\b.*)[:：]?\Z",
    re.IGNORECASE,
)
_BYLINE = re.compile(
    r"\A(?:(?:written |posted )?by|von|par|por|door|di|autore?|author|автор|作者)(?::\s*|：\s*|\s+)", re.IGNORECASE
)


def without_site(title: str, sites: Sequence[str], url: str | None, headings: Iterable[str | None]) -> str:
    """Return a page's title without the name of its site at the end: `New Zealand - Wikipedia` is `New Zealand`.

    The last part of the title goes where it is one of `sites` (what the page calls its site) or the name in the
    URL's host; else a main heading of the page that the title begins with, up to a separator, is the title.
    """
    cut = _last_separator(title)
    if cut is None:
        return title
    last = _squeezed(title[cut.end() :])
    if last and (any(last == _squeezed(site) for site in sites) or last in _host_names(url)):
        return title[: cut.start()].rstrip()
    for heading in headings:
        if heading and len(heading) > 3 and title.startswith(heading) and _AT_END.match(title, len(heading)):
            return heading
    return title


def _last_separator(title: str) -> re.Match[str] | None:
    """Return the last sign that parts a title: | or », a colon before a space, or another with spaces around it."""
    for sign in reversed(list(_SIGNS.finditer(title))):
        before, after = title[sign.start() - 1 : sign.start()], title[sign.end() : sign.end() + 1]
        if not before or not after:
            continue
        if sign[0] in ("|", "»") or (after.isspace() and (before.isspace() or sign[0] == ":")):
            return sign
    return None


def _host_names(url: str | None) -> set[str]:
    """Return what a site may be called by its host: example.co.uk gives examplecouk, example."""
    host = _HOST.match(url) if url else None
    if host is None:
        return set()
    labels = host[1].lower().split(".")
    return {_squeezed("".join(labels)), *(_squeezed(label) for label in labels[:-1] if len(label) > 3)}


def _squeezed(text: str) -> str:
    """Return the letters and digits of a name, without accents, in lower case."""
    if text.isascii():
        return _NOT_A_WORD.sub("", text.lower())
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return _NOT_A_WORD.sub("", "".join(c for c in decomposed if not unicodedata.combining(c)))


def author_names(values: Iterable[str | None]) -> str | None:
    """Return the values that can be names, each once, joined by "; "; bylines lose their `by`.

    None where nothing is left: URLs, handles, words such as `admin`, and sentences are no names.
    """
    names: dict[str, None] = {}
    for value in values:
        name = _BYLINE.sub("", value).strip(" ,;:") if value else ""
        if name and len(name) <= MAX_NAME_CHARS and name.count(" ") < MAX_NAME_WORDS and not _NO_NAME.search(name):
            names[name] = None
            if len(names) == MAX_AUTHORS:
                break
    return "; ".join(names)[:MAX_AUTHOR_CHARS].rstrip("; ") or None
