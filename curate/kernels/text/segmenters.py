"""The variants of words, each a compiled walk that cuts a group of docs: `spacy_en`, `unicode`, `whitespace`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numba import njit

from curate.kernels.text.passes import Docs, Kernel, Room, Words, doc_of, source_digest
from curate.kernels.text.primitives import BASE, ONE, Bytes, Int, Records, class_at, inner
from curate.kernels.text.spacy_words import segment
from curate.kernels.text.tables import SPACE
from curate.kernels.text.unicode_words import unicode_words
from curate.kernels.text.words import TOO_MANY_WORDS, fill


@inner
def spaced_words(doc: Bytes, words: Records, max_words: Int) -> Int:
    """Fill `words` with what stands between white space; return their number, or TOO_MANY_WORDS."""
    n = i = 0
    while i < doc.size:
        start = i
        first_flags, any_flags, all_flags, n_chars = 0, 0, -1, 0
        h = np.uint64(0)
        while i < doc.size:
            flags, n_bytes = class_at(doc, i)
            if flags & SPACE:
                break
            h = h * BASE + np.uint64(doc[i]) + ONE
            for k in range(i + 1, i + n_bytes):
                h = h * BASE + np.uint64(doc[k]) + ONE
            if n_chars == 0:
                first_flags = flags
            any_flags |= flags
            all_flags &= flags
            n_chars += 1
            i += n_bytes
        if n_chars == 0:
            i += n_bytes
        elif n == max_words:
            return TOO_MANY_WORDS
        else:
            fill(words[n], start, i, h, n_chars, first_flags, any_flags, all_flags)
            n += 1
    return n


@inner
def note_words(words: Words, d: Int, n: Int) -> None:
    """Note that doc d has n words, TOO_MANY_WORDS for none to be measured."""
    words.measured[d] = n >= 0
    words.first[d + 1] = words.first[d] + max(n, 0)


@functools.cache
def spacy_segmenter() -> Kernel:
    """Cut into the words of spaCy's English tokenizer."""
    digest = source_digest()

    @njit(cache=True, nogil=True)
    def run(docs: Docs, words: Words, room: Room, max_words: Int) -> None:
        if digest == 0:
            return
        words.first[0] = 0
        for d in range(docs.valid.size):
            n = TOO_MANY_WORDS
            if docs.valid[d]:
                n = segment(doc_of(docs, d), words.word[words.first[d] :], room.chars, room.ends, max_words)
            note_words(words, d, n)

    return run


@functools.cache
def unicode_segmenter() -> Kernel:
    """Cut at Unicode's word boundaries."""
    digest = source_digest()

    @njit(cache=True, nogil=True)
    def run(docs: Docs, words: Words, room: Room, max_words: Int) -> None:
        if digest == 0:
            return
        words.first[0] = 0
        for d in range(docs.valid.size):
            n = TOO_MANY_WORDS
            if docs.valid[d]:
                n = unicode_words(doc_of(docs, d), words.word[words.first[d] :], max_words)
            note_words(words, d, n)

    return run


@functools.cache
def whitespace_segmenter() -> Kernel:
    """Cut at white space."""
    digest = source_digest()

    @njit(cache=True, nogil=True)
    def run(docs: Docs, words: Words, room: Room, max_words: Int) -> None:
        if digest == 0:
            return
        words.first[0] = 0
        for d in range(docs.valid.size):
            n = TOO_MANY_WORDS
            if docs.valid[d]:
                n = spaced_words(doc_of(docs, d), words.word[words.first[d] :], max_words)
            note_words(words, d, n)

    return run


SEGMENTERS: Mapping[str, Callable[[], Kernel]] = MappingProxyType(
    {"spacy_en": spacy_segmenter, "unicode": unicode_segmenter, "whitespace": whitespace_segmenter}
)
