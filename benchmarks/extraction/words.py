"""Counts words for scoring: precision, recall and F1 of one text against another, as bags of words.

A word is what is left after NFKC and lower case: a run of letters, digits and marks, or a single ideograph or kana,
since Chinese and Japanese put no blanks between words. White space and punctuation do not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import NamedTuple

# Han, its extensions and compatibility forms, hiragana and katakana (Hangul is written with blanks).
_IDEOGRAPH = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\W_{_IDEOGRAPH}]+")


class Score(NamedTuple):
    """How well a text matches its gold, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def words_of(text: str) -> list[str]:
    """Return the words of a text in order."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def score(found: str, gold: str) -> Score:
    """Return the score of an extract; two empty texts match, one empty text scores 0."""
    ours, theirs = Counter(words_of(found)), Counter(words_of(gold))
    n_ours, n_theirs = ours.total(), theirs.total()
    if not n_ours or not n_theirs:
        return Score(1.0, 1.0, 1.0) if n_ours == n_theirs else Score(0.0, 0.0, 0.0)
    n_shared = (ours & theirs).total()
    return Score(n_shared / n_ours, n_shared / n_theirs, 2 * n_shared / (n_ours + n_theirs))


def folded(text: str) -> str:
    """Return the words of a text joined by single blanks, for finding snippets."""
    return " ".join(words_of(text))


def snippet_counts(found: str, wanted: list[str], unwanted: list[str]) -> tuple[int, int, int]:
    """Return (wanted snippets found, unwanted ones found, wanted ones missing); empty snippets do not count."""
    text = f" {folded(found)} "
    hits = [f" {snippet} " in text for snippet in map(folded, wanted) if snippet]
    false = [f" {snippet} " in text for snippet in map(folded, unwanted) if snippet]
    return sum(hits), sum(false), len(hits) - sum(hits)
