"""What hostile pages do to each extractor: seconds, outcome and memory, through the step `extract` itself.

    python benchmarks/extraction_bombs.py [--bytes 2000000] [--timeout-s 2] [--only WORD] [--large-mb 100]

Every page of `html_bombs.py`, at `--bytes` bytes, goes through the step alone: with our extractor, and with Resiliparse
and trafilatura, which run in a child process. These two are shown twice: `caps` is what the step does with such a page
(the caps on nesting and attributes stand before native parsers), `child` what happens behind the caps, where only the
deadline and the memory ceiling are left. A last table has pages of `--large-mb` MB: a line without end, a word without
end, one character, with the cap on the size of pages taken off for ours.

Ours is timed in CPU seconds of this process, children by the clock on the wall, as their deadline is; how long a child
takes to start is not on a page's time, and printed at the end. It must hold, and the exit status says so: ours takes
at most 1 s per 2 MB, children at most the deadline and 1 s.
Printed too: the largest address space a child had, and the largest resident memory of this process.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from html_bombs import bombs

from curate.schema import HTML_SCHEMA
from curate.stages.extract import Extract

OUR_S_PER_MB = 0.5
GRACE_S = 1.0
NO_CAP = 1 << 40
HEALTHY = b"<html><body><p>A page of few words.</p></body></html>"
NATIVE = ("resiliparse", "trafilatura")


def batch_of(html: bytes) -> pa.RecordBatch:
    """Return a batch of one page."""
    columns = {"html": html, "http_charset": "utf-8", "url": "https://bomb.example/"}
    return pa.RecordBatch.from_pylist([columns], schema=HTML_SCHEMA)


def timed(stage: Extract, html: bytes, clock: Callable[[], float] = time.perf_counter) -> tuple[float, str]:
    """Return the seconds that the step takes for one page, and the reason it gives or the text's length.

    A healthy page goes first: where a child was killed, its successor is started then, and not on this page's time.
    """
    batch = batch_of(html)
    stage(batch_of(HEALTHY))
    started = clock()
    verdict = stage(batch)
    seconds = clock() - started
    reason, caps = verdict.drop_reason[0].as_py(), verdict.columns["caps_hit"][0].as_py()
    said = reason or f"{len(verdict.columns['text'][0].as_py()):,} chars"
    return seconds, said + (f" ({caps} capped)" if caps else "")


def children_peak_bytes() -> int:
    """Return the largest address space that a child of this process had so far, of those that are there."""
    found = 0
    for task in Path("/proc/self/task").glob("*/children"):
        for pid in task.read_text().split():
            status = Path(f"/proc/{pid}/status").read_text()
            lines = [line for line in status.splitlines() if line.startswith("VmPeak")]
            found = max([found, *(1024 * int(line.split()[1]) for line in lines)])
    return found


def table(n_bytes: int, timeout_s: float, max_memory_bytes: int, only: str) -> list[str]:
    """Print a line for each bomb; return what took too long."""
    ours = Extract(extractor="curate")
    limits = {"timeout_s": timeout_s, "max_memory_bytes": max_memory_bytes}
    capped = {name: Extract(extractor=name, **limits) for name in NATIVE}
    bare = {name: Extract(extractor=name, max_depth=NO_CAP, max_attributes=NO_CAP, **limits) for name in NATIVE}
    late, peak, slowest = [], 0, 0.0
    print(f"{'page':<34}{'curate':<34}" + "".join(f"{f'{name}, caps':<32}{'child':<30}" for name in NATIVE))
    for name, html in bombs(n_bytes).items():
        if only not in name:
            continue
        seconds, said = timed(ours, html, time.process_time)
        slowest = max(slowest, seconds)
        if seconds > OUR_S_PER_MB * n_bytes / 1e6:
            late.append(f"curate on {name}: {seconds:.2f} s")
        line = f"{name:<34}{f'{seconds:6.3f} s  {said}':<34}"
        for native in NATIVE:
            for stage, width in ((capped[native], 32), (bare[native], 30)):
                seconds, said = timed(stage, html)
                line += f"{f'{seconds:6.3f} s  {said}':<{width}}"
                peak = max(peak, children_peak_bytes())
                if seconds > timeout_s + GRACE_S:
                    late.append(f"{native} on {name}: {seconds:.2f} s")
        print(line, flush=True)
    print(f"\nslowest of ours {slowest:.3f} s; largest address space of a child {peak >> 20:,} MiB "
          f"of {max_memory_bytes >> 20:,}")  # fmt: skip
    return late


def large(n_bytes: int) -> list[str]:
    """Print what pages of many megabytes cost; return what took too long."""
    pages = {
        "one line": b"<p>" + b"word " * (n_bytes // 5),
        "no spaces": b"<p>" + b"abcdefghij" * (n_bytes // 10),
        "one character": b"a" * n_bytes,
    }
    ours = Extract(extractor="curate", max_html_bytes=NO_CAP)
    late = []
    print(f"\npages of {n_bytes // 1_000_000} MB")
    for name, html in pages.items():
        line = f"{name:<16}"
        seconds, said = timed(ours, html, time.process_time)
        line += f"ours without the cap on size {seconds:6.2f} s  {said}   "
        if seconds > OUR_S_PER_MB * n_bytes / 1e6:
            late.append(f"curate on {name}: {seconds:.2f} s")
        for engine in ("curate", *NATIVE):
            seconds, said = timed(Extract(extractor=engine), html)
            line += f"{engine} {seconds:6.3f} s  {said}   "
        print(line, flush=True)
    return late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=2_000_000)
    parser.add_argument("--timeout-s", type=float, default=2.0)
    parser.add_argument("--max-memory-bytes", type=int, default=1 << 30)
    parser.add_argument("--only", default="", help="pages whose name has this in it")
    parser.add_argument("--large-mb", type=int, default=100)
    args = parser.parse_args()
    late = table(args.bytes, args.timeout_s, args.max_memory_bytes, args.only)
    late += large(args.large_mb * 1_000_000) if args.large_mb else []
    for name in NATIVE:
        stage = Extract(extractor=name, max_memory_bytes=args.max_memory_bytes + 1)  # a setting of its own: a new child
        started = time.perf_counter()
        stage(batch_of(HEALTHY))
        print(f"start of a child, its first page included: {name} {time.perf_counter() - started:.2f} s")
    print(f"largest resident memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10:,} MiB")
    if late:
        sys.exit("too slow:\n" + "\n".join(late))
    print("all within their limits")


if __name__ == "__main__":
    main()
