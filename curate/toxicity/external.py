"""Score sentences with a fastText model of one's own, as the shipped classifier's scores are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.errors import InputError
from curate.registry import nearest
from curate.toxicity.linear import Found


def check_labels(path: Path, labels: Sequence[str]) -> None:
    """Raise InputError where a fastText model does not know a label."""
    from curate.models import LABEL, load_fasttext

    known = [name.removeprefix(LABEL) for name in load_fasttext(path).get_labels()]
    for label in labels:
        if label not in known:
            raise InputError(f"toxicity: label {label!r} is none of the model's{nearest(label, known)}")


def score_with(
    texts: pa.Array, path: Path, labels: Sequence[tuple[str, ...]], min_score: float, *, spans: bool
) -> Found:
    """Return what each doc's sentences score: for each set of labels the sum of their probabilities.

    The sentences are those of `curate.kernels.toxicity`; the model sees each as a line, nothing else changed.
    """
    from curate.kernels.toxicity.score import sentence_spans
    from curate.models import LABEL, load_fasttext

    model = load_fasttext(path)
    wanted = [frozenset(LABEL + label for label in some) for some in labels]
    n_docs = len(texts)
    n_sentences = np.zeros(n_docs, np.int32)
    n_over, best = np.zeros((n_docs, len(labels)), np.int32), np.full((n_docs, len(labels)), np.nan, np.float32)
    found: list[tuple[int, int, int, int, float]] = []
    for doc, text in enumerate(texts.to_pylist()):
        utf8 = (text or "").encode()
        for start, end in sentence_spans(pa.array([text], pa.string())).tolist():
            line = " ".join(utf8[start:end].decode("utf-8", "replace").split())
            told = {label: chance for chance, label in model.f.predict(line + "\n", -1, 0.0, "strict")}
            n_sentences[doc] += 1
            for k, some in enumerate(wanted):
                score = np.float32(min(1.0, sum(told.get(label, 0.0) for label in sorted(some))))
                best[doc, k] = np.fmax(best[doc, k], score)
                if score >= np.float32(min_score):
                    n_over[doc, k] += 1
                    found.append((doc, start, end, k, float(score)))
    return Found(n_sentences, n_over, best, found if spans else [])
