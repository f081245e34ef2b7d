"""Reads what a page tells robots: the directives of robots meta elements and of X-Robots-Tag headers."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What search engines document (Google, Bing, Yandex), and the two that DeviantArt brought in for AI in 2022.
DIRECTIVES = frozenset((
    "all", "archive", "follow", "index", "indexifembedded", "noai", "noarchive", "nocache", "nofollow", "noimageai",
    "noimageindex", "noindex", "noml", "none", "noodp", "nopreview", "nositelinkssearchbox", "nosnippet", "notranslate",
    "noydir",
))  # fmt: skip
VALUED = frozenset(("max-image-preview", "max-snippet", "max-video-preview", "unavailable_after"))
RESTRICTIONS = (  # those of DIRECTIVES that forbid something, as a page may be dropped for
    "noai", "noarchive", "nocache", "nofollow", "noimageai", "noimageindex", "noindex", "noml", "nosnippet",
)  # fmt: skip
AGAINST_AI = frozenset(("noai", "noimageai", "noml"))
MEANS = {"none": ("noindex", "nofollow")}  # by Google's documentation
# Crawlers that a meta element or a header may address by name; others in a header are recognised by their colon.
AGENTS = frozenset((
    "ai2bot", "amazonbot", "anthropic-ai", "applebot", "applebot-extended", "baiduspider", "bingbot", "bytespider",
    "ccbot", "chatgpt-user", "claude-web", "claudebot", "cohere-ai", "diffbot", "duckduckbot", "facebookbot",
    "google-extended", "googlebot", "googlebot-news", "gptbot", "meta-externalagent", "msnbot", "oai-searchbot",
    "omgili", "omgilibot", "perplexitybot", "petalbot", "slurp", "teoma", "yandex", "yandexbot",
))  # fmt: skip
MAX_VALUE_CHARS = 2048  # of one meta element or header
MAX_OTHERS = 16  # directives that are not in DIRECTIVES or VALUED, per page: they are kept, but bounded

_OTHER = re.compile(r"[a-z][a-z0-9_-]{1,31}(?::[a-z0-9_. -]{1,32})?")
_AGENT = re.compile(r"([a-z][a-z0-9_.-]{1,31})\s{0,4}:\s{0,4}(.*)", re.DOTALL)
_DATE_PIECE = re.compile(r"[^:]{0,12}\d")  # goes on with a date: ` 25 jun 2030 15:00:00 pst`


def directives_of(metas: Iterable[tuple[str, str]], header: str | None) -> str | None:
    """Return all directives of a page in lower case, sorted and joined by commas; None where there is none.

    `metas` are (name, content) of meta elements whose name is robots or one of AGENTS; `header` is X-Robots-Tag,
    repeated ones on lines of their own or joined by commas. What is addressed to one crawler keeps its name:
    `ccbot:noindex`. In a header a name holds up to the next one or the end of the line; but readers of HTTP join
    header lines by commas, so what says no to AI behind such a comma counts for all crawlers too. `none` is
    written as `nofollow,noindex`; commas inside a date become spaces.
    """
    found: set[str] = set()
    for name, content in metas:
        found.update(_pieces(content, "" if name == "robots" else name))
    for line in (header or "").split("\n"):
        found.update(_pieces(line, None))
    known = {d for d in found if _is_known(d)}
    others = sorted(found - known)[:MAX_OTHERS]
    return ",".join(sorted([*known, *others])) or None


def _is_known(directive: str) -> bool:
    name, _, rest = directive.partition(":")
    if name in VALUED or name in DIRECTIVES:
        return True
    return rest.partition(":")[0] in VALUED or rest in DIRECTIVES


def _pieces(value: str, agent: str | None) -> list[str]:
    """Return the directives of one value. `agent` None: the value is a header's and may name agents itself."""
    found: list[str] = []
    in_header, name = agent is None, agent or ""
    pieces = re.split("[,;]", value[:MAX_VALUE_CHARS].lower())
    at = 0
    while at < len(pieces):
        piece = " ".join(pieces[at].split())
        at += 1
        inherited = in_header and name != ""
        if in_header and (named := _AGENT.fullmatch(piece)) and named[1] not in VALUED:
            inherited = False
            name, piece = ("" if named[1] in ("*", "robots") else named[1]), named[2]
        if piece.startswith("unavailable_after"):
            while at < len(pieces) and _DATE_PIECE.match(pieces[at]):
                piece += " " + " ".join(pieces[at].split())
                at += 1
        directives = _of_piece(piece)
        found += [f"{name}:{directive}" if name else directive for directive in directives]
        if inherited:
            found += [directive for directive in directives if directive in AGAINST_AI]
    return found


def _of_piece(piece: str) -> list[str]:
    """Return the directives of a piece without commas: one, or several known ones with spaces between."""
    name, colon, value = (part.strip() for part in piece.partition(":"))
    if name in VALUED:
        return [f"{name}:{value[:40].strip()}"] if colon else []
    words = piece.split(" ")
    if len(words) > 1 and all(word in DIRECTIVES for word in words):
        return [directive for word in words for directive in MEANS.get(word, (word,))]
    return list(MEANS.get(piece, (piece,))) if _OTHER.fullmatch(piece) else []
