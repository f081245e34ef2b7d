"""Load a block list of millions of domains and filter URLs with it; a set of strings does the same beside it.

    python benchmarks/url_lists.py [--domains 5000000] [--urls 200000]

Each side runs in a process of its own: seconds to load, memory it takes (RSS grown by loading, peak RSS), URLs/s of
the whole filter (words, canonical spelling, list) and, for ours, of the list alone.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"
ENDS = ("com", "net", "org", "de", "co.uk", "ru", "info", "xyz", "com.br", "jp")
SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "in")]
BATCH_DOCS = 64  # as the runner cuts WARCs


def domain(draw: random.Random) -> str:
    """Return a name of the usual length: 16 characters on average."""
    return "".join(draw.choices(SYLLABLES, k=draw.randint(2, 6))) + "." + draw.choice(ENDS)


def write_list(path: Path, n_domains: int) -> None:
    draw = random.Random(1)
    with path.open("w") as out:
        for _ in range(n_domains):
            out.write(domain(draw) + "\n")


def some_urls(n_urls: int) -> list[str]:
    draw = random.Random(2)
    words = ["news", "2024", "index.html", "a-long-title-of-a-page", "article", "id=17&page=2", "shop", "item_9"]
    return [f"https://www.{domain(draw)}/{'/'.join(draw.choices(words, k=draw.randint(0, 4)))}" for _ in range(n_urls)]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def ours(path: Path, n_urls: int) -> str:
    from curate.sites import host_of
    from curate.stages.url_filter import UrlFilter
    from curate.url_lists import load_url_set

    urls = some_urls(n_urls)
    batches = [
        pa.RecordBatch.from_pydict({"url": pa.array(urls[i : i + BATCH_DOCS], pa.string())})
        for i in range(0, n_urls, BATCH_DOCS)
    ]
    before, began = resident_bytes(), time.perf_counter()
    held = load_url_set((path,))
    load_s, grown = time.perf_counter() - began, resident_bytes() - before
    stage = UrlFilter(blocklist=(path,))
    stage(batches[0])
    began = time.process_time()
    n_blocked = sum(len(batch) - stage(batch).drop_reason.null_count for batch in batches)
    filter_s = time.process_time() - began
    hosts = [host_of(url) for url in urls]
    began = time.process_time()
    for i in range(0, n_urls, BATCH_DOCS):
        held.match(urls[i : i + BATCH_DOCS], hosts[i : i + BATCH_DOCS])
    match_s = time.process_time() - began
    return _line("packed", len(held), load_s, grown, n_urls / filter_s, n_urls / match_s, n_blocked)


def strings(path: Path, n_urls: int) -> str:
    from curate.sites import host_of

    urls = some_urls(n_urls)
    before, began = resident_bytes(), time.perf_counter()
    with path.open() as lines:
        held = {line.rstrip("\n").removeprefix("www.") for line in lines}
    load_s, grown = time.perf_counter() - began, resident_bytes() - before
    began = time.process_time()
    n_blocked = 0
    for url in urls:
        labels = (host_of(url) or "").split(".")
        n_blocked += any(".".join(labels[i:]) in held for i in range(len(labels)))
    rate = n_urls / (time.process_time() - began)
    return _line("set of str", len(held), load_s, grown, float("nan"), rate, n_blocked)


def _line(name: str, n: int, load_s: float, grown: int, filter_rate: float, rate: float, n_blocked: int) -> str:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return (
        f"{name:<11} {n:>10,} {load_s:>7.1f} {grown / 1e6:>8.0f} {grown / n:>8.0f} {peak / 1e6:>8.0f}"
        f" {filter_rate:>13,.0f} {rate:>12,.0f} {n_blocked:>9,}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=5_000_000)
    parser.add_argument("--urls", type=int, default=200_000)
    parser.add_argument("--side", choices=("ours", "strings"))
    parser.add_argument("--list", type=Path)
    given = parser.parse_args()
    if given.side:
        print(ours(given.list, given.urls) if given.side == "ours" else strings(given.list, given.urls))
        return
    with tempfile.TemporaryDirectory(prefix="curate-lists-") as folder:
        path = Path(folder) / "domains"
        write_list(path, given.domains)
        print(f"{given.domains:,} lines, {path.stat().st_size / 1e6:.0f} MB")
        print("list           entries  load s  RSS MB  B/entry  peak MB  filter URLs/s  list URLs/s   blocked")
        for side in ("ours", "strings"):
            words = ["--side", side, "--list", str(path), "--urls", str(given.urls)]
            subprocess.run([sys.executable, __file__, *words], check=True)


if __name__ == "__main__":
    main()
