"""Measures the toxicity classifier against its peers: out-of-fold ROC-AUC, functional cases, speed; prints Markdown.

    OMP_NUM_THREADS=1 python -m benchmarks.toxicity.evaluate --data ../shared/data --models DIR [--json FILE]

`--models` is what `benchmarks.toxicity.train` wrote. `--profanity-check PYTHON` also asks alt-profanity-check, in an
environment of its own (`pip install alt-profanity-check==1.9.1`), since it pins scikit-learn. Its authors trained it
on tweets and comments of which the two labelled sets are a part: its AUC here is no out-of-fold figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.toxicity.data import N_FOLDS, Case, Doc, benign, comments, functional_cases, tweets
from curate.stages.toxicity import DEFAULT_MIN_SENTENCE_SCORE
from curate.toxicity.c4_list import count_bad_words
from curate.toxicity.lexicon import count_terms
from curate.toxicity.linear import ASSET, Found, load_model, score_sentences

F64 = npt.NDArray[np.float64]
Scorer = Callable[[Sequence[str]], F64]  # texts → scores, the higher the more hateful
FASTTEXT = {"fastText": {}, "fastText, bigrams, 25 epochs": {"wordNgrams": 2, "epoch": 25, "lr": 0.5}}
FASTTEXT_TRIES = 9  # on a busy machine it stops with "Encountered NaN" now and then, with the same data and seed
PROFANITY = "alt-profanity-check"
OURS, LEXICON, LIST = "classifier", "lexicon density", "C4 list"
ASK_PROFANITY = (
    "import json, sys, profanity_check as p; "
    "print(json.dumps([float(x) for x in p.predict_prob(json.load(open(sys.argv[1])))]))"
)


def found_of(path: Path, texts: Sequence[str], min_score: float = DEFAULT_MIN_SENTENCE_SCORE) -> Found:
    """Return what a model's file scores."""
    return score_sentences(pa.array(list(texts), pa.string()), load_model(path), min_score, spans=False)


def classifier(path: Path, label: int = 0) -> Scorer:
    """Return the score of the worst sentence by a model's file."""
    return lambda texts: np.nan_to_num(found_of(path, texts).best[:, label].astype(float))


def density(texts: Sequence[str]) -> F64:
    """Return the share of toxic words by our reading of the English list."""
    toxic, n_words = count_terms(pa.array(list(texts), pa.string()), ("en",))
    return np.asarray(toxic) / np.maximum(1, np.asarray(n_words))


def c4_list(texts: Sequence[str]) -> F64:
    """Return 1 for a text with a word of the English list, else 0: all that C4's rule says."""
    return (np.asarray(count_bad_words(pa.array(list(texts), pa.string()), ("en",), "c4")) > 0).astype(float)


def fasttext(docs: Sequence[Doc], options: dict[str, Any]) -> Scorer:
    """Return the probability of toxic by a fastText model trained on docs."""
    from fasttext import train_supervised

    def line(text: str) -> str:
        return " ".join(text.lower().split())

    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"__label__{int(doc.hate or 0)} {line(doc.text)}\n" for doc in docs)
        file.flush()
        for tries_left in reversed(range(FASTTEXT_TRIES)):
            try:
                model = train_supervised(file.name, thread=1, seed=1, verbose=0, **options)
                break
            except RuntimeError:
                if not tries_left:
                    raise

    def chance(text: str) -> float:
        told = {label: p for p, label in model.f.predict(line(text) + "\n", 2, 0.0, "strict")}
        return told.get("__label__1", 0.0)

    return lambda texts: np.array([chance(text) for text in texts])


def profanity_check(python: str) -> Scorer:
    """Return the probability of alt-profanity-check, asked in its own environment."""

    def ask(texts: Sequence[str]) -> F64:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(list(texts), file)
            file.flush()
            told = subprocess.run([python, "-c", ASK_PROFANITY, file.name], check=True, capture_output=True, text=True)
        return np.array(json.loads(told.stdout))

    return ask


def out_of_fold(docs: Sequence[Doc], models: Path) -> dict[str, F64]:
    """Return each contender's scores of docs, by models that were not trained on the doc's fold."""
    scores: dict[str, F64] = {name: np.zeros(len(docs)) for name in (OURS, *FASTTEXT)}
    for fold in range(N_FOLDS):
        inside = [i for i, doc in enumerate(docs) if doc.fold == fold]
        texts = [docs[i].text for i in inside]
        scores[OURS][inside] = classifier(models / f"fold-{fold}.npz")(texts)
        for name, options in FASTTEXT.items():
            scores[name][inside] = fasttext([doc for doc in docs if doc.fold != fold], options)(texts)
    return scores


def auc_table(data: Path, models: Path, python: str | None) -> dict[str, dict[str, float]]:
    """Return ROC-AUC by contender and labelled set; the models of a fold are trained on both sets."""
    from sklearn.metrics import roc_auc_score

    docs = [*tweets(data), *comments(data)]
    texts = [doc.text for doc in docs]
    scores = out_of_fold(docs, models) | {LEXICON: density(texts), LIST: c4_list(texts)}
    if python:
        scores[PROFANITY] = profanity_check(python)(texts)
    table = {}
    for name, found in scores.items():
        table[name] = {
            source: float(
                roc_auc_score(
                    [doc.hate for doc in docs if doc.source.startswith(source)],
                    [score for doc, score in zip(docs, found, strict=True) if doc.source.startswith(source)],
                )
            )
            for source in ("davidson", "wiki-talk")
        }
    return table


