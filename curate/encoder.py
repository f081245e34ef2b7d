"""A tokenizer.json as the shards need it: ids with EOS, in bounded memory, with no way for a page to fake an EOS."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import InputError
from curate.shards import DTYPES, Tokens, dtype_for

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Of a longer text, pieces of this length are encoded one at a time: the library keeps about 120 bytes per byte
# of text until it is done, so a text of 100 MB would take 12 GB.
PIECE_CHARS = 1 << 18
# After a letter or digit, a word of GPT-2's, cl100k's, o200k's and our own expression ends before each of these;
# before a blank it ends after anything but white space.
SEAMS = frozenset(" \n\t,.;:!?()。、，！？；：（）「」")
UNICODE_FORMS = ("NFC", "NFD", "NFKC", "NFKD")
EOS_NAMES = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]")
BOS_NAMES = ("<|begin_of_text|>", "<s>", "<bos>", "[BOS]")
PAD_NAMES = ("<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>")


@dataclass(frozen=True)
class Encoder:
    """A tokenizer with what the shards need to know of it. `vocab_size` is its largest id plus one."""

    tokenizer: Tokenizer
    vocab_size: int
    eos_id: int
    bos_id: int
    pad_id: int
    in_pieces: bool

    @property
    def dtype(self) -> str:
        return dtype_for(self.vocab_size)

    def encode(self, text: str) -> Tokens:
        """Return the ids of a text, EOS at the end, of dtype u16 or u32.

        Special tokens that the text spells are encoded as text. A byte-level tokenizer takes a text of more than
        2**18 characters in pieces cut between words, which changes no id; only a run of that length without a
        seam (a book without spaces or punctuation) is cut within a word, once per piece.
        """
        dtype = DTYPES[self.dtype]
        ids = [
            np.array(self.tokenizer.encode_batch_fast([piece], add_special_tokens=False)[0].ids, dtype)
            for piece in (pieces_of(text) if self.in_pieces else (text,))
        ]
        return np.concatenate([*ids, np.array([self.eos_id], dtype)])


def load_encoder(path: Path, eos_token: str = "") -> Encoder:
    """Return the tokenizer of a `tokenizer.json`, loaded once per process and version of the file.

    EOS is `eos_token`, or the first of EOS_NAMES it has; BOS and PAD are found likewise, else they are EOS.
    Raises InputError where there is no such file, or no EOS in it.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"tokenizer {path}: {error.strerror}") from error
    return _loaded(path, eos_token, (state.st_ino, state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, eos_token: str, version: tuple[int, int, int]) -> Encoder:
    # Workers are processes; threads of the library's own would only make them fight for cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    try:
        raw = path.read_text(encoding="utf-8")
        tokenizer = Tokenizer.from_str(raw)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"tokenizer {path}: not a tokenizer.json: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # a page must not be able to end a document
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    names = (eos_token,) if eos_token else EOS_NAMES
    eos = next((vocab[name] for name in names if name in vocab), None)
    if eos is None:
        raise InputError(f"tokenizer {path}: has none of {', '.join(names)}; name its end of text with `eos_token`")
    bos = next((vocab[name] for name in BOS_NAMES if name in vocab), eos)
    pad = next((vocab[name] for name in PAD_NAMES if name in vocab), eos)
    return Encoder(tokenizer, max(vocab.values()) + 1, eos, bos, pad, _joins_pieces(json.loads(raw)))


def _joins_pieces(plain: dict[str, Any]) -> bool:
    """Say whether encoding the pieces of a text is encoding the text: byte-level words, and nothing put before it."""
    pre_tokenizer, normalizer = plain.get("pre_tokenizer") or {}, plain.get("normalizer") or {"type": "NFC"}
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    kinds = {step.get("type") for step in steps}
    byte_level = "ByteLevel" in kinds <= {"ByteLevel", "Split", "Digits"}
    return byte_level and normalizer["type"] in UNICODE_FORMS and not any(s.get("add_prefix_space") for s in steps)


def pieces_of(text: str, max_chars: int = PIECE_CHARS) -> Iterator[str]:
    """Yield a text in pieces of up to `max_chars`, cut between words; a piece without a seam is cut at its end."""
    start = 0
    while len(text) - start > max_chars:
        end = start + max_chars
        while end > start + 1 and not is_seam(text[end - 1], text[end]):
            end -= 1
        end = end if end > start + 1 else start + max_chars
        yield text[start:end]
        start = end
    yield text[start:]


def is_seam(before: str, after: str) -> bool:
    """Say whether a word surely ends between two neighbouring characters."""
    return (after in SEAMS and before.isalnum()) or (after == " " and not before.isspace())
