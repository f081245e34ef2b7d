"""What every source must keep: all bytes or rows accounted for, cuts that lose nothing, damage that is counted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.schema import DOC_FIELDS
from curate.sources import KINDS, sniff, source_of
from tests.runs import sentences
from tests.sources.build import (
    PAGE,
    arc_file_record,
    arc_record,
    http_response,
    members,
    packed,
    page,
    read,
    record,
    whole,
)

N_DOCS = 30


def _jsonl() -> bytes:
    return b"".join(json.dumps({"text": sentences(n), "id": n}).encode() + b"\n" for n in range(N_DOCS))


def _parquet() -> bytes:
    table = pa.table({"text": [sentences(n) for n in range(N_DOCS)]}, pa.schema([("text", pa.string())]))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=7)
    return bytes(sink.getvalue())


def _arrow(make: Callable[..., Any]) -> bytes:
    table = pa.table({"text": [sentences(n) for n in range(N_DOCS)]}, pa.schema([("text", pa.string())]))
    sink = pa.BufferOutputStream()
    with make(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return bytes(sink.getvalue())


def _csv() -> bytes:
    rows = (f'{n},"{sentences(n)}\nand more"\n' for n in range(N_DOCS))
    return ("id,text\n" + "".join(rows)).encode()


def _arc_page(number: int) -> bytes:
    return arc_record(http_response(PAGE.format(sentences(number))), url=f"https://example.org/{number}")


def _conversion(number: int) -> bytes:
    url = f"https://example.org/{number}"
    return record(sentences(number).encode(), kind="conversion", content_type="text/plain", url=url)


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "warc": ("a.warc", lambda: packed((page(n) for n in range(N_DOCS)), "plain")),
    "warc, members": ("a.warc.gz", lambda: packed((page(n) for n in range(N_DOCS)), "members")),
    "warc, one member": ("a.warc.gz", lambda: packed((page(n) for n in range(N_DOCS)), "one member")),
    "jsonl": ("a.jsonl", _jsonl),
    "jsonl, gzip": ("a.jsonl.gz", lambda: gzip.compress(_jsonl(), mtime=0)),
    "parquet": ("a.parquet", _parquet),
    "arrow": ("a.arrow", lambda: _arrow(pa.ipc.new_file)),
    "arrow, stream": ("a.arrow", lambda: _arrow(pa.ipc.new_stream)),
    "csv": ("a.csv", _csv),
    "csv, gzip": ("a.csv.gz", lambda: gzip.compress(_csv(), mtime=0)),
    "html": ("a.html", lambda: PAGE.format(sentences(1, 5000)).encode()),
    "html, gzip": ("a.html.gz", lambda: gzip.compress(PAGE.format(sentences(1, 5000)).encode(), mtime=0)),
    "arc": ("a.arc", lambda: arc_file_record() + b"".join(map(_arc_page, range(N_DOCS)))),
    "arc, members": ("a.arc.gz", lambda: members([arc_file_record(), *map(_arc_page, range(N_DOCS))])),
    "wet": ("a.warc.wet", lambda: b"".join(map(_conversion, range(N_DOCS)))),
    "wet, members": ("a.warc.wet.gz", lambda: members(map(_conversion, range(N_DOCS)))),
}
ONE_DOC = ("html", "html, gzip")
EVERY = pytest.mark.parametrize("form", FILES)


def _written(form: str, folder: Path, data: bytes | None = None) -> Path:
    name, make = FILES[form]
    (folder / name).write_bytes(make() if data is None else data)
    return folder / name


def test_every_kind_of_source_is_swept() -> None:
    assert {form.partition(",")[0] for form in FILES} == set(KINDS)


@EVERY
def test_a_healthy_file_gives_every_doc_once_with_the_columns_all_docs_have(form: str, tmp_path: Path) -> None:
    path = _written(form, tmp_path)
    kind = sniff(str(path))
    assert kind == form.partition(",")[0]
    piece = replace(whole(path, kind), end=source_of(kind).cut(str(path), path.stat().st_size, 1 << 40)[-1][1])
    table, tally = read(piece)
    assert table.num_rows == (1 if form in ONE_DOC else N_DOCS)
    assert tally.bytes_bad == 0
    assert not tally.bad_spans
    assert list(table.schema)[: len(DOC_FIELDS)] == list(DOC_FIELDS)
    assert read(piece)[0].equals(table)


@EVERY
@pytest.mark.parametrize("shard_bytes", [1, 1000, 5000, 1 << 30])
def test_pieces_cover_a_file_and_give_the_same_docs(form: str, shard_bytes: int, tmp_path: Path) -> None:
    path = _written(form, tmp_path)
    kind = sniff(str(path))
    pieces = source_of(kind).cut(str(path), path.stat().st_size, shard_bytes)
    assert pieces[0][0] == 0
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in pairwise(pieces))
    tables = [read(replace(whole(path, kind), start=start, end=end))[0] for start, end in pieces]
    at_once = read(replace(whole(path, kind), start=0, end=pieces[-1][1]))[0]
    assert pa.concat_tables(tables).to_pylist() == at_once.to_pylist()


@EVERY
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), junk=st.binary(max_size=40), cut=st.booleans())
def test_damage_anywhere_is_counted_and_never_raised_on(
    form: str, tmp_path: Path, at: float, junk: bytes, cut: bool
) -> None:
    """`read` checks that the bytes add up and that bad spans are bytes_bad."""
    data = FILES[form][1]()
    place = int(at * len(data))
    damaged = data[:place] + junk + (b"" if cut else data[place + len(junk) :])
    if not damaged:
        return
    path = _written(form, tmp_path, damaged)
    kind, pieces = "", ()
    with suppress(InputError):  # refused as a whole: no longer a file of any kind
        kind = sniff(str(path))
        source_of(kind).schema_of(whole(path, kind))
        pieces = tuple(source_of(kind).cut(str(path), path.stat().st_size, 1 << 30))
    for start, end in pieces:
        table, _ = read(replace(whole(path, kind), start=start, end=end))
        assert table.num_rows <= N_DOCS + 1
