"""Small token shards for the trainer's tests: a byte-level BPE trained on the spot, the real shard writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from curate.shard_writer import ShardWriter
from curate.shards import Manifest, ShardEntry, dtype_for, file_sha256

EOS = "<|endoftext|>"
PROVENANCE = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("warc_file", pa.string()),
        ("offset_bytes", pa.int64()),
        ("text_bytes", pa.int64()),
        ("n_tokens", pa.int32()),
    ]
)
NOUNS = ("cat", "dog", "miller", "queen", "river", "old man", "fox", "judge")
VERBS = ("sees", "follows", "forgets", "calls", "paints", "finds")
PLACES = ("by the sea", "in the garden", "under the bridge", "at the market")


def fables(n_docs: int, seed: int = 0) -> list[str]:
    """Return documents of a small regular language, so that a small model learns something in seconds."""
    random = np.random.default_rng(seed)

    def sentence() -> str:
        one, other = random.choice(NOUNS, 2)
        return f"The {one} {random.choice(VERBS)} the {other} {random.choice(PLACES)}."

    return [" ".join(sentence() for _ in range(int(random.integers(3, 30)))) for _ in range(n_docs)]


def byte_bpe(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE whose id 0 is the end of a document."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def write_tokens(
    folder: Path,
    sources: Mapping[str, Sequence[str]],
    vocab_size: int = 300,
    n_held_out: int = 4,
    docs_per_shard: int = 50,
) -> Path:
    """Write token shards of the given texts; the last `n_held_out` documents of each source are its `val` split."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = byte_bpe([text for texts in sources.values() for text in texts], vocab_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    n_ids = tokenizer.get_vocab_size()
    dtype = dtype_for(n_ids)
    entries: list[ShardEntry] = []
    for source, texts in sorted(sources.items()):
        n_train = len(texts) - n_held_out
        for split, first, stop in (("train", 0, n_train), ("val", n_train, len(texts))):
            for number, start in enumerate(range(first, stop, docs_per_shard)):
                writer = ShardWriter(folder, f"{source}-{split}-{number:05d}", dtype, PROVENANCE)
                for doc in range(start, min(start + docs_per_shard, stop)):
                    _add(writer, tokenizer, source, doc, texts[doc], dtype)
                entries.append(writer.close(source, split))
    digest = file_sha256(folder / "tokenizer.json")
    manifest = Manifest(dtype, n_ids, 0, 0, 0, digest, 0, f"last {n_held_out} documents", tuple(entries))
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


def _add(writer: ShardWriter, tokenizer: Tokenizer, source: str, doc: int, text: str, dtype: str) -> None:
    ids = [*tokenizer.encode(text, add_special_tokens=False).ids, 0]
    row = {
        "doc_id": f"{doc:032x}",
        "url": f"https://{source}.example.org/{doc}",
        "warc_file": f"{source}.warc.gz",
        "offset_bytes": 1000 * doc,
        "text_bytes": len(text.encode()),
        "n_tokens": len(ids),
    }
    writer.add(np.array(ids, dtype), pa.Table.from_pylist([row], schema=PROVENANCE))
