"""Text signals and rules of `quality` against datatrove's filters: documents and megabytes a CPU-second, same texts.

    taskset -c 0 python benchmarks/quality_against_datatrove.py [PAGES.warc.gz] [--pages N] [--peer-pages N]

Ours is what a recipe runs: one `signals` step, then the `quality` steps, in batches as the runner makes them; nothing
is dropped on the way, so every rule is computed for every text, and C4's edit of the text is made too. Both sides get
the same main texts in the same process, warm, one thread; datatrove runs on the first --peer-pages of them. CPU time of
the process, so that other work on the machine counts less; best of three for ours, one run for the peer.
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

from curate.apply import with_columns
from curate.measuring import with_signals
from curate.recipe import make_step

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


def ours(texts: list[str], rules: list[str]) -> float:
    """Return the CPU-seconds of the steps of a recipe with these sets of rules; one that edits the text comes last."""
    steps = with_signals([make_step("quality", {"rules": name}) for name in rules])
    table = pa.table({"text": pa.array(texts, pa.string())})
    batches = table.to_batches(max_chunksize=BATCH_DOCS)

    def run() -> None:
        for batch in batches:
            for step in steps:
                batch = with_columns(batch, step.spec(batch).columns)

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
    from datatrove.pipeline import filters

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
    peers = {
        "gopher_repetition": filters.GopherRepetitionFilter(),
        "gopher": filters.GopherQualityFilter(),
        "fineweb": filters.FineWebQualityFilter(),
        "c4": filters.C4QualityFilter(),
    }
    for rules in (*([name] for name in peers), ["gopher", "c4"], list(peers)):
        seconds, peer_seconds = ours(texts, rules), theirs(some, [peers[name] for name in rules])
        speed, peer_speed = mega / seconds, some_mega / peer_seconds
        peer = f"{len(some) / peer_seconds:5.0f} docs/s {peer_speed:5.2f} MB/s"
        print(
            f"{' + '.join(rules) if len(rules) < len(peers) else 'all four':18s} "
            f"{len(texts) / seconds:8.0f} docs/s {speed:6.1f} MB/s   "
            f"datatrove {peer}   ratio {speed / peer_speed:4.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
