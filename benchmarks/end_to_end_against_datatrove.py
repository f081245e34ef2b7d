"""CPU seconds per page from WARC to kept documents, against datatrove's chain of the same filters, in the same run.

    python benchmarks/end_to_end_against_datatrove.py [--warc FILE.warc.gz …] [--pages N] [--repeats 3]
    python benchmarks/end_to_end_against_datatrove.py --recipe fineweb

Both sides read the same file: the pages that both readers take, one gzip member each. Both then extract, keep English
(lid.176, 0.65), apply Gopher's quality rules and C4's, and write what is left. Two modes: each side with its default
extractor, and Resiliparse on both sides.

With `--recipe fineweb` both do all of FineWeb: URL filter, extraction favouring precision, English, Gopher's repetition
and quality rules, C4's without punctuation, FineWeb's own, MinHash of 14 bands of 8 over the whole file, personal data
masked. Ours is the recipe that ships, without its report; datatrove's side follows its `examples/fineweb.py`, four
stages of MinHash included.

Counted is the CPU time of the whole process tree (user + system, start-up included), pinned to one core. Runs
alternate; one run of each comes first and is not counted: it fills numba's cache and the page cache. The start-up (the
same run on a single page) is also shown, and what a page costs without it. Also printed: how far the kept sets agree.
Needs the `dev` extra; datatrove's reader needs the system library libmagic.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
CORE = 0
RECIPE = """name: benchmark
steps:
  - extract: {extractor: curate}
  - language: {keep: [en], min_score: 0.65}
  - quality: {rules: gopher}
  - quality: {rules: c4, id: c4}
"""
FINEWEB = ROOT / "pipelines" / "fineweb.yaml"


# --- datatrove's side, in a process of its own --------------------------------------------------------


def run_datatrove(warc: Path, out: Path, extractor: str) -> None:
    """Run datatrove's chain on one file, with the model of lid.176 that curate ships instead of a download."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.extractors.base import BaseExtractor
    from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, LanguageFilter
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.lid import FT176LID

    from curate.models import LID_176, asset

    class Resiliparse(BaseExtractor):  # type: ignore[misc]
        """datatrove has no such extractor; this is what a user would write."""

        def __init__(self) -> None:
            super().__init__(timeout=1)  # as its Trafilatura step

        def extract(self, text: str) -> str:
            from resiliparse.extract.html2text import extract_plain_text

            return str(extract_plain_text(text, main_content=True))

    FT176LID.MODEL_URL = str(asset(LID_176))
    steps = [
        WarcReader(str(warc.parent), glob_pattern=warc.name),
        Trafilatura() if extractor == "trafilatura" else Resiliparse(),
        LanguageFilter("en", language_threshold=0.65),
        GopherQualityFilter(),
        C4QualityFilter(),
        JsonlWriter(str(out / "documents"), compression="gzip"),
    ]
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=str(out / "logs")).run()


def run_fineweb(warc: Path, out: Path, extractor: str) -> None:
    """Run all of FineWeb on one file as datatrove's example does, on one worker."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LanguageFilter,
        URLFilter,
    )
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader, WarcReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.lid import FT176LID

    from curate.models import LID_176, asset

    FT176LID.MODEL_URL = str(asset(LID_176))
    filtered, config = str(out / "filtered"), MinhashConfig(num_buckets=14, hashes_per_bucket=8, n_grams=5)

    def run(name: str, tasks: int, *steps: Any) -> None:
        LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=str(out / "logs" / name)).run()

    run(
        "filter",
        1,
        WarcReader(str(warc.parent), glob_pattern=warc.name),
        URLFilter(),
        Trafilatura(favour_precision=True, timeout=1.0),
        LanguageFilter("en", language_threshold=0.65),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
        JsonlWriter(filtered, compression="gzip"),
    )
    if not any(Path(filtered).glob("*.jsonl.gz")):  # nothing was kept: its readers refuse an empty folder
        return
    run("signatures", 1, JsonlReader(filtered), MinhashDedupSignature(str(out / "signatures"), config=config))
    run("buckets", 14, MinhashDedupBuckets(str(out / "signatures"), str(out / "buckets"), config=config))
    run("cluster", 1, MinhashDedupCluster(str(out / "buckets"), str(out / "remove"), config=config))
    kept = JsonlWriter(str(out / "documents"), compression="gzip")
    run("dedup", 1, JsonlReader(filtered), MinhashDedupFilter(str(out / "remove")), PIIFormatter(), kept)


# --- one measured run ---------------------------------------------------------------------------------


def cpu_seconds(command: Sequence[str], folder: Path) -> float:
    """Run `command` pinned to one core; return user + system seconds of it and all its children."""
    environment = {**os.environ, "HF_ASSETS_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, {CORE})
        )
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}:\n{(folder / 'log').read_text()[-3000:]}")
    return usage.ru_utime + usage.ru_stime


def measure(side: str, extractor: str, warc: Path) -> tuple[float, set[str]]:
    """Return CPU seconds and the URLs of the kept documents of one side."""
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), Path(name) / "out"
        if side == "curate":
            recipe = folder / "recipe.yaml"
            if extractor == "fineweb":
                recipe.write_text(FINEWEB.read_text().replace("  - report\n", ""))
            else:
                recipe.write_text(RECIPE.replace("extractor: curate", f"extractor: {extractor}"))
            command = [sys.executable, "-c", "from curate.cli import main; main()", "run", str(recipe), str(warc)]
            seconds = cpu_seconds([*command, "-o", str(out)], folder)
            return seconds, set(pq.read_table(out / "documents", columns=["url"])["url"].to_pylist())
        command = [sys.executable, __file__, "--side", "datatrove", "--warc", str(warc), "--extractor", extractor]
        seconds = cpu_seconds([*command, "--out", str(out)], folder)
        return seconds, {row["metadata"]["url"] for row in jsonl_rows(out / "documents")}


def jsonl_rows(folder: Path) -> Iterator[dict[str, Any]]:
    import gzip

    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


# --- the input: pages that both readers take ----------------------------------------------------------


def common_pages(warcs: Sequence[Path], limit: int) -> Iterator[bytes]:
    """Yield the gzip members of the responses that both readers turn into a document, each URL once."""
    seen: set[str] = set()
    for warc in warcs:
        theirs = set(datatrove_urls(warc))
        with warc.open("rb") as file:
            for url, offset in curate_pages(warc):
                if url in theirs and url not in seen:
                    seen.add(url)
                    yield member_at(file, offset)
                    if len(seen) == limit:
                        return


def curate_pages(warc: Path) -> Iterator[tuple[str, int]]:
    """Yield (URL, offset) of the pages our reader takes."""
    from curate.source import Slice, Tally
    from curate.sources.warc import Warc

    size = warc.stat().st_size
    for batch in Warc().batches(Slice(str(warc), warc.name, "warc", "web", 0, size, size), Tally()):
        yield from zip(batch["url"].to_pylist(), batch["offset_bytes"].to_pylist(), strict=True)


def datatrove_urls(warc: Path) -> Iterator[str]:
    """Yield the URLs of the pages datatrove's reader takes."""
    from datatrove.pipeline.readers import WarcReader

    for doc in WarcReader(str(warc.parent), glob_pattern=warc.name).run():
        yield doc.metadata["url"]


