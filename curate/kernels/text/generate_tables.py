"""Write the tables of `tables.py` from spaCy's English rules, datatrove's sets, uniseg's and Python's Unicode data.

Run `python -m curate.kernels.text.generate_tables` with spaCy, datatrove and uniseg installed. A test does the same and
compares the result with the committed file, so a new spaCy or Unicode version cannot change the words unseen.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.kernels.text import tables as t

N_CODES = sys.maxunicode + 1
N_SLOTS = 1 << 14  # one in eleven is taken: a word that is no exception nearly always meets an empty slot
ALL = "".join(chr(code) for code in range(N_CODES) if not 0xD800 <= code < 0xE000)


def character_flags() -> npt.NDArray[np.uint32]:
    """Return uint32[0x110000]: the class bits of every code point."""
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION
    from spacy.lang import char_classes as spacy_class
    from spacy.pipeline import Sentencizer

    flags = np.zeros(N_CODES, np.uint32)

    def mark(bit: int, chars: Iterable[str]) -> None:
        codes = [ord(char) for char in chars]
        flags[codes] |= np.uint32(bit)

    def where(bit: int, holds: Callable[[str], bool]) -> None:
        mark(bit, (char for char in ALL if holds(char)))

    def of_class(bit: int, content: str) -> None:
        mark(bit, re.findall(f"[{content}]", ALL))

    alpha, lower, upper = spacy_class.ALPHA, spacy_class.ALPHA_LOWER, spacy_class.ALPHA_UPPER
    quotes = spacy_class.CONCAT_QUOTES
    where(t.SPACE, str.isspace)
    where(t.LETTER, str.isalpha)
    where(t.LINE_BREAK, lambda char: len(f"a{char}a".splitlines()) == 2)
    where(t.PUNCTUATION, lambda char: unicodedata.category(char).startswith("P"))
    mark(t.SYMBOL, PUNCTUATION_SET)
    mark(t.SENTENCE_END, Sentencizer.default_punct_chars)
    either = spacy_class.LIST_PUNCT + spacy_class.LIST_QUOTES + ["…", "—", "–"]
    mark(t.PREFIX, singles(either + spacy_class.LIST_CURRENCY + ["§", "%", "="]))
    mark(t.SUFFIX, singles(either))
    of_class(t.PREFIX | t.SUFFIX | t.ICON, spacy_class.ICONS)
    of_class(t.WORD_ALPHA, alpha)
    of_class(t.WORD_LOWER, lower)
    of_class(t.WORD_UPPER, upper)
    of_class(t.QUOTE, quotes)
    of_class(t.BEFORE_STOP, rf"0-9{lower}%²\-\+{spacy_class.PUNCT}(?:{quotes})")
    of_class(t.DIGIT, "0-9")
    of_class(t.HOST, r"A-Za-z0-9\u00a1-\uffff")
    of_class(t.SCHEME, r"\w+\-.")
    of_class(t.UNICODE_DIGIT, r"\d")
    of_class(t.INFIX, rf"{spacy_class.ICONS}….+\-*^,–—~:<>=/")
    mark(t.TERMINAL, TERMINAL_PUNCTUATION)
    mark(t.HASH_OR_ELLIPSIS, "#…")
    where(t.ALNUM, str.isalnum)
    where(t.UPPER, str.isupper)
    where(t.MARK, lambda char: unicodedata.category(char).startswith("M"))
    return flags | word_break_flags()


def word_break_flags() -> npt.NDArray[np.uint32]:
    """Return uint32[0x110000]: the bits of Unicode's word boundaries."""
    from uniseg.emoji import extended_pictographic
    from uniseg.wordbreak import word_break

    flags = np.zeros(N_CODES, np.uint32)
    for char in ALL:
        flags[ord(char)] = t.WORD_BREAKS.index(word_break(char).value) << t.WORD_BREAK_SHIFT
        if extended_pictographic(char):
            flags[ord(char)] |= np.uint32(t.PICTOGRAPH)
    return flags


def singles(regexes: Iterable[str]) -> list[str]:
    """Return the characters that stand alone in a list of spaCy's escaped alternatives."""
    plain = [regex.replace("\\", "") for regex in regexes]
    return [char for char in plain if len(char) == 1]


def exceptions() -> list[tuple[bytes, int, list[bytes], list[bytes]]]:
    """Return (text, kind, pieces, pattern) for spaCy's special cases, its units and its currencies."""
    import spacy
    from spacy.lang import char_classes as spacy_class
    from spacy.symbols import ORTH
    from spacy.tokenizer import Tokenizer

    full: Any = spacy.blank("en").tokenizer
    affixes_only = Tokenizer(
        full.vocab,
        prefix_search=full.prefix_search,
        suffix_search=full.suffix_search,
        infix_finditer=full.infix_finditer,
        url_match=full.url_match,
    )
    found: dict[bytes, tuple[bytes, int, list[bytes], list[bytes]]] = {}
    for text, words in full.rules.items():
        if not text.strip():
            continue
        pieces = [word[ORTH].encode() for word in words]
        # spaCy looks a special case up again after the affix rules only where one of them applies to it.
        cut = full.find_prefix(text) or full.find_suffix(text) or full.find_infix(text)
        pattern = [word.text.encode() for word in affixes_only(text)] if cut else []
        kind = t.SPECIAL | (t.PATTERN if len(pattern) > 1 else 0)
        found[text.encode()] = (text.encode(), kind, pieces, pattern if len(pattern) > 1 else [])
    for unit in spacy_class.LIST_UNITS + spacy_class.LIST_CURRENCY:
        text = unit.replace("\\", "").encode()
        _, kind, pieces, pattern = found.get(text, (text, 0, [], []))
        found[text] = (text, kind | t.UNIT, pieces, pattern)
    return list(found.values())


def build() -> dict[str, npt.NDArray[Any]]:
    """Return the stored arrays of `Tables`."""
    flags = character_flags().reshape(-1, t.BLOCK)
    blocks, block_of = np.unique(flags, axis=0, return_inverse=True)
    # ASCII comes first, so that a kernel may read flags[0, byte] directly.
    ascii_block = int(block_of.reshape(-1)[0])
    order = np.concatenate([[ascii_block], np.delete(np.arange(len(blocks)), ascii_block)])
    rank = np.argsort(order)
    out: dict[str, npt.NDArray[Any]] = {
        "block_of": rank[block_of.reshape(-1)].astype(np.uint16),
        "flags": blocks[order],
        "key": np.zeros(N_SLOTS, np.uint64),
        "kind": np.zeros(N_SLOTS, np.uint8),
        "pieces": np.zeros((N_SLOTS, t.MAX_PIECES), np.uint8),
        "pattern": np.zeros((N_SLOTS, t.MAX_PATTERN), np.uint8),
    }
    for text, kind, pieces, pattern in exceptions():
        if len(text) > t.MAX_EXCEPTION_BYTES:
            raise ValueError(f"{text!r} is longer than MAX_EXCEPTION_BYTES")
        key = t.hash_of(text)
        slot = t.mix(key) % N_SLOTS
        while out["kind"][slot]:
            if out["key"][slot] == key:
                raise ValueError(f"{text!r} has the hash of another exception")
            slot = (slot + 1) % N_SLOTS
        out["key"][slot], out["kind"][slot] = key, kind
        out["pieces"][slot, : len(pieces)] = [len(piece) for piece in pieces]
        out["pattern"][slot, : len(pattern)] = [len(piece) for piece in pattern]
    return out


def main(path: Path = t.PATH) -> None:
    """Write the tables."""
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **build())
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
