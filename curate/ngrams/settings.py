"""What decides an n-gram model, and what training one tells."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Annotated, Literal

from curate.errors import InputError
from curate.receipts import sha256_of

MIN_TOKENS = 1000
MAX_CHARS = 1_000_000  # of a doc that are looked at
TOKENS_NOTE = "tokens"  # in the head of an ARPA file: "words", or "tokenizer" and its sha256


@dataclass(frozen=True)
class NgramSettings:
    """What decides a model, beside the text. Raises InputError for values out of range.

    Order 5 is that of CCNet (Wenzek et al. 2020, arXiv:1911.00359, section 3.3), whose vocabulary has 65,536 pieces.
    10,000,000 tokens need some 1.5 GB of memory at order 5.
    """

    order: Annotated[int, "words of the longest n-grams"] = 5
    vocab_size: Annotated[int, "words to know, the most frequent; others are one unknown word"] = 65_536
    min_counts: Annotated[str, "fewest occurrences of n-grams of 2, 3 … words; the last number goes on"] = "1 2"
    max_tokens: Annotated[int, "tokens to learn from, of texts drawn by a hash; more needs more memory"] = 10_000_000
    held_out_frac: Annotated[float, "share of the texts that is only measured on"] = 0.05
    split_by: Annotated[Literal["site", "text"], "hold out whole sites, where docs have a URL, or any text"] = "site"
    tokenizer: Annotated[Path | None, "a tokenizer.json that makes the tokens; words if not given"] = None
    seed: Annotated[int, "draws other texts and another split"] = 0

    def __post_init__(self) -> None:
        if not 2 <= self.order <= 6:
            raise InputError(f"order is {self.order}; allowed: 2 to 6")
        if not 1 <= self.vocab_size <= 1 << 24:
            raise InputError(f"vocab_size is {self.vocab_size}; allowed: 1 to {1 << 24:,}")
        counts = self.least_counts
        if not counts or counts[0] < 1 or sorted(counts) != counts:
            raise InputError(f"min_counts is {self.min_counts!r}; whole numbers from 1 on that do not fall, like '1 2'")
        if not 0.0 < self.held_out_frac < 1.0:
            raise InputError(f"held_out_frac is {self.held_out_frac}; allowed: above 0, below 1")
        if self.max_tokens < MIN_TOKENS:
            raise InputError(f"max_tokens is {self.max_tokens}; allowed: {MIN_TOKENS:,} and more")

    @property
    def least_counts(self) -> list[int]:
        """The fewest occurrences for each order from 2 on; empty if they are no numbers."""
        words = self.min_counts.split()
        if not words or not all(word.isdecimal() for word in words):
            return []
        counts = [int(word) for word in words]
        return [*counts, *repeat(counts[-1], self.order)][: self.order - 1]


@dataclass(frozen=True)
class TrainedNgrams:
    """What training wrote. Perplexity and unknown words are those of the held-out texts."""

    model: Path
    sha256: str
    model_bytes: int
    n_texts: int
    n_tokens: int
    n_held_out_tokens: int
    n_ngrams: tuple[int, ...]
    perplexity: float
    unknown_frac: float


def tokens_note(tokenizer: Path | None) -> str:
    """Return what a model's file says of its tokens."""
    return "words" if tokenizer is None else f"tokenizer {sha256_of(tokenizer)}"
