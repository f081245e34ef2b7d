"""Compiled loops of perplexity: text to tokens, and the probability of tokens under an n-gram model.

The twins are `curate.ngrams.plain`. Tokens stand in one buffer, separated by spaces, lines by line feeds: what a model
of words and a model of a tokenizer's pieces have in common.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.compiled import untyped_inner, untyped_kernel
from curate.kernels.text.passes import source_digest
from curate.kernels.text.primitives import class_of, decode, hash_on, mixed, slots_for
from curate.kernels.text.tables import HASH_BASE, PUNCTUATION, SPACE, SYMBOL, UNICODE_DIGIT

Bytes = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

BASE = np.uint64(HASH_BASE)
ONE = np.uint64(1)
NO_KEY = np.uint64(0)  # an empty slot; a key of 0 becomes 1
MAX_ORDER = 8

SPACE_BYTE, LINE_FEED, ZERO, UNDERSCORE = 32, 10, 48, 95


class NgramTables(NamedTuple):
    """A model as hash tables with open addressing, at most half full. Logarithms are base 10."""

    word_key: U64  # [n_word_slots]
    word_id: I32  # [n_word_slots]
    unigram_log10: F32  # [n_words]
    unigram_backoff: F32  # [n_words]
    key: U64  # [n_slots] of n-grams of two words and more
    log10: F32  # [n_slots]
    backoff: F32  # [n_slots]
    order: int
    unknown: int
    begin: int
    end: int


def token_texts(texts: pa.Array) -> tuple[Bytes, I64]:
    """Return the tokens of texts, and int64[n_docs + 1] where those of each doc begin. See `plain.tokens_of`."""
    lowered = pc.utf8_lower(pc.fill_null(texts, "").cast(pa.large_string()))
    _, offsets, data = lowered.buffers()
    begins = np.frombuffer(offsets, np.int64)[lowered.offset : lowered.offset + len(lowered) + 1]
    source = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    made = np.empty(2 * int(begins[-1] - begins[0]) + len(texts), np.uint8)
    ends = np.zeros(len(texts) + 1, np.int64)
    _kernels().write(source, begins, made, ends)
    return made[: ends[-1]], ends


@untyped_inner
def _write_tokens(source, begins, made, ends):  # type: ignore[no-untyped-def]
    at = 0
    for doc in range(begins.size - 1):
        at = _write_doc(source[: begins[doc + 1]], begins[doc], made, at)
        ends[doc + 1] = at


@untyped_inner
def _write_doc(doc, i, made, at):  # type: ignore[no-untyped-def]
    """Write the tokens of one doc to made[at:]; return where they end. Separators stand between tokens only."""
    gap = 0  # what is due before the next token: nothing, a space, a line feed
    while i < doc.size:
        code, n = decode(doc, i)
        bits = class_of(code)
        if bits & SPACE or code < 32 or 127 <= code < 160:
            if code == LINE_FEED and gap:
                gap = LINE_FEED
            elif gap == 1:
                gap = SPACE_BYTE
        else:
            alone = bits & (SYMBOL | PUNCTUATION) != 0 and code != UNDERSCORE
            if gap > 1 or (gap == 1 and alone):
                made[at] = LINE_FEED if gap == LINE_FEED else SPACE_BYTE
                at += 1
            if bits & UNICODE_DIGIT:
                made[at] = ZERO
                at += 1
            else:
                for k in range(n):
                    made[at + k] = doc[i + k]
                at += n
            gap = SPACE_BYTE if alone else 1  # 1: a word goes on, unless a character comes that ends it
        i += n
    return at


@untyped_inner
def _hashed(text, start, end):  # type: ignore[no-untyped-def]
    h = mixed(hash_on(NO_KEY, text, start, end))
    return h if h != NO_KEY else ONE


@untyped_inner
def _longer(key, word):  # type: ignore[no-untyped-def]
    """Return the key of an n-gram and one word more. The key of no words is 0."""
    h = mixed(key * BASE + np.uint64(word) + ONE)
    return h if h != NO_KEY else ONE


@untyped_inner
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Return the slot of a key, or the empty one where it belongs."""
    mask = np.uint64(keys.size - 1)
    slot = mixed(key) & mask
    while keys[slot] != NO_KEY and keys[slot] != key:
        slot = (slot + ONE) & mask
    return slot


def place_words(words: Bytes, n_words: int) -> tuple[U64, I32, int]:
    """Return (keys, ids) of words in a buffer of tokens, numbered as they come, and how many came twice."""
    keys, ids, n_twice = _kernels().place_words(words, n_words)
    return keys, ids, int(n_twice)


def place_ngrams(
    keys: U64, log10: F32, backoff: F32, ngrams: I32, ngram_log10: F32, ngram_backoff: F32
) -> tuple[int, int]:
    """Put int32[n, order] n-grams into the tables; return how many were there before, how many lack a prefix."""
    n_twice, n_orphans = _kernels().place_ngrams(keys, log10, backoff, ngrams, ngram_log10, ngram_backoff)
    return int(n_twice), int(n_orphans)


