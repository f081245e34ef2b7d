"""Does memory grow with the input? The same pages, repeated under new URLs: 100 MB of HTML against 1 GB.

Runs a recipe (the demo without training, unless another is given) on both sizes with two workers and prints the
largest sum of resident memory over the process tree, the largest single process, and the ratio of the two sizes.

    python benchmarks/memory_against_input_size.py [--warc PATH …] [--mb 100 1000] [--recipe FILE]
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SHARD_BYTES = 2_000_000
FILE_HTML_BYTES = 8_000_000  # per WARC file: many files, so many shards on both sides
POLL_S = 0.05


@dataclass
class Peak:
    tree_mb: float = 0.0
    process_mb: float = 0.0
    n_docs: int = 0
    wall_s: float = 0.0


def pages(warcs: list[Path]) -> list[tuple[str, bytes]]:
    """Return (URL, HTML) of all pages, as this project's own source reads them."""
    from curate.source import Slice, Tally
    from curate.sources import source_of

    found = []
    for warc in warcs:
        size = warc.stat().st_size
        piece = Slice(str(warc), warc.name, "warc", "web", 0, size, size)
        for batch in source_of("warc").batches(piece, Tally()):
            found += zip(batch["url"].to_pylist(), batch["html"].to_pylist(), strict=True)
    return found


def records(found: list[tuple[str, bytes]], n_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Yield gzip members of response records until `n_bytes` of HTML; each round has its own URLs."""
    total, round_number = 0, 0
    while total < n_bytes:
        for url, html in found:
            http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(html) + html
            head = (
                f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{round_number}-{total}>\r\n"
                f"WARC-Target-URI: {url}{'&' if '?' in url else '?'}copy={round_number}\r\n"
                f"WARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
                f"Content-Length: {len(http)}\r\n\r\n"
            )
            yield gzip.compress(head.encode() + http + b"\r\n\r\n", 1, mtime=0), len(html)
            total += len(html)
            if total >= n_bytes:
                return
        round_number += 1


def write_crawl(folder: Path, found: list[tuple[str, bytes]], n_bytes: int) -> None:
    folder.mkdir()
    out, held, number = None, 0, 0
    for member, n_html in records(found, n_bytes):
        if out is None:
            out = (folder / f"{number:05d}.warc.gz").open("wb")
        out.write(member)
        held += n_html
        if held >= FILE_HTML_BYTES:
            out.close()
            out, held, number = None, 0, number + 1
    if out is not None:
        out.close()


def measure(recipe: Path, crawl: Path, out: Path) -> Peak:
    """Run the recipe and watch the process tree."""
    command = [sys.executable, "-m", "curate.cli", "run", str(recipe), str(crawl), "-o", str(out), "--workers", "2"]
    peak, started = Peak(), time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            sizes = []
            for each in [root, *root.children(recursive=True)]:
                try:
                    sizes.append(each.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue  # it ended between listing and asking
            peak.tree_mb = max(peak.tree_mb, sum(sizes) / 2**20)
            peak.process_mb = max([peak.process_mb, *(size / 2**20 for size in sizes)])
            time.sleep(POLL_S)
        assert process.stdout is not None
        print("   ", process.stdout.read().strip())
        if process.returncode != 0:
            raise SystemExit(f"the run ended with exit code {process.returncode}")
    peak.wall_s = time.monotonic() - started
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--warc", type=Path, nargs="*", default=sorted((ROOT / "examples/data").glob("*.warc.gz")))
    parser.add_argument("--mb", type=int, nargs=2, default=[100, 1000], help="two input sizes, in MB of HTML")
    parser.add_argument("--recipe", type=Path, default=ROOT / "pipelines" / "demo.yaml")
    arguments = parser.parse_args()
    found = pages(arguments.warc)
    print(f"{len(found)} pages, {sum(len(html) for _, html in found) / 1e6:.1f} MB of HTML to repeat")
    peaks = []
    with tempfile.TemporaryDirectory(prefix="curate-memory-") as folder:
        recipe = Path(folder) / "recipe.yaml"
        lines = arguments.recipe.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith(("train:", "sources:", "  - {name:", "shard_bytes:"))]
        recipe.write_text("\n".join([*kept, f"shard_bytes: {SHARD_BYTES}"]) + "\n", encoding="utf-8")
        for mb in arguments.mb:
            crawl = Path(folder) / f"crawl-{mb}"
            write_crawl(crawl, found, mb * 1_000_000)
            peaks.append(measure(recipe, crawl, Path(folder) / f"out-{mb}"))
            peak = peaks[-1]
            print(
                f"{mb:>6} MB of HTML: process tree {peak.tree_mb:,.0f} MiB, "
                f"largest process {peak.process_mb:,.0f} MiB, {peak.wall_s:,.0f} s"
            )
    print(f"ratio of the process trees: {peaks[1].tree_mb / peaks[0].tree_mb:.2f}")


if __name__ == "__main__":
    main()