def dialect_table(data: Path, models: Path) -> dict[str, float]:
    """Return the share of docs with a toxic sentence, out of fold, of tweets by label and of benign text."""
    docs = [*tweets(data), *benign(data)]
    over = np.zeros(len(docs))
    share = np.zeros(len(docs))
    for fold in range(N_FOLDS):
        inside = [i for i, doc in enumerate(docs) if doc.fold == fold]
        found = found_of(models / f"fold-{fold}.npz", [docs[i].text for i in inside])
        over[inside] = found.n_over[:, 0] > 0
        share[inside] = found.n_over[:, 0] / np.maximum(1, found.n_sentences)
    names = sorted({doc.source for doc in docs})
    of = np.array([doc.source for doc in docs])
    table = {f"docs of {name}": float(over[of == name].mean()) for name in names}
    return table | {f"sentences of {name}": float(share[of == name].mean()) for name in names if "davidson" not in name}


def flags_of(models: Path, data: Path, cases: Sequence[Case], python: str | None) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which functional cases each contender flags, all at their own thresholds."""
    texts = [case.text for case in cases]
    found = found_of(models / ASSET, texts)
    docs = [*tweets(data), *comments(data)]
    flags = {
        OURS: found.n_over[:, 0] > 0,
        f"{OURS}, nsfw": found.n_over[:, 1] > 0,
        LIST: c4_list(texts) > 0,
        LEXICON: density(texts) > 0.02,
    }
    flags |= {name: fasttext(docs, options)(texts) >= 0.5 for name, options in FASTTEXT.items()}
    if python:
        flags[PROFANITY] = profanity_check(python)(texts) >= 0.5
    return flags


def functional_table(flags: dict[str, npt.NDArray[np.bool_]], cases: Sequence[Case]) -> list[list[Any]]:
    """Return a row for each category: its name, kind, size, and the cases that each contender flags."""
    rows = []
    for kind in ("hate", "benign", "explicit"):
        names = dict.fromkeys(case.category for case in cases if case.kind == kind)
        for name in (*names, "all"):
            at = [i for i, case in enumerate(cases) if case.kind == kind and name in (case.category, "all")]
            rows.append([name, kind, len(at), *(int(found[at].sum()) for found in flags.values())])
    return rows


def speed_table(data: Path, models: Path, python: str | None) -> dict[str, float]:
    """Return MB of web text a CPU-second."""
    texts = [doc.text for doc in benign(data) if doc.source == "web pages"]
    n_mb = sum(len(text.encode()) for text in texts) / 1e6
    asked: dict[str, Scorer] = {OURS: classifier(models / ASSET), LEXICON: density, LIST: c4_list}
    asked |= {"fastText": fasttext(comments(data), {})}
    speeds = {}
    for name, scorer in asked.items():
        scorer(texts[:2])  # compiles
        began = time.process_time()
        scorer(texts)
        speeds[name] = n_mb / (time.process_time() - began)
    if python:
        began = time.perf_counter()
        profanity_check(python)(texts)
        speeds[PROFANITY] = n_mb / (time.perf_counter() - began)
    return speeds


def markdown(figures: dict[str, Any]) -> str:
    """Return the figures as Markdown tables."""
    auc, names = figures["auc"], figures["functional_names"]
    lines = ["| | " + " | ".join(auc) + " |", "|---|" + "---:|" * len(auc)]
    for source in ("davidson", "wiki-talk"):
        lines.append(f"| ROC-AUC, {source} | " + " | ".join(f"{auc[name][source]:.4f}" for name in auc) + " |")
    lines += ["", "| cases flagged | kind | of | " + " | ".join(names) + " |", "|---|---|---:|" + "---:|" * len(names)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in figures["functional"]]
    lines += ["", "| flagged, out of fold | share |", "|---|---:|"]
    lines += [f"| {name} | {share:.2%} |" for name, share in figures["shares"].items()]
    lines += ["", "| MB a CPU-second of web text | |", "|---|---:|"]
    lines += [f"| {name} | {speed:.1f} |" for name, speed in figures["mb_per_cpu_s"].items()]
    return "\n".join(lines)


def measure(data: Path, models: Path, python: str | None) -> dict[str, Any]:
    """Return all figures."""
    cases = functional_cases()
    flags = flags_of(models, data, cases, python)
    return {
        "auc": auc_table(data, models, python),
        "functional_names": list(flags),
        "functional": functional_table(flags, cases),
        "shares": dialect_table(data, models),
        "mb_per_cpu_s": speed_table(data, models, python),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--models", type=Path, required=True, help="what training wrote")
    parser.add_argument("--profanity-check", metavar="PYTHON", help="a Python that has alt-profanity-check")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    figures = measure(args.data, args.models, args.profanity_check)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))
    print(markdown(figures))


if __name__ == "__main__":
    main()
