"""Loads what the classifier learns from and is measured on: labelled comments, benign web text, our own sentences."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from curate.kernels.toxicity.classes import CLASSES

HERE = Path(__file__).resolve().parent
N_FOLDS = 5
INPUTS = (
    "toxicity/davidson-dev.jsonl.gz",
    "toxicity/wiki-talk-dev.jsonl.gz",
    "pages/web-dev.gold.jsonl.gz",
    "corpora/state_union.jsonl.gz",
    "corpora/inaugural.jsonl.gz",
    "corpora/wikitext2-valid.txt.gz",
)
OWN = ("authored.tsv", "classes.tsv", "slots.tsv")
N_FILLS = 24  # sentences made of one template
MIN_WORD_DOCS = 12  # benign docs a word stands in, for it to be common


class Doc(NamedTuple):
    """A text with its labels; None is unknown. Docs of one fold share no text."""

    text: str
    source: str
    hate: float | None
    nsfw: float | None
    fold: int
    weight: float = 1.0


class Case(NamedTuple):
    """A functional case."""

    category: str
    kind: str  # hate, benign or explicit
    text: str


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def fold_of(text: str) -> int:
    """Return the fold of a text; what differs only in names, links and marks falls into one."""
    plain = re.sub(r"^rt\b|@\w+|https?:\S+|[^a-z]+", " ", text.lower()).split()
    return int.from_bytes(hashlib.blake2b(" ".join(plain).encode(), digest_size=4).digest(), "big") % N_FOLDS


def own_lines(name: str) -> list[list[str]]:
    """Return the tab-separated lines of a file of ours, without comments."""
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def functional_cases() -> list[Case]:
    """Return the functional cases; no training code calls this."""
    return [Case(*line) for line in own_lines("functional.tsv")]


def class_words() -> dict[str, int]:
    """Return word → class; the first class that lists a word has it."""
    found: dict[str, int] = {}
    for name, words in own_lines("classes.tsv"):
        for word in words.split():
            found.setdefault(word.replace("'", ""), CLASSES.index(name))
    return found


def tweets(data: Path) -> list[Doc]:
    """Return Davidson et al.'s tweets, HTML entities undone."""
    found = []
    for row in rows(data / INPUTS[0]):
        text = html.unescape(row["text"])
        found.append(Doc(text, f"davidson {row['label']}", float(row["toxic"]), None, fold_of(text)))
    return found


def comments(data: Path) -> list[Doc]:
    """Return the Wikipedia talk comments."""
    return [
        Doc(row["text"], "wiki-talk", float(row["toxic"]), None, fold_of(row["text"])) for row in rows(data / INPUTS[1])
    ]


def benign(data: Path) -> list[Doc]:
    """Return English pages, speeches and encyclopaedia paragraphs: hate 0, for want of labels."""
    found = []
    for row in rows(data / INPUTS[2]):
        text = row.get("text") or ""
        if str(row.get("lang") or "en")[:2] == "en" and _english(text):
            found.append(Doc(text, "web pages", 0.0, 0.0, fold_of(text)))
    for name in INPUTS[3:5]:
        found += [Doc(row["text"], Path(name).name, 0.0, 0.0, fold_of(row["text"])) for row in rows(data / name)]
    with gzip.open(data / INPUTS[5], "rt", encoding="utf-8") as lines:
        for line in lines:
            text = line.replace(" @-@ ", "-").replace(" @,@ ", ",").replace(" @.@ ", ".").strip()
            if len(text) > 200:
                found.append(Doc(text, "wikitext2", 0.0, 0.0, fold_of(text)))
    return found


def _english(text: str) -> bool:
    words = text.lower().split()
    return len(words) >= 40 and sum(word in ("the", "of", "and", "to", "a", "in") for word in words) > 0.1 * len(words)


def authored(seed: int = 0) -> list[Doc]:
    """Return our own sentences: each template filled, with groups drawn alike for hate and for what is none."""
    slots = _slots()
    random_of = random.Random(seed)
    found: dict[str, Doc] = {}
    for hate, nsfw, category, template in own_lines("authored.tsv"):
        n = N_FILLS if "{" in template else 1
        for _ in range(n):
            text = fill(template, slots, random_of)
            weight = (N_FILLS / n) ** 0.5
            found.setdefault(text, Doc(text, f"own {category}", float(hate), float(nsfw), -1, weight))
    return list(found.values())


def fill(template: str, slots: Mapping[str, list[str]], random_of: random.Random) -> str:
    """Return the template with each slot drawn; now and then as people write who do not care, or want to hide it."""

    def draw(match: re.Match[str]) -> str:
        return random_of.choice(slots[match[1]])

    text = re.sub(r"\{(\w+)\}", draw, template).replace(",,", ",")
    text = re.sub(r"\ba (?=[aeiouAEIOU])", "an ", text).replace("beated", "beaten").replace("shooted", "shot")
    text = text.replace("hanged", "hung") if random_of.random() < 0.5 else text
    chance = random_of.random()
    if chance < 0.2:
        text = text.lower()
    elif chance < 0.3:
        text = text.lower().rstrip(".!")
    elif chance < 0.34:
        text = text.upper()
    else:
        text = text[:1].upper() + text[1:]
    return text


def _slots() -> dict[str, list[str]]:
    found = {}
    for name, words in own_lines("slots.tsv"):
        found[name] = [word.strip().replace("\\,", ",") for word in re.split(r"(?<!\\),", words)]
    return found
