"""Entry points for the signals of one rule set, until their callers use `measure`."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.text.c4 import ANY_END, MARK_OR_APOSTROPHE, LineRules
from curate.kernels.text.c4_text import c4_counts, c4_text
from curate.kernels.text.measure import measure, words_in
from curate.signals import MAX_WORDS, SETS

__all__ = ["C4", "GOPHER", "MAX_WORDS", "REPETITION", "c4_signals", "gopher_signals", "repetition_signals"]

GOPHER = SETS["gopher/datatrove"]
REPETITION = SETS["gopher_repetition/datatrove"]
C4 = (
    "n_words__spacy_en", "c4_lines", "c4_kept_lines", "c4_lorem_ipsum_lines", "c4_curly_bracket_lines",
    "c4_sentences__spacy_en",
)  # fmt: skip


def gopher_signals(text: pa.Array) -> dict[str, pa.Array]:
    """Return int64[n_docs] for each name in GOPHER."""
    return measure(text, GOPHER)


def repetition_signals(text: pa.Array) -> dict[str, pa.Array]:
    """Return int64[n_docs] for each name in REPETITION."""
    return measure(text, REPETITION)


def c4_signals(
    text: pa.Array, *, min_words: float, max_word_chars: float, terminal_punctuation: bool
) -> tuple[dict[str, pa.Array], pa.Array]:
    """Return int64[n_docs] for each name in C4, and string[n_docs]: the lines that C4 keeps."""
    rules = LineRules(min_words, 0, max_word_chars, MARK_OR_APOSTROPHE if terminal_punctuation else ANY_END)
    found = measure(text, ("n_words__spacy_en", "n_lines"))
    counts = c4_counts(text, rules)
    measured = counts["kept_lines"].is_valid()
    null = pa.scalar(None, pa.int64())
    signals = {
        "n_words__spacy_en": found["n_words__spacy_en"],
        "c4_lines": pc.if_else(measured, found["n_lines"], null),
        **{f"c4_{name}": column for name, column in counts.items()},
    }
    return {name: signals[name] for name in C4}, pc.if_else(
        measured, c4_text(text, rules), pa.scalar(None, pa.string())
    )


def spacy_words(text: str) -> list[str]:
    """Return the words of a text as the kernels see them."""
    return words_in(text, "spacy_en")
