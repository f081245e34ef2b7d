"""Speed and quality of near-duplicate search against datasketch, on the same texts, bands and rows, in one process.

    taskset -c 0 python benchmarks/dedup_against_datasketch.py [DOCS.jsonl.gz [PAIRS.jsonl.gz]]

Without DOCS, the main texts of examples/data. DOCS has `id` and `text` a line. PAIRS has `a`, `b`, `jaccard5` of every
pair at or above 0.4; with it, prints for both sides which share of the pairs at or above 0.8 is found (both docs in one
cluster), and which share of the clustered docs has no partner at or above 0.5. CPU seconds of this process; compiling
and reading are left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from datasketch import MinHash, MinHashLSH

from curate.fold import Position
from curate.folds.dedup import Dedup
from curate.kernels.shingles import words_of
from curate.sketches import Part, SketchWriter

BATCH_DOCS = 64
N_PARTS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("docs", type=Path, nargs="?")
    parser.add_argument("pairs", type=Path, nargs="?")
    args = parser.parse_args()
    docs = read_lines(args.docs) if args.docs else example_docs()
    texts = [doc["text"] for doc in docs]
    n_mb = sum(len(text.encode()) for text in texts) / 1e6
    ours_labels, ours_s = timed(lambda fold: ours(fold, texts), Dedup())
    verified_labels, verified_s = timed(lambda fold: ours(fold, texts), Dedup(verify=True))
    words = [words_of(text) for text in texts]  # not timed: the peer gets its words for nothing
    peer_labels, peer_s = timed(lambda _: datasketch_clusters(words), Dedup())
    print(f"{len(docs)} docs, {n_mb:.1f} MB of text, 14 bands x 8 rows, 5-word shingles")
    for name, labels, seconds in (
        ("curate", ours_labels, ours_s),
        ("curate, verified", verified_labels, verified_s),
        ("datasketch", peer_labels, peer_s),
    ):
        line = f"{name:18} {seconds:8.2f} CPU s  {n_mb / seconds:8.1f} MB/s  {peer_s / seconds:6.1f} x datasketch"
        if args.pairs:
            line += "  " + quality(labels, [doc["id"] for doc in docs], read_lines(args.pairs))
        print(line)


def example_docs() -> list[dict[str, Any]]:
    """Return `id` and `text` of the pages in examples/data."""
    from curate.source import Slice, Tally
    from curate.sources import source_of
    from curate.stages.extract import Extract

    found = []
    for path in sorted((Path(__file__).resolve().parent.parent / "examples/data").glob("*.warc.gz")):
        piece = Slice(str(path), path.name, "warc", "web", 0, path.stat().st_size, path.stat().st_size)
        for batch in source_of("warc").batches(piece, Tally()):
            texts = Extract()(batch).columns["text"].to_pylist()
            found += [{"id": i, "text": t} for i, t in zip(batch["doc_id"].to_pylist(), texts, strict=True) if t]
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def timed(run: Callable[[Dedup], list[int]], fold: Dedup) -> tuple[list[int], float]:
    """Return what `run` returns, and the CPU seconds of its second call where the first one compiles."""
    fold.sketch(pa.RecordBatch.from_pydict({"doc_id": ["0" * 32], "text": ["compile the kernels"]}), Position(0, 0, 1))
    start = time.process_time()
    labels = run(fold)
    return labels, time.process_time() - start


def ours(fold: Dedup, texts: list[str]) -> list[int]:
    """Return a cluster number for each text: sketch, files, sort, union-find and verdicts included."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        writer = SketchWriter(root / "00000.arrow")
        for start in range(0, len(texts), BATCH_DOCS):
            some = texts[start : start + BATCH_DOCS]
            ids = pa.array([f"{start + i:032x}" for i in range(len(some))], pa.string())
            batch = pa.RecordBatch.from_arrays([ids, pa.array(some, pa.string())], names=["doc_id", "text"])
            writer.add(fold.sketch(batch, Position(0, start, N_PARTS)))
        writer.close()
        parts = [root / f"part-{index}" for index in range(N_PARTS)]
        for index, part in enumerate(parts):
            part.mkdir()
            fold.reduce(Part([writer.path], index, N_PARTS), part)
        (root / "out").mkdir()
        fold.finish(parts, root / "out")
        labels = list(range(len(texts)))
        for file in (root / "out" / "verdicts").glob("*.parquet"):
            for verdict in pa.parquet.read_table(file).to_pylist():
                labels[verdict["row"]] = int(verdict["cluster_id"], 16)
        return labels


def datasketch_clusters(words: list[list[str]]) -> list[int]:
    """Return a cluster number for each doc: MinHash, LSH and transitive clusters of what LSH proposes."""
    lsh = MinHashLSH(num_perm=112, params=(14, 8))
    labels = list(range(len(words)))

    def root(x: int) -> int:
        while labels[x] != x:
            labels[x] = labels[labels[x]]
            x = labels[x]
        return x

    for number, own in enumerate(words):
        if not own:
            continue
        shingles = {" ".join(own[i : i + 5]).encode() for i in range(max(1, len(own) - 4))}
        sketch = MinHash(num_perm=112, seed=1)
        sketch.update_batch(shingles)
        for other in lsh.query(sketch):
            labels[root(number)] = root(other)
        lsh.insert(number, sketch)
    return [root(number) for number in range(len(words))]


def quality(labels: list[int], ids: list[str], pairs: list[dict[str, Any]]) -> str:
    """Return the share of pairs found and of docs clustered without cause, as text."""
    label = dict(zip(ids, labels, strict=True))
    best: dict[str, float] = {}
    for pair in pairs:
        for name in (pair["a"], pair["b"]):
            best[name] = max(best.get(name, 0.0), pair["jaccard5"])
    high = [pair for pair in pairs if pair["jaccard5"] >= 0.8]
    found = sum(label[pair["a"]] == label[pair["b"]] for pair in high) / len(high)
    members: dict[int, list[str]] = {}
    for name, its in label.items():
        members.setdefault(its, []).append(name)
    clustered = [name for group in members.values() if len(group) > 1 for name in group]
    without = sum(best.get(name, 0.0) < 0.5 for name in clustered) / len(clustered)
    return f"pairs >= 0.8 found {found:.4f}  clustered {len(clustered)}, without a partner >= 0.5 {without:.4f}"


if __name__ == "__main__":
    main()
