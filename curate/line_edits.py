"""Sets of rules that edit a text line by line: what is counted by limits of one's own, and the text that remains."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.text.c4 import ANY_END, MARK, MARK_OR_APOSTROPHE, LineRules
from curate.kernels.text.c4_text import c4_counts, c4_text


def c4_rules(lines: str, limits: Mapping[str, float], terminal_punctuation: bool) -> LineRules:
    """Return which lines stay; `lines` is `c4_datatrove` or `c4_tfds`, which count words and know ends differently."""
    n_words, longest = limits["min_words_per_line"], limits["max_word_chars"]
    if lines == "c4_tfds":
        return LineRules(0, n_words, longest, MARK if terminal_punctuation else ANY_END)
    return LineRules(n_words, 0, longest, MARK_OR_APOSTROPHE if terminal_punctuation else ANY_END)


def count_lines(text: pa.Array, lines: str, limits: Mapping[str, float], ends: bool) -> dict[str, pa.Array]:
    """Return int64[n_docs] counts of C4's lines by limits of one's own, as the signals of the published sets."""
    return {f"c4_{name}": column for name, column in c4_counts(text, c4_rules(lines, limits, ends)).items()}


def edited(text: pa.Array, kept: pa.Array, lines: str, limits: Mapping[str, float], ends: bool) -> pa.Array:
    """Return string[n_docs]: what the line edits leave of docs that are `kept`; the others as they were.

    `ends`: keep only lines that end like a sentence (C4).
    """
    whole = text.cast(pa.string())
    shown = pc.if_else(kept, whole, pa.scalar(None, pa.string()))
    if lines == "refinedweb":
        from curate.kernels.text.refinedweb import refinedweb_text

        left = refinedweb_text(shown)
    else:
        left = c4_text(shown, c4_rules(lines, limits, ends))
    return pc.if_else(kept, left, whole)
