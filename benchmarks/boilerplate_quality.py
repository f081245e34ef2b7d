"""Word F1 against the gold before and after `boilerplate` cuts what the pages of a site share, per extractor.

    python -m benchmarks.boilerplate_quality --data ../shared/data --cache DIR [--engine NAME ...] [--min-docs 3 …]

Extracts are kept in DIR; all pages are shown to the fold, in files as a run writes them. Scores are means over the
labelled pages (kinds text and html) of sites with at least `--pages` pages; snippets are counts over all labelled by
snippets. `curate` is the project's own extractor at its default setting.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.extraction.engines import ENGINES, run_engine
from benchmarks.extraction.pages import FULL_GOLD, Page, load_pages
from benchmarks.extraction.words import score, snippet_counts
from curate.fold import Position
from curate.folds.boilerplate import Boilerplate
from curate.schema import SPANS_TYPE
from curate.sketches import Part, SketchWriter
from curate.verdicts import cut_spans

BATCH_DOCS, N_PARTS = 64, 4
UNKNOWN = "https://{}.unknown-url.invalid/"  # pages whose site is not known are each a site of their own


def own_extracts(pages: list[Page]) -> dict[str, str]:
    """Return the texts of the project's own extractor."""
    from curate.extractors import extractor_of

    extract = extractor_of("curate")
    return {page.id: extract(page.utf8).text for page in pages}


def cut(fold: Boilerplate, urls: list[str], texts: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Run the fold over all texts; return them as they are afterwards, and figures."""
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="curate-boilerplate-") as name:
        folder = Path(name)
        writer = SketchWriter(folder / "00000.arrow")
        for row in range(0, len(texts), BATCH_DOCS):
            columns = {"url": urls[row : row + BATCH_DOCS], "text": texts[row : row + BATCH_DOCS]}
            batch = pa.RecordBatch.from_pydict({k: pa.array(v, pa.string()) for k, v in columns.items()})
            writer.add(fold.sketch(batch, Position(0, row, N_PARTS)))
        n_rows = writer.close()
        sketched_s = time.process_time() - began
        parts = [folder / f"part-{number}" for number in range(N_PARTS)]
        for number, part in enumerate(parts):
            part.mkdir()
            fold.reduce(Part([writer.path], number, N_PARTS), part)
        (folder / "out").mkdir()
        fold.finish(parts, folder / "out")
        verdicts = pq.read_table(folder / "out" / "verdicts" / "00000.parquet").to_pylist()
        sketch_bytes = writer.path.stat().st_size
    spans: list[Any] = [None] * len(texts)
    for verdict in verdicts:
        spans[verdict["row"]] = verdict["drop_spans"]
    after = cut_spans(pa.array(texts, pa.string()), pa.array(spans, SPANS_TYPE)).to_pylist()
    n_bytes = sum(len(text.encode()) for text in texts)
    figures = {
        "cut_frac": 1 - sum(len(text.encode()) for text in after) / n_bytes,
        "sketch_ms_a_doc": 1e3 * sketched_s / len(texts),
        "all_ms_a_doc": 1e3 * (time.process_time() - began) / len(texts),
        "sketch_bytes_a_line": sketch_bytes / max(1, n_rows),
    }
    return after, figures


def compare(name: str, pages: list[Page], before: list[str], after: list[str], min_pages: int) -> Iterator[str]:
    """Yield the table's lines for one extractor."""
    n_pages = Counter(page.site for page in pages)
    sums, n, up, down = [0.0] * 6, 0, 0, 0
    snippets = [0] * 4
    for page, old, new in zip(pages, before, after, strict=True):
        if page.kind in FULL_GOLD and n_pages[page.site] >= min_pages:
            assert page.gold is not None
            was, now = score(old, page.gold["text"]), score(new, page.gold["text"])
            sums = [total + value for total, value in zip(sums, (*was, *now), strict=True)]
            n, up, down = n + 1, up + (now.f1 > was.f1 + 0.001), down + (now.f1 < was.f1 - 0.001)
        elif page.kind == "snippets":
            assert page.gold is not None
            counts = [snippet_counts(text, page.gold["with"], page.gold["without"])[:2] for text in (old, new)]
            snippets = [a + b for a, b in zip(snippets, (*counts[0], *counts[1]), strict=True)]
    means = [f"{total / n:.4f}" for total in sums]
    yield f"{name:<22}{n:>6}  before  {' '.join(means[:3])}  with/without {snippets[0]}/{snippets[1]}"
    yield f"{'':<22}{'':>6}  after   {' '.join(means[3:])}  with/without {snippets[2]}/{snippets[3]}"
    yield f"{'':<22}{'':>6}  better on {up} pages, worse on {down}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder; pages are in its pages/")
    parser.add_argument("--cache", type=Path, required=True, help="where extracts are kept")
    parser.add_argument("--engine", action="append", choices=["curate", *ENGINES], help="all where none is named")
    parser.add_argument("--pages", type=int, default=5, help="pages of a site for its pages to count")
    parser.add_argument("--min-docs", type=int, default=Boilerplate.min_docs)
    parser.add_argument("--min-frac", type=float, default=Boilerplate.min_frac)
    parser.add_argument("--max-cut-frac", type=float, default=Boilerplate.max_cut_frac)
    parser.add_argument("--by", choices=["site", "host"], default=Boilerplate.by)
    given = parser.parse_args()
    fold = Boilerplate(given.min_docs, given.min_frac, given.max_cut_frac, given.by)
    pages = list(load_pages(given.data))
    urls = [UNKNOWN.format(n) if page.site == page.id else page.url for n, page in enumerate(pages)]
    print("extractor              pages          P      R      F1")
    for name in given.engine or ["curate", *ENGINES]:
        if name == "curate":
            texts = own_extracts(pages)
        else:
            texts = {key: extract.text for key, extract in run_engine(name, given.data, given.cache).items()}
        before = [texts[page.id] for page in pages]
        after, figures = cut(fold, urls, before)
        print("\n".join(compare(name, pages, before, after, given.pages)))
        print(" " * 30 + ", ".join(f"{key} {value:.4f}" for key, value in figures.items()), flush=True)


if __name__ == "__main__":
    main()
