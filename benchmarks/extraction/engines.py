"""Runs the engines we compare with over every page once and keeps what they said in a cache folder.

python -m benchmarks.extraction.engines --data ../shared/data --cache DIR [--engine NAME ...]
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.extraction.pages import load_pages


class Extract(NamedTuple):
    """What one engine said about one page."""

    text: str
    comments: str  # what it took for readers' comments; "" for engines that do not tell them apart
    cpu_s: float


def resiliparse(html: str) -> tuple[str, str]:
    """Resiliparse's main content: rules over a lexbor tree."""
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(html, main_content=True, alt_texts=False), ""


def trafilatura(html: str, **options: bool) -> tuple[str, str]:
    """Trafilatura's body and comments; ("", "") where it finds nothing."""
    from trafilatura import bare_extraction

    found = bare_extraction(html, with_metadata=False, **options)
    return (found.text or "", found.comments or "") if found else ("", "")


ENGINES: dict[str, Callable[[str], tuple[str, str]]] = {
    "resiliparse": resiliparse,
    "trafilatura": trafilatura,
    "trafilatura_precision": lambda html: trafilatura(html, favor_precision=True),
    "trafilatura_recall": lambda html: trafilatura(html, favor_recall=True),
}


def run_engine(name: str, data: Path, cache: Path) -> dict[str, Extract]:
    """Return the extract of every page by page id; read from `cache` where the engine ran before."""
    path = cache / f"{name}.jsonl.gz"
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return {row[0]: Extract(*row[1:]) for row in map(json.loads, lines)}
    found: dict[str, Extract] = {}
    for page in load_pages(data):
        html = page.utf8.decode("utf-8", "replace")
        start = time.process_time()
        text, comments = ENGINES[name](html)
        found[page.id] = Extract(text, comments, time.process_time() - start)
    cache.mkdir(parents=True, exist_ok=True)
    with gzip.open(path.with_suffix(".part"), "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps([key, *extract]) + "\n" for key, extract in found.items())
    path.with_suffix(".part").rename(path)
    return found


def main() -> None:
    """Run the engines named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder; pages are in its pages/")
    parser.add_argument("--cache", type=Path, required=True, help="where the extracts are kept")
    parser.add_argument("--engine", action="append", choices=[*ENGINES], help="all where none is named")
    args = parser.parse_args()
    for name in args.engine or ENGINES:
        found = run_engine(name, args.data, args.cache)
        cpu_s = sum(extract.cpu_s for extract in found.values())
        print(f"{name}: {len(found)} pages, {len(found) / cpu_s:.0f} pages a CPU-second", flush=True)


if __name__ == "__main__":
    main()
