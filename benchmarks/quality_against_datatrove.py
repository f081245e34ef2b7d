"""Text signals and rules of `quality` against datatrove's filters: documents and megabytes a CPU-second, same texts.

    taskset -c 0 python benchmarks/quality_against_datatrove.py [PAGES.warc.gz] [--pages N] [--peer-pages N]

Both sides get the same main texts in the same process, warm, one thread; datatrove runs on the first --peer-pages of
them. CPU time of the process, so that other work on the machine counts less; best of three for the kernels, one run for
the peer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from curate.stages.quality import Quality

BATCH_DOCS = 64  # as the runner reads them


def main_texts(path: Path, n: int) -> list[str]:
    """Return the main text of the first `n` pages of a WARC file that have any."""
    found: list[str] = []
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            html = record.reader.read()
            text = extract_plain_text(bytes_to_str(html, detect_encoding(html)), main_content=True)
            if text.strip():
                found.append(text)
            if len(found) == n:
                break
    return found


def cpu_seconds(run: Callable[[], Any], repeats: int) -> float:
    """Return the CPU time of the fastest of `repeats` runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def ours(texts: list[str], stages: list[Quality]) -> float:
    """Return the CPU-seconds of stages one after the other, in batches as the runner makes them."""
    table = pa.table({"text": pa.array(texts, pa.string())})
    batches = table.to_batches(max_chunksize=BATCH_DOCS)

    def run() -> None:
        for batch in batches:
            for stage in stages:
                stage(batch)

    run()  # compiled code is loaded here
    return cpu_seconds(run, 3)


def theirs(texts: list[str], filters: list[Any]) -> float:
    """Return the CPU-seconds of datatrove's filters on the same texts."""
    from datatrove.data import Document

    def run(pages: list[str]) -> None:
        for page in pages:
            for judge in filters:
                judge.filter(Document(text=page, id=""))

    run(["The tokenizer is loaded here."])
    return cpu_seconds(lambda: run(texts), 1)


def main() -> None:
    """Print one line for each rule set and for the sets that a C4-like recipe uses together."""
    from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    examples = Path(__file__).resolve().parent.parent / "examples/data"
    parser.add_argument("warc", type=Path, nargs="?", default=examples / "crawl-0.warc.gz")
    parser.add_argument("--pages", type=int, default=600)
    parser.add_argument("--peer-pages", type=int, default=100)
    options = parser.parse_args()
    texts = main_texts(options.warc, options.pages)
    some = texts[: options.peer_pages]
    mega, some_mega = (sum(len(text.encode()) for text in part) / 1e6 for part in (texts, some))
    print(f"{len(texts)} texts, {mega:.2f} MB; datatrove on the first {len(some)}, {some_mega:.2f} MB")
    gopher, repetition, c4 = (Quality(rules=rules) for rules in ("gopher", "gopher_repetition", "c4"))
    sets = {
        "gopher": ([gopher], [GopherQualityFilter()]),
        "gopher_repetition": ([repetition], [GopherRepetitionFilter()]),
        "c4": ([c4], [C4QualityFilter()]),
        "gopher + c4": ([gopher, c4], [GopherQualityFilter(), C4QualityFilter()]),
        "all three": ([repetition, gopher, c4], [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter()]),
    }
    for name, (stages, filters) in sets.items():
        seconds, peer_seconds = ours(texts, stages), theirs(some, filters)
        speed, peer_speed = mega / seconds, some_mega / peer_seconds
        print(
            f"{name:18s} {len(texts) / seconds:8.0f} docs/s {speed:6.1f} MB/s   "
            f"datatrove {len(some) / peer_seconds:5.0f} docs/s {peer_speed:5.2f} MB/s   ratio {speed / peer_speed:4.0f}"
        )


if __name__ == "__main__":
    main()
