"""Main-text quality of the block extractor beside other engines, on labelled pages: P, R, F1 per source and language.

    python -m benchmarks.extraction_quality --data ../shared/data --cache DIR --out-of-fold DIR [--keep balanced]

With --out-of-fold every page is extracted by a model that never saw its site; the models are trained into that folder
where they are not there yet (minutes). Without, the shipped model is scored, which has learned from these very pages:
such figures only show that it works. Other engines run once into the cache, with the CPU time they took.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.extraction.engines import ENGINES, run_engine
from benchmarks.extraction.pages import Page, fold_of, load_pages
from benchmarks.extraction.report import markdown_table, rows_of, snippet_row
from benchmarks.extraction.train import N_FOLDS, train
from curate.extractors.blocks import BlockExtractor, load_block_model
from curate.kernels.html.choose import Keep


def extract_all(pages: list[Page], keep: Keep, folds: Path | None, comments: bool) -> tuple[dict[str, str], float]:
    """Return (text by page id, CPU seconds), with the shipped model or with those of a folder of folds."""
    if folds is None:
        extractors = [BlockExtractor(keep=keep, comments=comments)] * N_FOLDS
    else:
        models = [load_block_model(folds / f"fold-{k}.npz") for k in range(N_FOLDS)]
        extractors = [BlockExtractor(keep=keep, comments=comments, model=model) for model in models]
    extractors[0](pages[0].utf8)  # compiles
    of_page = [extractors[fold_of(page.site, N_FOLDS)] for page in pages]
    start = time.process_time()
    texts = {page.id: extractor(page.utf8).text for extractor, page in zip(of_page, pages, strict=True)}
    return texts, time.process_time() - start


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder; pages are in its pages/")
    parser.add_argument("--cache", type=Path, required=True, help="where the other engines' extracts are kept")
    parser.add_argument("--out-of-fold", type=Path, help="folder of the models of the folds; trained where missing")
    parser.add_argument("--keep", choices=["recall", "balanced", "precision"], default="balanced")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    if args.out_of_fold and not (args.out_of_fold / "fold-0.npz").exists():
        train(args.data, args.cache, args.out_of_fold)
    pages = [page for page in load_pages(args.data) if page.gold is not None]
    texts, cpu_s = extract_all(pages, args.keep, args.out_of_fold, False)
    ours = f"curate, {'out of fold' if args.out_of_fold else 'as shipped (seen in training)'}"
    by_engine, speed = {ours: texts}, {ours: len(pages) / cpu_s}
    for name in ENGINES:
        found = run_engine(name, args.data, args.cache)
        by_engine[name] = {page.id: found[page.id].text for page in pages}
        speed[name] = len(pages) / sum(found[page.id].cpu_s for page in pages)
    rows = {name: {**rows_of(pages, texts), "snippets": snippet_row(pages, texts)} for name, texts in by_engine.items()}
    print("\n".join(markdown_table(rows)))
    print(f"| pages a CPU-second | | {' | '.join(f'{speed[name]:,.0f}' for name in by_engine)} |")
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "pages_per_cpu_s": speed}, indent=1) + "\n")


if __name__ == "__main__":
    main()
