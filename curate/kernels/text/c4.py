"""The C4 rules, which judge line by line: what is kept, what the page holds, and the text that remains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.text.lines import ends_in_stops, next_line
from curate.kernels.text.primitives import Bytes, Records, class_of, decode, strip
from curate.kernels.text.tables import MAX_CHUNK_BYTES, SPACE, UNICODE_DIGIT, Tables
from curate.kernels.text.words import ALL_PUNCTUATION, ENDS_SENTENCE, TOO_MANY_WORDS, segment

OPEN_BRACKET, CLOSE_BRACKET, CURLY, BLANK, NEWLINE = ord("["), ord("]"), ord("{"), ord(" "), ord("\n")
HAS_LOREM_IPSUM, HAS_JAVASCRIPT, HAS_POLICY, HAS_CURLY = 1, 2, 4, 8

# A phrase is looked for only where one of its rare letters stands: (phrase, index of that letter, meaning).
PHRASES = (
    (b"javascript", 0, HAS_JAVASCRIPT),
    (b"lorem ipsum", 7, HAS_LOREM_IPSUM),
    (b"terms of use", 7, HAS_POLICY),
    (b"privacy policy", 3, HAS_POLICY),
    (b"cookie policy", 3, HAS_POLICY),
    (b"uses cookies", 8, HAS_POLICY),
    (b"use of cookies", 10, HAS_POLICY),
    (b"use cookies", 7, HAS_POLICY),
)
CITATIONS = (b"[edit]", b"[citation needed]")

# What `c4_lines` counts, in its order.
N_LINES, N_KEPT, N_LOREM_IPSUM, N_CURLY, N_SENTENCES = range(5)


class Phrases(NamedTuple):
    """PHRASES and CITATIONS as arrays a kernel can take."""

    text: npt.NDArray[np.uint8]  # [n, 17] zero behind the end
    size: npt.NDArray[np.int64]  # [n]
    rare: npt.NDArray[np.int64]  # [n] index of the rare letter
    meaning: npt.NDArray[np.int64]  # [n] 0 for a citation
    is_rare: npt.NDArray[np.bool_]  # [256]


class LineRules(NamedTuple):
    """What the C4 walk must know beforehand; source of the numbers: see `curate.stages.rules`."""

    min_words: float  # between white space, counted before citations go
    max_word_chars: float
    terminal_punctuation: bool


def phrases() -> Phrases:
    """Return the phrases as arrays."""
    entries = [*PHRASES, *((citation, 0, 0) for citation in CITATIONS)]
    text = np.zeros((len(entries), max(len(entry[0]) for entry in entries)), np.uint8)
    is_rare = np.zeros(256, np.bool_)
    for k, (phrase, rare, meaning) in enumerate(entries):
        text[k, : len(phrase)] = np.frombuffer(phrase, np.uint8)
        if meaning:
            is_rare[[phrase[rare], ord(chr(phrase[rare]).upper())]] = True
    is_rare[CURLY] = True
    size, rare_at, meaning_of = (
        np.array(column, np.int64) for column in zip(*((len(p), r, m) for p, r, m in entries), strict=True)
    )
    return Phrases(text, size, rare_at, meaning_of, is_rare)


@njit(nogil=True)
def phrase_at(line: Bytes, k: int, end: int, which: int, fold_case: bool, phrases: Phrases) -> bool:
    """Return whether a phrase stands at byte k, before `end`; ASCII case folded on demand."""
    size = phrases.size[which]
    if k < 0 or k + size > end:
        return False
    for j in range(size):
        byte = line[k + j]
        if fold_case and 65 <= byte <= 90:
            byte += np.uint8(32)
        if byte != phrases.text[which, j]:
            return False
    return True


@njit(nogil=True)
def find_faults(line: Bytes, start: int, end: int, phrases: Phrases) -> int:
    """Return which of the phrases, and the curly bracket, line[start:end] holds (HAS_… bits)."""
    faults = 0
    for k in range(start, end):
        if not phrases.is_rare[line[k]]:
            continue
        if line[k] == CURLY:
            faults |= HAS_CURLY
            continue
        for which in range(phrases.size.size):
            meaning = phrases.meaning[which]
            at = k - phrases.rare[which]
            if meaning and at >= start and not faults & meaning and phrase_at(line, at, end, which, True, phrases):
                faults |= meaning
    return faults


@njit(nogil=True)
def citation_bytes(line: Bytes, k: int, end: int, phrases: Phrases, tables: Tables) -> int:
    """Return the length of the citation mark at byte k: `[12]`, `[]`, `[edit]`, `[citation needed]`; else 0."""
    if line[k] != OPEN_BRACKET:
        return 0
    i = k + 1
    while i < end and line[i] != CLOSE_BRACKET:
        code, n_bytes = decode(line, i)
        if not class_of(code, tables) & UNICODE_DIGIT:
            break
        i += n_bytes
    if i < end and line[i] == CLOSE_BRACKET:
        return i + 1 - k
    for which in range(phrases.size.size):
        if phrases.meaning[which] == 0 and phrase_at(line, k, end, which, False, phrases):
            return phrases.size[which]
    return 0


@njit(nogil=True)
def copy_without_citations(
    line: Bytes, start: int, end: int, out: Bytes, at: int, phrases: Phrases, tables: Tables
) -> int:
    """Copy line[start:end] without citation marks to out[at:]; return where the copy ends."""
    k = start
    while k < end:
        n_bytes = citation_bytes(line, k, end, phrases, tables)
        if n_bytes > 0:
            k += n_bytes
            continue
        out[at] = line[k]
        at += 1
        k += 1
    return at


@njit(nogil=True)
def spaced_words(doc: Bytes, start: int, end: int, tables: Tables) -> tuple[int, int]:
    """Return (words between white space, characters of the longest) of doc[start:end]."""
    n = longest = size = 0
    i = start
    while i < end:
        code, n_bytes = decode(doc, i)
        i += n_bytes
        if class_of(code, tables) & SPACE:
            size = 0
            continue
        if size == 0:
            n += 1
        size += 1
        longest = max(longest, size)
    return n, longest


@njit(nogil=True)
def ends_sentence(line: Bytes, start: int, end: int) -> bool:
    """Return whether line[start:end] ends in one of `. ? ! " '`, but not in three full stops."""
    if start == end:
        return False
    last = line[end - 1]
    if last == ord("?") or last == ord("!") or last == ord('"') or last == ord("'"):
        return True
    return last == ord(".") and not ends_in_stops(line, start, end)


@njit(nogil=True)
def is_space_word(line: Bytes, start: int, end: int) -> bool:
    """Return whether spaCy makes a word of its own of the white space line[start:end]: all but a single blank."""
    return end - start > 1 or (end - start == 1 and line[start] != BLANK)


@njit(nogil=True)
def count_sentences(line: Bytes, words: Records, first: int, n: int, end: int) -> int:
    """Return the sentences of words[first:n], as spaCy's rule-based sentencizer counts them, up to byte `end`.

    A sentence ends before the first word that is no punctuation behind a sentence mark. At least 1.
    """
    n_sentences = 1
    ended = False
    for k in range(first, n):
        if k > first and ended and is_space_word(line, words[k - 1].end, words[k].start):
            n_sentences += 1
            ended = False
        bits = words[k].bits
        if bits & ENDS_SENTENCE:
            ended = True
        elif ended and not bits & ALL_PUNCTUATION:
            n_sentences += 1
            ended = False
    if n > first and ended and is_space_word(line, words[n - 1].end, end):
        n_sentences += 1
    return n_sentences


@njit(nogil=True)
def c4_lines(
    doc: Bytes, words: Records, n_words: int, rules: LineRules, phrases: Phrases, tables: Tables,
    line_words: Records, chars: Records, ends: Records, kept: Bytes, out: npt.NDArray[np.int64],
) -> tuple[int, int]:  # fmt: skip
    """Fill out[:5] with the counts N_… and `kept` with the text that remains; return its bounds in `kept`.

    `kept` has room for doc.size + 1 bytes and is also where a line is cleaned of citations. The order of the checks is
    datatrove's; a line that an earlier check drops cannot drop the page. A cleaned line with more words than
    `line_words` has room for gives (TOO_MANY_WORDS, TOO_MANY_WORDS).
    """
    out[:] = 0
    max_words = line_words.size - 2 * MAX_CHUNK_BYTES
    at = i = next_word = 0
    while i < doc.size:
        start, end, i = next_line(doc, i, tables)
        out[N_LINES] += 1
        first_word = next_word
        while next_word < n_words and words[next_word].start < end:
            next_word += 1
        n_spaced, longest = spaced_words(doc, start, end, tables)
        if n_spaced < rules.min_words or longest > rules.max_word_chars:
            continue
        line_at = at + 1 if out[N_KEPT] > 0 else at
        line_end = copy_without_citations(doc, start, end, kept, line_at, phrases, tables)
        if rules.terminal_punctuation and not ends_sentence(kept, line_at, line_end):
            continue
        faults = find_faults(kept, line_at, line_end, phrases)
        if faults & HAS_LOREM_IPSUM:
            out[N_LOREM_IPSUM] += 1
        elif faults & HAS_JAVASCRIPT:
            continue
        elif faults & HAS_CURLY:
            out[N_CURLY] += 1
        elif not faults & HAS_POLICY:
            if line_end - line_at == end - start:
                out[N_SENTENCES] += count_sentences(doc, words, first_word, next_word, end)
            else:
                line = kept[line_at:line_end]
                n = segment(line, line_words, chars, ends, max_words, tables)
                if n < 0:
                    return TOO_MANY_WORDS, TOO_MANY_WORDS
                out[N_SENTENCES] += count_sentences(line, line_words, 0, n, line.size)
            if out[N_KEPT] > 0:
                kept[at] = NEWLINE
            at = line_end
            out[N_KEPT] += 1
    return strip(kept[:at], 0, at, tables)
