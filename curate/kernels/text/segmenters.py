"""The variants of words, each a compiled walk that cuts a group of docs: `spacy_en`, `unicode`, `whitespace`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from curate.kernels.compiled import inner, kernel
from curate.kernels.text.passes import Docs, Ints, Kernel, Words, doc_of, source_digest
from curate.kernels.text.primitives import Bytes, Int, Records, class_at, hash_on
from curate.kernels.text.spacy_words import segment
from curate.kernels.text.tables import SPACE
from curate.kernels.text.unicode_words import unicode_words
from curate.kernels.text.words import TOO_MANY_WORDS, fill


@inner
def spaced_words(doc: Bytes, words: Records, max_words: Int, scratch: tuple[()]) -> Int:
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
            h = hash_on(h, doc, i, i + n_bytes)
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
def cut_docs(docs: Docs, words: Words, max_words: Int, cut: Any, scratch: tuple[Any, ...]) -> None:
    """Call `cut` for each doc with room for its words, and note how many there are."""
    words.first[0] = 0
    for d in range(docs.valid.size):
        n = TOO_MANY_WORDS
        if docs.valid[d]:
            n = cut(doc_of(docs, d), words.word[words.first[d] :], max_words, scratch)
        words.measured[d] = n >= 0
        words.first[d + 1] = words.first[d] + max(n, 0)


@functools.cache
def spacy_segmenter() -> Kernel:
    """Cut into the words of spaCy's English tokenizer."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, words: Words, chars: Records, ends: Ints, max_words: Int) -> None:
        if digest != 0:
            cut_docs(docs, words, max_words, segment, (chars, ends))

    return lambda docs, words, room, max_words: run(docs, words, room.chars, room.ends, max_words)


@functools.cache
def unicode_segmenter() -> Kernel:
    """Cut at Unicode's word boundaries."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, words: Words, max_words: Int) -> None:
        if digest != 0:
            cut_docs(docs, words, max_words, unicode_words, ())

    return lambda docs, words, room, max_words: run(docs, words, max_words)


@functools.cache
def whitespace_segmenter() -> Kernel:
    """Cut at white space."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, words: Words, max_words: Int) -> None:
        if digest != 0:
            cut_docs(docs, words, max_words, spaced_words, ())

    return lambda docs, words, room, max_words: run(docs, words, max_words)


SEGMENTERS: Mapping[str, Callable[[], Kernel]] = MappingProxyType(
    {"spacy_en": spacy_segmenter, "unicode": unicode_segmenter, "whitespace": whitespace_segmenter}
)
