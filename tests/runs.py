"""Small crawls made in a test, runs of the command line on them, and what can be compared afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.sources.build import PAGE, http_response, members, record

ENGLISH = """the of and to in that is was for it with as his on be at by this had not are but from or have an they which
one you were all her she there would their we him been has when who will no more if out so up said what its
about than into them can only other time new some could these two may first then do any like my now over such"""


def sentences(number: int, n_words: int = 120) -> str:
    """Return English-looking text, the same for the same number."""
    draw = random.Random(number)
    known = ENGLISH.split()
    words = [draw.choice(known) for _ in range(n_words)]
    return " ".join(" ".join(words[i : i + 12]).capitalize() + "." for i in range(0, n_words, 12))


def crawl(folder: Path, *, n_files: int = 8, n_pages: int = 6, n_copies: int = 2) -> Path:
    """Write WARCs of `n_pages` pages; the first `n_copies` of each are pages of the file before. Return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in range(n_files):
        records = []
        for page in range(n_pages):
            number = (max(file, 1) - (page < n_copies)) * n_pages + page
            url = f"https://site{page % 3}.example.org/{file}/{page}"
            text = "</p><p>".join(sentences(number * 10 + k) for k in range(3))
            records.append(record(http_response(PAGE.format(text)), url=url))
        (folder / f"crawl-{file}.warc.gz").write_bytes(members(records))
    return folder


def recipe_file(folder: Path, *steps: Any, **keys: Any) -> Path:
    """Write a recipe (JSON is YAML) into a folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"name": "tested", "steps": list(steps), **keys}, indent=1))
    return path


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a `curate` process that tests what this process imports."""
    import curate

    package = Path(curate.__file__).resolve().parents[1]
    return {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", **extra}


def command(*words: Any) -> list[str]:
    return [sys.executable, "-m", "curate.cli", *map(str, words)]


def curate(
    *words: Any, timeout_s: float = 120, cwd: Path | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        command(*words), capture_output=True, text=True, timeout=240, env=environment(**extra), cwd=cwd, check=False
    )


def contents(out: Path, *names: str) -> dict[str, str]:
    """Return file → sha256 of everything that is shown in these folders of a run."""
    found = {}
    for name in names or ("documents", "ledger"):
        for file in sorted((out / name).rglob("*")):
            if file.is_file():
                found[str(file.relative_to(out))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def tree(out: Path) -> dict[str, tuple[int, int]]:
    """Return every path below `out` → (modification time in ns, bytes), to tell whether anything was touched."""
    return {str(p.relative_to(out)): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in sorted(out.rglob("*"))}


def documents(out: Path) -> pa.Table:
    """Return the documents of a run in shard order."""
    return pa.concat_tables([pq.read_table(f) for f in sorted((out / "documents").glob("*.parquet"))])


def ledger(out: Path) -> list[Mapping[str, Any]]:
    return [row for file in sorted((out / "ledger").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def receipts(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the receipts of all shards of all phases, phase by phase."""
    for file in sorted(out.glob("phases/*/receipts/*.json")):
        yield json.loads(file.read_text())


def said_in_one_line(result: subprocess.CompletedProcess[str], begins: str = "error: ") -> str:
    """Return the one line that a failed command says; progress lines before it are left out."""
    assert "Traceback" not in result.stderr, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith(begins)]
    assert len(lines) == 1, result.stderr
    return lines[0]


def children(pid: int) -> Sequence[int]:
    """Return the process ids of a process's children (Linux)."""
    return [int(child) for f in Path(f"/proc/{pid}/task").glob("*/children") for child in f.read_text().split()]
