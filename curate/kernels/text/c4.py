"""The C4 rules, which judge line by line: how many lines each published set keeps, and what drops the page."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.compiled import inner, kernel
from curate.kernels.text.lines import ends_in_stops, next_line
from curate.kernels.text.passes import (
    MAX_CITED_WORDS,
    Copies,
    Docs,
    Ints,
    Kernel,
    Pass,
    Room,
    Words,
    doc_of,
    groups,
    read_only,
    source_digest,
    words_of,
)
from curate.kernels.text.primitives import Bytes, Int, Records, class_at
from curate.kernels.text.segmenters import spacy_segmenter
from curate.kernels.text.tables import SPACE, UNICODE_DIGIT
from curate.kernels.text.words import ALL_PUNCTUATION, ENDS_SENTENCE
from curate.signals import C4_VARIANTS

Limits = npt.NDArray[np.float64]

OPEN_BRACKET, CLOSE_BRACKET, CURLY, BLANK, NEWLINE = ord("["), ord("]"), ord("{"), ord(" "), ord("\n")
HAS_LOREM_IPSUM, HAS_JAVASCRIPT, HAS_POLICY, HAS_CURLY, HAS_BRACKET = 1, 2, 4, 8, 16
TO_LOWER = np.uint8(32)

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

# What `lines_kernel` counts for each set of rules, in its order.
COUNTS = ("kept_lines", "lorem_ipsum_lines", "curly_bracket_lines", "sentences__spacy_en")
KEPT, LOREM_IPSUM, CURLY_BRACKET, SENTENCES = range(4)

# How a line must end: as it likes, as datatrove has it, as tensorflow_datasets has it.
ANY_END, MARK_OR_APOSTROPHE, MARK = range(3)


class LineRules(NamedTuple):
    """Which lines C4 keeps; numbers as published, see `curate.rules`."""

    min_words: float  # between white space, citation marks counted
    min_words_without_citations: float
    max_word_chars: float
    end: int  # ANY_END, MARK_OR_APOSTROPHE or MARK


# The order is that of `curate.signals.C4_VARIANTS`.
PUBLISHED = (
    LineRules(3, 0, 1000, MARK_OR_APOSTROPHE),
    LineRules(3, 0, 1000, ANY_END),
    LineRules(0, 5, 1000, MARK),
    LineRules(0, 5, 1000, ANY_END),
)

TEXT = np.zeros((len(PHRASES), 17), np.uint8)  # zero behind the end
for _row, (_phrase, _, _) in zip(TEXT, PHRASES, strict=True):
    _row[: len(_phrase)] = np.frombuffer(_phrase, np.uint8)
SIZE = np.array([len(phrase) for phrase, _, _ in PHRASES], np.int64)
RARE_AT = np.array([rare for _, rare, _ in PHRASES], np.int64)
MEANING = np.array([meaning for _, _, meaning in PHRASES], np.int64)
# The lower-case letter that follows a rare one in its phrases; rare letters have but one such.
FOLLOWS = np.zeros(256, np.uint8)
FOLLOWS[[CURLY, OPEN_BRACKET]] = CURLY, OPEN_BRACKET
for _phrase, _rare, _meaning in PHRASES:
    if _meaning:
        _letter, _next = _phrase[_rare : _rare + 2]
        assert FOLLOWS[_letter] in (0, _next)
        FOLLOWS[[_letter, _letter - 32]] = _next


@inner
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


@inner
def find_faults(line: Bytes, start: Int, end: Int) -> Int:
    """Return which of the phrases, and whether `{` and `[`, line[start:end] holds (HAS_… bits)."""
    faults = 0
    for k in range(start, end):
        follows = FOLLOWS[line[k]]
        if follows == 0:
            continue
        if follows in (CURLY, OPEN_BRACKET):
            faults |= HAS_CURLY if follows == CURLY else HAS_BRACKET
            continue
        if k + 1 == end or line[k + 1] | TO_LOWER != follows:
            continue
        for which in range(SIZE.size):
            meaning = MEANING[which]
            at = k - RARE_AT[which]
            if meaning and at >= start and not faults & meaning and phrase_at(line, at, end, which, True):
                faults |= meaning
    return faults


@inner
def citation_bytes(line: Bytes, k: Int, end: Int) -> Int:
    """Return the length of the citation mark at the bracket k: `[12]`, `[]`, `[edit]`, `[citation needed]`; else 0."""
    i = k + 1
    while i < end and line[i] != CLOSE_BRACKET:
        flags, n_bytes = class_at(line, i)
        if not flags & UNICODE_DIGIT:
            break
        i += n_bytes
    if i < end and line[i] == CLOSE_BRACKET:
        return i + 1 - k
    for which in range(SIZE.size):
        if MEANING[which] == 0 and phrase_at(line, k, end, which, False):
            return SIZE[which]
    return 0


@inner
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


@inner
def spaced_words(line: Bytes, start: Int, end: Int) -> tuple[Int, Int]:
    """Return (words of line[start:end] between white space, characters of the longest)."""
    n = size = longest = 0
    i = start
    while i < end:
        flags, n_bytes = class_at(line, i)
        i += n_bytes
        if flags & SPACE:
            size = 0
            continue
        n += int(size == 0)
        size += 1
        longest = max(longest, size)
    return n, longest


@inner
def touching_words(words: Records, first: Int, n: Int) -> tuple[Int, Int]:
    """Return what `spaced_words` does, from the words of a line: those that touch are one between white space."""
    n_spaced = longest = size = 0
    for k in range(first, n):
        if k == first or words[k].start > words[k - 1].end:
            n_spaced += 1
            size = 0
        size += words[k].n_chars
        longest = max(longest, size)
    return n_spaced, longest


@inner
def ends_sentence(line: Bytes, start: Int, end: Int) -> Int:
    """Return how line[start:end] ends: MARK for one of `. ? ! "` but not `...`, MARK_OR_APOSTROPHE for `'`, ANY_END."""
    if start == end:
        return ANY_END
    last = line[end - 1]
    if last == ord("?") or last == ord("!") or last == ord('"'):
        return MARK
    if last == ord("'"):
        return MARK_OR_APOSTROPHE
    return MARK if last == ord(".") and not ends_in_stops(line, start, end) else ANY_END


@inner
def is_space_word(line: Bytes, start: Int, end: Int) -> bool:
    """Return whether spaCy makes a word of its own of the white space line[start:end]: all but a single blank."""
    return bool(end - start > 1 or (end - start == 1 and line[start] != BLANK))


@inner
def count_sentences(line: Bytes, words: Records, first: Int, n: Int, end: Int) -> Int:
    """Return the sentences of words[first:n], as spaCy's rule-based sentencizer counts them, up to byte `end`.

    A sentence ends before the first word that is no punctuation behind a sentence mark. At least 1.
    """
    n_sentences = 1
    ended = False
    for k in range(first, n):
        if k > first and ended and is_space_word(line, np.int64(words[k - 1].end), np.int64(words[k].start)):
            n_sentences += 1
            ended = False
        bits = words[k].bits
        if bits & ENDS_SENTENCE:
            ended = True
        elif ended and not bits & ALL_PUNCTUATION:
            n_sentences += 1
            ended = False
    if n > first and ended and is_space_word(line, np.int64(words[n - 1].end), end):
        n_sentences += 1
    return n_sentences


@inner
def keeps(rules: Limits, n_words: Int, n_clean: Int, longest: Int, ending: Int) -> bool:
    """Return whether a line's words and end are as one set of rules wants them."""
    if n_words < rules[0] or n_clean < rules[1] or longest > rules[2]:
        return False
    return bool(rules[3] == ANY_END or ending == MARK or ending == rules[3])


