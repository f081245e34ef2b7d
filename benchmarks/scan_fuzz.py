"""Damaged pages by the hundred thousand through scan, rendering and decoding: crashes, slowest page, speed.

    OMP_NUM_THREADS=1 python -m benchmarks.scan_fuzz [--pages 100000] [--bounds-check N] [--seed S]

Real pages are cut, bytes changed, markup put in, parts removed, repeated or moved (as in the tests). The first
N pages are also scanned by a second process, compiled with every index checked, which must find the same arrays.
Exits with 1 if a page raised an exception, broke a rule (see `check` in the tests) or gave other arrays.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from curate.kernels.html.render import render
from curate.kernels.html.scan import Scanner
from tests.kernels.html.scan_samples import check, digest_of, mutated, real_pages

N_BASE_PAGES = 1_500
CHECK_EVERY = 10  # pages whose arrays are looked at in Python; all are scanned and rendered


def digests(n_pages: int, seed: int) -> str:
    """Return a hash over the scans of the first mutated pages."""
    scanner, h = Scanner(np.linspace(-1, 1, 1 << 16, dtype=np.float32)), hashlib.sha256()
    for page in mutated_pages(n_pages, seed):
        h.update(digest_of(scanner.scan(page, want_tokens=True)).encode())
    return h.hexdigest()


def mutated_pages(n_pages: int, seed: int) -> Iterator[bytes]:
    """Yield mutated pages, always the same for a seed."""
    chance = random.Random(seed)
    base = real_pages(N_BASE_PAGES)
    for _ in range(n_pages):
        yield mutated(chance, chance.choice(base))


def with_index_checks(n_pages: int, seed: int) -> str:
    """Return `digests` of a process that checks every index; raises CalledProcessError if one is wrong."""
    code = f"from benchmarks.scan_fuzz import digests; print(digests({n_pages}, {seed}))"
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": cache}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--bounds-check", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    scanner = Scanner()
    render(scanner.scan(b"<p>warm"), np.ones(1, np.bool_), markdown=True)
    n_bytes, scan_s, slowest_s, faults = 0, 0.0, 0.0, 0
    for k, html in enumerate(mutated_pages(args.pages, args.seed)):
        try:
            start = time.process_time()
            page = scanner.scan(html)
            took = time.process_time() - start
            scan_s, slowest_s, n_bytes = scan_s + took, max(slowest_s, took), n_bytes + len(html)
            keep = np.arange(len(page.block_text)) % 3 != 0
            render(page, keep, markdown=False)
            if k % CHECK_EVERY == 0:
                render(page, keep, markdown=True)
                check(page, valid=html.isascii())
                page.texts()
        except Exception as error:
            faults += 1
            print(f"page {k}: {error!r}")
    print(
        f"{args.pages} mutated pages, {n_bytes / 1e9:.2f} GB: {faults} faults, slowest scan {slowest_s * 1e3:.1f} ms, "
        f"{n_bytes / scan_s / 1e6:.0f} MB/s"
    )
    if args.bounds_check:
        same = with_index_checks(args.bounds_check, args.seed) == digests(args.bounds_check, args.seed)
        print(f"{args.bounds_check} of them with every index checked: {'the same arrays' if same else 'OTHER ARRAYS'}")
        faults += not same
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
