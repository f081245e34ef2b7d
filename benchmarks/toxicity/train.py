"""Trains the toxicity classifier, and for each fold one that has not seen it; deterministic on one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.toxicity.train --data ../shared/data --out DIR

Writes OUT/toxicity.npz (all texts), OUT/fold-K.npz and OUT/training.json. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.toxicity.data import (
    HERE,
    INPUTS,
    MIN_WORD_DOCS,
    N_FOLDS,
    OWN,
    Doc,
    authored,
    benign,
    class_words,
    comments,
    tweets,
)
from benchmarks.toxicity.matrix import Sentences, sentences_of
from curate.kernels.toxicity.classes import CLASSES
from curate.kernels.toxicity.features import COMMON
from curate.kernels.toxicity.plain import words_of
from curate.toxicity.linear import ASSET, LABELS, Model, pack, word_table

INVERSE_PENALTY = 2.0
LARGEST_STEP = 127
MIN_MASKED_CHARS = 4  # of a word that also enters with its vowels hidden
MASKED = frozenset(CLASSES.index(name) for name in ("slur", "reclaimed", "insult", "profane", "sexual"))
EXPLICIT = CLASSES.index("sexual")
# What a source's docs weigh beside each other.
WEIGHTS = {
    "davidson neither": 1.5,
    "davidson": 0.5,
    "wiki-talk": 4.5,
    "own": 1.0,
    "web": 0.5,
    "state": 0.1,
    "inaugural": 0.1,
    "wikitext2": 0.5,
}
# Tweets whose only rude words are ones that their dialect also uses of friends weigh less, and are less than certain.
DIALECT = frozenset(("bitch", "bitches", "hoe", "hoes", "nigga", "niggas", "niggah", "niggaz", "ass", "pussy"))
DIALECT_WEIGHT, DIALECT_TARGET = 0.75, 0.9
NSFW_WEAK_WEIGHT = 0.3
NSFW_POSITIVE_WEIGHT = 8.0  # our explicit sentences are one in a hundred


class Dataset(NamedTuple):
    """All sentences, with what is known of their docs."""

    docs: list[Doc]
    sentences: Sentences
    words: dict[str, int]  # word → class
    hate: npt.NDArray[np.float64]  # [n_sentences], of the doc
    hate_weight: npt.NDArray[np.float64]
    nsfw: npt.NDArray[np.float64]
    nsfw_weight: npt.NDArray[np.float64]
    fold: npt.NDArray[np.int64]  # -1: in all


def load_dataset(data: Path) -> Dataset:
    """Return the labelled sentences."""
    plain = benign(data)
    words = known_words(plain)
    docs = [*tweets(data), *comments(data), *plain, *authored()]
    sentences = sentences_of([doc.text for doc in docs], *word_table(words))
    found = [_targets(doc, words) for doc in docs]
    n_of_doc = np.bincount(sentences.doc, minlength=len(docs))
    of = sentences.doc
    # A long page is many sentences; a comment's label is shared by them.
    share = 1.0 / np.maximum(1, np.where([doc.source == "wiki-talk" for doc in docs], n_of_doc, 1)) ** 0.5
    return Dataset(
        docs,
        sentences,
        words,
        np.array([row[0] for row in found])[of],
        (np.array([row[1] for row in found]) * share)[of],
        np.array([row[2] for row in found])[of],
        np.array([row[3] for row in found])[of],
        np.array([doc.fold for doc in docs])[of],
    )


def known_words(plain: list[Doc]) -> dict[str, int]:
    """Return word → class: the words of our list, as they are and masked, and the common words of benign text."""
    listed = class_words()
    known = dict(listed)
    for word, number in listed.items():
        if number in MASKED and len(word) >= MIN_MASKED_CHARS:
            for hidden in masked(word):
                known.setdefault(hidden, number)
    n_docs = Counter(word for doc in plain for word in set(re.findall("[a-z]+", doc.text.lower())))
    for word, n in sorted(n_docs.items()):
        if n >= MIN_WORD_DOCS:
            known.setdefault(word, COMMON)
    return known


def masked(word: str) -> list[str]:
    """Return a word with one vowel, all inner vowels and all inner letters hidden."""
    inner = word[1:-1]
    ones = [f"{word[:i]}*{word[i + 1 :]}" for i in range(1, len(word) - 1) if word[i] in "aeiou"]
    every = word[0] + "".join("*" if char in "aeiou" else char for char in inner) + word[-1]
    return [*ones, every, f"{word[0]}*{word[-1]}"]


def _targets(doc: Doc, words: dict[str, int]) -> tuple[float, float, float, float]:
    """Return target and weight of a doc for hate, and for sexual content; the latter weak where nobody labelled it."""
    weight = doc.weight * next(weight for name, weight in WEIGHTS.items() if doc.source.startswith(name))
    hate = float(doc.hate or 0.0)
    if doc.nsfw is not None:
        return hate, weight, doc.nsfw, weight * (NSFW_POSITIVE_WEIGHT if doc.nsfw else 1.0)
    said = words_of(doc.text)
    n_explicit = sum(words.get(word, 0) == EXPLICIT for word in said)
    weak = 0.0 if n_explicit == 1 else NSFW_WEAK_WEIGHT * weight
    rude = {word for word in said if words.get(word, 0) in MASKED}
    if doc.source == "davidson offensive" and rude <= DIALECT:
        return DIALECT_TARGET, weight * DIALECT_WEIGHT, float(n_explicit > 1), weak
    return hate, weight, float(n_explicit > 1), weak


def fit(
    sentences: Sentences, target: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float]:
    """Return weights and bias of a logistic regression with soft targets."""
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    toxic, clean = np.flatnonzero(target * weight > 0), np.flatnonzero((1 - target) * weight > 0)
    rows = vstack([sentences.matrix[toxic], sentences.matrix[clean]])
    labels = np.repeat([1, 0], [len(toxic), len(clean)])
    weights = np.concatenate([(target * weight)[toxic], ((1 - target) * weight)[clean]])
    model = LogisticRegression(C=INVERSE_PENALTY, solver="lbfgs", max_iter=600, tol=1e-5)
    model.fit(rows, labels, sample_weight=weights)
    return model.coef_[0], float(model.intercept_[0])


def fit_hate(dataset: Dataset, rows: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], float]:
    """Return the weights for hate: once from all sentences of a toxic doc, then from its most toxic one alone."""
    weights, _ = fit(dataset.sentences, dataset.hate, dataset.hate_weight * rows)
    of = dataset.sentences.doc
    in_order = np.lexsort((dataset.sentences.matrix @ weights, of))
    last = np.concatenate([of[in_order][1:] != of[in_order][:-1], [True]])
    best = np.zeros(len(of), np.bool_)
    best[in_order[last]] = True
    whole = np.array([doc.fold >= 0 and doc.hate == 1.0 for doc in dataset.docs])[of]
    n_of_doc = np.bincount(of)[of]
    shared = np.array([doc.source == "wiki-talk" for doc in dataset.docs])[of]
    back = np.where(whole & shared, np.sqrt(n_of_doc), 1.0)  # the best sentence has the doc's whole weight
    return fit(dataset.sentences, dataset.hate, dataset.hate_weight * rows * np.where(whole & ~best, 0.0, back))


def train_model(dataset: Dataset, fold: int) -> Model:
    """Return the model learned from all docs but those of a fold; N_FOLDS leaves out none."""
    rows = dataset.fold != fold
    fitted = [fit_hate(dataset, rows), fit(dataset.sentences, dataset.nsfw, dataset.nsfw_weight * rows)]
    scale = np.array([np.abs(weights).max() / LARGEST_STEP for weights, _ in fitted])
    steps = np.stack([np.rint(weights / s) for (weights, _), s in zip(fitted, scale, strict=True)], axis=1)
    return Model(steps.astype(np.int8), scale, np.array([bias for _, bias in fitted]), dataset.words)


def save(model: Model, path: Path) -> str:
    """Write a model and return the sha256 of the file; the same model gives the same bytes."""
    np.savez_compressed(path, allow_pickle=False, **pack(model))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def summary(dataset: Dataset, data: Path) -> dict[str, Any]:
    """Return what the model was trained on, and with what."""
    n_of_doc = np.bincount(dataset.sentences.doc, minlength=len(dataset.docs))
    weight_of_doc = np.bincount(dataset.sentences.doc, dataset.hate_weight, minlength=len(dataset.docs))
    by_source: dict[str, list[float]] = {}
    for doc, n, weight in zip(dataset.docs, n_of_doc, weight_of_doc, strict=True):
        name = "own sentences" if doc.source.startswith("own") else doc.source
        row = by_source.setdefault(name, [0, 0, 0, 0.0])
        row[0] += 1
        row[1] += int(n)
        row[2] += doc.hate == 1.0
        row[3] += float(weight)
    files = {name: data / name for name in INPUTS} | {name: HERE / name for name in OWN}
    return {
        "inputs_sha256": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()},
        "packages": {name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
        "by_source": {name: [*row[:3], round(row[3], 1)] for name, row in sorted(by_source.items())},
        "n_words": sum(number != COMMON for number in dataset.words.values()),
        "n_common": sum(number == COMMON for number in dataset.words.values()),
        "labels": LABELS,
    }


def main() -> None:
    """Train and write the models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--out", type=Path, required=True, help="where to write the models")
    parser.add_argument("--no-folds", action="store_true", help="only the model of all texts")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(args.data)
    (args.out / "training.json").write_text(json.dumps(summary(dataset, args.data), indent=1))
    for fold in [N_FOLDS] if args.no_folds else range(N_FOLDS + 1):
        name = ASSET if fold == N_FOLDS else f"fold-{fold}.npz"
        print(name, save(train_model(dataset, fold), args.out / name), flush=True)


if __name__ == "__main__":
    main()
