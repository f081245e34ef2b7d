"""The C4 rules, which judge line by line: what is kept, what the page holds, and the text that remains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.text.lines import ends_in_stops, next_line
from curate.kernels.text.primitives import Bytes, Int, Records, class_of, decode, strip
from curate.kernels.text.tables import MAX_CHUNK_BYTES, UNICODE_DIGIT
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
    (b"[edit]", 0, 0),  # citation marks, cut out
    (b"[citation needed]", 0, 0),
)

# What `c4_lines` counts, in its order.
N_LINES, N_KEPT, N_LOREM_IPSUM, N_CURLY, N_SENTENCES = range(5)


class LineRules(NamedTuple):
    """What the C4 walk must know beforehand; source of the numbers: see `curate.stages.rules`."""

    min_words: float  # between white space, counted before citations go
    max_word_chars: float
    terminal_punctuation: bool


TEXT = np.zeros((len(PHRASES), 17), np.uint8)  # zero behind the end
for _row, (_phrase, _, _) in zip(TEXT, PHRASES, strict=True):
    _row[: len(_phrase)] = np.frombuffer(_phrase, np.uint8)
SIZE = np.array([len(phrase) for phrase, _, _ in PHRASES], np.int64)
RARE_AT = np.array([rare for _, rare, _ in PHRASES], np.int64)
MEANING = np.array([meaning for _, _, meaning in PHRASES], np.int64)
IS_RARE = np.zeros(256, np.bool_)
IS_RARE[CURLY] = True
for _phrase, _rare, _meaning in PHRASES:
    if _meaning:
        IS_RARE[[_phrase[_rare], _phrase[_rare] - 32]] = True  # lower and upper case


@njit(nogil=True)
def phrase_at(line: Bytes, k: Int, end: Int, which: Int, fold_case: bool) -> bool:
    """Return whether a phrase stands at byte k, before `end`; ASCII case folded on demand."""
    size = SIZE[which]
    if k < 0 or k + size > end:
        return False
    for j in range(size):
        byte = line[k + j]
        if fold_case and 65 <= byte <= 90:
            byte += np.uint8(32)
        if byte != TEXT[which, j]:
            return False
    return True


@njit(nogil=True)
def find_faults(line: Bytes, start: Int, end: Int) -> Int:
    """Return which of the phrases, and the curly bracket, line[start:end] holds (HAS_… bits)."""
    faults = 0
    for k in range(start, end):
        if not IS_RARE[line[k]]:
            continue
        if line[k] == CURLY:
            faults |= HAS_CURLY
            continue
        for which in range(SIZE.size):
            meaning = MEANING[which]
            at = k - RARE_AT[which]
            if meaning and at >= start and not faults & meaning and phrase_at(line, at, end, which, True):
                faults |= meaning
    return faults


@njit(nogil=True)
def citation_bytes(line: Bytes, k: Int, end: Int) -> Int:
    """Return the length of the citation mark at the bracket k: `[12]`, `[]`, `[edit]`, `[citation needed]`; else 0."""
    i = k + 1
    while i < end and line[i] != CLOSE_BRACKET:
        code, n_bytes = decode(line, i)
        if not class_of(code) & UNICODE_DIGIT:
            break
        i += n_bytes
    if i < end and line[i] == CLOSE_BRACKET:
        return i + 1 - k
    for which in range(SIZE.size):
        if MEANING[which] == 0 and phrase_at(line, k, end, which, False):
            return SIZE[which]
    return 0


@njit(nogil=True)
def copy_without_citations(line: Bytes, start: Int, end: Int, out: Bytes, at: Int) -> Int:
    """Copy line[start:end] without citation marks to out[at:]; return where the copy ends."""
    k = start
    while k < end:
        if line[k] == OPEN_BRACKET:
            n_bytes = citation_bytes(line, k, end)
            if n_bytes > 0:
                k += n_bytes
                continue
        out[at] = line[k]
        at += 1
        k += 1
    return at


@njit(nogil=True)
def spaced_words(words: Records, first: Int, n: Int) -> tuple[Int, Int]:
    """Return (words between white space, characters of the longest): of words[first:n], those that touch are one."""
    n_spaced = longest = size = 0
    for k in range(first, n):
        if k == first or words[k].start > words[k - 1].end:
            n_spaced += 1
            size = 0
        size += words[k].n_chars
        longest = max(longest, size)
    return n_spaced, longest


@njit(nogil=True)
def ends_sentence(line: Bytes, start: Int, end: Int) -> bool:
    """Return whether line[start:end] ends in one of `. ? ! " '`, but not in three full stops."""
    if start == end:
        return False
    last = line[end - 1]
    if last == ord("?") or last == ord("!") or last == ord('"') or last == ord("'"):
        return True
    return last == ord(".") and not ends_in_stops(line, start, end)


@njit(nogil=True)
def is_space_word(line: Bytes, start: Int, end: Int) -> bool:
    """Return whether spaCy makes a word of its own of the white space line[start:end]: all but a single blank."""
    return bool(end - start > 1 or (end - start == 1 and line[start] != BLANK))


@njit(nogil=True)
def count_sentences(line: Bytes, words: Records, first: Int, n: Int, end: Int) -> Int:
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
    doc: Bytes, words: Records, n_words: int, rules: LineRules,
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
        start, end, i = next_line(doc, i)
        out[N_LINES] += 1
        first_word = next_word
        while next_word < n_words and words[next_word].start < end:
            next_word += 1
        n_spaced, longest = spaced_words(words, first_word, next_word)
        if n_spaced < rules.min_words or longest > rules.max_word_chars:
            continue
        line_at = at + 1 if out[N_KEPT] > 0 else at
        line_end = copy_without_citations(doc, start, end, kept, line_at)
        if rules.terminal_punctuation and not ends_sentence(kept, line_at, line_end):
            continue
        faults = find_faults(kept, line_at, line_end)
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
                n = segment(line, line_words, chars, ends, max_words)
                if n < 0:
                    return TOO_MANY_WORDS, TOO_MANY_WORDS
                out[N_SENTENCES] += count_sentences(line, line_words, 0, n, line.size)
            if out[N_KEPT] > 0:
                kept[at] = NEWLINE
            at = line_end
            out[N_KEPT] += 1
    return strip(kept[:at], 0, at)
