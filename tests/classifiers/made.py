"""Two kinds of made-up text that a classifier can tell apart, as JSONL files."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

_GOOD = "treaty signed after long talks between sides water boils engine turns heat into motion because the"
_BAD = "buy cheap pills click here free shipping login register cart checkout win money fast casino bonus the"
GOOD, BAD = _GOOD.split(), _BAD.split()


def texts(words: Sequence[str], n: int, seed: int = 0) -> list[str]:
    """Return n different texts of such words; one in eight words is of the other kind."""
    draw = random.Random(f"{seed} {words[0]}")
    both = [*GOOD, *BAD]
    return [f"{' '.join(draw.choice(words if draw.random() < 0.75 else both) for _ in range(30))}" for _ in range(n)]


def write(path: Path, rows: Sequence[str], urls: Sequence[str] | None = None) -> Path:
    """Write texts, with URLs where given."""
    docs = [{"text": text, **({"url": urls[i]} if urls else {})} for i, text in enumerate(rows)]
    path.write_text("".join(json.dumps(doc) + "\n" for doc in docs), encoding="utf-8")
    return path