@inner
def may_keep(rules: Limits, n_words: Int, longest: Int) -> bool:
    """Return whether any set of rules might keep a line of so many words, citation marks and all."""
    for v in range(rules.shape[0]):  # noqa: SIM110 (numba compiles no generator)
        if keeps(rules[v], n_words, n_words, longest, MARK):
            return True
    return False


@inner
def count_line(rules: Limits, n_words: Int, n_clean: Int, longest: Int, ending: Int, faults: Int, row: Ints) -> Int:
    """Count a line in row[4 v + COUNTS] for every set of rules v; return a bit for each that keeps it."""
    kept = 0
    for v in range(rules.shape[0]):
        if not keeps(rules[v], n_words, n_clean, longest, ending):
            continue
        at = v * len(COUNTS)
        if faults & HAS_LOREM_IPSUM:
            row[at + LOREM_IPSUM] += 1
        elif faults & HAS_CURLY and not faults & HAS_JAVASCRIPT:
            row[at + CURLY_BRACKET] += 1
        elif not faults & ~HAS_BRACKET:
            row[at + KEPT] += 1
            kept |= 1 << v
    return kept


@inner
def add_sentences(n_sentences: Int, kept: Int, row: Ints) -> None:
    """Add the sentences of a line to every set of rules that keeps it."""
    v = 0
    while kept:
        if kept & 1:
            row[v * len(COUNTS) + SENTENCES] += n_sentences
        kept >>= 1
        v += 1


