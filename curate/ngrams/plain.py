"""The plain-Python twin of the n-gram kernels: it defines tokens and their probability, slowly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.text.tables import PUNCTUATION, SPACE, SYMBOL, UNICODE_DIGIT, flags_of

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
Entry = tuple[float, float]  # log10 probability and backoff


def tokens_of(text: str) -> list[list[str]]:
    """Return the tokens of each line that has one.

    The text is in lower case, as Arrow has it (one character for one). White space and control characters separate,
    each character of punctuation but `_` is a token by itself, each digit is a 0, all else runs on as a word. Scripts
    without spaces have words as long as their clauses: a tokenizer is the better choice for them.
    """
    lines = []
    for line in pc.utf8_lower(pa.scalar(text, pa.string())).as_py().split("\n"):
        spaced = []
        for char in line:
            bits, code = flags_of(char), ord(char)
            if bits & SPACE or code < 32 or 127 <= code < 160:
                spaced.append(" ")
            elif bits & (SYMBOL | PUNCTUATION) and char != "_":
                spaced.append(f" {'0' if bits & UNICODE_DIGIT else char} ")
            else:
                spaced.append("0" if bits & UNICODE_DIGIT else char)
        if tokens := [token for token in "".join(spaced).split(" ") if token]:
            lines.append(tokens)
    return lines


def log10_of(lines: Sequence[Sequence[str]], model: Mapping[tuple[str, ...], Entry], order: int) -> tuple[float, int]:
    """Return the log10 probability of lines of tokens under a backoff model, and their tokens and ends of lines."""
    total, n = 0.0, 0
    for line in lines:
        history: tuple[str, ...] = (BEGIN,)
        for token in (*line, END):
            word = token if (token,) in model and token not in (BEGIN,) else UNKNOWN
            context = history[-(order - 1) :] if order > 1 else ()
            while (*context, word) not in model:
                total += model.get(context, (0.0, 0.0))[1]
                context = context[1:]
            total += model[(*context, word)][0]
            history = (*history, word)
            n += 1
    return total, n


def perplexity_of(log10: float, n_tokens: int) -> float:
    """Return 10 ** (-log10 / n_tokens), rounded to a tenth as CCNet's is."""
    return round(float(10.0 ** (-log10 / n_tokens)), 1)
