"""The definition, in plain Python, of sentences, words and features as the kernels compute them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from curate.kernels.toxicity.chars import (
    ALONE,
    APOSTROPHE,
    DIGIT,
    GAP,
    GONE,
    LEET,
    LETTER,
    MASK,
    NEWLINE,
    QUOTE,
    STOP,
    TABLE_SIZE,
    WILDCARD,
    kind_of,
)
from curate.kernels.toxicity.classes import CLASSES, GROUP, SPEAKS_OF, TOXIC
from curate.kernels.toxicity.features import (
    CLASS,
    CLASS_WORD,
    COMMON,
    EDGE,
    FNV_BASIS,
    FNV_PRIME,
    GOLDEN,
    GRAM,
    MAX_CLASS_GAP,
    MAX_GRAM,
    MIN_GRAM,
    MIX_1,
    MIX_2,
    N_BITS,
    NEAR,
    PAIR,
    QUOTED,
    SEQUENCE,
    SKIP,
    TOGETHER,
    TRIPLE,
    WORD,
    WORD_CLASS,
)
from curate.kernels.toxicity.sentences import (
    IN_DOUBLE,
    IN_SINGLE,
    MAX_CHARS,
    MAX_WORD_CHARS,
    MIN_RUN,
    MIN_SPACED_LETTERS,
)

MASK_64 = (1 << 64) - 1


class Sentence(NamedTuple):
    """A sentence: where it stands in bytes, its words, and which of them stand in quotation marks."""

    start: int
    end: int
    words: list[str]
    quoted: list[bool]


def sentences_of(text: str) -> list[Sentence]:
    """Return the sentences that have words.

    A sentence ends at a line's end, at white space behind `.`, `?`, `!` and what closes with them, and at white
    space after 1,024 characters, or after 2,048 in any case.
    """
    found, kinds, points, start, at = [], [], "", 0, 0
    stopped = False
    for char in text:
        at += len(char.encode())
        kind, point = kind_of(ord(char))
        if kind == GONE:
            continue
        kinds.append(kind)
        points += chr(point)
        blank = char <= " " or char == "\xa0"
        if kind == NEWLINE or (blank and (stopped or len(kinds) >= MAX_CHARS)) or len(kinds) == 2 * MAX_CHARS:
            found.append(Sentence(start, at, *_split(kinds, points)))
            kinds, points, start, stopped = [], "", at, False
            continue
        stopped = kind == STOP or (stopped and (kind in (QUOTE, APOSTROPHE) or point == ord(")")))
    found.append(Sentence(start, at, *_split(kinds, points)))
    return [sentence for sentence in found if sentence.words]


def words_of(text: str) -> list[str]:
    """Return the words of all sentences."""
    return [word for sentence in sentences_of(text) for word in sentence.words]


def _split(kinds: list[int], points: str) -> tuple[list[str], list[bool]]:
    words: list[str] = []
    quoted: list[int] = []
    quote, i, n = 0, 0, len(kinds)
    while i < n:
        if points[i] == "@" and i + 1 < n and kinds[i + 1] == LETTER:
            j = i + 1
            while j < n and (kinds[j] in (LETTER, DIGIT) or points[j] == "_"):
                j += 1
            word = "@"
        elif kinds[i] in (LETTER, DIGIT):
            j = i + 1
            while j < n and _goes_on(kinds, points, j):
                j += 1
            kept = [points[k] for k in range(i, j) if kinds[k] != APOSTROPHE][:MAX_WORD_CHARS]
            word = _spelled("".join(kept))
            if points[j : j + 3] == "://":
                while j < n and points[j] > " ":
                    j += 1
                word = ""
        else:
            if kinds[i] == ALONE:
                words.append(points[i])
                quoted.append(quote)
            elif kinds[i] == QUOTE:
                quote ^= IN_DOUBLE
            elif kinds[i] == APOSTROPHE:
                opens = i + 1 < n and kinds[i + 1] == LETTER
                quote = quote | IN_SINGLE if opens else quote & ~IN_SINGLE
            i += 1
            continue
        if word:
            words.append(word)
            quoted.append(quote)
        i = j
        if i < n and kinds[i] == APOSTROPHE:
            quote &= ~IN_SINGLE
            i += 1
    return _joined(words, [bool(q) for q in quoted])


def _goes_on(kinds: list[int], points: str, i: int) -> bool:
    following = kinds[i + 1] if i + 1 < len(kinds) else GAP
    if kinds[i] in (LETTER, DIGIT):
        return True
    if kinds[i] == APOSTROPHE or points[i] == "!":
        return following == LETTER
    beside = (points[i - 1], points[i + 1 : i + 2])
    return kinds[i] == MASK and (following in (LETTER, DIGIT) or points[i] in beside)


def _spelled(word: str) -> str:
    """Return a word with its masks and long runs undone: `f*ck`, `fuuuck`, `sh1t`, `a$$`; any number is `0`."""
    letters = [i for i, char in enumerate(word) if char >= "a"]
    if not letters:
        return "0"
    if len(letters) > 2:
        word = word.rstrip("".join(chr(c) for c in range(48) if chr(c) != "$"))
    spelled = ""
    for run in re.finditer(r"(.)\1*", word, re.DOTALL):
        char, same = run[1], len(run[0])
        if char < "a" and (letters[0] < run.start() < letters[-1] or char < "0" or char == "@"):
            char = WILDCARD if char == "#" else LEET.get(char, char)
        spelled += char * (1 if same >= MIN_RUN or char == WILDCARD else same)
    return spelled


def _joined(words: list[str], quoted: list[bool]) -> tuple[list[str], list[bool]]:
    found, marks, i = [], [], 0
    while i < len(words):
        j = i
        while j < len(words) and len(words[j]) == 1 and "a" <= words[j] < chr(TABLE_SIZE):
            j += 1
        if j - i < MIN_SPACED_LETTERS:
            j = i + 1
        found.append("".join(words[i:j]))
        marks.append(quoted[i])
        i = j
    return found, marks


def hash_of(word: str) -> int:
    """Return the 64-bit FNV-1a hash of a word's code points."""
    h = FNV_BASIS
    for char in word:
        h = (h ^ ord(char)) * FNV_PRIME & MASK_64
    return h


