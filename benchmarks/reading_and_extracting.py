"""CPU seconds per page from WARC to text: reading, inflating, decoding, extracting, accounting; peers in the same run.

    python benchmarks/reading_and_extracting.py [--warc FILE.warc.gz …] [--repeats 3] [--pages 800]

Sides, all on one core:

    run        `curate run` with a recipe of one step, `extract`: plan, worker process, receipts, documents written and
               accounted for byte by byte
    loop       our source and our step in a loop of one process, nothing written
    bare       FastWARC's ArchiveIterator and Resiliparse's extract_plain_text(main_content=True), with the charset of
               the HTTP header or else its own detection: the loop that people write, nothing written or accounted for
    datatrove  its WarcReader and its Trafilatura step, nothing written

The first three read the files as they are. The last needs 30 ms and more for a page, so it and `run` read the first
`--pages` pages that both readers take, one gzip member each.

Counted is the CPU time of the whole process tree (user + system, start-up included), pinned to one core. Runs
alternate; one of each comes first and is not counted: it fills numba's cache and the page cache. The start-up (the
same on a single page) is shown apart, and what a page costs without it. Needs the `dev` extra; datatrove's reader
needs the system library libmagic.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from end_to_end_against_datatrove import common_pages, cpu_seconds, curate_pages

ROOT = Path(__file__).resolve().parent.parent
RECIPE = "name: benchmark\nsteps: [extract]\n"


# --- the sides that are loops, each in a process of its own -------------------------------------------


def loop(warcs: Sequence[Path]) -> None:
    """Read and extract with our source and our step."""
    from curate.source import Slice, Tally
    from curate.sources.warc import Warc
    from curate.stages.extract import Extract

    extract, n_pages, n_kept, n_chars = Extract(), 0, 0, 0
    for warc in warcs:
        size, tally = warc.stat().st_size, Tally()
        for batch in Warc().batches(Slice(str(warc), warc.name, "warc", "web", 0, size, size), tally):
            verdict = extract(batch)
            n_pages += batch.num_rows
            n_kept += verdict.drop_reason.null_count
            n_chars += sum(map(len, verdict.columns["text"].to_pylist()))
        if tally.bytes_ok + tally.bytes_bad + tally.bytes_padding != size:
            sys.exit(f"{warc}: the bytes do not add up")
    print(n_pages, n_kept, n_chars)


def bare(warcs: Sequence[Path]) -> None:
    """Read and extract with FastWARC and Resiliparse."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    n_pages = n_kept = n_chars = 0
    for warc in warcs:
        with warc.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
                if record.http_content_type not in ("text/html", "application/xhtml+xml"):
                    continue
                html = record.reader.read()
                page = bytes_to_str(html, record.http_charset or detect_encoding(html))
                text = extract_plain_text(page, main_content=True)
                n_pages += 1
                n_kept += bool(text)
                n_chars += len(text)
    print(n_pages, n_kept, n_chars)


def datatrove(warcs: Sequence[Path]) -> None:
    """Read and extract with datatrove's steps, in its own executor."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader

    steps = [WarcReader(str(warcs[0].parent), glob_pattern=warcs[0].name), Trafilatura()]
    with tempfile.TemporaryDirectory() as logs:
        LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=logs).run()


LOOPS = {"loop": loop, "bare": bare, "datatrove": datatrove}


# --- measuring ----------------------------------------------------------------------------------------


def measure(side: str, warcs: Sequence[Path]) -> tuple[float, str]:
    """Return the CPU seconds of one side, and what it says of its work."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if side == "run":
            recipe = folder / "recipe.yaml"
            recipe.write_text(RECIPE)
            command = [sys.executable, "-m", "curate.cli", "run", str(recipe), *map(str, warcs), "--workers", "1"]
            command += ["-o", str(folder / "out")]
        else:
            command = [sys.executable, __file__, "--side", side, "--warc", *map(str, warcs)]
        seconds = cpu_seconds(command, folder)
        said = (folder / "log").read_text(errors="replace").strip().splitlines()
        return seconds, "" if side == "datatrove" or not said else said[-1].partition("→")[0].strip()


def compare(title: str, sides: Sequence[str], warcs: Sequence[Path], one: Path, n_pages: int, repeats: int) -> None:
    """Run the sides in turn and print medians and ratios to the first."""
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    said: dict[str, str] = {}
    for turn in range(repeats + 1):
        for side in sides:
            took, said[side] = measure(side, warcs)
            if turn:
                seconds[side].append(took)
    median = {side: statistics.median(runs) for side, runs in seconds.items()}
    startup = {side: statistics.median(measure(side, [one])[0] for _ in range(3)) for side in sides}
    net = {side: max(1e-9, (median[side] - startup[side]) / (n_pages - 1)) for side in sides}
    print(f"\n{title}: {n_pages} pages, median of {repeats} runs each")
    for side in sides:
        runs = " ".join(f"{value:.2f}" for value in sorted(seconds[side]))
        print(
            f"  {side:10}{1000 * median[side] / n_pages:8.3f} CPU ms/page   without start-up {1000 * net[side]:8.3f}   "
            f"(runs {runs} s, start-up {startup[side]:.2f} s)   {said[side]}"
        )
    for side in sides[1:]:
        print(f"  {side} / {sides[0]}: {median[side] / median[sides[0]]:.2f} with start-up, "
              f"{net[side] / net[sides[0]]:.2f} without")  # fmt: skip


def main() -> None:
    pages = ROOT.parent / "shared" / "data" / "pages"
    default = sorted(pages.glob("*.warc.gz")) or sorted((ROOT / "examples/data").glob("*.warc.gz"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warc", type=Path, nargs="+", default=default)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pages", type=int, default=800, help="pages that datatrove reads; 0 leaves it out")
    parser.add_argument("--side", choices=[*LOOPS], help=argparse.SUPPRESS)
    args = parser.parse_args()
    warcs = [path.resolve() for path in args.warc]
    if args.side:
        LOOPS[args.side](warcs)
        return
    with tempfile.TemporaryDirectory() as name:
        both, one = Path(name) / "both.warc.gz", Path(name) / "one.warc.gz"
        members = list(common_pages(warcs, max(1, args.pages)))
        both.write_bytes(b"".join(members))
        one.write_bytes(members[0])
        n_pages = sum(1 for warc in warcs for _ in curate_pages(warc))
        compare("the files as they are", ("run", "loop", "bare"), warcs, one, n_pages, args.repeats)
        if args.pages:
            compare("pages that both readers take", ("run", "datatrove"), [both], one, len(members), args.repeats)


if __name__ == "__main__":
    main()