@inner
def count_lines(doc: Bytes, words: Records, rules: Limits, d: Int, copies: Copies, row: Ints) -> bool:
    """Fill `row` with COUNTS for every set of rules; return whether there was room for every line to be copied.

    The order of the checks is datatrove's; a line that an earlier check drops cannot drop the page. Kept lines without
    their citation marks are left in `copies`, for their words are to be cut anew.
    """
    row[:] = 0
    i = next_word = 0
    while i < doc.size:
        start, end, i = next_line(doc, i)
        first_word = next_word
        while next_word < words.size and words[next_word].start < end:
            next_word += 1
        n_words, longest = touching_words(words, first_word, next_word)
        if not may_keep(rules, n_words, longest):
            continue
        faults = find_faults(doc, start, end)
        at = line_end = np.int64(copies.cited[copies.n_cited[0]].end)
        if faults & HAS_BRACKET:
            if end - start > copies.line.size - at or copies.n_cited[0] + 1 == copies.cited.size:
                return False
            line_end = copy_without_citations(doc, start, end, copies.line, at)
        if line_end - at == end - start or not faults & HAS_BRACKET:
            kept = count_line(rules, n_words, n_words, longest, ends_sentence(doc, start, end), faults, row)
            if kept:
                add_sentences(count_sentences(doc, words, first_word, next_word, end), kept, row)
            continue
        line = copies.line_read[at:line_end]
        n_clean, _ = spaced_words(line, 0, line.size)
        ending, faults = ends_sentence(line, 0, line.size), find_faults(line, 0, line.size)
        kept = count_line(rules, n_words, n_clean, longest, ending, faults, row)
        if kept:
            copies.n_cited[0] += 1
            cited = copies.cited[copies.n_cited[0]]
            cited.end, cited.doc, cited.kept = line_end, d, kept
    return True


@functools.cache
def lines_kernel() -> Kernel:
    """Fill COUNTS for every set of rules, but for the sentences of cited lines.

    The last argument is float64[n_sets, 4], see LineRules.
    """
    digest = source_digest()

    @kernel
    def run(docs: Docs, words: Words, copies: Copies, out: Ints, rules: Limits) -> None:
        if digest == 0:
            return
        copies.n_cited[0] = 0
        copies.cited[0].end = 0
        for d in range(docs.valid.size):
            if words.measured[d] and not count_lines(doc_of(docs, d), words_of(words, d), rules, d, copies, out[d]):
                out[d] = -1

    return run


@functools.cache
def cited_kernel() -> Kernel:
    """Add the sentences of cited lines, given as texts with their words, to the docs they come from."""
    digest = source_digest()

    @kernel
    def run(lines: Docs, words: Words, cited: Records, out: Ints) -> None:
        if digest == 0:
            return
        for k in range(lines.valid.size):
            row = out[cited[k].doc]
            if row[0] < 0:
                continue
            if not words.measured[k]:
                row[:] = -1
                continue
            line, own = doc_of(lines, k), words_of(words, k)
            add_sentences(count_sentences(line, own, 0, own.size, line.size), np.int64(cited[k].kept), row)

    return run


def counting(rules: Sequence[LineRules]) -> Callable[[], Kernel]:
    """Return what compiles a kernel that fills COUNTS for each of the sets of rules."""
    limits = np.array(rules, np.float64)

    def kernel() -> Kernel:
        count, add, segment = lines_kernel(), cited_kernel(), spacy_segmenter()

        def run(docs: Docs, words: Words, room: Room, out: Ints) -> None:
            copies = room.copies
            count(docs, words, copies, out, limits)
            n = int(copies.n_cited[0])
            ends = copies.cited["end"][: n + 1].copy()
            if n == 0 and docs.valid.size == 0:  # compiled, and the segmenter by whom it is needed
                add(docs, words, copies.cited[:0], out)
            for first, last in groups(ends, MAX_CITED_WORDS) if n else ():
                lines = Docs(copies.line_read, ends[first : last + 1], read_only(np.ones(last - first, np.bool_)))
                size = last - first
                cut = Words(room.line_words, np.zeros(size + 1, np.int64), np.zeros(size, np.bool_))
                segment(lines, cut, room, MAX_CITED_WORDS)
                add(lines, cut, copies.cited[first + 1 : last + 1], out)

        return run

    return kernel


PASSES = (
    Pass("spacy_en", tuple(f"{variant}_{name}" for variant in C4_VARIANTS for name in COUNTS), counting(PUBLISHED)),
)
