"""Megabytes a CPU-second of four inflates over the gzip members of a crawl, to the same bytes.

    taskset -c 0 python benchmarks/inflate.py [PAGES.warc.gz] [--repeats N]

The members are found beforehand, so that each library inflates exactly the same slices; libdeflate needs to be told
how long its output is. "as read" is what the WARC reader does: it does not know where members end. Runs are
interleaved, the best of each counts.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from curate.source import Tally
from curate.sources.gzip import Gzip
from curate.sources.members import MemberStream

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT.parent / "shared" / "data" / "pages" / "web-dev-03.warc.gz"
DEMO = next((ROOT / "examples" / "data").glob("*.warc.gz"), PAGES)

Member = tuple[int, int, int]  # offset, end, inflated bytes


def members_of(data: bytes) -> list[Member]:
    """Return where each member of a gzip file lies."""
    found, at = [], 0
    while at < len(data):
        inflater = zlib.decompressobj(31)
        step = data[at : at + (16 << 20)]
        n_inflated = len(inflater.decompress(step))
        end = at + len(step) - len(inflater.unused_data)
        found.append((at, end, n_inflated))
        at = end
    return found


def inflates(path: Path, data: bytes, members: list[Member]) -> dict[str, Callable[[], Iterable[bytes]]]:
    """Return what is compared, by name."""
    import deflate
    from isal import isal_zlib
    from zlib_ng import zlib_ng

    view = memoryview(data)

    def as_read() -> Iterator[bytes]:
        with path.open("rb", buffering=0) as file:
            stream = MemberStream(file, Gzip(), Tally(), lambda head: True)
            while stream.next_member():
                while chunk := stream.chunk():
                    yield chunk

    return {
        "zlib": lambda: (zlib.decompress(view[a:b], 31, n or 1) for a, b, n in members),
        "zlib-ng": lambda: (zlib_ng.decompress(view[a:b], 31, n or 1) for a, b, n in members),
        "ISA-L": lambda: (isal_zlib.decompress(view[a:b], 31, n or 1) for a, b, n in members),
        "libdeflate": lambda: (deflate.gzip_decompress(view[a:b], n) for a, b, n in members),
        "ISA-L as read": as_read,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="?", default=PAGES if PAGES.exists() else DEMO)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    data = options.path.read_bytes()
    members = members_of(data)
    n_bytes = sum(member[2] for member in members)
    print(f"{options.path.name}: {len(members):,} members, {len(data) / 1e6:.1f} MB, inflated {n_bytes / 1e6:.1f} MB")
    best: dict[str, float] = {}
    runs = inflates(options.path, data, members)
    digests = set()
    for run in runs.values():
        digest = hashlib.sha256()
        for part in run():
            digest.update(part)
        digests.add(digest.digest())
    assert len(digests) == 1, "they do not inflate to the same bytes"
    for _ in range(options.repeats):
        for name, run in runs.items():
            start = time.process_time()
            for _ in run():
                pass
            best[name] = min(best.get(name, float("inf")), time.process_time() - start)
    for name, seconds in best.items():
        print(f"{name:14} {n_bytes / seconds / 1e6:6.0f} MB/s  {best['zlib'] / seconds:5.2f} × zlib")


if __name__ == "__main__":
    main()
