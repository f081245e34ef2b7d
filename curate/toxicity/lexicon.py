"""Count the terms of the LDNOOBW lists as whole words; terms with an innocent sense count only in bad company."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.models import asset

LEXICONS = (
    "ar", "cs", "da", "de", "en", "eo", "es", "fa", "fi", "fil", "fr", "fr-CA-u-sd-caqc", "hi", "hu", "it", "ja", "kab",
    "ko", "nl", "no", "pl", "pt", "ru", "sv", "th", "tlh", "tr", "zh",
)  # fmt: skip

# Scripts written without spaces: their terms need no boundary, and each of their letters counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = r"[\pL\pM\pN_]+"  # RE2

PRESCAN_TERMS = 250  # RE2 refuses patterns that grow too large

_WORD = re.compile(r"\w+")
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_PIECE = re.compile(f"[{_UNSPACED}\u30a1-\u30fc\uac00-\ud7a3]|\\W")  # how a term begins that no space need end


def count_terms(text: pa.Array, codes: tuple[str, ...]) -> tuple[pa.Array, pa.Array]:
    """Return int32[n_docs] occurrences of the lists' terms and int32[n_docs] words; null is a doc without words."""
    text = pc.fill_null(text, "")
    n_words = pc.add(pc.count_substring_regex(text, _RUN), pc.count_substring_regex(text, f"[{_UNSPACED}]"))
    lexicon = lexicon_of(codes)
    found = functools.reduce(pc.or_, (pc.match_substring_regex(text, part) for part in lexicon.prescans))
    hits = pc.if_else(found, text, None)
    toxic = pa.array([lexicon.count(hit) if hit else 0 for hit in hits.to_pylist()], pa.int32())
    return toxic, pc.cast(n_words, pa.int32())


class Lexicon(NamedTuple):
    prescans: Sequence[str]  # for RE2: together they find every text that has a plain term, and some without
    phrases: Mapping[str, Sequence[tuple[str, ...]]]  # first word → the terms it begins, the longest first
    pieces: Mapping[str, Sequence[str]]  # first char → terms of scripts without spaces, the longest first
    ambiguous: frozenset[str | tuple[str, ...]]

    def count(self, text: str) -> int:
        """Return how often terms occur, none within another; ambiguous ones alone are none."""
        text = text.lower()
        found = [*self._phrases_in(text), *self._pieces_in(text)]
        return len(found) if any(term not in self.ambiguous for term in found) else 0

    def _phrases_in(self, text: str) -> Iterator[tuple[str, ...]]:
        words = _WORD.findall(text)
        end = 0
        for at in [at for at, word in enumerate(words) if word in self.phrases]:
            for phrase in self.phrases[words[at]]:
                if at >= end and tuple(words[at : at + len(phrase)]) == phrase:
                    end = at + len(phrase)
                    yield phrase

    def _pieces_in(self, text: str) -> Iterator[str]:
        end = 0
        for at in [at for at, char in enumerate(text) if char in self.pieces] if self.pieces else ():
            for piece in self.pieces[text[at]]:
                if at >= end and text.startswith(piece, at) and _stands_alone(text, at, at + len(piece)):
                    end = at + len(piece)
                    yield piece


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Say whether text[start:end] is a word, as far as its script tells: Hangul at its start, katakana at both ends."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    if _HANGUL.match(text[start]):
        return not _HANGUL.match(before)
    return not _KATAKANA.match(text[start]) or not (_KATAKANA.match(before) or _KATAKANA.match(after))


@functools.cache
def lexicon_of(codes: tuple[str, ...]) -> Lexicon:
    plain: set[str] = set()
    doubtful: set[str] = set()
    for code in codes:
        listed, ambiguous = terms_of(code)
        plain |= listed - ambiguous
        doubtful |= ambiguous
    plain -= doubtful  # a term that any chosen language uses innocently
    phrases: dict[str, list[tuple[str, ...]]] = {}
    pieces: dict[str, list[str]] = {}
    for term in sorted(plain | doubtful, key=lambda term: (-len(term), term)):
        if _PIECE.match(term):
            pieces.setdefault(term[0], []).append(term)
        elif words := tuple(_WORD.findall(term)):
            phrases.setdefault(words[0], []).append(words)
    hints = sorted({_prescan(term) for term in plain})
    prescans = [f"(?i){'|'.join(hints[at : at + PRESCAN_TERMS])}" for at in range(0, len(hints), PRESCAN_TERMS)]
    ambiguous_keys = frozenset(term if _PIECE.match(term) else tuple(_WORD.findall(term)) for term in doubtful)
    return Lexicon(prescans, phrases, pieces, ambiguous_keys)


def terms_of(code: str) -> tuple[set[str], set[str]]:
    """Return the terms of a language, and those of them that are ambiguous, in lower case."""
    listed = {line.strip().lower() for line in asset(f"ldnoobw/{code}.txt").read_text("utf-8").splitlines()} - {""}
    ambiguous = {term for term in listed if max(map(len, _WORD.findall(term)), default=3) <= 2}
    for line in asset("toxicity_words.tsv").read_text("utf-8").splitlines():
        language, _, rest = line.partition("\t")
        kind, _, terms = rest.partition("\t")
        if language == code:
            (listed if kind == "extra" else ambiguous).update(term.strip().lower() for term in terms.split(","))
    return listed, ambiguous & listed


def _prescan(term: str) -> str:
    """Return a pattern for RE2 that finds the term's longest word; its boundaries know ASCII only."""
    if _PIECE.match(term):
        return re.escape(term)
    word: str = max(_WORD.findall(term), key=len)
    return (r"\b" if word[0].isascii() else "") + word + (r"\b" if word[-1].isascii() else "")
