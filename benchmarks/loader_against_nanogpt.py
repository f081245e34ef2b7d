"""Tokens a second of the trainer's loader against nanoGPT's way of reading, on the same tokens, warm.

    python benchmarks/loader_against_nanogpt.py [TOKENS] [--rows 32] [--seq-len 1024] [--batches 64] [--rounds 9]
                                                [--steps 0] [--preset tiny]

TOKENS is a folder of token shards with u16 ids; without it, shards of random documents are written (40M tokens in two
shards). The baseline opens the file anew for each batch and makes two int64 copies per row at random places, as
nanoGPT's `get_batch` does. Ours reads every window of an epoch once, in the order of the sampler; both end in int64
tensors [B, T]. Rounds alternate, and the medians of their rates and of their ratios are printed, with the quartiles, by
CPU time (which a busy machine changes less) and by wall time.
With --steps, a model of the preset is then trained on the same tokens, and the share of its steps that it spent waiting
for data is printed, of all steps but the first.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from tokenizers import Tokenizer, models
from torch import Tensor

from curate.shard_writer import ShardWriter
from curate.shards import Manifest, TokenShards, file_sha256
from train.config import DataConfig
from train.data import Corpus
from train.metrics import read_metrics

PACKINGS: tuple[Literal["concat", "best_fit"], ...] = ("concat", "best_fit")
CLOCKS = {"CPU time": time.process_time, "wall time": time.perf_counter}
N_TOKENS, MEAN_DOC_TOKENS, VOCAB = 40_000_000, 600, 8_192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokens", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--batches", type=int, default=64, help="read per round and side")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=0, help="of training, to see how long they wait for data")
    parser.add_argument("--preset", default="tiny")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tokens = args.tokens or random_shards(Path(folder))
        compare(args, tokens)
        for packing in PACKINGS if args.steps else ():
            wait(tokens, Path(folder) / packing, args.preset, args.steps, packing)


def wait(tokens: Path, run: Path, preset: str, steps: int, packing: str) -> None:
    """Train, and print which share of the time went into waiting for batches."""
    from train import api

    api.train(tokens, run, preset=preset, steps=steps, settings=(f"data.packing={packing}", "loop.eval_tokens=1"))
    rows = [row for row in read_metrics(run / "metrics.jsonl") if "data_wait_frac" in row and row["step"] > 1]
    shares = [100 * row["data_wait_frac"] for row in rows]
    print(
        f"{packing:9} {preset}, {len(rows)} steps: {statistics.mean(shares):.3f} % of a step waiting for data in the "
        f"mean, {max(shares):.3f} % at most; {statistics.median(row['tokens_per_s'] for row in rows):,.0f} tokens/s"
    )


def compare(args: argparse.Namespace, tokens: Path) -> None:
    """Print how each way of packing compares with the baseline."""
    shards = [shard for shard in TokenShards.open(tokens).shards if shard.entry.split == "train"]
    biggest = max(shards, key=lambda shard: shard.entry.n_tokens)
    if biggest.dtype != "uint16":
        raise SystemExit("nanoGPT reads u16 ids only; give shards of a vocabulary below 65,536")
    print(f"{sum(s.entry.n_tokens for s in shards):,} tokens, B {args.rows}, T {args.seq_len}, int64, one thread")
    theirs = nanogpt_reader(biggest.folder / biggest.entry.file, args.rows, args.seq_len)
    for packing in PACKINGS:
        data = DataConfig(seq_len=args.seq_len, batch_size=args.rows, packing=packing)
        started = time.perf_counter()
        corpus = Corpus.open(tokens, data)
        n_windows, opened_ms = sum(corpus.n_windows), 1000 * (time.perf_counter() - started)
        ours = our_reader(corpus, args.rows)
        for read in (ours, theirs):  # warm: files in the page cache, allocators grown
            rates(read, 0, args.batches, args.rows * args.seq_len)
        n_tokens = args.rows * args.seq_len
        rounds = [
            (rates(ours, number * args.batches, args.batches, n_tokens), rates(theirs, 0, args.batches, n_tokens))
            for number in range(1, args.rounds + 1)
        ]
        print(f"{packing}: {n_windows:,} rows, {100 * corpus.padding_frac:.2f} % padding, ready in {opened_ms:.0f} ms")
        for clock, pairs in zip(CLOCKS, zip(*(zip(*pair, strict=True) for pair in rounds), strict=True), strict=True):
            low, middle, high = statistics.quantiles([mine / other for mine, other in pairs], n=4)
            mine, other = (statistics.median(side) / 1e6 for side in zip(*pairs, strict=True))
            print(
                f"    by {clock:9} {mine:6.1f} M tokens/s, nanoGPT {other:6.1f} M tokens/s: {middle:5.2f} x "
                f"({low:.2f} to {high:.2f})"
            )


def rates(read: Callable[[int], tuple[Tensor, Tensor]], first: int, n_batches: int, n_tokens: int) -> list[float]:
    """Return tokens per second of reading some batches, by each of the clocks."""
    started = [clock() for clock in CLOCKS.values()]
    for number in range(first, first + n_batches):
        read(number)
    return [n_batches * n_tokens / (clock() - start) for clock, start in zip(CLOCKS.values(), started, strict=True)]


def our_reader(corpus: Corpus, n_rows: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Return what the training loop does for a batch: choose its windows, read them, hand over tensors."""
    sampler = corpus.sampler(0)
    return lambda number: corpus.read(sampler.samples(number * n_rows, (number + 1) * n_rows)).tensors()


def nanogpt_reader(file: Path, n_rows: int, seq_len: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Return a reader that follows nanoGPT's: a new map per batch against its leak, and two copies per row."""

    def read(_: int) -> tuple[Tensor, Tensor]:
        data: Any = np.memmap(file, dtype=np.uint16, mode="r")
        starts = torch.randint(len(data) - seq_len, (n_rows,))
        x = torch.stack([torch.from_numpy(data[i : i + seq_len].astype(np.int64)) for i in starts])
        y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + seq_len].astype(np.int64)) for i in starts])
        return x, y

    return read


def random_shards(folder: Path) -> Path:
    """Write two shards of random ids in documents of lognormal length."""
    random = np.random.default_rng(0)
    schema = pa.schema([("doc_id", pa.string()), ("text_bytes", pa.int64()), ("n_tokens", pa.int32())])
    words = {"<|endoftext|>": 0} | {f"w{k}": k for k in range(1, VOCAB)}
    Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>")).save(str(folder / "tokenizer.json"))
    entries = []
    for number in range(2):
        lengths = np.maximum(2, random.lognormal(5.9, 1.0, N_TOKENS // 2 // MEAN_DOC_TOKENS)).astype(np.int32)
        ids = random.integers(1, VOCAB, int(lengths.sum()), dtype=np.uint16)
        ids[np.cumsum(lengths) - 1] = 0
        rows = {
            "doc_id": pa.array([f"{number}-{k}" for k in range(len(lengths))]),
            "text_bytes": pa.array(4 * lengths.astype(np.int64)),
            "n_tokens": pa.array(lengths),
        }
        writer = ShardWriter(folder, f"web-train-{number:05d}", "uint16", schema)
        writer.add(ids, pa.table(rows, schema=schema))
        entries.append(writer.close("web", "train"))
    digest = file_sha256(folder / "tokenizer.json")
    manifest = Manifest("uint16", VOCAB, 0, 0, 0, digest, 0, "none", tuple(entries))
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
