"""Train the bundled n-gram model, and measure what its perplexity tells apart on labelled English pages.

    python -m benchmarks.perplexity_model train --data ../shared/data -o DIR
    python -m benchmarks.perplexity_model judge --data ../shared/data [--model FILE]

`train` learns from the addresses and inaugural speeches of US presidents (public domain) and the validation split of
WikiText-2 (CC BY-SA 3.0). `judge` takes the main text of labelled English pages (full gold of Waddle, newspaper and
readability; English by lid.176 at 0.65) and, of the same pages, the visible lines that are not in it; it tells how
often a main text has the lower perplexity than the rest of a page (ROC-AUC), beside simpler numbers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.classifiers.figures import figures_of
from curate.ngrams.settings import NgramSettings
from curate.ngrams.training import train_ngrams
from curate.stages.language import Language
from curate.stages.perplexity import Perplexity

SETTINGS = NgramSettings(order=3, vocab_size=20_000, min_counts="2 3")
CORPORA = ("state_union", "inaugural")
WIKITEXT = "wikitext2-valid.txt.gz"
MIN_CHARS = 200


def texts(data: Path) -> Iterator[str]:
    """Yield the texts the bundled model learns from; WikiText's joints and unknown words are put right or cut at."""
    for name in CORPORA:
        with gzip.open(data / "corpora" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            yield from (json.loads(row)["text"] for row in file)
    with gzip.open(data / "corpora" / WIKITEXT, "rt", encoding="utf-8") as file:
        whole = re.sub(r" @(.)@ ", r"\1", file.read()).replace("<unk>", "\n")
    yield from re.split(r"\n (?== [^=]+ = \n)", whole)


def train(data: Path, out: Path) -> None:
    """Train the model into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts(data))
        print(train_ngrams(str(path), out, SETTINGS, say=print))


def pairs(data: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (URL, main text, the visible lines that are not in it) of labelled English pages."""
    from resiliparse.extract.html2text import extract_plain_text

    from benchmarks.extraction.pages import FULL_GOLD, load_pages

    english = Language(keep=("en",))
    for page in load_pages(data):
        main = page.gold["text"] if page.gold and page.kind in FULL_GOLD else ""
        batch = pa.RecordBatch.from_pydict({"text": pa.array([main], pa.string())})
        if english(batch).drop_reason[0].is_valid:
            continue
        gold = " ".join(main.split())
        lines = extract_plain_text(
            page.utf8.decode(errors="replace"), main_content=False, links=False, form_fields=True
        ).splitlines()
        rest = "\n".join(line.strip() for line in lines if line.strip() and " ".join(line.split()) not in gold)
        if len(main) >= MIN_CHARS and len(rest) >= MIN_CHARS:
            yield page.url, main, rest


def judge(data: Path, model: Path | None) -> None:
    """Print how well perplexity and simpler numbers tell main text from the rest of the pages."""
    found = list(pairs(data))
    both = [main for _, main, _ in found] + [rest for _, _, rest in found]
    is_main = np.arange(len(both)) < len(found)
    batch = pa.RecordBatch.from_pydict({"text": pa.array(both, pa.string())})
    stage = Perplexity(model=model)
    stage(batch.slice(0, 1))
    begun = time.process_time()
    perplexity = stage(batch).columns["perplexity"].to_numpy(zero_copy_only=False)
    seconds = time.process_time() - begun
    print(f"{len(found)} pages, {batch.nbytes / seconds / 1e6:.1f} MB/s")
    for name, values in (("main text", perplexity[is_main]), ("the rest", perplexity[~is_main])):
        print(
            f"perplexity of {name:<10}", *(f"{q:.0%} {np.quantile(values, q):.0f}" for q in (0.1, 0.25, 0.5, 0.75, 0.9))
        )
    lower = float(np.mean(perplexity[is_main] < perplexity[~is_main]))
    print(f"main text has the lower perplexity of a page in {lower:.3f}")
    rules: dict[str, Callable[[str], float]] = {
        "characters": len,
        "characters a line": lambda text: len(text) / (1 + text.count("\n")),
        "share of the": lambda text: len(re.findall(r"\b(?:the|of|and|to|that)\b", text.lower())) / len(text.split()),
    }
    scores = {"perplexity": -perplexity, **{k: np.array([f(t) for t in both]) for k, f in rules.items()}}
    for name, values in scores.items():
        print(f"{name:<20} ROC-AUC {figures_of(_ranked(values), is_main).roc_auc:.4f}")


def _ranked(values: np.ndarray) -> np.ndarray:
    """Return values as scores in [0, 1] of the same order."""
    return np.searchsorted(np.unique(values), values) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "judge"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    if given.what == "train":
        train(given.data, given.out)
    else:
        judge(given.data, given.model)


if __name__ == "__main__":
    main()
