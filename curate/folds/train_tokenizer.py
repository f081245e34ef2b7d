"""Train a byte-level BPE tokenizer on a bounded, reproducible sample of the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.fold import Position
from curate.registry import fold
from curate.sketches import PART_BYTES, Part, keyed_hashes, parts_in_order

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# How text is cut into words before BPE. This is the expression of Qwen2 (cl100k's, with single digits), except
# that marks (\p{M}) belong to their word: without that, Hindi, Thai or pointed Hebrew break within syllables.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
N_BYTES = 256
MAX_DOC_BYTES = 1 << 16  # of one doc in the sample: no single page shapes the vocabulary
MIN_TEXT_FRAC = 0.01  # text kept per byte of input, at the least; only bounds what a sketch may hold
MEASURED_BYTES = 4 << 20  # of the sample are encoded to report bytes per token
SAMPLE = pa.schema([("text", pa.large_string())])


@fold(
    version=1,
    reads=["doc_id", "text"],
    publishes="tokenizer",
    uses=["tokenizers"],
)
class TrainTokenizer:
    """Learn `vocab_size` byte-level BPE tokens from up to `max_bytes` of text, drawn by a hash of the doc_id.

    The sample is the docs of lowest keyed hash until `max_bytes` of UTF-8 are full (a doc counts with its first
    64 KiB), so it is the same for every cut into shards, batches and workers, and with it the tokenizer.
    A sketch holds only docs that can still be drawn if 1 % of the planned input survives as text: all of
    them up to 100 times `max_bytes` of input (6.7 GB at the least), a share above. Training keeps the
    distinct words and their pairs in memory, not the text: 0.25, 0.37, 0.55 and 0.83 GB of process memory for 5,
    10, 20 and 40 MB of web pages in dozens of languages, the worst case; hence the modest default.
    A corpus too small for `vocab_size` gives a smaller vocabulary; the stats say so.

    The first special token is EOS and BOS (one separator after each document, as GPT-2 has it), the second, if
    there is one, is PAD; a PAD of its own lets a loss mask padding without masking EOS. Special tokens have the
    lowest ids. Bytes need no unknown token: any text can be encoded, and comes back exactly.

    Writes tokenizer.json, tokenizer_config.json, special_tokens_map.json (`AutoTokenizer.from_pretrained` opens
    the folder) and tokenizer_stats.json. Defaults: 32,768 is the power of two next to Llama 2's 32,000
    (Touvron et al. 2023, section 2.2); a pair must be seen twice to become a token, as in ByteLevelBPETokenizer
    of `tokenizers`.
    """

    vocab_size: Annotated[int, "tokens to learn, the 256 bytes and the special tokens included"] = 32_768
    max_bytes: Annotated[int, "UTF-8 bytes of text to learn from; more needs more memory"] = 50_000_000
    special_tokens: Annotated[tuple[str, ...], "first is EOS and BOS, second PAD, more are reserved"] = (
        "<|endoftext|>",
        "<|pad|>",
    )
    seed: Annotated[int, "draws another sample"] = 0

    def __post_init__(self) -> None:
        names = self.special_tokens
        if not names or len(set(names)) != len(names) or not all(names):
            raise InputError(f"special_tokens {list(names)}: give at least one; none empty, none twice")
        if not N_BYTES + len(names) <= self.vocab_size < 1 << 31:
            raise InputError(f"vocab_size {self.vocab_size}: at least {N_BYTES} bytes + {len(names)} special tokens")
        if self.max_bytes < 1:
            raise InputError(f"max_bytes {self.max_bytes}: at least 1")

    def sketch(self, batch: pa.RecordBatch, at: Position) -> pa.Table:
        """Return (part int32, key uint64, doc_id, text large_string) of the docs that may be drawn."""
        keys = keyed_hashes(batch["doc_id"].to_pylist(), self.seed, "train_tokenizer")
        share = max(self.max_bytes, PART_BYTES) / (at.n_parts * PART_BYTES * MIN_TEXT_FRAC)
        drawn = np.flatnonzero((keys >> np.uint64(32)) < share * 2.0**32)
        rows = batch.select(["doc_id", "text"]).take(pa.array(drawn))
        keys = keys[drawn]
        return pa.table(
            {
                "part": pa.array(parts_in_order(keys, at.n_parts), pa.int32()),
                "key": pa.array(keys, pa.uint64()),
                "doc_id": rows["doc_id"].cast(pa.string()),
                "text": _heads(rows["text"]),
            }
        )

    def reduce(self, part: Part, out: Path) -> None:
        """Write this part's texts in key order, until they alone would fill the sample."""
        left = self.max_bytes
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with (
            pa.OSFile(str(out / "sample.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, SAMPLE, options=options) as file,
        ):
            for batch in part.sorted("key", then=["doc_id"]):
                texts = batch["text"]
                n_bytes = np.cumsum(pc.binary_length(texts).to_numpy())
                n = int(np.searchsorted(n_bytes, left, side="right"))
                file.write_batch(pa.record_batch([texts.slice(0, n)], schema=SAMPLE))
                if n < len(texts):
                    break
                left -= int(n_bytes[-1])

    def finish(self, parts: Sequence[Path], out: Path) -> None:
        """Train on the sample and write the tokenizer."""
        stats: dict[str, Any] = {"n_docs": 0, "sample_bytes": 0}
        tokenizer = self._train(_counted(_sample(parts, self.max_bytes), stats))
        tokenizer.save(str(out / "tokenizer.json"))
        stats |= {"vocab_size": tokenizer.get_vocab_size(), "wanted_vocab_size": self.vocab_size, "words": WORDS}
        stats |= _measured(tokenizer, parts, self.max_bytes)
        _write_json(out / "tokenizer_stats.json", stats)
        names = self._names()
        _write_json(out / "special_tokens_map.json", names)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        _write_json(out / "tokenizer_config.json", config | names)

    def _train(self, texts: Iterator[str]) -> Tokenizer:
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        words = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
        as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, as_bytes])
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=2,
            special_tokens=list(self.special_tokens),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer

    def _names(self) -> dict[str, Any]:
        eos, *rest = self.special_tokens
        names: dict[str, Any] = {"eos_token": eos, "bos_token": eos, "pad_token": rest[0] if rest else eos}
        return names | ({"additional_special_tokens": rest[1:]} if rest[1:] else {})


