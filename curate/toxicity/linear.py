"""The shipped toxicity classifier: its file, and the scores of sentences for hate and for sexual content."""

from __future__ import annotations

import functools
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.errors import InputError
from curate.models import asset

if TYPE_CHECKING:
    from curate.kernels.toxicity.score import Linear

ASSET = "toxicity.npz"
ASSET_SHA256 = "7e96390c7c80dba0df2b74463c56d193e842f149fd469d604922ad69eeffe525"
LABELS = ("hate", "nsfw")
MAX_STEPS = 768  # of the logit, 12 in steps of 1/64: beyond it scores are 0 or 1


class Model(NamedTuple):
    """What was learned from labelled sentences, see the model card beside the asset."""

    weights: npt.NDArray[np.int8]  # [n_features, n_labels]
    scale: npt.NDArray[np.float64]  # [n_labels], of a step of the weights
    bias: npt.NDArray[np.float64]  # [n_labels]
    words: Mapping[str, int]  # word → class, see `curate.kernels.toxicity.classes`


@functools.cache
def shipped_model() -> Model:
    """Return the model shipped with the package."""
    return load_model(asset(ASSET), ASSET_SHA256)


@functools.cache
def shipped_linear() -> Linear:
    """Return the shipped model as the kernel takes it."""
    return as_linear(shipped_model())


def load_model(path: Path, sha256: str | None = None) -> Model:
    """Return the model in a file; raises InputError where it is missing, differs from its sha256, or is none."""
    from curate.kernels.toxicity.classes import CLASSES
    from curate.kernels.toxicity.features import N_BITS

    if not path.is_file():
        raise InputError(f"toxicity model {str(path)!r} is not a file")
    packed = path.read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if sha256 is not None and found != sha256:
        raise InputError(f"toxicity model {str(path)!r} has sha256 {found}, expected {sha256}")
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        parts = dict(arrays)
    if tuple(parts["classes"].tolist()) != CLASSES or parts["weights"].shape != (1 << N_BITS, len(LABELS)):
        raise InputError(f"toxicity model {str(path)!r} was trained on other features than this version computes")
    words = dict(zip(parts["words"].tolist(), parts["word_classes"].tolist(), strict=True))
    return Model(parts["weights"], parts["scale"], parts["bias"], words)


def pack(model: Model) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a model as they stand in its file."""
    from curate.kernels.toxicity.classes import CLASSES

    return {
        "classes": np.array(CLASSES),
        "words": np.array(sorted(model.words)),
        "word_classes": np.array([model.words[word] for word in sorted(model.words)], np.uint8),
        "weights": model.weights,
        "scale": model.scale,
        "bias": model.bias,
    }


def as_linear(model: Model) -> Linear:
    """Return a model as the kernel takes it."""
    from curate.kernels.toxicity.score import Linear

    return Linear(np.ascontiguousarray(model.weights), model.scale, model.bias, *word_table(model.words))


def word_table(words: Mapping[str, int]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return an open hash table: the words' hashes, 0 where a slot is free, and their classes."""
    from curate.kernels.toxicity.plain import hash_of

    n_slots = 1 << max(4, (2 * len(words)).bit_length())
    keys, values = np.zeros(n_slots, np.uint64), np.zeros(n_slots, np.uint8)
    for word in sorted(words):
        h = hash_of(word)
        slot = (h ^ (h >> 32)) & (n_slots - 1)
        while keys[slot]:
            slot = (slot + 1) & (n_slots - 1)
        keys[slot], values[slot] = h, words[word]
    return keys, values


class Found(NamedTuple):
    """What the sentences of docs score, for each of the labels."""

    n_sentences: npt.NDArray[np.int32]  # [n_docs]
    n_over: npt.NDArray[np.int32]  # [n_docs, n_labels], sentences that reach the least score
    best: npt.NDArray[np.float32]  # [n_docs, n_labels], of the highest sentence; NaN for a doc without words
    spans: Sequence[tuple[int, int, int, int, float]]  # doc, start and end in bytes, label, score


def score_sentences(texts: pa.Array, model: Model | None, min_score: float, *, spans: bool) -> Found:
    """Return what each doc's sentences score by a model, None the shipped one; null is a doc without words."""
    from curate.kernels.toxicity.score import NO_WORDS, score

    table = _score_table()
    reaches = int(np.searchsorted(table, np.float32(min_score)))
    least = reaches - MAX_STEPS if reaches else NO_WORDS
    found = score(texts, shipped_linear() if model is None else as_linear(model), [least] * len(LABELS), spans=spans)
    best = np.where(
        found.best == NO_WORDS, np.float32(np.nan), table[np.clip(found.best + MAX_STEPS, 0, 2 * MAX_STEPS)]
    )
    rows = [(d, a, z, k, float(table[min(2 * MAX_STEPS, s + MAX_STEPS)])) for d, a, z, k, s in found.spans.tolist()]
    return Found(found.n_sentences, found.n_over, best, rows)


@functools.cache
def _score_table() -> npt.NDArray[np.float32]:
    """Return float32[1537]: the score in [0, 1] of each step of the logit, to four places, so alike on any machine."""
    from curate.kernels.toxicity.score import STEPS_A_LOGIT

    steps = range(-MAX_STEPS, MAX_STEPS + 1)
    return np.array([round(1.0 / (1.0 + math.exp(-step / STEPS_A_LOGIT)), 4) for step in steps], np.float32)
