"""The character classes and the exception list that the word and line kernels look things up in."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PATH = Path(__file__).resolve().parents[2] / "assets" / "text_tables.npz"
BLOCK = 128  # code points per block of the two-stage table

# One bit per question that a kernel asks about a character.
SPACE = 1 << 0  # str.isspace
LINE_BREAK = 1 << 1  # str.splitlines breaks here
LETTER = 1 << 2  # str.isalpha
SYMBOL = 1 << 3  # in datatrove's PUNCTUATION_SET, which holds control characters too
PUNCTUATION = 1 << 4  # Unicode category P, what spaCy calls is_punct
SENTENCE_END = 1 << 5  # spaCy's sentencizer ends a sentence after such a word
PREFIX = 1 << 6  # spaCy splits it off the front of a word
SUFFIX = 1 << 7  # … and off the end
WORD_ALPHA = 1 << 8  # spaCy's ALPHA: letters, but also whole blocks such as CJK punctuation
WORD_LOWER = 1 << 9
WORD_UPPER = 1 << 10
QUOTE = 1 << 11
ICON = 1 << 12  # emoji and the like: a word of their own wherever they stand
BEFORE_STOP = 1 << 13  # a full stop after such a character is split off
DIGIT = 1 << 14  # 0-9
HOST = 1 << 15  # may stand in a host name
SCHEME = 1 << 16  # may stand in a URL scheme
UNICODE_DIGIT = 1 << 17  # \d of a regex
INFIX = 1 << 18  # spaCy may cut a word here, depending on what stands around
TERMINAL = 1 << 19  # in datatrove's TERMINAL_PUNCTUATION
ALNUM = 1 << 20  # str.isalnum
UPPER = 1 << 21  # str.isupper
MARK = 1 << 22  # Unicode category M
HASH_OR_ELLIPSIS = 1 << 23
WORD_BREAK_SHIFT = 24  # five bits: an index into WORD_BREAKS
PICTOGRAPH = 1 << 29  # Extended_Pictographic

# Unicode's property Word_Break (UAX #29), in the order of the five bits.
WORD_BREAKS = (
    "Other", "CR", "LF", "Newline", "Extend", "ZWJ", "Format", "Regional_Indicator", "Katakana", "Hebrew_Letter",
    "ALetter", "Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum", "Numeric", "ExtendNumLet",
    "WSegSpace",
)  # fmt: skip

# What an entry of the exception list is good for (bits of `Tables.kind`).
SPECIAL = 1  # split exactly as `Tables.pieces` says, wherever it stands alone
PATTERN = 2  # … and where the affix rules had cut it into `Tables.pattern` before
UNIT = 4  # a unit or currency, split off behind a digit

MAX_CHUNK_BYTES = 1 << 16  # a longer run without white space is one word: a stated difference from spaCy
MAX_EXCEPTION_BYTES = 29
MAX_PIECES = 4
MAX_PATTERN = 12

HASH_BASE = 0x9E3779B97F4A7C15
N_POWERS = 64  # longer words are rare; their power is computed
HASH_MIX = 0xD6E8FEB86659FD93
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher, appendix A.1.1


class Tables(NamedTuple):
    """Read-only arrays. Code point c has flags[block_of[c // BLOCK], c % BLOCK]."""

    block_of: npt.NDArray[np.uint16]  # [0x110000 / BLOCK]
    flags: npt.NDArray[np.uint32]  # [n_blocks, BLOCK]
    key: npt.NDArray[np.uint64]  # [n_slots] hash of an exception, open addressing
    kind: npt.NDArray[np.uint8]  # [n_slots] 0 where the slot is empty
    pieces: npt.NDArray[np.uint8]  # [n_slots, MAX_PIECES] bytes of each word, 0 after the last
    pattern: npt.NDArray[np.uint8]  # [n_slots, MAX_PATTERN] likewise, as the affix rules cut it
    stop_hash: npt.NDArray[np.uint64]  # [n_stop_words]
    powers: npt.NDArray[np.uint64]  # [N_POWERS] HASH_BASE ** k


@functools.cache
def tables() -> Tables:
    """Return the committed tables; `generate_tables.py` writes them."""
    with np.load(PATH, allow_pickle=False) as stored:
        arrays = {name: np.ascontiguousarray(stored[name]) for name in stored.files}
    stop_hash = np.array([hash_of(word.encode()) for word in STOP_WORDS], np.uint64)
    powers = np.ones(N_POWERS, np.uint64)
    np.cumprod(np.full(N_POWERS - 1, HASH_BASE, np.uint64), out=powers[1:])
    return Tables(**arrays, stop_hash=stop_hash, powers=powers)


def flags_of(char: str) -> int:
    """Return the class bits of one character."""
    found = tables()
    code = ord(char)
    return int(found.flags[found.block_of[code // BLOCK], code % BLOCK])


def hash_of(text: bytes) -> int:
    """Return the 64-bit polynomial hash the kernels use: h(uv) = h(u) * base ** len(v) + h(v)."""
    h = 0
    for byte in text:
        h = (h * HASH_BASE + byte + 1) & (2**64 - 1)
    return h


def mix(h: int) -> int:
    """Spread a hash over all its bits before it becomes a table index."""
    h ^= h >> 32
    h = (h * HASH_MIX) & (2**64 - 1)
    return h ^ (h >> 32)
