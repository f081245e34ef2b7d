"""Reads the schema.org descriptions (JSON-LD) of a page: headline, dates, authors, licence."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_BYTES = 256 << 10  # of all blocks of a page together; what goes beyond is not read
MAX_BLOCKS = 8
MAX_NODES = 1000  # objects and lists of one block that are looked at
MAX_DEPTH = 64  # of brackets, well below the parser's own limit

# What describes the page's main work; anything else (a site, a list, a person) does not date or name the page.
_WORKS = re.compile(
    r"(?i)(?:\w{0,30}article|\w{0,20}posting|\w{0,20}webpage|report|creativework|\w{0,20}review|recipe|videoobject|product"
    r"|book|dataset|question|qapage|howto|podcastepisode|event|course|aboutpage|contactpage|liveblogposting)\Z"
)
_ARTICLES = re.compile(r"(?i)(?:\w{0,30}article|\w{0,20}posting|report|review|recipe|\w{0,20}review)\Z")
_WANTED = (b"datePublished", b"dateCreated", b"uploadDate", b'"author"', b'"headline"', b'"license"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DATE = re.compile(rb'"(?:datePublished|dateCreated)"\s{0,9}:\s{0,9}"([^"\\]{8,40})"')


class Description(NamedTuple):
    """What JSON-LD says of the page; empty where it says nothing."""

    headline: str = ""
    published: str = ""
    authors: tuple[str, ...] = ()
    license: str = ""


def read_json_ld(blocks: list[bytes]) -> Description:
    """Return what the blocks say of the page's main work: articles before other works, then by their order.

    A block that is no JSON gives at most its date; one that is too large or nested too deep gives nothing.
    """
    works: list[tuple[int, dict[str, Any]]] = []
    broken_date, n_bytes = "", 0
    for block in blocks[:MAX_BLOCKS]:
        n_bytes += len(block)
        if n_bytes > MAX_BYTES:
            break
        if not any(word in block for word in _WANTED):
            continue
        parsed = _parsed(block)
        if parsed is None:
            found = _DATE.search(block)
            broken_date = broken_date or (found[1].decode("utf-8", "ignore") if found else "")
            continue
        works += [(rank, node) for node in _nodes(parsed) if (rank := _rank(node)) is not None]
    works.sort(key=lambda work: work[0])
    nodes = [node for _, node in works]
    return Description(
        headline=_first(nodes, "headline"),
        published=_first(nodes, "datePublished") or broken_date or _first(nodes, "dateCreated", "uploadDate"),
        authors=next((names for node in nodes if (names := _names(node.get("author")))), ()),
        license=_first(nodes, "license"),
    )


def _parsed(block: bytes) -> Any:
    text = block.decode("utf-8", "ignore").strip().removeprefix("<!--").removesuffix("-->").strip().rstrip(";")
    if _is_deep(block):
        return None
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return None


def _is_deep(block: bytes) -> bool:
    """Say whether a block may nest deeper than MAX_DEPTH; brackets inside strings count too."""
    if block.count(b"[") + block.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in block.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _nodes(parsed: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects at the top, those of an @graph, and the main entity of a page, in their order."""
    waiting = deque([parsed])
    for _ in range(MAX_NODES):
        if not waiting:
            return
        node = waiting.popleft()
        if isinstance(node, list):
            waiting.extendleft(reversed(node[:MAX_NODES]))
        elif isinstance(node, dict):
            yield node
            waiting.extendleft(node[key] for key in ("mainEntity", "@graph") if isinstance(node.get(key), (list, dict)))


def _rank(node: dict[str, Any]) -> int | None:
    """Return 0 for an article, 1 for another work, None for what does not describe the page."""
    kinds = node.get("@type")
    names = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)]
    names = [name.rpartition("/")[2] for name in names]
    if any(_ARTICLES.match(name) for name in names):
        return 0
    return 1 if any(_WORKS.match(name) for name in names) else None


def _first(nodes: list[dict[str, Any]], *keys: str) -> str:
    """Return the first string under one of the keys, in the order of the keys."""
    for key in keys:
        for node in nodes:
            value = node.get(key)
            if isinstance(value, list) and value:
                value = value[0]
            if isinstance(value, dict):
                value = value.get("@id") or value.get("url") or value.get("name")
            if isinstance(value, str) and value.strip():
                return value
    return ""


def _names(author: Any) -> tuple[str, ...]:
    """Return the names of an author property: a string, an object with a name, or a list of these."""
    found: list[str] = []
    for one in (author if isinstance(author, list) else [author])[:16]:
        name = one.get("name") if isinstance(one, dict) else one
        names = name if isinstance(name, list) else [name]
        found += [n for n in names[:16] if isinstance(n, str) and n.strip()]
    return tuple(dict.fromkeys(found))
