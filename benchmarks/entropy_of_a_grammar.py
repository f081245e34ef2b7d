"""A model of five million parameters on a grammar whose entropy is known: held-out nats per token over that entropy.

    python benchmarks/entropy_of_a_grammar.py [--preset 5m] [--steps 300] [--batch-size 2] [--learning-rate 1e-3]

The grammar is that of Reber (1967): from each of five states two symbols lead on, with one half each, and no symbol
tells the state by itself. A sentence is six choices in the mean, and its end, which is no choice: 6/7 ln 2 nats per
token. No sentence is read twice in training, and 2,000 new ones are scored, each by itself. The tokenizer has 8,192
tokens, which make the preset `5m` five million parameters; the model has to find out that six of them are used. The
learning rate is that of the preset; at three times that a run of 300 steps was 9 % off. Ends with 1 where the loss is
off by more than 2 %.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from tokenizers import Tokenizer, models

from curate.shard_writer import ShardWriter
from curate.shards import Manifest, file_sha256
from train import api

EOS, END = 0, 5
ARCS = {0: ((1, 1), (2, 2)), 1: ((3, 1), (4, 3)), 2: ((1, 2), (5, 4)), 3: ((4, 2), (3, END)), 4: ((2, 3), (5, END))}
ENTROPY_NATS = 6 / 7 * math.log(2)
TOKENS_PER_SENTENCE = 7
VOCAB, TOLERANCE = 8_192, 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="5m")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=2, help="windows of 256 tokens")
    parser.add_argument("--learning-rate", type=float, help="that of the preset if not given")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    n_sentences = given.steps * given.batch_size * 256 // TOKENS_PER_SENTENCE
    with tempfile.TemporaryDirectory() as folder:
        texts = {"train": sentences(n_sentences + n_sentences // 10 + 300, 0), "val": sentences(2_000, 1)}
        tokens = write_ids(Path(folder) / "tokens", texts, VOCAB)
        options = ("optim.warmup_steps=5", "optim.decay_frac=0.9", "loop.sample_prompts=[]")
        started_s = time.process_time()
        run = api.train(
            tokens, Path(folder) / "run", preset=given.preset, steps=given.steps, batch_size=given.batch_size,
            seq_len=256, learning_rate=given.learning_rate, device="cpu", settings=options,
        )  # fmt: skip
        took_s = time.process_time() - started_s
        (score,) = api.eval(run.run, per_document=Path(folder) / "losses.parquet", device="cpu")
    ratio = score.nats_per_token / ENTROPY_NATS
    print(f"{given.preset}: {run.n_params:,} parameters, {run.n_tokens:,} tokens, {took_s:.0f} CPU s")
    print(f"{score.nats_per_token:.4f} nats per token held out, entropy {ENTROPY_NATS:.4f}: {ratio:.4f} of it")
    sys.exit(abs(ratio - 1) > TOLERANCE)


def sentences(n: int, seed: int) -> list[list[int]]:
    """Return sentences of the grammar as ids, each with its end."""
    random, found = np.random.default_rng(seed), []
    for _ in range(n):
        state, ids = 0, []
        while state != END:
            symbol, state = ARCS[state][int(random.integers(2))]
            ids.append(symbol)
        found.append([*ids, EOS])
    return found


def write_ids(folder: Path, splits: Mapping[str, Sequence[Sequence[int]]], vocab_size: int) -> Path:
    """Write token shards of ids as they are; the words of the tokenizer stand for nothing."""
    folder.mkdir()
    words = {"<|endoftext|>": EOS} | {f"w{k}": k for k in range(1, vocab_size)}
    Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>")).save(str(folder / "tokenizer.json"))
    schema = pa.schema(
        [("doc_id", pa.string()), ("url", pa.string()), ("text_bytes", pa.int64()), ("n_tokens", pa.int32())]
    )
    entries = []
    for split, documents in splits.items():
        n = len(documents)
        rows = {"doc_id": [f"{k:032x}" for k in range(n)], "url": [None] * n, "text_bytes": [0] * n}
        writer = ShardWriter(folder, f"grammar-{split}-00000", "uint16", schema)
        ids = np.concatenate([np.array(document, np.uint16) for document in documents])
        writer.add(ids, pa.table({**rows, "n_tokens": [len(document) for document in documents]}, schema))
        entries.append(writer.close("grammar", split))
    digest = file_sha256(folder / "tokenizer.json")
    manifest = Manifest("uint16", vocab_size, EOS, EOS, EOS, digest, 0, "none", tuple(entries))
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
