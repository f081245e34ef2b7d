"""The compiled passes of a prediction: the mean of a line's rows, then the log-probability of each label.

Floats are added in the order of fastText's C++, so that labels and probabilities agree with it (to some 1e-6: it may
fuse a multiplication with an addition). Differs from it on purpose: `</s>` within a line is a word as any other and
does not end it, and a word that begins with `__label__` is a word.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.compiled import untyped_inner, untyped_kernel
from curate.kernels.fasttext.model_file import END, SOFTMAX, TREE, FastText, word_hash

_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)  # FNV-1a, 32 bits
_WORD_NGRAM = np.uint64(116049371)
_BEGIN, _END = np.uint8(ord("<")), np.uint8(ord(">"))
_ONE = np.uint64(1)
_END_HASH = np.uint32(word_hash(END)).astype(np.int32)
_WIDTH = 16  # lid.176 has rows of 16 numbers
_TINY = 1e-5  # fastText's std_log adds it
_SIGMOID_LIMIT, _SIGMOID_STEPS = 8, 512  # its table of the sigmoid, for the losses ova and ns


@untyped_inner
def _is_blank(byte):  # type: ignore[no-untyped-def]
    """Say whether fastText cuts words at a byte: ASCII white space and NUL."""
    return byte == 32 or (9 <= byte <= 13) or byte == 0


@untyped_inner
def _mixed(h, byte):  # type: ignore[no-untyped-def]
    return np.uint32((h ^ np.uint32(np.int8(byte))) * _PRIME)


@untyped_inner
def _row(model, bucket):  # type: ignore[no-untyped-def]
    """Return the row of an n-gram's bucket, -1 where it was pruned."""
    if model.kept.size == 0:
        return np.int32(model.n_words + bucket)
    block, bit = bucket >> 6, np.uint64(bucket & 63)
    bits = model.kept[block]
    if not (bits >> bit) & _ONE:
        return np.int32(-1)
    return np.int32(model.n_words + model.kept_before[block] + _n_ones(bits & ((_ONE << bit) - _ONE)))


@untyped_inner
def _n_ones(bits):  # type: ignore[no-untyped-def]
    """Return how many bits are set."""
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@untyped_inner
def _word_row(model, line, start, end, h):  # type: ignore[no-untyped-def]
    """Return the row of a word, -1 where the model has none."""
    mask = np.uint32(model.slots.size - 1)
    slot = np.uint32(h & mask)
    while model.slots[slot] >= 0:
        word = model.slots[slot]
        at = model.word_starts[word]
        size = model.word_starts[word + 1] - at
        if size == end - start and word != model.end_row:
            same = True
            for i in range(size):
                if model.word_bytes[at + i] != line[start + i]:
                    same = False
                    break
            if same:
                return word
        slot = np.uint32((slot + np.uint32(1)) & mask)
    return np.int32(-1)


@untyped_inner
def _ngram_rows(model, line, start, end, rows, n):  # type: ignore[no-untyped-def]
    """Append to rows[:n] those of the n-grams of characters of `<word>`; return their number.

    Bytes `start - 1` and `end` stand for the brackets.
    """
    n_buckets, min_chars, max_chars = np.uint32(model.n_buckets), model.min_chars, model.max_chars
    for first in range(start - 1, end + 1):
        if start <= first < end and (line[first] & 0xC0) == 0x80:
            continue
        h, at, n_chars = _BASIS, first, 0
        while at <= end and n_chars < max_chars:
            h = _mixed(h, _BEGIN if at < start else _END if at == end else line[at])
            at += 1
            while start < at < end and (line[at] & 0xC0) == 0x80:
                h = _mixed(h, line[at])
                at += 1
            n_chars += 1
            if n_chars >= min_chars and not (n_chars == 1 and (first < start or at > end)):
                rows[n] = _row(model, np.int64(h % n_buckets))
                n += rows[n] >= 0
    return n


@untyped_inner
def _word_ngram_rows(model, hashes, n_words, rows, n):  # type: ignore[no-untyped-def]
    """Append to rows[:n] those of the n-grams of words; return their number."""
    for first in range(n_words):
        h = np.uint64(np.int64(hashes[first]))
        for second in range(first + 1, min(n_words, first + model.word_ngrams)):
            h = np.uint64(h * _WORD_NGRAM + np.uint64(np.int64(hashes[second])))
            rows[n] = _row(model, np.int64(h % np.uint64(model.n_buckets)))
            n += rows[n] >= 0
    return n


