"""How fast `model_quality`, `perplexity` and `quantile` work on the texts of the example crawl, in CPU seconds.

    OMP_NUM_THREADS=1 python -m benchmarks.model_quality_speed

Trains a throwaway classifier of 2,000,000 buckets, at 10 and 100 numbers a word, on the same texts cut in two kinds by
site, so that its tables have their real size; scores all texts `--times` over. `--docs` scores are ranked for the fold.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate import api
from curate.classifiers import ClassifierSettings, train_classifier
from curate.dataset import read_docs
from curate.fold import Position
from curate.folds.quantile import Quantile
from curate.sites import host_of
from curate.sketches import Part, SketchWriter
from curate.stages.model_quality import ModelQuality
from curate.stages.perplexity import Perplexity

MANUAL = ("httpd.apache.org", "docs-mirror.example.net", "www.example.org")  # with its copies
EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--docs", type=int, default=2_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        api.ingest([str(EXAMPLES / "*.warc.gz")], work / "run", workers=1)
        batches = [b for path in sorted((work / "run" / "documents").iterdir()) for b in read_docs(path)]
        n_bytes = sum(batch["text"].nbytes for batch in batches)
        print(f"{sum(b.num_rows for b in batches)} docs, {n_bytes / 1e6:.1f} MB of text")
        stages = [(f"model_quality, dim {dim}", ModelQuality(model=_trained(work, batches, dim))) for dim in (10, 100)]
        for name, stage in [*stages, ("perplexity, bundled model", Perplexity())]:
            stage(batches[0])  # loads and compiles
            begun = time.process_time()
            for _ in range(given.times):
                for batch in batches:
                    stage(batch)
            seconds = (time.process_time() - begun) / given.times
            print(f"{name:<26} {n_bytes / seconds / 1e6:6.1f} MB/s")
        _rank(work, given.docs)


def _trained(work: Path, batches: list[pa.RecordBatch], dim: int) -> Path:
    sides = {True: work / "a.jsonl", False: work / "b.jsonl"}
    with sides[True].open("w") as a, sides[False].open("w") as b:
        for batch in batches:
            for url, text in zip(batch["url"].to_pylist(), batch["text"].to_pylist(), strict=True):
                (a if host_of(url) in MANUAL else b).write(json.dumps({"text": text}) + "\n")
    settings = ClassifierSettings(dim=dim, epochs=1, split_by="text")
    return train_classifier(str(sides[True]), str(sides[False]), work / f"dim{dim}", settings).model


def _rank(work: Path, n_docs: int) -> None:
    scores = np.random.default_rng(1).random(n_docs).astype(np.float32)
    fold = Quantile(by="score", keep_frac=0.1)
    begun = time.process_time()
    writer = SketchWriter(work / "00000.arrow")
    for row in range(0, n_docs, 1024):
        batch = pa.RecordBatch.from_pydict({"score": pa.array(scores[row : row + 1024])})
        writer.add(fold.sketch(batch, Position(0, row, 1)))
    writer.close()
    folders = [work / "part", work / "out"]
    for path in folders:
        path.mkdir()
    fold.reduce(Part([writer.path], 0, 1), folders[0])
    middle = time.process_time()
    fold.finish(folders[:1], folders[1])
    end = time.process_time()
    print(f"quantile of {n_docs:,} docs: sketch and reduce {middle - begun:.1f} s, finish {end - middle:.1f} s")


if __name__ == "__main__":
    main()