@functools.partial(untyped_inner, allocates=True)
def _place_words(text, n_words):  # type: ignore[no-untyped-def]
    keys = np.zeros(slots_for(n_words), np.uint64)
    ids = np.zeros(keys.size, np.int32)
    n_twice, start, word = 0, 0, 0
    for i in range(text.size + 1):
        if i == text.size or text[i] == SPACE_BYTE:
            key = _hashed(text, start, i)
            slot = _slot(keys, key)
            n_twice += keys[slot] == key
            keys[slot] = key
            ids[slot] = word
            word += 1
            start = i + 1
    return keys, ids, n_twice


@untyped_inner
def _place_ngrams(keys, log10, backoff, ngrams, ngram_log10, ngram_backoff):  # type: ignore[no-untyped-def]
    n_twice, n_orphans = 0, 0
    for row in range(ngrams.shape[0]):
        key = NO_KEY
        for column in range(ngrams.shape[1]):
            if column >= 2 and keys[_slot(keys, key)] != key:
                n_orphans += 1
            key = _longer(key, ngrams[row, column])
        slot = _slot(keys, key)
        n_twice += keys[slot] == key
        keys[slot] = key
        log10[slot] = ngram_log10[row]
        backoff[slot] = ngram_backoff[row]
    return n_twice, n_orphans


def score(text: Bytes, ends: I64, tables: NgramTables) -> tuple[F64, I64]:
    """Return float64[n_docs], the log10 probability of each doc, and int64[n_docs], its tokens and ends of lines."""
    log10 = np.zeros(len(ends) - 1, np.float64)
    n_tokens = np.zeros(len(ends) - 1, np.int64)
    contexts = np.zeros((2, MAX_ORDER + 1), np.uint64)  # keys of the last words, by how many
    _kernels().score(text, ends, tables, contexts, log10, n_tokens)
    return log10, n_tokens


@untyped_inner
def _score(text, ends, tables, contexts, log10, n_tokens):  # type: ignore[no-untyped-def]
    for doc in range(ends.size - 1):
        start, in_line, now, known, last = ends[doc], False, 0, 0, 0
        for i in range(ends[doc], ends[doc + 1] + 1):
            at_end = i == ends[doc + 1]
            if not at_end and text[i] != SPACE_BYTE and text[i] != LINE_FEED:
                continue
            if i > start:
                if not in_line:
                    known, last = min(1, tables.order - 1), tables.begin
                    contexts[now, 1] = _longer(NO_KEY, last)
                    in_line = True
                slot = _slot(tables.word_key, _hashed(text, start, i))
                word = tables.word_id[slot] if tables.word_key[slot] != NO_KEY else tables.unknown
                value, known = _step(tables, contexts, now, known, last, word)
                log10[doc] += value
                n_tokens[doc] += 1
                now, last = 1 - now, word
            if in_line and (at_end or text[i] == LINE_FEED):
                value, known = _step(tables, contexts, now, known, last, tables.end)
                log10[doc] += value
                n_tokens[doc] += 1
                now, in_line = 1 - now, False
            start = i + 1


@untyped_inner
def _step(tables, contexts, now, known, last, word):  # type: ignore[no-untyped-def]
    """Return (log10 probability of `word` after the `known` last words, how many last words are known after it).

    Words are known as far as the model has them as an n-gram: longer contexts have neither entries nor backoffs.
    """
    after = 1 - now
    contexts[after, 1] = _longer(NO_KEY, word)
    for k in range(1, known + 1):
        contexts[after, k + 1] = _longer(contexts[now, k], word)
    value = 0.0
    for n in range(known + 1, 1, -1):
        key = contexts[after, n]
        slot = _slot(tables.key, key)
        if tables.key[slot] == key:
            return value + tables.log10[slot], min(n, tables.order - 1)
        if n == 2:
            value += tables.unigram_backoff[last]
        else:
            context = _slot(tables.key, contexts[now, n - 1])
            if tables.key[context] != NO_KEY:
                value += tables.backoff[context]
    return value + tables.unigram_log10[word], min(1, tables.order - 1)


class _Kernels(NamedTuple):
    write: Any
    place_words: Any
    place_ngrams: Any
    score: Any


@functools.cache
def _kernels() -> _Kernels:
    """Return the entry points. Their key in Numba's cache has the sources of the text kernels they are built on."""
    digest = source_digest()

    @untyped_kernel
    def write(source, begins, made, ends):  # type: ignore[no-untyped-def]
        if digest != 0:
            _write_tokens(source, begins, made, ends)

    @functools.partial(untyped_kernel, allocates=True)
    def words(text, n_words):  # type: ignore[no-untyped-def]
        return _place_words(text, n_words if digest != 0 else 0)

    @untyped_kernel
    def ngrams(keys, log10, backoff, rows, row_log10, row_backoff):  # type: ignore[no-untyped-def]
        return _place_ngrams(keys, log10, backoff, rows if digest != 0 else rows[:0], row_log10, row_backoff)

    @untyped_kernel
    def score(text, ends, tables, contexts, log10, n_tokens):  # type: ignore[no-untyped-def]
        if digest != 0:
            _score(text, ends, tables, contexts, log10, n_tokens)

    return _Kernels(write, words, ngrams, score)
