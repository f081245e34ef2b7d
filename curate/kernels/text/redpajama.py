"""The quality signals of RedPajama-v2, as integers: one walk over a doc, then its n-grams.

Where a fraction is published the numerator is measured, and the column to divide it by is named in `curate.signals`.
The twin in `redpajama_plain.py` defines each.
"""

from __future__ import annotations

import functools

import numpy as np

from curate.corpus_signals import REDPAJAMA, REDPAJAMA_WORDS
from curate.kernels.compiled import kernel
from curate.kernels.text.passes import Docs, Grams, Ints, Kernel, Pass, Room, Words, doc_of, source_digest
from curate.kernels.text.primitives import Records
from curate.kernels.text.redpajama_chars import STATE
from curate.kernels.text.redpajama_ngrams import N_NGRAM_COUNTS, count_flagged, count_ngrams
from curate.kernels.text.redpajama_tables import word_lists
from curate.kernels.text.redpajama_words import (
    LINE_CHARS,
    N_ALL_CAPS,
    N_BRACKETS,
    N_BULLET_LINES,
    N_COUNTS,
    N_ELLIPSIS_LINES,
    N_JAVASCRIPT,
    N_LANGUAGES,
    N_LINES,
    N_LOREM_IPSUM,
    N_NO_LETTER,
    N_NUMERIC_LINES,
    N_RAW_WORDS,
    N_SENTENCES,
    N_SHORT_LINES,
    N_SYMBOLS,
    N_TERMINAL_LINES,
    N_UPPER,
    N_UPPER_LINES,
    N_WORDS,
    NUMERIC_CHARS,
    STOP_WORDS,
    WORD_CHARS,
    read_doc,
)
from curate.signals import MAX_WORDS

# Which count each column of REDPAJAMA is, in its order.
COUNT_OF = np.array(
    [
        N_WORDS, WORD_CHARS, N_RAW_WORDS, N_SYMBOLS, N_NO_LETTER, N_ALL_CAPS, N_SENTENCES, N_BRACKETS, N_LOREM_IPSUM,
        *range(STOP_WORDS, STOP_WORDS + N_LANGUAGES),
        N_LINES, N_ELLIPSIS_LINES, N_TERMINAL_LINES, N_BULLET_LINES, N_JAVASCRIPT, N_SHORT_LINES, N_UPPER,
        N_UPPER_LINES, NUMERIC_CHARS, LINE_CHARS, N_NUMERIC_LINES,
    ],
    np.int64,
)  # fmt: skip
assert COUNT_OF.size + 1 == len(REDPAJAMA)  # and the characters of the normalised text, last
N_COLUMNS = len(REDPAJAMA)
assert len(REDPAJAMA_WORDS) == N_NGRAM_COUNTS + N_LANGUAGES


@functools.cache
def redpajama_kernel() -> Kernel:
    """Fill the columns REDPAJAMA and REDPAJAMA_WORDS."""
    digest = source_digest()

    @kernel
    def run(
        docs: Docs, words: Records, grams: Grams, out: Ints, listed: Records, states: Records, found: Ints, before: Ints
    ) -> None:
        if digest == 0:
            return
        state = states[0]
        for d in range(docs.valid.size):
            if not docs.valid[d]:
                continue
            row = out[d]
            read_doc(doc_of(docs, d), words, MAX_WORDS, listed, state, found, before)
            for k in range(COUNT_OF.size):
                row[k] = found[COUNT_OF[k]]
            n = found[N_WORDS]
            row[COUNT_OF.size] = found[WORD_CHARS] + max(n - 1, 0)
            if n <= MAX_WORDS:
                count_ngrams(words, n, grams, row[N_COLUMNS : N_COLUMNS + N_NGRAM_COUNTS])
                count_flagged(words, n, listed, row[N_COLUMNS + N_NGRAM_COUNTS :])

    listed = word_lists()  # too large to be frozen into the compiled code

    def with_lists(docs: Docs, words: Words, room: Room, out: Ints) -> None:
        counts = np.zeros((2, N_COUNTS), np.int64)
        run(docs, words.word, room.grams, out, listed, np.zeros(1, STATE), counts[0], counts[1])

    return with_lists


PASSES = (Pass(None, (*REDPAJAMA, *REDPAJAMA_WORDS), redpajama_kernel),)
