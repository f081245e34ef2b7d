"""C4's rule of bad words as it was: one word of the list anywhere drops the page."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.models import asset

Boundary = Literal["c4", "c4/tfds"]
UNSPACED = ("ja", "th", "zh")  # their words match anywhere
# Parts of everyday words, that mC4's authors took off the lists: each alone dropped over a tenth of its language.
ALLOWED = frozenset({"sm", "グロ", "女の子", "性"})
HINT_WORDS = 250  # RE2 refuses patterns that grow too large


def count_bad_words(text: pa.Array, codes: tuple[str, ...], boundary: Boundary) -> pa.Array:
    """Return int32[n_docs]: matches of C4's pattern, not overlapping; C4 drops a page that has one.

    `c4/tfds` is the pattern of the first C4, on each stripped line: a word between two characters that are no letters
    a to z, so none at the start or end of a line. `c4` is mC4's and datatrove's: between non-word characters or at
    the ends of the text. Both read lower case.
    """
    text = pc.fill_null(text, "")
    found = functools.reduce(pc.or_, (pc.match_substring_regex(text, hint) for hint in _hints(codes)))
    hits = pc.if_else(found, text, None).to_pylist()
    return pa.array([_matches(hit, codes, boundary) if hit else 0 for hit in hits], pa.int32())


@functools.cache
def bad_words(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of the languages' lists, sorted."""
    listed = {line.strip() for code in codes for line in asset(f"ldnoobw/{code}.txt").read_text("utf-8").splitlines()}
    return tuple(sorted(listed - ALLOWED - {""}))


def _matches(text: str, codes: tuple[str, ...], boundary: Boundary) -> int:
    lower = text.lower()
    parts: Iterable[str] = [line.strip() for line in lower.splitlines()] if boundary == "c4/tfds" else [lower]
    patterns = _patterns(codes, boundary)
    return sum(sum(1 for _ in pattern.finditer(part)) for part in parts for pattern in patterns)


@functools.cache
def _patterns(codes: tuple[str, ...], boundary: Boundary) -> Sequence[re.Pattern[str]]:
    spaced = "|".join(map(re.escape, bad_words(tuple(code for code in codes if code not in UNSPACED))))
    joined = "|".join(map(re.escape, bad_words(tuple(code for code in codes if code in UNSPACED))))
    around = ("[^a-z]", "[^a-z]") if boundary == "c4/tfds" else (r"(?:\W|^)", r"(?:\W|$)")
    found = [re.compile(f"{around[0]}(?:{spaced}){around[1]}")] if spaced else []
    return [*found, *([re.compile(joined)] if joined else [])]


@functools.cache
def _hints(codes: tuple[str, ...]) -> Sequence[str]:
    """Return patterns for RE2 that together find every text with a bad word, and some without."""
    found = ["[\u0130\u017f\u212a]"]  # RE2 and Python do not agree on the lower case of these
    for unspaced in (False, True):
        words = bad_words(tuple(code for code in codes if (code in UNSPACED) == unspaced))
        for at in range(0, len(words), HINT_WORDS):
            some = "|".join(map(re.escape, words[at : at + HINT_WORDS]))
            found.append(f"(?i){some}" if unspaced else f"(?i)(?:^|[^a-z])(?:{some})(?:[^a-z]|$)")
    return found
