"""Loads web pages and their main-text gold from the data folder: packed WARC members found by an index."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from curate.charset import decode_html
from curate.sites import host_of, site_of

INDEX, GOLD = "web-dev.index.jsonl.gz", "web-dev.gold.jsonl.gz"
UNKNOWN_HOST = "unknown-url.invalid"  # the host of pages whose real address is not known
FULL_GOLD = ("text", "html")  # kinds whose `text` is the whole main text


@dataclass(frozen=True)
class Page:
    """One web page, decoded; `gold` is the row that labels it, None where nobody did."""

    id: str
    url: str
    source: str
    language: str  # ISO 639-1, "??" where nothing says it
    utf8: bytes
    gold: dict[str, Any] | None

    @property
    def site(self) -> str:
        """The registered domain; pages of one collection whose address is unknown are each a site of their own."""
        host = host_of(self.url) or UNKNOWN_HOST
        if host == UNKNOWN_HOST:
            # the pages of one manual come from one generator, which is what a site is
            return "/".join(self.id.split("/")[:2]) if self.id.startswith("deb/") else self.id
        return site_of(host) or host

    @property
    def kind(self) -> str:
        """The kind of gold: text, html, snippets, prefix, or none."""
        return self.gold["kind"] if self.gold else "none"


def fold_of(site: str, n_folds: int) -> int:
    """Return the fold that all pages of a site belong to."""
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big") % n_folds


def input_sha256(data: Path) -> dict[str, str]:
    """Return the sha256 of every file that `load_pages` reads, by name."""
    names = [INDEX, GOLD, *sorted(path.name for path in (data / "pages").glob("web-dev-*.warc.gz"))]
    return {name: hashlib.sha256((data / "pages" / name).read_bytes()).hexdigest() for name in names}


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def load_pages(data: Path) -> Iterator[Page]:
    """Yield every page of `data`/pages in index order; raises ValueError where the bytes are not the indexed ones."""
    folder = data / "pages"
    gold = {row["id"]: row for row in _rows(folder / GOLD)}

    @cache
    def packed(name: str) -> bytes:
        return (folder / name).read_bytes()

    for row in _rows(folder / INDEX):
        record = zlib.decompressobj(wbits=31).decompress(packed(row["warc"])[row["offset"] :])
        html = record.split(b"\r\n\r\n", 2)[2][: row["bytes"]]  # behind the WARC and the HTTP headers
        if hashlib.sha1(html).hexdigest() != row["sha1"]:
            raise ValueError(f"{row['id']}: the bytes in {row['warc']} are not the indexed ones")
        label = gold.get(row["id"])
        yield Page(
            id=row["id"],
            url=row["url"],
            source=row["source"],
            language=_language((label or {}).get("lang") or row["lang"] or row["html_lang"]),
            utf8=decode_html(html, row["charset"]).utf8,
            gold=label,
        )


def _language(code: str | None) -> str:
    return code.replace("_", "-").split("-")[0].strip().lower() or "??" if code else "??"
