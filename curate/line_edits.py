"""Rules that edit a text line by line: what they count, and the text that remains. Imports numba."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.text.signals import c4_signals


def count_lines(
    text: pa.Array, rules: str, limits: Mapping[str, float], terminal_punctuation: bool
) -> dict[str, pa.Array]:
    """Return int64[n_docs] columns of C4's lines by limits of one's own."""
    return {"n_text_chars": pc.cast(pc.utf8_length(text), pa.int64()), **_c4(text, limits, terminal_punctuation)[0]}


def edited(
    text: pa.Array, kept: pa.Array, rules: str, limits: Mapping[str, float], terminal_punctuation: bool
) -> pa.Array:
    """Return string[n_docs]: the lines that the rules keep of docs that are `kept`; the others as they were."""
    whole = text.cast(pa.string())
    shown = pc.if_else(kept, whole, pa.scalar(None, pa.string()))
    return pc.if_else(kept, _c4(shown, limits, terminal_punctuation)[1], whole)


def _c4(
    text: pa.Array, limits: Mapping[str, float], terminal_punctuation: bool
) -> tuple[dict[str, pa.Array], pa.Array]:
    return c4_signals(
        text,
        min_words=limits["min_words_per_line"],
        max_word_chars=limits["max_word_chars"],
        terminal_punctuation=terminal_punctuation,
    )
