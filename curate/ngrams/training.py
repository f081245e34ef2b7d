"""Training of the n-gram models that `perplexity` asks: text in, an ARPA file with its card out."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.classifiers.texts import Labelled, LabelledTexts
from curate.errors import InputError
from curate.new_folder import new_folder
from curate.ngrams.arpa import BEGIN, END, UNKNOWN, Arpa, write_arpa
from curate.ngrams.card import MODEL_FILE, write_card
from curate.ngrams.kneser_ney import BEGIN_ID, END_ID, Estimate, estimate
from curate.ngrams.settings import MAX_CHARS, MIN_TOKENS, TOKENS_NOTE, NgramSettings, TrainedNgrams, tokens_note
from curate.receipts import sha256_of

TEXTS_AT_A_TIME = 64


def train_ngrams(
    texts: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: NgramSettings | None = None,
    *,
    text_column: str | None = None,
    url_column: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> TrainedNgrams:
    """Estimate an n-gram model of `texts`; write model.arpa.gz and its card into the new folder `out`.

    `texts` is a file, folder, glob, list or run of text, as any input; a text counts once. The model has interpolated
    modified Kneser-Ney smoothing and any reader of ARPA files can use it. The same texts and settings give the same
    bytes. Memory: the distinct words, and about 30 bytes for each token and order.

    Raises InputError where `out` exists or there is too little text. Nothing is left of a training that failed.
    """
    settings = settings or NgramSettings()
    with new_folder(out) as folder:
        with tempfile.TemporaryDirectory(dir=folder, prefix="work-") as work:
            read = LabelledTexts(
                (os.fspath(texts),), Path(work), seed=settings.seed, split_by=settings.split_by, prepare=_prepared,
                text_column=text_column, url_column=url_column,
            )  # fmt: skip
            say(f"read {sum(read.counts.n_read):,} docs")
            counted = _write_tokens(read, Path(work), settings)
            say(f"counting n-grams of {counted['n_tokens']:,} tokens")
            facts = _estimate(Path(work), folder, settings, counted)
            facts["digest"] = read.counts.digests[0]
        write_card(folder, facts, settings)
    names = {field.name for field in dataclasses.fields(TrainedNgrams)}
    known = {name: value for name, value in facts.items() if name in names}
    return TrainedNgrams(model=Path(out) / MODEL_FILE, **known)


def _prepared(text: str | None) -> str:
    return (text or "")[:MAX_CHARS].strip()


def _write_tokens(read: LabelledTexts, work: Path, settings: NgramSettings) -> dict[str, Any]:
    """Write the tokens of the texts to train.txt and held_out.txt, a line each; return words and sums.

    A text that comes after `max_tokens` are full is left out.
    """
    words: Counter[bytes] = Counter()
    sums = {"n_texts": 0, "n_left_over": 0, "n_tokens": 0, "n_held_out_tokens": 0}
    texts = read.lines(held_out_frac=settings.held_out_frac, max_docs=1 << 62)
    with (work / "train.txt").open("wb") as train, (work / "held_out.txt").open("wb") as held_out:
        while batch := list(islice(texts, TEXTS_AT_A_TIME)):
            for text, tokens in zip(batch, _tokens(batch, settings.tokenizer), strict=True):
                found = tokens.split()
                if sums["n_tokens"] + len(found) > settings.max_tokens:
                    sums["n_left_over"] += 1
                elif text.is_held_out:
                    held_out.write(tokens + b"\n")
                    sums["n_held_out_tokens"] += len(found)
                else:
                    train.write(tokens + b"\n")
                    words.update(found)
                    sums["n_tokens"] += len(found)
                    sums["n_texts"] += 1
    if sums["n_tokens"] < MIN_TOKENS or not sums["n_held_out_tokens"]:
        raise InputError(
            f"{sums['n_tokens']:,} tokens to learn from and {sums['n_held_out_tokens']:,} held out; needed are "
            f"{MIN_TOKENS:,}, and some of at least one text{_remedy(read, settings)}"
        )
    return {**sums, "words": words}


def _remedy(read: LabelledTexts, settings: NgramSettings) -> str:
    n_sites = read.counts.n_train_sites[0] + read.counts.n_held_out_sites[0]
    if read.counts.n_train[0] + read.counts.n_held_out[0] < 2:
        return ""
    if n_sites:
        of = f"; they are of {n_sites:,} site{'s' * (n_sites > 1)}, and a site is held out whole or not at all"
        other = f", or another --held-out-frac than {settings.held_out_frac:g}" if n_sites > 1 else ""
        return f"{of}: use --split-by text{other}"
    return f"; use another --held-out-frac than {settings.held_out_frac:g}"


def _tokens(batch: list[Labelled], tokenizer: Path | None) -> Iterator[bytes]:
    from curate.ngrams.model import token_texts_of  # imports numba

    tokens, ends = token_texts_of(pa.array([text.line for text in batch], pa.string()), tokenizer)
    for start, end in pairwise(ends.tolist()):
        yield tokens[start:end].tobytes()


def _estimate(work: Path, folder: Path, settings: NgramSettings, counted: dict[str, Any]) -> dict[str, Any]:
    """Write the model; return the facts of its card."""
    words: Counter[bytes] = counted.pop("words")
    marks = [UNKNOWN.encode(), BEGIN.encode(), END.encode()]
    ordered = [*marks, *sorted((word for word in words if word not in marks), key=lambda word: (-words[word], word))]
    numbers = {word: number for number, word in enumerate(ordered)}
    numbers |= dict.fromkeys(marks, len(ordered))  # a tokenizer may have such pieces: in a text they are unknown words
    n_known = min(len(ordered), len(marks) + settings.vocab_size)
    tokens = np.fromiter(_numbers(work / "train.txt", numbers), np.int32)
    found: Estimate = estimate(tokens, len(ordered) + 1, settings.least_counts, n_known)
    names = tuple(word.decode() for word in ordered[:n_known])
    notes = {TOKENS_NOTE: tokens_note(settings.tokenizer), "smoothing": "interpolated modified Kneser-Ney"}
    path = folder / MODEL_FILE
    write_arpa(Arpa(names, found.sections, notes), path)
    return {
        **counted, "sha256": sha256_of(path), "model_bytes": path.stat().st_size, "n_distinct_words": len(words),
        "n_ngrams": tuple(len(section.log10) for section in found.sections),
        "discounts": found.discounts, "discounts_fell_back": found.fell_back,
        **_measured(path, work / "held_out.txt", set(ordered[len(marks) : n_known]), settings),
    }  # fmt: skip


def _numbers(path: Path, numbers: dict[bytes, int]) -> Iterator[int]:
    with path.open("rb") as file:
        for line in file:
            if words := line.split():
                yield from chain([BEGIN_ID], map(numbers.__getitem__, words), [END_ID])


def _measured(model: Path, held_out: Path, known: set[bytes], settings: NgramSettings) -> dict[str, float]:
    """Return perplexity and share of unknown words on the held-out texts, of the file as it was written."""

    from curate.ngrams.model import load_model  # imports numba

    text = held_out.read_bytes()
    ends = np.array([0, len(text)], np.int64)
    log10, n_tokens = load_model(model, settings.tokenizer)(np.frombuffer(text, np.uint8), ends)
    words = text.split()
    unknown = sum(word not in known for word in words)
    return {"perplexity": round(float(10 ** (-log10[0] / n_tokens[0])), 2), "unknown_frac": unknown / len(words)}
