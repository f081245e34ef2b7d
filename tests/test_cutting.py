"""Mirrors curate/cutting.py: no file is larger than asked, no doc is lost, and the bytes are always the same."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.cutting import Rows, cut_docs
from curate.dataset import DocsWriter
from tests.helpers import batch_of
from tests.runs import sentences

Form = Literal["parquet", "jsonl"]
FORMS = pytest.mark.parametrize("form", ["parquet", "jsonl"])


def docs_file(path: Path, texts: list[str | None]) -> Path:
    docs = batch_of(
        doc_id=[f"{n:032x}" for n in range(len(texts))],
        fetched_at=[None if n % 3 else n for n in range(len(texts))],
        text=texts,
        n_words=list(range(len(texts))),
    )
    writer = DocsWriter(path)
    writer.add(docs)
    writer.close(docs.schema)
    return path


def place_in(folder: Path) -> Callable[[int], Path]:
    folder.mkdir(exist_ok=True)
    return lambda number: folder / f"{number:05d}"


def texts_of(file: Path, form: Form) -> list[str | None]:
    if form == "parquet":
        return list(pq.read_table(file)["text"].to_pylist())
    frame = zstandard.ZstdDecompressor().decompressobj()
    lines = frame.decompress(file.read_bytes()).decode().split("\n")
    assert frame.eof
    assert not frame.unused_data, "more than one frame"
    assert lines.pop() == ""
    return [json.loads(line)["text"] for line in lines]


def check(source: Path, texts: list[str | None], form: Form, max_file_bytes: int, folder: Path) -> list[Rows]:
    """Cut a file; check rows, sizes and contents; return the rows of the files."""
    rows = cut_docs(source, form, max_file_bytes, place_in(folder))
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"{n:05d}" for n in range(len(rows))]
    assert [row.start for row in rows] == [0, *(row.end for row in rows[:-1])]
    assert rows[-1].end == len(texts)
    for file, row in zip(files, rows, strict=True):
        assert file.stat().st_size <= max_file_bytes or row.end - row.start <= 1
        assert texts_of(file, form) == texts[row.start : row.end]
    return rows


@FORMS
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.none() | st.integers(0, 9000), max_size=30), max_file_bytes=st.integers(1, 40_000), data=st.data()
)
def test_any_docs_in_files_of_any_size(
    tmp_path: Path, form: Form, sizes: list[int | None], max_file_bytes: int, data: st.DataObject
) -> None:
    draw = random.Random(len(sizes))
    letters = "ab" if data.draw(st.booleans()) else "".join(map(chr, range(0x4E00, 0x9000)))
    texts = [None if n is None else "".join(draw.choices(letters, k=n // len(letters[0].encode()))) for n in sizes]
    folder = tmp_path / hashlib.sha256(repr((texts, max_file_bytes)).encode()).hexdigest()
    source = docs_file(tmp_path / f"{folder.name}.parquet", texts)
    if not folder.exists():
        check(source, texts, form, max_file_bytes, folder)


@FORMS
def test_files_are_well_filled_and_the_same_again(tmp_path: Path, form: Form) -> None:
    texts: list[str | None] = [sentences(n, 60 + n % 200) for n in range(3000)]
    source = docs_file(tmp_path / "docs.parquet", texts)
    bound = 150_000
    rows = check(source, texts, form, bound, tmp_path / "once")
    assert len(rows) > 3
    sizes = [file.stat().st_size for file in sorted((tmp_path / "once").iterdir())]
    assert min(sizes[:-1]) > bound * (0.95 if form == "jsonl" else 0.5)
    check(source, texts, form, bound, tmp_path / "again")
    for file in (tmp_path / "once").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


@FORMS
def test_docs_that_fit_into_one_file_make_one(tmp_path: Path, form: Form) -> None:
    texts: list[str | None] = ["a", None, ""]
    source = docs_file(tmp_path / "docs.parquet", texts)
    assert check(source, texts, form, 1 << 40, tmp_path / "out") == [(0, 3)]


@FORMS
def test_a_source_without_docs_gives_one_file_without_docs(tmp_path: Path, form: Form) -> None:
    source = docs_file(tmp_path / "docs.parquet", [])
    assert check(source, [], form, 10, tmp_path / "out") == [(0, 0)]


@FORMS
def test_a_doc_larger_than_a_file_stands_alone(tmp_path: Path, form: Form) -> None:
    draw = random.Random(5)
    large = "".join(map(chr, draw.choices(range(0x4E00, 0x9000), k=30_000)))
    texts: list[str | None] = ["small", large, "small", "small"]
    source = docs_file(tmp_path / "docs.parquet", texts)
    assert check(source, texts, form, 20_000, tmp_path / "out") == [(0, 1), (1, 2), (2, 4)]


def test_columns_and_types_stay(tmp_path: Path) -> None:
    source = docs_file(tmp_path / "docs.parquet", ["x" * 500, "y" * 500])
    cut_docs(source, "parquet", 1, place_in(tmp_path / "out"))
    tables = [pq.read_table(file) for file in sorted((tmp_path / "out").iterdir())]
    assert len(tables) == 2
    assert pa.concat_tables(tables).equals(pq.read_table(source))
