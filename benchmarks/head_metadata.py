"""What pages say of themselves, against trafilatura: how often each field is there, how often both agree, pages/s.

    taskset -c 0 python benchmarks/head_metadata.py PAGES.warc.gz… [--peer-pages N] [--show FIELD]

Both sides get the same pages as text in UTF-8, in the same process; trafilatura's `extract_metadata` reads every
STEP-th page, so that --peer-pages are spread over all files. It is no gold: it looks for dates and authors in the
text too, guesses, and takes the page's own URL where none is declared. CPU time of the process. Last, the time for
one and two megabytes of what hostile pages hold: linear time doubles.
"""

from __future__ import annotations

import argparse
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fastwarc.warc import ArchiveIterator, WarcRecordType
from trafilatura import extract_metadata

from curate.charset import decode_html
from curate.kernels.html.head import Head, read_head
from curate.sources.http import KEPT_HEADERS

FIELDS = {"title": "title", "author": "author", "published": "date", "canonical_url": "url"}  # ours → trafilatura's
HOSTILE = {
    "<meta ": "<meta ",
    "open quote": '<meta name="',
    "attributes": " a=b",
    "comments": "<!-- ",
    "metas": "<meta name=author content=x>",
    "licences": "<a rel=license href=//creativecommons.org/licenses/by/4.0/>",
    "signs": "&copy;",
    "authors": "<a rel=author href=x><",
    "JSON": '<script type="application/ld+json">{"author":[[[[</script>',
}
N_HOSTILE_BYTES = 1 << 20


class Page(NamedTuple):
    """A page as the extractor gets it."""

    utf8: bytes
    headers: dict[str, str]
    url: str


def pages_of(paths: list[Path]) -> list[Page]:
    """Return the pages of WARC files, decoded."""
    found = []
    for path in paths:
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                headers = {name.lower(): value for name, value in record.http_headers}
                kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
                charset = record.http_charset
                url = record.headers["WARC-Target-URI"]
                found.append(Page(decode_html(record.reader.read(), charset).utf8, kept, url))
    return found


def cpu_seconds(run: Callable[[], Any], repeats: int = 1) -> float:
    """Return the CPU time of the fastest of `repeats` runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def same(field: str, ours: str, theirs: str) -> bool:
    """Say whether two values mean the same: letters and digits alike; authors in any order."""
    if field == "canonical_url":
        return ours.rstrip("/") == theirs.rstrip("/")
    left, right = (re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()) for text in (ours, theirs))
    return sorted(set(left)) == sorted(set(right)) if field == "author" else left == right


def compare(pages: list[Page], peers: list[Any], show: str | None) -> dict[str, Counter[str]]:
    """Return for each field how often both have it and agree, both and differ, one alone, none."""
    counts: dict[str, Counter[str]] = {field: Counter() for field in FIELDS}
    for page, peer in zip(pages, peers, strict=True):
        head = read_head(*page)
        for field, name in FIELDS.items():
            ours, theirs = getattr(head, field), getattr(peer, name, None)
            if ours and theirs:
                kind = "agree" if same(field, ours, theirs) else "differ"
            else:
                kind = "only ours" if ours else "only theirs" if theirs else "neither"
            counts[field][kind] += 1
            if field == show and kind == "differ":
                print(f"{page.url}\n    {ours!r}\n    {theirs!r}")
    return counts


def print_coverage(heads: list[Head]) -> None:
    print(f"{'field':20} {'pages':>6} {'share':>7}")
    for field in Head._fields:
        n = sum(getattr(head, field) is not None for head in heads)
        print(f"{field:20} {n:6} {n / len(heads):7.1%}")
    for field in ("robots", "license"):
        said = Counter(word for head in heads for word in (getattr(head, field) or "").split(",") if word)
        print(f"{field}: {', '.join(f'{word} {n}' for word, n in said.most_common(12))}")


def print_agreement(counts: dict[str, Counter[str]]) -> None:
    kinds = ("agree", "differ", "only ours", "only theirs", "neither")
    print(f"\n{'against trafilatura':20} " + " ".join(f"{kind:>11}" for kind in kinds) + "  agree where both have it")
    for field, count in counts.items():
        both = count["agree"] + count["differ"]
        share = f"{count['agree'] / both:.1%}" if both else "-"
        print(f"{field:20} " + " ".join(f"{count[kind]:11}" for kind in kinds) + f"  {share}")


def print_hostile() -> None:
    print(f"\n{'hostile':20} {'1 MB, ms':>9} {'2 MB, ms':>9}")
    for name, piece in HOSTILE.items():
        times = []
        for n_bytes in (N_HOSTILE_BYTES, 2 * N_HOSTILE_BYTES):
            page = (piece * (n_bytes // len(piece))).encode()
            times.append(cpu_seconds(partial(read_head, page, {}, "https://example.org/"), 3))
        print(f"{name:20} " + " ".join(f"{seconds * 1e3:9.1f}" for seconds in times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--peer-pages", type=int, default=600)
    parser.add_argument("--show", choices=list(FIELDS), help="print where both have this field and differ")
    args = parser.parse_args()
    pages = pages_of(args.paths)
    read_head(*pages[0])  # compiles
    mean_bytes = sum(len(page.utf8) for page in pages) / len(pages)
    heads: list[Head] = []
    ours = cpu_seconds(lambda: heads.extend([read_head(*page) for page in pages])) / len(pages)
    print(f"{len(pages)} pages, {mean_bytes:,.0f} bytes in the mean")
    print_coverage(heads)
    sample = pages[:: max(1, len(pages) // args.peer_pages)]
    peers: list[Any] = []
    texts = [page.utf8.decode() for page in sample]

    def peer() -> None:
        peers.extend(extract_metadata(text, default_url=page.url) for text, page in zip(texts, sample, strict=True))

    theirs = cpu_seconds(peer) / len(sample)
    print_agreement(compare(sample, peers, args.show))
    print(f"\npages/s: ours {1 / ours:,.0f} ({ours * 1e6:.0f} µs a page), trafilatura {1 / theirs:,.0f}, ", end="")
    print(f"{theirs / ours:.0f} times as fast")
    print_hostile()


if __name__ == "__main__":
    main()
