"""Words of a text, for corpora without a tokenizer: one definition for all scripts, counted without a regex per doc.

A word is a run of letters, marks and digits, with single apostrophes inside it ("don't"). Each Han, Hiragana
and Katakana character is a word of its own, since those scripts write no spaces. Thai, Lao and Khmer, which
write none either, come out too low. datatrove's word counts differ: it has a tokenizer per language and
counts punctuation.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WORD, WIDE, APOSTROPHE = 1, 2, 3
# Where Unicode has letters, marks and digits: planes 0 to 3 without surrogates, and the variation selectors.
_CODES = [*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000)]


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """Return uint8[0x110000]: the class of each code point, by the Unicode tables of Arrow's regex engine."""
    codes, chars = np.array(_CODES), pa.array(map(chr, _CODES), pa.string())
    found = np.zeros(0x110000, np.uint8)
    for value, pattern in (
        (WORD, r"[\p{L}\p{M}\p{N}]"),
        (WIDE, r"[\p{Han}\p{Hiragana}\p{Katakana}]"),
        (APOSTROPHE, r"['’]"),
    ):
        found[codes[pc.match_substring_regex(chars, pattern).to_numpy(zero_copy_only=False)]] = value
    found.setflags(write=False)
    return found


def n_words(text: str) -> int:
    """Return the number of words in `text`."""
    classes = np.zeros(len(text) + 2, np.uint8)  # nothing on either side
    classes[1:-1] = _classes()[np.frombuffer(text.encode("utf-32-le"), "<u4")]
    word = classes == WORD
    word[1:-1] |= (classes[1:-1] == APOSTROPHE) & word[:-2] & word[2:]
    starts = word[1:] & ~word[:-1]
    return int(np.count_nonzero(starts) + np.count_nonzero(classes == WIDE))