def feature_of(kind: int, a: int, b: int = 0) -> int:
    """Return the number of a feature."""
    h = ((kind * GOLDEN + a) * GOLDEN + b) & MASK_64
    h = (h ^ (h >> 30)) * MIX_1 & MASK_64
    h = (h ^ (h >> 27)) * MIX_2 & MASK_64
    return (h ^ (h >> 31)) >> (64 - N_BITS)


def features_of(sentence: Sentence, beside: int, known: Mapping[str, int]) -> list[int]:
    """Return the features of a sentence; `beside` are the classes of its neighbours, `known` word → class."""
    classes = [known.get(word, 0) for word in sentence.words]
    hashes = [GROUP if c == GROUP else hash_of(word) for word, c in zip(sentence.words, classes, strict=True)]
    classes = [0 if c == COMMON else c for c in classes]
    found = []
    for i, word in enumerate(sentence.words):
        found.append(feature_of(WORD, hashes[i]))
        if i + 1 < len(hashes):
            found.append(feature_of(PAIR, hashes[i], hashes[i + 1]))
            found += [feature_of(CLASS_WORD, classes[i], hashes[i + 1])] if classes[i] else []
            found += [feature_of(WORD_CLASS, hashes[i], classes[i + 1])] if classes[i + 1] else []
        if i + 2 < len(hashes):
            found.append(feature_of(SKIP, hashes[i], hashes[i + 2]))
        if known.get(word, 0) not in (GROUP, COMMON):
            edged = f"{chr(EDGE)}{word}{chr(EDGE)}"
            for size in range(MIN_GRAM, MAX_GRAM + 1):
                pieces = [edged[k : k + size] for k in range(len(edged) - size + 1)]
                found += [feature_of(GRAM, hash_of(piece)) for piece in pieces]
    classed = [(i, c) for i, c in enumerate(classes) if c]
    chain: list[int] = []
    last = -1
    for i, c in classed:
        chain = chain if i - last <= MAX_CLASS_GAP else []
        found.append(feature_of(CLASS, c))
        found += [feature_of(SEQUENCE, chain[-1], c)] if chain else []
        found += [feature_of(TRIPLE, chain[-2] * 64 + chain[-1], c)] if len(chain) > 1 else []
        found += [feature_of(QUOTED, c)] if sentence.quoted[i] else []
        chain, last = [*chain, c], i
    own = {c for _, c in classed}
    found += [feature_of(TOGETHER, a, b) for a in own for b in own if a < b]
    near = [c for c in range(len(CLASSES)) if beside >> c & SPEAKS_OF >> c & 1]
    return found + [feature_of(NEAR, a, b) for a in own if TOXIC >> a & 1 for b in near]
