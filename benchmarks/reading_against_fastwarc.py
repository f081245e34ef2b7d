"""Pages a CPU-second of reading a crawl: ours, with every byte accounted for, against FastWARC and warcio bare.

    taskset -c 0 python benchmarks/reading_against_fastwarc.py [PAGES.warc.gz …] [--repeats N] [--peer-repeats N]

Ours gives Arrow batches (URL, date, offsets, headers, payload with codings undone). FastWARC and warcio iterate
over the records, parse HTTP and read payload and URL of each response; nothing is kept. Runs are interleaved in one
process, one thread; the best of each counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from curate.source import Slice, Tally
from curate.sources.warc import Warc

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data" / "pages"


def ours(paths: list[Path], *, check_digests: bool = False) -> tuple[int, int]:
    """Return pages and bytes of HTML."""
    n_pages = n_bytes = 0
    for path in paths:
        size = path.stat().st_size
        piece = replace(Slice(str(path), path.name, "warc", "web", 0, size, size), check_digests=check_digests)
        tally = Tally()
        for batch in Warc().batches(piece, tally):
            n_pages += batch.num_rows
            n_bytes += batch["html"].nbytes
        assert tally.bytes_ok + tally.bytes_bad + tally.bytes_padding == size
    return n_pages, n_bytes


def fastwarc(paths: list[Path]) -> tuple[int, int]:
    """Return responses and bytes of their payloads."""
    n_pages = n_bytes = 0
    for path in paths:
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
                if record.headers.get("WARC-Target-URI"):
                    n_pages += 1
                    n_bytes += len(record.reader.read())
    return n_pages, n_bytes


def warcio(paths: list[Path]) -> tuple[int, int]:
    """Return responses and bytes of their payloads."""
    n_pages = n_bytes = 0
    for path in paths:
        with path.open("rb") as file:
            for record in WarcioIterator(file):
                if record.rec_type == "response" and record.rec_headers.get_header("WARC-Target-URI"):
                    n_pages += 1
                    n_bytes += len(record.content_stream().read())
    return n_pages, n_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found = sorted(SHARED.glob("*.warc.gz")) or sorted((ROOT / "examples" / "data").glob("*.warc.gz"))
    parser.add_argument("paths", type=Path, nargs="*", default=found)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-repeats", type=int, default=1, help="of warcio, which is slow")
    options = parser.parse_args()
    runs: dict[str, Callable[[], tuple[int, int]]] = {
        "FastWARC": lambda: fastwarc(options.paths),
        "ours": lambda: ours(options.paths),
        "ours, digests": lambda: ours(options.paths, check_digests=True),
        "warcio": lambda: warcio(options.paths),
    }
    best: dict[str, tuple[float, int, int]] = {}
    for turn in range(options.repeats):
        for name, run in runs.items():
            if name == "warcio" and turn >= options.peer_repeats:
                continue
            start = time.process_time()
            n_pages, n_bytes = run()
            best[name] = min(best.get(name, (float("inf"), 0, 0)), (time.process_time() - start, n_pages, n_bytes))
    base = best["FastWARC"][0] / best["FastWARC"][1]
    for name, (seconds, n_pages, n_bytes) in best.items():
        rate = f"{n_pages / seconds:8,.0f} pages/s  {n_bytes / seconds / 1e6:5.0f} MB/s"
        print(f"{name:14} {n_pages:,} pages  {rate}  {base * n_pages / seconds:5.2f} × FastWARC")


if __name__ == "__main__":
    main()