@untyped_inner
def rows_of(model, line, size, hashes, rows):  # type: ignore[no-untyped-def]
    """Write the rows that fastText takes the mean of for `line[:size]`; return (rows, words).

    `rows` and `hashes` are those of `scratch_for` lines as long.
    """
    n, n_words, at = np.int64(0), np.int64(0), np.int64(0)  # typed: literals would compile what is called here twice
    while at < size:
        if _is_blank(line[at]):
            at += 1
            continue
        start, h = at, _BASIS
        while at < size and not _is_blank(line[at]):
            h = _mixed(h, line[at])
            at += 1
        rows[n] = _word_row(model, line, start, at, h)
        n += rows[n] >= 0
        if model.max_chars > 0 and model.n_buckets > 0:
            n = _ngram_rows(model, line, start, at, rows, n)
        hashes[n_words] = np.int32(h)
        n_words += 1
    if model.end_row >= 0:
        rows[n] = model.end_row
        n += 1
    if model.word_ngrams > 1 and model.n_buckets > 0:
        hashes[n_words] = _END_HASH
        n = _word_ngram_rows(model, hashes, n_words + 1, rows, n)
    return n, n_words


@untyped_inner
def mean_of(model, rows, n, hidden):  # type: ignore[no-untyped-def]
    """Write the mean of n rows of the model to hidden[dim]."""
    for d in range(hidden.size):
        hidden[d] = 0
    whole = hidden.size - hidden.size % _WIDTH
    for i in range(n):
        row = rows[i]
        for first in range(0, whole, _WIDTH):
            for d in range(_WIDTH):  # a number the compiler knows: twice as fast
                hidden[first + d] += model.rows[row, first + d]
        for d in range(whole, hidden.size):
            hidden[d] += model.rows[row, d]
    share = np.float32(1.0 / max(n, 1))
    for d in range(hidden.size):
        hidden[d] *= share


@untyped_inner
def _dot(outputs, row, hidden):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for d in range(hidden.size):
        total += outputs[row, d] * hidden[d]
    return total


@untyped_inner
def _tree_scores(model, hidden, scores):  # type: ignore[no-untyped-def]
    n_nodes = model.left.size
    n_labels = (n_nodes + 1) // 2
    scores[n_nodes - 1] = 0
    for node in range(n_nodes - 1, n_labels - 1, -1):  # a parent stands behind its children
        p = np.float32(1.0 / (1.0 + math.exp(-_dot(model.outputs, node - n_labels, hidden))))
        scores[model.left[node]] = scores[node] + np.float32(math.log(np.float32(1) - p + _TINY))
        scores[model.right[node]] = scores[node] + np.float32(math.log(p + _TINY))


@untyped_inner
def scores_of(model, hidden, n_labels, scores):  # type: ignore[no-untyped-def]
    """Write the log-probability of each label to scores[:n_labels]; scores is float32[2 * n_labels]."""
    if model.loss == TREE:
        _tree_scores(model, hidden, scores)
        return
    for label in range(n_labels):
        scores[label] = _dot(model.outputs, label, hidden)
    if model.loss == SOFTMAX:
        top, total = np.float32(-np.inf), np.float32(0)
        for label in range(n_labels):
            top = max(top, scores[label])
        for label in range(n_labels):
            scores[label] = math.exp(scores[label] - top)
            total += scores[label]
        for label in range(n_labels):
            scores[label] = math.log(scores[label] / total + _TINY)
        return
    for label in range(n_labels):
        x = scores[label]
        p = np.float32(0.0 if x < -_SIGMOID_LIMIT else 1.0)
        if -_SIGMOID_LIMIT <= x <= _SIGMOID_LIMIT:
            step = int((x + _SIGMOID_LIMIT) * _SIGMOID_STEPS / _SIGMOID_LIMIT / 2)
            p = np.float32(1.0 / (1.0 + math.exp(_SIGMOID_LIMIT - step * 2.0 * _SIGMOID_LIMIT / _SIGMOID_STEPS)))
        scores[label] = math.log(p + _TINY)


class Scratch(NamedTuple):
    """What a prediction writes on its way: compiled code that makes no arrays takes less time to compile."""

    hashes: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]
    hidden: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]  # [2 * n_labels]


def scratch_for(fasttext: FastText, n_bytes: int) -> Scratch:
    """Return room for the prediction of lines of at most `n_bytes`."""
    model, n_words = fasttext.model, n_bytes // 2 + 2
    n_rows = (n_bytes + 2 * n_words) * max(1, model.max_chars) + n_words * (1 + model.word_ngrams)
    return Scratch(
        np.empty(n_words, np.int32), np.empty(n_rows, np.int32),
        np.empty(model.rows.shape[1], np.float32), np.empty(2 * len(fasttext.labels), np.float32),
    )  # fmt: skip


def probabilities(fasttext: FastText, line: bytes) -> npt.NDArray[np.float32]:
    """Return the probability of each label, float32[n_labels], for one line of text."""
    scratch = scratch_for(fasttext, len(line))
    _score_line(fasttext.model, np.frombuffer(line, np.uint8), len(fasttext.labels), scratch)
    return np.exp(scratch.scores[: len(fasttext.labels)])


@untyped_kernel
def _score_line(model, line, n_labels, scratch):  # type: ignore[no-untyped-def]
    n_rows, _ = rows_of(model, line, np.int64(line.size), scratch.hashes, scratch.rows)
    mean_of(model, scratch.rows, n_rows, scratch.hidden)
    scores_of(model, scratch.hidden, n_labels, scratch.scores)
