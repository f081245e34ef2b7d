"""Train classifiers that tell main text from the rest of labelled English pages, at several sizes.

    OMP_NUM_THREADS=1 python -m benchmarks.classifier_on_pages --data ../shared/data

The two sides are those of `benchmarks.perplexity_model judge`; a fifth of the sites is held out. Shows what the numbers
a word has (`dim`), the buckets of n-grams and `quantize` do to figures, bytes and time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.perplexity_model import pairs
from curate.classifiers import ClassifierSettings, train_classifier

SIZES = (
    {"dim": 10},
    {"dim": 100},
    {"dim": 10, "word_ngrams": 1},
    {"dim": 10, "n_buckets": 200_000},
    {"dim": 10, "n_buckets": 200_000, "quantize": True},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with (work / "main.jsonl").open("w") as main_text, (work / "rest.jsonl").open("w") as rest:
            for url, first, second in pairs(data):
                main_text.write(json.dumps({"url": url, "text": first}) + "\n")
                rest.write(json.dumps({"url": url, "text": second}) + "\n")
        for number, size in enumerate(SIZES):
            settings = ClassifierSettings(**size, held_out_frac=0.2)  # type: ignore[arg-type]
            begun = time.perf_counter()
            made = train_classifier(work / "main.jsonl", work / "rest.jsonl", work / str(number), settings)
            seconds = time.perf_counter() - begun
            figures = made.figures
            print(
                f"{size!s:<58} held out {figures.n_positives}+{figures.n_negatives}, ROC-AUC {figures.roc_auc:.4f}, "
                f"F1 at 0.5 {figures.at_half.f1:.3f}, calibration error {figures.calibration_error:.3f}, "
                f"{made.model_bytes / 1e6:.1f} MB, {seconds:.0f} s"
            )


if __name__ == "__main__":
    main()
