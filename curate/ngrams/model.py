"""A loaded n-gram model: from an ARPA file, into hash tables, or from KenLM's binary form, by its own library."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.kernels import ngram_scores as kernel
from curate.ngrams.arpa import BEGIN, END, NO_UNKNOWN, UNKNOWN, Arpa, read_arpa
from curate.ngrams.settings import MAX_CHARS, TOKENS_NOTE, tokens_note

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Scorer = Callable[[Bytes, I64], tuple[F64, I64]]  # tokens and where docs begin → log10 and tokens of each doc

MODEL_ENDINGS = (".arpa", ".arpa.gz", ".bin", ".binary")
KENLM_MAGIC = b"mmap lm http://kheafield.com/code"


def perplexities(texts: pa.Array, model: Path, tokenizer: Path | None) -> list[float | None]:
    """Return the perplexity of each text, rounded to a tenth; None where it has no token.

    Raises InputError where the model cannot be read, or was made with another tokenizer.
    """
    score = load_model(model, tokenizer)
    long = pc.greater(pc.binary_length(texts), MAX_CHARS)
    if pc.any(long).as_py():
        texts = pc.utf8_slice_codeunits(texts, 0, MAX_CHARS)
    log10, n_tokens = score(*token_texts_of(texts, tokenizer))
    values = 10.0 ** (-log10 / np.maximum(n_tokens, 1))
    return [round(float(v), 1) if n else None for v, n in zip(values, n_tokens, strict=True)]


def perplexities_by_language(
    texts: pa.Array, languages: pa.Array, models: Path, tokenizer: Path | None
) -> list[float | None]:
    """Return the perplexity of each text under its language's model; None where there is none for it."""
    files = model_files(models)
    found: list[float | None] = [None] * len(texts)
    named = languages.to_pylist()
    for language in sorted(files.keys() & set(named)):
        rows = [row for row, name in enumerate(named) if name == language]
        values = perplexities(texts.take(pa.array(rows, pa.int64())), files[language], tokenizer)
        for row, value in zip(rows, values, strict=True):
            found[row] = value
    return found


@functools.cache
def model_files(folder: Path) -> dict[str, Path]:
    """Return language → file of a folder. Raises InputError where it is none, or has two files of one language."""
    if not folder.is_dir():
        raise InputError(f"models: {str(folder)!r} is not a folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.name.endswith(MODEL_ENDINGS):
            continue
        language = path.name.partition(".")[0]
        if language in found:
            raise InputError(f"models: {found[language].name} and {path.name} are both for {language}")
        found[language] = path
    return found


def token_texts_of(texts: pa.Array, tokenizer: Path | None) -> tuple[Bytes, I64]:
    """Return the tokens of texts in one buffer, and where those of each doc begin."""
    return kernel.token_texts(texts) if tokenizer is None else _pieces(texts, tokenizer)


@functools.cache
def load_model(path: Path, tokenizer: Path | None) -> Scorer:
    """Return the scorer of a model file. Raises InputError, see `perplexities`."""
    if not path.is_file():
        raise InputError(f"n-gram model {str(path)!r} is not a file")
    with path.open("rb") as file:
        if file.read(len(KENLM_MAGIC)) == KENLM_MAGIC:
            return _kenlm(path)
    arpa = read_arpa(path)
    wanted = arpa.notes.get(TOKENS_NOTE, "")
    found = tokens_note(tokenizer)
    if wanted and wanted != found:
        raise InputError(f"{path}: made of {wanted}, asked with {found}")
    tables = tables_of(arpa, str(path))
    return lambda tokens, ends: kernel.score(tokens, ends, tables)


def tables_of(arpa: Arpa, where: str = "the model") -> kernel.NgramTables:
    """Return a model as hash tables. Raises InputError for a model that breaks the rules of backoff models."""
    numbers = {word: number for number, word in enumerate(arpa.words)}
    if BEGIN not in numbers or END not in numbers:
        raise InputError(f"{where}: there is no {BEGIN} or no {END} among the unigrams")
    if arpa.order > kernel.MAX_ORDER:
        raise InputError(f"{where}: order {arpa.order}; up to {kernel.MAX_ORDER} can be read")
    unigrams = arpa.sections[0]
    log10, backoff = unigrams.log10, unigrams.backoff
    unknown = numbers.get(UNKNOWN, numbers.get(UNKNOWN.upper(), -1))
    if unknown < 0:
        unknown = len(arpa.words)
        log10, backoff = np.append(log10, np.float32(NO_UNKNOWN)), np.append(backoff, np.float32(0))
    text = np.frombuffer(" ".join(arpa.words).encode(), np.uint8)
    word_key, word_id, n_twice = kernel.place_words(text, len(arpa.words))
    word_id[np.isin(word_id, [numbers[BEGIN], numbers[END]])] = unknown  # in a text they are words as any other
    n_slots = 64
    while n_slots < 2 * sum(len(section.log10) for section in arpa.sections[1:]):
        n_slots *= 2
    key, ngram_log10, ngram_backoff = np.zeros(n_slots, np.uint64), *np.zeros((2, n_slots), np.float32)
    for order, section in enumerate(arpa.sections[1:], 2):
        twice, orphans = kernel.place_ngrams(
            key, ngram_log10, ngram_backoff, section.ngrams, section.log10, section.backoff
        )
        n_twice += twice
        if orphans:
            raise InputError(f"{where}: {orphans:,} {order}-grams begin with words that are no n-gram")
    if n_twice:
        raise InputError(f"{where}: {n_twice:,} n-grams come twice")
    return kernel.NgramTables(
        word_key, word_id, log10, backoff, key, ngram_log10, ngram_backoff,
        arpa.order, unknown, numbers[BEGIN], numbers[END],
    )  # fmt: skip


def _kenlm(path: Path) -> Scorer:
    try:
        import kenlm
    except ImportError as error:
        raise InputError(
            f"{path} is a binary of KenLM, which needs its library: pip install kenlm; or give the ARPA file it was "
            "made from"
        ) from error
    try:
        model = kenlm.Model(str(path))
    except OSError as error:
        raise InputError(f"{path}: {error}") from error

    def score(tokens: Bytes, ends: I64) -> tuple[F64, I64]:
        log10, n_tokens = np.zeros(len(ends) - 1, np.float64), np.zeros(len(ends) - 1, np.int64)
        for doc in range(len(ends) - 1):
            for line in bytes(tokens[ends[doc] : ends[doc + 1]]).decode().split("\n"):
                if line:
                    log10[doc] += model.score(line)
                    n_tokens[doc] += line.count(" ") + 2
        return log10, n_tokens

    return score


@functools.cache
def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"{path} is not a tokenizer.json: {error}") from error


def _pieces(texts: pa.Array, tokenizer: Path) -> tuple[Bytes, I64]:
    """Return the tokens that a tokenizer makes of texts, line by line."""
    made, ends = [], [0]
    for text in texts.to_pylist():
        lines = [line for line in (text or "").split("\n") if line.strip()]
        encoded = _tokenizer(tokenizer).encode_batch(lines, add_special_tokens=False)
        doc = "\n".join(" ".join(line.tokens) for line in encoded if line.tokens).encode()
        made.append(doc)
        ends.append(ends[-1] + len(doc))
    return np.frombuffer(b"".join(made), np.uint8), np.array(ends, np.int64)
