"""Texts of very different quality, and a run in which every rule only tags."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from curate import api
from tests.runs import recipe_file, sentences

GERMAN = ["dies", "ist", "ein", "deutscher", "Satz", "über", "das", "Wetter", "im", "Herbst"]
TAGGING: list[Any] = [
    {"language": {"mode": "tag", "keep": ["en"], "min_score": 0.3}},
    {"quality": {"rules": "gopher_repetition", "id": "repetition", "mode": "tag"}},
    {"quality": {"rules": "gopher", "mode": "tag"}},
]


def dropping(steps: list[Any]) -> list[Any]:
    """Return the same steps, dropping instead of tagging."""
    return [{name: {k: v for k, v in given.items() if k != "mode"}} for step in steps for name, given in step.items()]


def write_texts(folder: Path, n_docs: int = 240) -> list[Path]:
    """Write three JSONL files of texts: long and short, repetitive, in other languages, full of signs, empty."""
    draw = random.Random(5)
    kinds = [
        lambda n: sentences(n, draw.randrange(20, 200)),
        lambda n: "\n".join([sentences(n, 12)] * draw.randrange(1, 6) + [sentences(n + 1, 40)]),
        lambda n: " ".join(GERMAN[: draw.randrange(3, 10)] * 9),
        lambda n: "# " * draw.randrange(60) + sentences(n, 90),
        lambda n: "",
        lambda n: "\n".join(f"- {sentences(n * 7 + k, 6)}" for k in range(draw.randrange(2, 20))),
    ]
    files = [folder / f"texts-{k}.jsonl" for k in range(3)]
    folder.mkdir(parents=True, exist_ok=True)
    for k, file in enumerate(files):
        rows = [
            {"text": kinds[n % len(kinds)](n), "url": f"https://www.site{n % 11}.co.uk/{n}"}
            for n in range(k, n_docs, len(files))
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return files


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Return a finished run whose steps all tag, and its inputs."""
    folder = tmp_path_factory.mktemp("retune")
    files = write_texts(folder / "in")
    api.run(recipe_file(folder, *TAGGING), files, folder / "run", workers=1, shard_bytes=20_000)
    return folder / "run", files
