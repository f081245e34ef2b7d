"""Training of the classifiers that `model_quality` asks: two sides of text in, a fastText model with its card out."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from curate.classifiers.card import write_card
from curate.classifiers.figures import Figures, figures_of
from curate.classifiers.fit import fit
from curate.classifiers.texts import Counts, Labelled, LabelledTexts
from curate.errors import InputError
from curate.new_folder import new_folder
from curate.receipts import sha256_of

MIN_TRAIN, MIN_HELD_OUT = 50, 10  # docs of each side; figures of fewer say nothing
MIN_SITES = 5  # held out, of each side: figures of fewer are those of single sites
KINDS = ("positives", "negatives")
MAX_SHARED_FRAC = 0.01  # of the smaller side; more and the two are not two kinds of text
LIBRARY = "fasttext-numpy2-wheel"

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class ClassifierSettings:
    """What decides a model, beside the texts. Raises InputError for values out of range.

    Two word n-grams, 200,000 docs of each side and the label `hq` are DCLM's (Li et al. 2024, arXiv:2406.11794,
    section 4.4 and its appendix on quality classifiers), learning rate, epochs and buckets fastText's own defaults.
    `dim` is that of Joulin et al. 2016 (arXiv:1607.01759, section 3.1: 10 hidden units), where fastText's default is
    100: a model of 84 MB instead of 831, with the same figures (ROC-AUC 0.9997 and 0.9998 on held-out sites of labelled
    pages, `benchmarks/classifier_on_pages.py`).
    """

    label: Annotated[str, "label of the positives"] = "hq"
    other_label: Annotated[str, "label of the negatives"] = "cc"
    max_docs: Annotated[int, "docs of each side, drawn by a hash of the text"] = 200_000
    held_out_frac: Annotated[float, "share of the docs that is only measured on"] = 0.1
    split_by: Annotated[Literal["site", "text"], "hold out whole sites, where docs have a URL, or any text"] = "site"
    word_ngrams: Annotated[int, "longest n-gram of words"] = 2
    dim: Annotated[int, "numbers a word and n-gram have; model size and time grow with it"] = 10
    epochs: Annotated[int, "times each doc is seen"] = 5
    learning_rate: Annotated[float, "first learning rate; it falls to 0"] = 0.1
    min_count: Annotated[int, "fewest occurrences of a word that is learnt by itself"] = 1
    n_buckets: Annotated[int, "rows that the n-grams share"] = 2_000_000
    quantize: Annotated[bool, "write a model.ftz, about a sixth of the size, instead of model.bin"] = False
    seed: Annotated[int, "draws other docs, another split and other first weights"] = 0

    def __post_init__(self) -> None:
        for name in ("label", "other_label"):
            if not getattr(self, name).isidentifier():
                raise InputError(f"{name} {getattr(self, name)!r} may have letters, digits and _ only")
        if self.label == self.other_label:
            raise InputError(f"label and other_label are both {self.label!r}")
        if not 0.0 < self.held_out_frac < 1.0:
            raise InputError(f"held_out_frac is {self.held_out_frac}; allowed: above 0, below 1")
        if not 0.0 < self.learning_rate <= 10.0:
            raise InputError(f"learning_rate is {self.learning_rate}; allowed: above 0, up to 10")
        limits = {"max_docs": 1 << 31, "word_ngrams": 10, "dim": 1000, "epochs": 10_000, "min_count": 1 << 31}
        for name, most in limits.items():
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; allowed: 1 to {most:,}")
        if not 256 <= self.n_buckets < 1 << 31:
            raise InputError(f"n_buckets is {self.n_buckets}; allowed: 256 to {(1 << 31) - 1:,}")
        if not 0 <= self.seed < 1 << 31:
            raise InputError(f"seed is {self.seed}; allowed: 0 to {(1 << 31) - 1:,}")


@dataclass(frozen=True)
class TrainedClassifier:
    """What training wrote."""

    model: Path
    sha256: str
    model_bytes: int
    counts: Counts
    figures: Figures


def train_classifier(
    positives: PathLike,
    negatives: PathLike,
    out: PathLike,
    settings: ClassifierSettings | None = None,
    *,
    text_column: str | None = None,
    url_column: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> TrainedClassifier:
    """Train a classifier that tells `positives` from `negatives`; write model, card and plot into the new folder `out`.

    Each side is a file, folder, glob, list or run of text, as any input. A text counts once; one that is on both
    sides is used on neither. The same texts and settings give the same bytes: one thread, one order. Memory: the
    model, one shard of the input, and a sort of bounded size; on disk, beside `out`, the texts twice.

    Raises InputError where `out` exists, a side has no text or too few, or the sides share more than 1 % of the
    smaller one. Nothing is left of a training that failed.
    """
    settings, names = settings or ClassifierSettings(), (os.fspath(positives), os.fspath(negatives))
    with new_folder(out) as folder:
        with tempfile.TemporaryDirectory(dir=folder, prefix="work-") as work:
            texts = LabelledTexts(
                names, Path(work), seed=settings.seed, split_by=settings.split_by,
                text_column=text_column, url_column=url_column,
            )  # fmt: skip
            say(f"read {sum(texts.counts.n_read):,} docs")
            held_out = _write_lines(texts, Path(work), settings)
            _check(texts.counts, settings, names)
            if uneven := _uneven(texts.counts, settings):
                say(uneven)
            say(f"training on {sum(texts.counts.n_train):,} docs")
            model = _train(Path(work) / "train.txt", folder, settings)
            say(f"measuring on {sum(texts.counts.n_held_out):,} docs")
            figures = _measure(model, held_out, settings)
        digest, size = sha256_of(model), model.stat().st_size
        facts = {"file": model.name, "sha256": digest, "bytes": size, **_made_with(settings)}
        write_card(folder, facts, texts.counts, figures)
    return TrainedClassifier(Path(out) / model.name, digest, size, texts.counts, figures)


def _write_lines(texts: LabelledTexts, work: Path, settings: ClassifierSettings) -> Path:
    """Write train.txt, as fastText reads it, and the held-out texts; return the latter's path."""
    labels = (settings.label, settings.other_label)
    held_out = work / "held_out.txt"
    with (
        (work / "train.txt").open("w", encoding="utf-8", newline="\n") as train,
        held_out.open("w", encoding="utf-8", newline="\n") as kept,
    ):
        labelled: Labelled
        for labelled in texts.lines(held_out_frac=settings.held_out_frac, max_docs=settings.max_docs):
            file = kept if labelled.is_held_out else train
            file.write(f"__label__{labels[labelled.side]} {labelled.line}\n")
    return held_out