def _heads(texts: pa.Array) -> pa.Array:
    """Return each text (null as ""), cut at the last whole character within MAX_DOC_BYTES."""
    texts = pc.fill_null(texts, "").cast(pa.large_string())
    long = pc.greater(pc.binary_length(texts), MAX_DOC_BYTES)
    if not pc.any(long).as_py():
        return texts
    heads = pc.filter(texts, long).cast(pa.large_binary()).to_pylist()
    cut = [head[:MAX_DOC_BYTES].decode("utf-8", "ignore") for head in heads]
    return pc.replace_with_mask(texts, long, pa.array(cut, pa.large_string()))


def _sample(parts: Sequence[Path], max_bytes: int) -> Iterator[str]:
    """Yield texts in key order over all parts, as long as they fit into `max_bytes`."""
    left = max_bytes
    for folder in parts:
        with pa.OSFile(str(folder / "sample.arrow"), "rb") as file, pa.ipc.open_stream(file) as reader:
            for batch in reader:
                for text in batch["text"]:
                    left -= len(text.as_buffer())
                    if left < 0:
                        return
                    yield text.as_py()


def _counted(texts: Iterator[str], stats: dict[str, Any]) -> Iterator[str]:
    for text in texts:
        stats["n_docs"] += 1
        stats["sample_bytes"] += len(text.encode())
        yield text


def _measured(tokenizer: Tokenizer, parts: Sequence[Path], max_bytes: int) -> dict[str, Any]:
    """Return what the tokenizer makes of the first MEASURED_BYTES of the sample it was trained on."""
    n_bytes = n_tokens = 0
    for text in _sample(parts, min(max_bytes, MEASURED_BYTES)):
        n_bytes += len(text.encode())
        n_tokens += len(tokenizer.encode(text, add_special_tokens=False))
    ratio = round(n_bytes / n_tokens, 4) if n_tokens else None
    return {"measured_bytes": n_bytes, "measured_tokens": n_tokens, "bytes_per_token": ratio}


def _write_json(path: Path, plain: object) -> None:
    path.write_text(json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
