"""Cut texts into paragraphs and say which stretches of a text are in which language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from curate.kernels.compiled import untyped_kernel
from curate.kernels.language.identify import I64, Found, Identifier, Texts, identify, read_only

MIN_PARAGRAPH_BYTES = 64
MAX_PARAGRAPHS = 128  # of one text, so of its spans too
PARAGRAPH_PIECES = 2  # of a paragraph the model sees 512 bytes
# A paragraph below this score goes with its neighbour. Lower finds more of a second language, and more that is none.
MIN_SPAN_SCORE = 0.7


class Span(NamedTuple):
    """Bytes [start, end) of a text's UTF-8 in one language; the score is the mean of its sure paragraphs, by bytes."""

    start_bytes: int
    end_bytes: int
    language: str
    score: float


def spans_of(texts: Texts, whole: Found, identifier: Identifier) -> list[list[Span]]:
    """Return for each text the stretches of one language that it is made of, none where no language is found.

    The spans of a text follow one another without a gap from its first byte to its last. `whole` is what was found of
    the texts as wholes: a text without a sure paragraph is one span of that.
    """
    pieces, bounds = paragraphs(texts)
    found = identify(pieces, identifier, PARAGRAPH_PIECES)
    names = [*identifier.fasttext.labels, ""]
    spans: list[list[Span]] = []
    for text, (first, last) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        ends = (pieces.ends[first:last] - texts.starts[text]).tolist()
        sure = found.scores[first:last] >= MIN_SPAN_SCORE  # NaN is not
        known = np.where(sure, found.labels[first:last], -1).tolist()
        if np.isnan(whole.scores[text]):
            spans.append([])
        elif not sure.any():
            spans.append([Span(0, ends[-1], names[whole.labels[text]], float(whole.scores[text]))])
        else:
            spans.append(_merged(ends, [names[label] for label in known], found.scores[first:last].tolist()))
    return spans


def _merged(ends: Sequence[int], languages: Sequence[str], scores: Sequence[float]) -> list[Span]:
    """Return one span for neighbours of one language; "" is of the language before it, or else behind it."""
    spans: list[Span] = []
    language, start, n_sure, total = next(filter(None, languages)), 0, 0, 0.0
    for number, (end, name, score) in enumerate(zip(ends, languages, scores, strict=True)):
        begin = ends[number - 1] if number else 0
        if name and name != language:
            spans.append(Span(start, begin, language, total / n_sure))
            language, start, n_sure, total = name, begin, 0, 0.0
        if name:
            n_sure, total = n_sure + end - begin, total + score * (end - begin)
    return [*spans, Span(start, ends[-1], language, total / n_sure)]


def paragraphs(texts: Texts) -> tuple[Texts, I64]:
    """Return the paragraphs of all texts, and int64[n_texts + 1]: those of text i are `[bounds[i]:bounds[i + 1]]`.

    A paragraph ends at the first line break after 64 bytes, or after 1/128 of the text where that is more: so there
    are at most 128 of them. What is left over at the end belongs to the last.
    """
    n = len(texts.starts)
    ends = np.empty(n * (MAX_PARAGRAPHS + 1), np.int64)
    bounds = np.zeros(n + 1, np.int64)
    _split(*texts, ends, bounds)
    ends = ends[: bounds[-1]]
    starts = np.empty_like(ends)
    starts[1:] = ends[:-1]
    starts[bounds[:-1][np.diff(bounds) > 0]] = texts.starts[np.diff(bounds) > 0]
    return read_only(texts.data, starts, ends), bounds


@untyped_kernel
def _split(data, starts, ends, cuts, bounds):  # type: ignore[no-untyped-def]
    n = 0
    for text in range(starts.size):
        first, end = starts[text], ends[text]
        least = max(MIN_PARAGRAPH_BYTES, (end - first + MAX_PARAGRAPHS - 1) // MAX_PARAGRAPHS)
        at = first + least
        while at < end:
            if data[at - 1] == 10 and end - at >= least:
                cuts[n] = at
                n += 1
                at += least
            else:
                at += 1
        if end > first:
            cuts[n] = end
            n += 1
        bounds[text + 1] = n
