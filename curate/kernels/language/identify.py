"""Name the language of each text of an Arrow column: one compiled pass from UTF-8 bytes to label, score and script.

The script decides first. Of the model's labels only those stay that can stand for a script which at least a twentieth
of the sample's letters belong to; the score is the label's share of the probability that is left. So Hangul is never
English, and where a script has one language that is the answer, whatever the model believes. A text whose main script
no label of the model is written in keeps the model's own label and has no score.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.kernels.compiled import untyped_inner, untyped_kernel
from curate.kernels.fasttext.model_file import SOFTMAX, TREE, FastText
from curate.kernels.fasttext.score import Scratch, mean_of, rows_of, scores_of, scratch_for
from curate.kernels.language.sample import LINE_BYTES, N_PIECES, count_letters, lower_letters, take_sample
from curate.kernels.language.tables import letters, written_in

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]

MIN_SCRIPT_SHARE = 20  # one in twenty letters: a script that counts


class Identifier(NamedTuple):
    """A model and what is known of its labels."""

    fasttext: FastText
    written_in: npt.NDArray[np.bool_]  # [n_scripts, n_labels]


class Found(NamedTuple):
    """What is found of n texts: -1 and NaN where there is nothing to find."""

    labels: I32  # [n] a number of the model's labels; -1 for a text without a word
    scores: F32  # [n] in [0, 1]; NaN without letters, or where no label is written in the script
    scripts: I32  # [n] a number of `scripts()`; 0 without letters
    n_letters: I32  # [n] in the sample


class Texts(NamedTuple):
    """Texts within a buffer of UTF-8; arrays that cannot be written to, for numba another type than those that can."""

    data: npt.NDArray[np.uint8]
    starts: I64  # [n]
    ends: I64  # [n]


def identifier_of(fasttext: FastText) -> Identifier:
    """Return a model with the scripts of its labels."""
    return Identifier(fasttext, written_in(fasttext.labels))


def texts_of(column: pa.Array) -> Texts:
    """Return the texts of a string column; null is empty."""
    column = column.cast(pa.large_string()).fill_null("")
    _, offsets, data = column.buffers()
    bounds = np.zeros(1, np.int64)
    if offsets is not None and len(column):
        bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return read_only(np.frombuffer(data if data is not None else b"", np.uint8), bounds[:-1], bounds[1:])


def read_only(data: npt.NDArray[np.uint8], starts: I64, ends: I64) -> Texts:
    """Return texts over views of these arrays."""
    texts = Texts(data[:], starts[:], ends[:])
    for array in texts:
        array.flags.writeable = False
    return texts


def identify(texts: Texts, identifier: Identifier, n_pieces: int = N_PIECES) -> Found:
    """Return the language and the script of each text."""
    n = len(texts.starts)
    labels, main_scripts, n_letters = np.full(n, -1, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int32)
    found = Found(labels, np.full(n, np.nan, np.float32), main_scripts, n_letters)
    room = _room_for(identifier)
    _identify(texts, n_pieces, identifier.fasttext.model, identifier.written_in, letters(), room, found)
    return found


class _Room(NamedTuple):
    line: npt.NDArray[np.uint8]  # [LINE_BYTES]
    lower: npt.NDArray[np.uint8]  # [LINE_BYTES]
    counts: I64  # [n_scripts]
    allowed: npt.NDArray[np.bool_]  # [n_labels]
    scratch: Scratch


def _room_for(identifier: Identifier) -> _Room:
    line, lower = np.empty((2, LINE_BYTES), np.uint8)
    counts, allowed = np.empty(len(identifier.written_in), np.int64), np.empty(identifier.written_in.shape[1], np.bool_)
    return _Room(line, lower, counts, allowed, scratch_for(identifier.fasttext, LINE_BYTES))


@untyped_kernel
def _identify(texts, n_pieces, model, written_in, tables, room, found_of):  # type: ignore[no-untyped-def]
    labels, scores, main_scripts, n_letters = found_of
    line, lower, counts, allowed, (hashes, rows, hidden, logs) = room
    for text in range(labels.size):
        size = take_sample(texts.data, texts.starts[text], texts.ends[text], n_pieces, line)
        found, n_capitals = count_letters(line, size, tables, counts)
        shown = line
        if 3 * n_capitals > 2 * found:
            size = lower_letters(line, size, tables, lower)
            shown = lower
        n_rows, n_words = rows_of(model, shown, size, hashes, rows)
        if n_words == 0:
            continue
        mean_of(model, rows, n_rows, hidden)
        scores_of(model, hidden, allowed.size, logs)
        n_letters[text] = found
        main_scripts[text], possible = _allow(written_in, counts, found, allowed)
        labels[text], share = _best_allowed(model, logs, allowed)
        if possible:
            scores[text] = share


@untyped_inner
def _allow(written_in, counts, n_letters, allowed):  # type: ignore[no-untyped-def]
    """Write to allowed[n_labels] which labels the scripts leave; return the main script, and whether any is written so.

    Where none is written in the main script, or there is no letter, all are allowed.
    """
    main_script = 0
    for script in range(1, counts.size):
        if counts[script] > counts[main_script]:
            main_script = script
    possible = False
    for label in range(allowed.size):
        allowed[label] = main_script > 0 and written_in[main_script, label]
        possible |= allowed[label]
    for script in range(1, counts.size):
        if counts[script] * MIN_SCRIPT_SHARE >= max(n_letters, 1):
            for label in range(allowed.size):
                allowed[label] |= written_in[script, label]
    if not possible:
        for label in range(allowed.size):
            allowed[label] = True
    return main_script, possible


@untyped_inner
def _best_allowed(model, logs, allowed):  # type: ignore[no-untyped-def]
    """Return the likeliest label that is allowed and its share of the probability of all that are."""
    best, total = -1, 0.0
    for label in range(allowed.size):
        if allowed[label]:
            total += math.exp(logs[label])
            if best < 0 or logs[label] > logs[best]:
                best = label
    p = math.exp(logs[best])
    if model.loss == TREE or model.loss == SOFTMAX:
        p /= total
    return best, np.float32(min(p, 1.0))