def _check(counts: Counts, settings: ClassifierSettings, sides: Sequence[str]) -> None:
    used = [counts.n_train[i] + counts.n_held_out[i] for i in range(len(sides))]
    distinct = min(n + counts.n_left_over[i] for i, n in enumerate(used)) + counts.n_on_both_sides
    if counts.n_on_both_sides > MAX_SHARED_FRAC * distinct:
        raise InputError(
            f"{counts.n_on_both_sides:,} texts are on both sides, of {distinct:,} on the smaller one: {sides[0]} and "
            f"{sides[1]} are not two kinds of text"
        )
    for i, side in enumerate(sides):
        if counts.n_train[i] < MIN_TRAIN or counts.n_held_out[i] < MIN_HELD_OUT:
            raise InputError(
                f"{side}: {counts.n_train[i] or 'no'} {KINDS[i]} to train on and {counts.n_held_out[i] or 'none'} held "
                f"out; needed are {MIN_TRAIN} and {MIN_HELD_OUT}{_remedy(counts, settings, i)}"
            )


def _remedy(counts: Counts, settings: ClassifierSettings, i: int) -> str:
    """Return what to do about a side of which too few docs are learnt from, or held out."""
    n_sites = counts.n_train_sites[i] + counts.n_held_out_sites[i]
    if counts.n_train[i] + counts.n_held_out[i] < MIN_TRAIN + MIN_HELD_OUT:
        return "; give more texts" if counts.n_left_over[i] == 0 else "; raise --max-docs"
    if n_sites:
        of = f"; they are of {n_sites:,} site{'s' * (n_sites > 1)}, and a site is held out whole or not at all"
        other = f", or another --held-out-frac than {settings.held_out_frac:g}" if n_sites > 1 else ""
        return f"{of}: use --split-by text{other}"
    other = "larger" if counts.n_held_out[i] < MIN_HELD_OUT else "smaller"
    return f"; use a {other} --held-out-frac than {settings.held_out_frac:g}"


def _uneven(counts: Counts, settings: ClassifierSettings) -> str:
    """Return a line on a split by site that leaves little to measure on, or another share than was asked for; or ""."""
    said = []
    for i, kind in enumerate(KINDS):
        n, n_sites = counts.n_held_out[i], counts.n_held_out_sites[i]
        frac = n / (counts.n_train[i] + n)
        if counts.n_train_sites[i] and (n_sites < MIN_SITES or not 0.5 <= frac / settings.held_out_frac <= 2.0):
            said.append(f"{n:,} {kind} ({frac:.1%}) of {n_sites:,} site{'s' * (n_sites != 1)}")
    if not said:
        return ""
    return (
        f"warning: held out are {' and '.join(said)}, where --held-out-frac is {settings.held_out_frac:g}: a site is "
        "held out whole or not at all, and figures of so few say little; --split-by text holds out an even share"
    )


def _train(lines: Path, folder: Path, settings: ClassifierSettings) -> Path:
    path = folder / ("model.ftz" if settings.quantize else "model.bin")
    options = {
        "lr": settings.learning_rate, "dim": settings.dim, "epoch": settings.epochs, "bucket": settings.n_buckets,
        "wordNgrams": settings.word_ngrams, "minCount": settings.min_count, "seed": settings.seed,
    }  # fmt: skip
    fit(lines, path, options, quantize=settings.quantize)
    return path


def _measure(model: Path, held_out: Path, settings: ClassifierSettings) -> Figures:
    """Return the figures of the file as it was written."""
    from curate.models import LABEL, load_fasttext
    from curate.stages.model_quality import score_of

    loaded = load_fasttext(model)
    scores, truth = [], []
    with held_out.open(encoding="utf-8", newline="\n") as file:
        for row in file:
            label, _, line = row.rstrip("\n").partition(" ")
            scores.append(score_of(loaded, LABEL + settings.label, line))
            truth.append(label == LABEL + settings.label)
    return figures_of(np.array(scores, np.float64), np.array(truth, np.bool_))


def _made_with(settings: ClassifierSettings) -> dict[str, Any]:
    return {
        "settings": dataclasses.asdict(settings),
        "library": {LIBRARY: importlib.metadata.version(LIBRARY)},
        "text_is": "lines joined by spaces, up to 1,000,000 characters",
    }