def member_at(file: Any, offset: int) -> bytes:
    """Return the bytes of the gzip member that begins at `offset`."""
    file.seek(offset)
    inflate, member = zlib.decompressobj(31), b""
    while not inflate.eof:
        block = file.read(1 << 16)
        inflate.decompress(block)
        member += block
    return member[: len(member) - len(inflate.unused_data)]


# --- report -------------------------------------------------------------------------------------------


def compare(mode: str, extractors: dict[str, str], warc: Path, one: Path, n_pages: int, repeats: int) -> None:
    """Run both sides in turn and print medians, ratio and agreement."""
    seconds: dict[str, list[float]] = {side: [] for side in extractors}
    kept: dict[str, set[str]] = {}
    for turn in range(repeats + 1):
        for side, extractor in extractors.items():
            took, kept[side] = measure(side, extractor, warc)
            if turn:
                seconds[side].append(took)
    startup = {side: measure(side, extractor, one)[0] for side, extractor in extractors.items()}
    median = {side: statistics.median(runs) for side, runs in seconds.items()}
    net = {side: (median[side] - startup[side]) / (n_pages - 1) for side in extractors}
    print(f"\n{mode}: {n_pages} pages, median of {repeats} runs")
    for side, extractor in extractors.items():
        runs = " ".join(f"{value:.2f}" for value in sorted(seconds[side]))
        print(
            f"  {side:10} {extractor:12} {1000 * median[side] / n_pages:8.2f} CPU ms/page   "
            f"without start-up {1000 * net[side]:8.2f} ms/page   (runs {runs} s, start-up {startup[side]:.2f} s)"
        )
    ours, theirs = kept["curate"], kept["datatrove"]
    print(f"  datatrove / curate: {median['datatrove'] / median['curate']:.2f} with start-up, "
          f"{net['datatrove'] / net['curate']:.2f} without")  # fmt: skip
    print(f"  kept: curate {len(ours)}, datatrove {len(theirs)}, both {len(ours & theirs)}; "
          f"same decision on {1 - len(ours ^ theirs) / n_pages:.1%} of the pages")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warc", type=Path, nargs="+", default=sorted((ROOT / "examples/data").glob("*.warc.gz")))
    parser.add_argument("--pages", type=int, default=-1, help="at most so many pages; default: all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recipe", choices=["gopher", "fineweb"], default="gopher")
    parser.add_argument("--side", choices=["datatrove"], help=argparse.SUPPRESS)
    parser.add_argument("--extractor", default="trafilatura", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        run = run_fineweb if args.extractor == "fineweb" else run_datatrove
        run(args.warc[0], args.out, args.extractor)
        return
    with tempfile.TemporaryDirectory() as name:
        both, one = Path(name) / "both.warc.gz", Path(name) / "one.warc.gz"
        members = list(common_pages([path.resolve() for path in args.warc], args.pages))
        both.write_bytes(b"".join(members))
        one.write_bytes(members[0])
        if args.recipe == "fineweb":
            names = dict.fromkeys(("curate", "datatrove"), "fineweb")
            compare("all of FineWeb", names, both, one, len(members), args.repeats)
            return
        defaults, same = {"curate": "curate", "datatrove": "trafilatura"}, "resiliparse"
        compare("default extractors", defaults, both, one, len(members), args.repeats)
        compare("resiliparse on both", dict.fromkeys(defaults, same), both, one, len(members), args.repeats)


if __name__ == "__main__":
    main()
