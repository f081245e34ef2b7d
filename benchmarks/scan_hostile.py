"""Hostile pages through the scanner and the renderer: seconds a page, and how the time grows with its size.

    OMP_NUM_THREADS=1 python -m benchmarks.scan_hostile [--mb 2] [--line-mb 100] [--show 20]

Every page of `html_bombs` is scanned (with tokens and scores), rendered as text and as Markdown, at --mb megabytes and
at half of it; at twice the size a linear pass takes twice the time. Exits with 1 where a page takes more than
MAX_S_PER_2_MB, or where the time of one that takes long enough to be measured grows much faster than its size.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from benchmarks.html_bombs import bombs
from curate.kernels.html.render import render
from curate.kernels.html.scan import Scanner

MAX_S_PER_2_MB = (0.5, 0.5, 1.0)  # scan, text, Markdown (up to 200,000 blocks, in plain Python)
MEASURABLE_S, MAX_GROWTH = 0.05, 3.0


def times_s(scanner: Scanner, html: bytes, rounds: int = 2) -> tuple[float, float, float]:
    """Return the least CPU seconds of the scan, of text and of Markdown with all blocks kept."""
    best = np.full(3, np.inf)
    for _ in range(rounds):
        clock = [time.process_time()]
        page = scanner.scan(html, want_tokens=True)
        keep = np.ones(len(page.block_text), np.bool_)
        clock.append(time.process_time())
        for markdown in (False, True):
            render(page, keep, markdown=markdown)
            clock.append(time.process_time())
        best = np.minimum(best, np.diff(clock))
    scan_s, text_s, markdown_s = best.tolist()
    return scan_s, text_s, markdown_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=2.0)
    parser.add_argument("--line-mb", type=float, default=100.0, help="size of a page that is a single line")
    parser.add_argument("--show", type=int, default=20, help="show the N slowest")
    args = parser.parse_args()
    scanner = Scanner(np.ones(1 << 16, np.float32))
    times_s(scanner, b"<p>warm")
    halves, pages = bombs(int(args.mb * 5e5)), bombs(int(args.mb * 1e6))
    rows, failed = [], 0
    for name, html in pages.items():
        took, half = times_s(scanner, html), times_s(scanner, halves[name])
        growth = max(t / h if t > MEASURABLE_S else 0.0 for t, h in zip(took, half, strict=True))
        limits = [limit * args.mb / 2 for limit in MAX_S_PER_2_MB]
        slow = growth > MAX_GROWTH or any(t > limit for t, limit in zip(took, limits, strict=True))
        failed += slow
        rows.append((took, growth, name, slow))
    print(f"{len(rows)} pages of {args.mb:g} MB; seconds:   scan   text  Markdown  growth for twice the size")
    for took, growth, name, slow in sorted(rows, key=lambda row: -max(row[0]))[: args.show]:
        print(f"{'FAIL ' if slow else ''}{name:42s} {took[0]:6.3f} {took[1]:6.3f} {took[2]:8.3f} {growth:7.2f}")
    line = b"word " * int(args.line_mb * 2e5)
    print(f"a line of {args.line_mb:g} MB: {', '.join(f'{t:.2f} s' for t in times_s(scanner, line, 1))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
