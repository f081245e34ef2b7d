"""Score the sentences of texts with hashed linear models, over the Arrow buffers, in one compiled pass."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.kernels.compiled import untyped_kernel
from curate.kernels.toxicity.chars import char_table, leet_table
from curate.kernels.toxicity.features import (
    MAX_FEATURES,
    N_BITS,
    class_features,
    class_words,
    near_features,
    word_features,
)
from curate.kernels.toxicity.sentences import MAX_CHARS, compiled, read_sentence, split_words

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
STEPS_A_LOGIT = 64  # what a sentence scores is kept in these steps of the logit
NO_WORDS = -32768  # best of a doc without words


class Linear(NamedTuple):
    """Linear models over one set of features, and the classes of words that the features see."""

    weights: npt.NDArray[np.int8]  # [n_features, n_labels]
    scale: npt.NDArray[np.float64]  # [n_labels]
    bias: npt.NDArray[np.float64]  # [n_labels]
    keys: npt.NDArray[np.uint64]  # [n_slots], see `class_words`
    values: U8  # [n_slots]


class Scores(NamedTuple):
    """What the sentences of docs scored; a sentence has at least one word."""

    n_sentences: I32  # [n_docs]
    n_over: I32  # [n_docs, n_labels], sentences that reach the least steps
    best: I32  # [n_docs, n_labels], steps of the highest one, NO_WORDS for a doc without words
    spans: I64  # [n_spans, 5]: doc, start and end in bytes, label, steps; of the sentences that reach the least


def score(texts: pa.Array, model: Linear, least: Sequence[int], *, spans: bool = False) -> Scores:
    """Return what each doc's sentences score; null is a doc without words. Scratch memory does not grow with a doc."""
    starts, data = text_buffers(texts)
    n_labels = len(model.bias)
    shape = (len(starts) - 1, n_labels)
    n_sentences, n_over = np.zeros(shape[0], np.int32), np.zeros(shape, np.int32)
    best = np.full(shape, NO_WORDS, np.int32)
    limits = np.array(least, np.int32)
    found = np.zeros((0, 5), np.int64)
    given = (data, starts, char_table(), leet_table(), *model, limits)
    _score(*given, _room_for(n_labels), n_sentences, n_over, best, found)
    if spans and n_over.any():
        found = np.zeros((int(n_over.sum()), 5), np.int64)
        n_sentences[:], n_over[:] = 0, 0
        _score(*given, _room_for(n_labels), n_sentences, n_over, best, found)
    return Scores(n_sentences, n_over, best, found)


class _Room(NamedTuple):
    kinds: U8
    points: npt.NDArray[np.uint32]
    chars: npt.NDArray[np.uint32]
    words: I32
    quoted: U8
    classes: U8
    common: npt.NDArray[np.bool_]
    hashes: npt.NDArray[np.uint64]
    features: npt.NDArray[np.uint32]
    sums: I64  # of the sentence to judge, and of the next one


def _room_for(n_labels: int) -> _Room:
    n = 2 * MAX_CHARS
    points, chars = np.empty((2, n), np.uint32)
    kinds, quoted, classes = np.empty((3, n), np.uint8)
    return _Room(
        kinds, points, chars, np.empty(n + 1, np.int32), quoted, classes, np.empty(n, np.bool_),
        np.empty(n, np.uint64), np.empty(MAX_FEATURES, np.uint32), np.zeros(2 * n_labels, np.int64),
    )  # fmt: skip


def sentence_spans(texts: pa.Array) -> I64:
    """Return int64[n_sentences, 2]: where the sentences of all docs begin and end, in bytes of their doc."""
    nothing = Linear(
        np.zeros((1 << N_BITS, 1), np.int8), np.zeros(1), np.zeros(1), np.zeros(1, np.uint64), np.zeros(1, np.uint8)
    )
    return score(texts, nothing, [0], spans=True).spans[:, 1:3]


def text_buffers(texts: pa.Array) -> tuple[I32, U8]:
    texts = texts.cast(pa.string()).fill_null("")
    _, offsets, data = texts.buffers()
    if offsets is None or len(texts) == 0:
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    starts = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return starts, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)


@compiled
def _add(weights, features, n, sums, at):  # type: ignore[no-untyped-def]
    """Add the weights of features to the sums from `at` on."""
    for i in range(n):
        for label in range(weights.shape[1]):
            sums[at + label] += weights[features[i], label]


@compiled
def _judge(sums, n_features, scale, bias, limits, doc, start, stop, n_over, best, spans, filled):  # type: ignore[no-untyped-def]
    """Enter a sentence of a doc from start to end; return how many spans there then are."""
    for label in range(len(bias)):
        logit = bias[label] + scale[label] * sums[label] / np.sqrt(n_features)
        steps = np.int32(np.floor(logit * STEPS_A_LOGIT + 0.5))
        if steps > best[doc, label]:
            best[doc, label] = steps
        if steps >= limits[label]:
            n_over[doc, label] += 1
            if filled < len(spans):
                spans[filled, 0], spans[filled, 1], spans[filled, 2] = doc, start, stop
                spans[filled, 3], spans[filled, 4] = label, steps
                filled += 1
    return filled


@functools.partial(untyped_kernel, error_model="numpy")
def _score(  # type: ignore[no-untyped-def]
    data, starts, table, leet, weights, scale, bias, keys, values, limits, room, n_sentences, n_over, best, spans
):
    """Judge each sentence once the next one is known, as the words of both sides count."""
    kinds, points, chars, words, quoted, classes, common, hashes, features, sums = room
    n_labels = len(bias)
    filled = 0
    for doc in range(len(starts) - 1):
        first, at, end = np.int64(starts[doc]), np.int64(starts[doc]), np.int64(starts[doc + 1])
        n_features, bits, before = 0, np.uint64(0), np.uint64(0)
        start, stop = first, first
        while True:
            n_words, begin = 0, at
            while at < end and n_words == 0:
                begin = at
                n_chars, at = read_sentence(data, at, end, table, kinds, points)
                n_words = split_words(kinds, points, n_chars, leet, chars, words, quoted)
            next_bits, n = np.uint64(0), 0
            if n_words:
                class_words(chars, words, n_words, keys, values, hashes, classes, common)
                n = word_features(chars, words, n_words, hashes, classes, common, features)
                n, next_bits = class_features(classes, quoted, n_words, features, n)
                _add(weights, features, n, sums, n_labels)
            if n_features:
                n_near = near_features(bits, before | next_bits, features)
                _add(weights, features, n_near, sums, 0)
                filled = _judge(
                    sums, n_features + n_near, scale, bias, limits, doc, start, stop, n_over, best, spans, filled
                )
                n_sentences[doc] += 1
            if n == 0:
                break
            for label in range(n_labels):
                sums[label], sums[n_labels + label] = sums[n_labels + label], 0
            before, bits, n_features = bits, next_bits, n
            start, stop = begin - first, at - first
    return filled
