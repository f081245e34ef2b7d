"""Text signals and decisions against datatrove's four filters: documents and megabytes a CPU-second, same texts.

    taskset -c 0 python -m benchmarks.text_signals_against_datatrove [--pages N] [--peer-pages N]

Gopher quality, Gopher repetition, C4 (any line end, as FineWeb has it) and FineWeb's own filter. Our side measures the
signals of all four and decides; the peer runs its four filters one after the other. "All rules" compares what both
compute: the peer's thresholds are set so that no rule fires and none is skipped. "As published" lets the peer stop at
its first broken rule. RedPajama-v2's signals come on top, which the peer does not have. Rounds are interleaved, ours,
theirs, ours, theirs, so that other work on the machine touches both alike; CPU time of the process, best round each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

from benchmarks.text_samples import english_pages
from curate.apply import with_columns
from curate.kernels.text.measure import measure
from curate.signals import SETS
from curate.stages.quality import Quality

BATCH_DOCS = 64  # as the runner reads them
NEVER = 1e9
FOUR = ("gopher_repetition/datatrove", "gopher/datatrove", "c4/datatrove_any_end", "fineweb")
STEPS = (
    Quality(rules="gopher_repetition"),
    Quality(rules="gopher"),
    Quality(rules="fineweb"),
)


def names_of(sets: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for one in sets for name in SETS[one]))


def as_published() -> list[Any]:
    return [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]


def all_rules() -> list[Any]:
    """Return the four filters with limits that no text breaks, so that every rule is computed."""
    orders = [(n, NEVER) for n in range(2, 5)], [(n, NEVER) for n in range(5, 11)]
    return [
        GopherRepetitionFilter(NEVER, NEVER, NEVER, NEVER, *orders),
        GopherQualityFilter(1e-9, NEVER, 1e-9, NEVER, NEVER, NEVER, NEVER, 1e-9, 1e-9),  # 0 would switch a rule off
        C4QualityFilter(filter_no_terminal_punct=False, min_num_sentences=0),
        FineWebQualityFilter(
            line_punct_thr=-1, short_line_thr=NEVER, char_duplicates_ratio=NEVER, new_line_ratio=NEVER
        ),
    ]


def ours(batches: Sequence[pa.RecordBatch], sets: Sequence[str], steps: Sequence[Quality]) -> Callable[[], None]:
    names = names_of(sets)

    def run() -> None:
        for batch in batches:
            measured = with_columns(batch, measure(batch["text"], names))
            for step in steps:
                step(measured)

    return run


def theirs(texts: Sequence[str], filters: Sequence[Any]) -> Callable[[], None]:
    def run() -> None:
        for text in texts:
            for judge in filters:
                judge.filter(Document(text=text, id=""))

    return run


def cpu_seconds(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside)
    parser.add_argument("--pages", type=int, default=1600, help="English pages for our side")
    parser.add_argument("--peer-pages", type=int, default=160, help="every n-th of these for both sides in a ratio")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = english_pages(options.data)[: options.pages]
    shared = texts[:: max(1, len(texts) // options.peer_pages)][: options.peer_pages]
    mega, shared_mega = (sum(len(text.encode()) for text in part) / 1e6 for part in (texts, shared))
    print(f"{len(texts)} English pages, {mega:.2f} MB; ratios on {len(shared)} of them, {shared_mega:.2f} MB")
    batches, few = (pa.table({"text": pa.array(part)}).to_batches(BATCH_DOCS) for part in (texts, shared))
    runs = {
        "four sets, signals only": ours(batches, FOUR, ()),
        "four sets, with decisions": ours(batches, FOUR, STEPS),
        "four sets and RedPajama-v2": ours(batches, (*FOUR, "redpajama2"), STEPS),
        "ours, shared pages": ours(few, FOUR, STEPS),
        "datatrove, all rules": theirs(shared, all_rules()),
        "datatrove, as published": theirs(shared, as_published()),
    }
    for name, run in runs.items():
        if name.startswith("datatrove"):
            theirs(["Here the tokenizer is loaded."], as_published())()
        else:
            run()  # compiled, or loaded
    best = dict.fromkeys(runs, float("inf"))
    for round_number in range(options.rounds):
        for name, run in runs.items():
            if name != "datatrove, as published" or round_number == 0:
                best[name] = min(best[name], cpu_seconds(run))
    for name, seconds in best.items():
        n, size = (len(shared), shared_mega) if "shared" in name or "datatrove" in name else (len(texts), mega)
        print(f"{name:28s} {n / seconds:8.0f} documents/s {size / seconds:7.2f} MB/s")
    for name in ("datatrove, all rules", "datatrove, as published"):
        print(f"ratio to {name}: {best[name] / best['ours, shared pages']:.0f}")


if __name__ == "__main__":
    main()
