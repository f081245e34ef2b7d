"""Turns texts into the classifier's features, a sparse row for each sentence, with the kernels that score them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

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
from curate.kernels.toxicity.score import text_buffers
from curate.kernels.toxicity.sentences import MAX_CHARS, read_sentence, split_words


class Sentences(NamedTuple):
    """The features of sentences."""

    doc: npt.NDArray[np.int64]  # [n_sentences]
    span: npt.NDArray[np.int64]  # [n_sentences, 2] bytes in the doc
    matrix: Any  # sparse [n_sentences, 2**18], a feature's count over the square root of the sentence's number of them


def sentences_of(texts: list[str], keys: npt.NDArray[np.uint64], values: npt.NDArray[np.uint8]) -> Sentences:
    """Return the sentences of texts, in order."""
    from scipy.sparse import csr_matrix

    starts, data = text_buffers(pa.array(texts, pa.string()))
    room = np.zeros((len(data) // 2 + len(texts) + 1, 5), np.int64)
    sizes = np.zeros(3, np.int64)
    parts, at = [], 0
    for first in range(0, len(texts), 256):  # bounds the buffer
        some = starts[first : first + 257]
        out = np.empty((int(some[-1]) - int(some[0])) * 40 + 4096 * 64, np.uint32)
        n, filled = _features(data, some, char_table(), leet_table(), keys, values, out, room[at:], first)
        parts.append(out[:filled].copy())
        at += n
    rows = room[:at]
    ends = np.cumsum(rows[:, 3])
    features = np.concatenate(parts).astype(np.int32)
    norm = np.repeat(1.0 / np.sqrt(np.maximum(rows[:, 3], 1)), rows[:, 3]).astype(np.float32)
    matrix = csr_matrix((norm, features, np.concatenate([[0], ends])), shape=(at, 1 << N_BITS))
    matrix.sum_duplicates()
    del sizes
    return Sentences(rows[:, 0].copy(), rows[:, 1:3].copy(), matrix)


@functools.partial(untyped_kernel, allocates=True, error_model="numpy")
def _features(data, starts, table, leet, keys, values, out, rows, first_doc):  # type: ignore[no-untyped-def]
    n_room = 2 * MAX_CHARS
    kinds, points, chars = np.empty(n_room, np.uint8), np.empty(n_room, np.uint32), np.empty(n_room, np.uint32)
    words, quoted, classes = np.empty(n_room + 1, np.int32), np.empty(n_room, np.uint8), np.empty(n_room, np.uint8)
    common = np.empty(n_room, np.bool_)
    hashes, features = np.empty(n_room, np.uint64), np.empty(MAX_FEATURES, np.uint32)
    sets = np.empty(len(rows) + 2, np.uint64)
    n, filled = 0, 0
    for doc in range(len(starts) - 1):
        begin_doc, at, end = np.int64(starts[doc]), np.int64(starts[doc]), np.int64(starts[doc + 1])
        n_first = n
        held = np.int64(0)
        while at < end:  # first the classes of all sentences, then their features
            begin = at
            n_chars, at = read_sentence(data, at, end, table, kinds, points)
            n_words = split_words(kinds, points, n_chars, leet, chars, words, quoted)
            if n_words:
                class_words(chars, words, n_words, keys, values, hashes, classes, common)
                held, sets[n] = class_features(classes, quoted, n_words, features, 0)
                rows[n, 0], rows[n, 1], rows[n, 2] = first_doc + doc, begin - begin_doc, at - begin_doc
                n += 1
        for i in range(n_first, n):
            n_chars, at = read_sentence(data, begin_doc + rows[i, 1], end, table, kinds, points)
            n_words = split_words(kinds, points, n_chars, leet, chars, words, quoted)
            class_words(chars, words, n_words, keys, values, hashes, classes, common)
            held = word_features(chars, words, n_words, hashes, classes, common, features)
            held, own = class_features(classes, quoted, n_words, features, held)
            for k in range(held):
                out[filled + k] = features[k]
            filled += held
            beside = np.uint64(0)
            if i > n_first:
                beside |= sets[i - 1]
            if i + 1 < n:
                beside |= sets[i + 1]
            near = near_features(own, beside, features)
            for k in range(near):
                out[filled + k] = features[k]
            filled += near
            rows[i, 3] = held + near
    return n, filled
