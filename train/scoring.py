"""Likelihood tests of a model: minimal pairs (as in BLiMP) and multiple choice (as in HellaSwag), read from JSONL.

A file's shape is known by its fields:

    sentence_good, sentence_bad    right where the good sentence has the higher log-probability
    ctx, endings, label            right where the labelled ending has; also per byte of the ending
    context, question, ans0 …, label    the same, as BBQ has it
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from train.errors import ConfigError
from train.model import Decoder

MAX_LINE_BYTES = 1 << 20
BATCH_TOKENS = 8_192  # padded positions that go through the model at once
GROUP_FIELDS = ("UID", "category", "activity_label")


@dataclass(frozen=True)
class Item:
    """One question: a context, answers to it, and which is right."""

    context: str
    answers: tuple[str, ...]
    label: int
    group: str
    is_pair: bool = False  # a minimal pair: sentences, no endings of a context


@dataclass(frozen=True)
class TaskScore:
    """The share of right answers, with a 95 % interval (Wilson)."""

    task: str
    group: str  # "" for the whole task
    n_items: int
    accuracy: float
    low: float
    high: float
    accuracy_per_byte: float | None  # by log-probability per UTF-8 byte of the answer; None for minimal pairs
    chance: float


def read_task(path: Path) -> list[Item]:
    """Return the questions of a JSONL file (.gz too). Raises ConfigError with the line that is not one."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            items = [_item(line, f"{path}:{number}") for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, EOFError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not items:
        raise ConfigError(f"{path} holds no questions")
    return items


def _item(line: bytes, where: str) -> Item:
    if len(line) > MAX_LINE_BYTES:
        raise ConfigError(f"{where}: a line of more than {MAX_LINE_BYTES:,} bytes")
    try:
        row = json.loads(line)
        item = _read(row)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{where} is no question ({_told(error)}); "
            "wanted: sentence_good and sentence_bad, or ctx, endings and label"
        ) from error
    if len(item.answers) < 2 or not 0 <= item.label < len(item.answers) or not all(map(str.strip, item.answers)):
        raise ConfigError(f"{where}: label {item.label} of {len(item.answers)} answers; none may be empty")
    return item


def _told(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return "no UTF-8" if isinstance(error, UnicodeError) else str(error)


def _read(row: Any) -> Item:
    if not isinstance(row, Mapping):
        raise TypeError("no object")
    group = next((_text(name, row[name]) for name in GROUP_FIELDS if name in row), "")
    if "sentence_good" in row:
        pair = tuple(_text(name, row[name]) for name in ("sentence_good", "sentence_bad"))
        return Item("", pair, 0, group, is_pair=True)
    if "endings" in row:
        if not isinstance(row["endings"], list):
            raise TypeError("endings is no list")
        answers = tuple(" " + _text("an ending", ending).lstrip() for ending in row["endings"])
        return Item(_text("ctx", row["ctx"]).rstrip(), answers, _label(row["label"]), group)
    names = [name for name in sorted(row) if name.startswith("ans") and name[3:].isdigit()]
    context = f"{_text('context', row['context'])} {_text('question', row['question'])}"
    return Item(context, tuple(" " + _text(name, row[name]) for name in names), _label(row["label"]), group)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    value.encode()  # half of a surrogate pair is no character
    return value


def _label(value: Any) -> int:
    """Return a label that is a whole number, or one written as text, as in some copies of HellaSwag."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("label is no whole number")
    return value


def score_task(name: str, items: Sequence[Item], model: Decoder, tokenizer: Any, seq_len: int) -> list[TaskScore]:
    """Return the score of the whole task and of each of its groups. Equal answers count as wrong."""
    rows = [(item.context, answer) for item in items for answer in item.answers]
    sums = iter(answer_log_probs(rows, model, tokenizer, seq_len))
    right: dict[str, list[tuple[bool, bool, float]]] = {}
    pairs = all(item.is_pair for item in items)
    for item in items:
        found = [next(sums) for _ in item.answers]
        per_byte = [total / len(answer.encode()) for total, answer in zip(found, item.answers, strict=True)]
        row = (_is_best(found, item.label), _is_best(per_byte, item.label), 1 / len(item.answers))
        right.setdefault("", []).append(row)
        if item.group:
            right.setdefault(item.group, []).append(row)
    return [_score(name, group, rows_of, pairs) for group, rows_of in sorted(right.items())]


def _is_best(scores: Sequence[float], label: int) -> bool:
    return all(scores[label] > score for k, score in enumerate(scores) if k != label)


def _score(task: str, group: str, rows: Sequence[tuple[bool, bool, float]], pairs: bool) -> TaskScore:
    n = len(rows)
    n_right = sum(row[0] for row in rows)
    low, high = wilson(n_right, n)
    per_byte = None if pairs else sum(row[1] for row in rows) / n
    return TaskScore(task, group, n, n_right / n, low, high, per_byte, sum(row[2] for row in rows) / n)


def wilson(n_right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    share, slack = n_right / n, z * z / n
    middle = (share + slack / 2) / (1 + slack)
    half = z * math.sqrt(share * (1 - share) / n + slack / (4 * n)) / (1 + slack)
    return max(0.0, middle - half), min(1.0, middle + half)


@torch.no_grad()
def answer_log_probs(rows: Sequence[tuple[str, str]], model: Decoder, tokenizer: Any, seq_len: int) -> list[float]:
    """Return log p(answer | context) in nats for rows of (context, answer).

    An EOS stands first, as at the start of a document. A context that is too long loses its beginning; of an answer
    that alone is longer than the window, the last `seq_len` tokens count.
    """
    model.eval()
    eos_id = model.config.eos_id
    prepared = []
    for context, answer in rows:
        before = tokenizer.encode(context, add_special_tokens=False).ids if context else []
        after = tokenizer.encode(answer, add_special_tokens=False).ids
        ids = [eos_id, *before, *after][-(seq_len + 1) :]
        prepared.append((ids, min(len(after), len(ids) - 1)))
    order = sorted(range(len(prepared)), key=lambda k: (len(prepared[k][0]), k))
    sums = [0.0] * len(prepared)
    for batch in _batches(order, [len(ids) for ids, _ in prepared]):
        for k, total in zip(batch, _totals([prepared[k] for k in batch], model), strict=True):
            sums[k] = total
    return sums


def _batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield rows of like length, as many as fit BATCH_TOKENS with padding."""
    batch: list[int] = []
    for k in order:
        if batch and (len(batch) + 1) * lengths[k] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch


def _totals(rows: Sequence[tuple[list[int], int]], model: Decoder) -> list[float]:
    """Return the summed log-probability of the last n tokens of each row."""
    device = next(model.parameters()).device
    width = max(len(ids) for ids, _ in rows)
    tokens = torch.full((len(rows), width), model.config.eos_id, dtype=torch.int64)
    counted = torch.zeros((len(rows), width - 1), dtype=torch.bool)
    for k, (ids, n_answer) in enumerate(rows):
        tokens[k, : len(ids)] = torch.tensor(ids)
        counted[k, len(ids) - 1 - n_answer : len(ids) - 1] = True
    losses = model.token_losses(tokens[:, :-1].to(device), tokens[:, 1:].to(device)).cpu().double()
    return [-float(total) for total in (losses * counted).sum(dim=1)]
