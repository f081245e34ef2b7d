"""The scanner against a DOM: words of the visible text found by each, page by page, and the speed of both.

    OMP_NUM_THREADS=1 taskset -c 0 python -m benchmarks.scan_against_dom [--every N] [--worst N] [WARC.gz ...]

The DOM is lexbor's (Resiliparse), walked node by node. What a browser does not show is left out: script, style, form
fields, embedded media, `noscript`, the TeX of formulas, what a style hides inside a line. Block elements and `<br>` end
words. Words are runs of letters and digits, ideographs one by one, small letters, counted with their repeats.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from resiliparse.parse.html import DOMNode, HTMLTree, NodeType

from benchmarks.html_pages import utf8_pages, warc_files
from curate.kernels.html.scan import Scanner

_NOT_SHOWN = (
    "annotation annotation-xml audio canvas datalist iframe noembed noscript object script select style svg template"
    " textarea title video"
)
NOT_SHOWN = frozenset(_NOT_SHOWN.split())
# Their default display is not inline: HTML standard, section "Rendering".
_BLOCKS = (
    "address article aside blockquote body br button caption center colgroup dd details dialog dir div dl dt fieldset"
    " figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li listing main menu"
    " nav noframes ol optgroup option p plaintext pre search section summary table tbody td tfoot th thead tr ul xmp"
)
BLOCKS = frozenset(_BLOCKS.split())
_WORD = re.compile(r"[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3005-\u3007\u3040-\u30ff\u3400-\u9fff]+")
_HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\s*(?:;|!|$)", re.I)
# Neither shown nor a word's end: controls, which the scanner drops.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]")


def words_of(text: str) -> Counter[str]:
    """Return the words of a text with their number."""
    return Counter(_WORD.findall(_CONTROLS.sub("", text).lower()))


def visible_text(tree: HTMLTree) -> str:
    """Return the text of a DOM that a browser shows, with line breaks around block elements."""
    pieces: list[str] = []
    # An element that is open, whether a style hides its nearest block, and whether one hides it inside a line.
    stack: list[tuple[DOMNode | None, bool, bool, bool]] = [(tree.document, False, False, False)]
    while stack:
        node, in_hidden, unseen, behind = stack.pop()
        if node is None:
            continue
        if behind:
            pieces.append("\n")
            continue
        stack.append((node.next, in_hidden, unseen, False)) if node.type != NodeType.DOCUMENT else None
        if node.type == NodeType.TEXT:
            if not unseen:
                pieces.append(node.value or "")
        elif node.type == NodeType.DOCUMENT:
            stack.append((node.first_child, False, False, False))
        elif node.type == NodeType.ELEMENT and (name := node.tag) not in NOT_SHOWN:
            hides = node.hasattr("hidden") or bool(_HIDING.search(node.getattr("style") or ""))
            if name in BLOCKS or name == "math":
                unseen = False
            elif hides and not in_hidden:
                unseen = True
            if name in BLOCKS:
                pieces.append("\n")
                stack.append((node, in_hidden, unseen, True))
            stack.append((node.first_child, in_hidden or hides, unseen, False))
    return "".join(pieces)


def best_s(work: Callable[[bytes], object], pages: Sequence[bytes], rounds: int = 3) -> float:
    """Return the CPU seconds of the fastest round over all pages."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        for page in pages:
            work(page)
        seconds.append(time.process_time() - start)
    return min(seconds)


def shares(found: Counter[str], wanted: Counter[str]) -> float:
    """Return the share of the wanted words that were found."""
    n = sum(wanted.values())
    return sum((found & wanted).values()) / n if n else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("warc", nargs="*", type=Path)
    parser.add_argument("--every", type=int, default=4, help="take every Nth page")
    parser.add_argument("--worst", type=int, default=0, help="show the N pages with most words missing")
    args = parser.parse_args()
    pages = list(utf8_pages(args.warc or warc_files()))[:: args.every]
    scanner = Scanner()
    rows = []
    for url, page in pages:
        text = page.decode()
        scanned = words_of("\n".join(scanner.scan(page).texts()))
        shown = words_of(visible_text(HTMLTree.parse(text)))
        rows.append((shares(scanned, shown), shares(shown, scanned), url, shown - scanned, scanned - shown))
    print(f"{len(rows)} pages, {sum(len(page) for _, page in pages) / 1e6:.0f} MB")
    for label, column in (("words of the DOM found by the scan", 0), ("words of the scan found in the DOM", 1)):
        values = np.array([row[column] for row in rows])
        p5, p1 = np.percentile(values, [5, 1])
        print(f"{label}: mean {values.mean():.4%}  p5 {p5:.3%}  p1 {p1:.3%}  lowest {values.min():.3%}")
    for column in (0, 1):
        for row in sorted(rows, key=lambda row: row[column])[: args.worst]:
            print(f"{row[0]:.3f} {row[1]:.3f} {row[2][:90]} {row[3 + column].most_common(10)}")
    bytes_only = [page for _, page in pages]
    n_mb = sum(map(len, bytes_only)) / 1e6
    texts = {page: page.decode() for page in bytes_only}
    for name, work in (("scan", scanner.scan), ("lexbor parse", lambda page: HTMLTree.parse(texts[page]))):
        seconds = best_s(work, bytes_only)
        print(f"{name:14s} {n_mb / seconds:6.0f} MB/s {len(pages) / seconds:7.0f} pages/s")


if __name__ == "__main__":
    main()
