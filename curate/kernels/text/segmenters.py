"""The variants of words, each a compiled walk that cuts a group of docs: `spacy_en`, `unicode`, `whitespace`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

from numba import njit

from curate.kernels.text.passes import Docs, Kernel, Room, Words, doc_of, source_digest
from curate.kernels.text.primitives import Bytes, Int, Records, class_of, decode
from curate.kernels.text.tables import SPACE
from curate.kernels.text.unicode_words import unicode_words
from curate.kernels.text.words import TOO_MANY_WORDS, put_bytes, segment


@njit(nogil=True)
def spaced_words(doc: Bytes, words: Records, max_words: Int) -> Int:
    """Fill `words` with what stands between white space; return their number, or TOO_MANY_WORDS."""
    n = i = 0
    while i < doc.size:
        start = i
        while i < doc.size:
            code, n_bytes = decode(doc, i)
            if class_of(code) & SPACE:
                break
            i += n_bytes
        if i > start:
            if n == max_words:
                return TOO_MANY_WORDS
            n = put_bytes(words, n, doc, start, i)
        else:
            i += n_bytes
    return n


@njit(nogil=True)
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
