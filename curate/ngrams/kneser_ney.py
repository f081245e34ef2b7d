"""Estimation: counts of n-grams to a backoff model with interpolated modified Kneser-Ney smoothing.

Chen and Goodman 1998 (TR-10-98, section 4.1.6) as Heafield et al. 2013 write it (ACL P13-2121, section 3), the method
of KenLM's lmplz: lower orders count in how many contexts an n-gram was seen, three discounts an order come from the
counts of counts, what is taken away goes to the shorter n-gram, and the unigrams share with a uniform distribution.
N-grams that are left out (rare ones, or with a word outside the vocabulary) give all they have to the backoff of their
context, so every distribution still sums to 1. The models are those of lmplz, also with `--prune` and a vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate.ngrams.arpa import I32, NEVER, Section

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2  # the first words of a vocabulary
FALLBACK = (0.5, 1.0, 1.5)  # lmplz's discounts where the counts of counts give none


@dataclass(frozen=True)
class _Ngrams:
    """The distinct n-grams of one order, sorted. `prefix` and `suffix` number n-grams of the order below."""

    prefix: I32
    suffix: I32
    word: I32
    raw: I32  # occurrences
    is_outside: Bools  # has a word outside the vocabulary
    from_begin: Bools  # the first word is <s>


@dataclass(frozen=True)
class Estimate:
    """The sections of a model, and the discounts of each order with whether they are the fallback."""

    sections: tuple[Section, ...]
    discounts: tuple[tuple[float, float, float], ...]
    fell_back: tuple[bool, ...]


def estimate(tokens: I32, n_words: int, min_counts: Sequence[int], n_known: int | None = None) -> Estimate:
    """Estimate a model from lines of word numbers below `n_words`, each line `BEGIN_ID … END_ID`, all in one array.

    Words from number `n_known` on are outside the vocabulary: they count as the words they are, and are left out.

    `min_counts` has an entry for each order from 2 on: n-grams seen less often are left out; it may not fall. Memory:
    about 30 bytes for each token and order. The same tokens give the same model.
    """
    n_known = n_words if n_known is None else n_known
    orders = _count(tokens, n_words, n_known, 1 + len(min_counts))
    discounts, fell_back, sections = [], [], []
    below: F64 = np.zeros(0)
    n_below, kept_below, numbers_below = 1, np.ones(1, np.bool_), np.zeros((1, 0), np.int32)
    uniform = 1.0 / (n_known - 1)  # <s> is never predicted
    pending: tuple[I32, F64, Bools] | None = None
    for order, grams in enumerate(orders, 1):
        adjusted = _adjusted(orders, order)
        kept = ~grams.is_outside & kept_below[grams.prefix]
        if order > 1:
            kept &= grams.raw >= min_counts[order - 2]
        found, is_fallback = _discounts(adjusted[adjusted > 0])
        discounts.append(found)
        fell_back.append(is_fallback)
        taken = np.array([0.0, *found])[np.minimum(adjusted, 3)]
        total = np.bincount(grams.prefix, adjusted, n_below)
        left = np.bincount(grams.prefix, np.where(kept, taken, adjusted), n_below)
        share = np.divide(left, total, out=np.ones(n_below), where=total > 0)
        shorter = np.full(len(grams.raw), uniform) if order == 1 else below[grams.suffix]
        own = np.where(kept, adjusted - taken, 0.0) / np.maximum(total[grams.prefix], 1)
        probability = own + share[grams.prefix] * shorter
        if pending is not None:
            sections.append(_section(*pending, share))
        numbers = np.column_stack([numbers_below[grams.prefix], grams.word]).astype(np.int32)
        log10 = np.full(len(kept), NEVER)
        np.log10(probability, out=log10, where=adjusted > 0 if order > 1 else grams.word != BEGIN_ID)
        pending = (numbers, log10, kept)
        below, n_below, kept_below, numbers_below = probability, len(kept), kept, numbers
    assert pending is not None
    sections.append(_section(*pending, np.ones(n_below)))
    return Estimate(tuple(sections), tuple(discounts), tuple(fell_back))


def _count(tokens: I32, n_words: int, n_known: int, order: int) -> list[_Ngrams]:
    """Return the distinct n-grams of each order up to `order`; none goes over the end of a line."""
    place = np.arange(len(tokens), dtype=np.int32)
    in_line = place - np.maximum.accumulate(np.where(tokens == BEGIN_ID, place, 0))
    numbers = np.arange(n_words, dtype=np.int32)
    raw = np.bincount(tokens, minlength=n_words).astype(np.int32)
    nothing = np.zeros(n_words, np.int32)
    found = [_Ngrams(nothing, nothing, numbers, raw, numbers >= n_known, numbers == BEGIN_ID)]
    number = tokens  # of the n-gram that ends at each token
    for n in range(2, order + 1):
        ends = np.flatnonzero(in_line >= n - 1)
        keys = number[ends - 1].astype(np.int64) * n_words + tokens[ends]
        distinct, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        prefix, word = (distinct // n_words).astype(np.int32), (distinct % n_words).astype(np.int32)
        last, suffix = found[-1], number[ends[first]]
        is_outside = last.is_outside[prefix] | (word >= n_known)
        found.append(_Ngrams(prefix, suffix, word, counts.astype(np.int32), is_outside, last.from_begin[prefix]))
        number = np.zeros(len(tokens), np.int32)
        number[ends] = inverse
    return found


def _adjusted(orders: Sequence[_Ngrams], order: int) -> I64:
    """Return the counts an order is estimated from: of occurrences in the highest and after <s>, else of contexts."""
    grams = orders[order - 1]
    if order == len(orders):
        counts = grams.raw.astype(np.int64)
    else:
        contexts = np.bincount(orders[order].suffix, minlength=len(grams.raw))
        counts = np.where(grams.from_begin, grams.raw, contexts)
    if order == 1:
        counts[BEGIN_ID] = 0  # never predicted
    return counts


def _discounts(counts: I64) -> tuple[tuple[float, float, float], bool]:
    """Return what is taken from counts of 1, 2, and 3 and more, and whether that is the fallback."""
    n1, n2, n3, n4 = (int((counts == k).sum()) for k in range(1, 5))
    if 0 in (n1, n2, n3):
        return FALLBACK, True
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    if not all(0 < discount <= k for k, discount in enumerate(found, 1)):
        return FALLBACK, True
    return found, False


def _section(numbers: I32, log10: F64, kept: Bools, share: F64) -> Section:
    """Return the n-grams of an order that are kept, with the backoffs that the order above gives them."""
    backoff = np.where(share < 1.0, np.log10(share), 0.0)
    return Section(numbers[kept], log10[kept].astype(np.float32), backoff[kept].astype(np.float32))
