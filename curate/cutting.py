"""Docs cut into files of a bounded size; where a file ends depends on the docs alone, so they are always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa

from curate.dataset import as_json_line, docs_schema, parquet_writer, read_docs

Place = Callable[[int], Path]  # the number of a file → where to write it


class Rows(NamedTuple):
    """The rows [start, end) of a docs file that one of its pieces holds."""

    start: int
    end: int


def cut_docs(source: Path, form: Literal["parquet", "jsonl"], max_file_bytes: int, place: Place) -> list[Rows]:
    """Write the docs of a file as several files of up to `max_file_bytes` each; return the rows of each.

    A file is larger only if a single doc is. Docs keep their order; a source without docs gives one file without
    docs. Memory: a row group.
    """
    return (_cut_jsonl if form == "jsonl" else _cut_parquet)(source, max_file_bytes, place)


def _cut_parquet(source: Path, max_file_bytes: int, place: Place) -> list[Rows]:
    """Fill files with whole row groups; one that is too large for a file is halved until its halves fit.

    A file of several groups is never larger than files of one group each: every one of those has the schema too.
    """
    files: list[Rows] = []
    held: list[pa.Table] = []
    held_bytes = n_rows = 0

    def write() -> None:
        nonlocal held, held_bytes, n_rows
        with parquet_writer(str(place(len(files))), held[0].schema) as writer:
            for group in held:
                writer.write_table(group, row_group_size=max(1, group.num_rows))
        start = files[-1].end if files else 0
        files.append(Rows(start, start + n_rows))
        held, held_bytes, n_rows = [], 0, 0

    for group, n_bytes in _fitting_groups(source, max_file_bytes):
        if held and held_bytes + n_bytes > max_file_bytes:
            write()
        held.append(group)
        held_bytes += n_bytes
        n_rows += group.num_rows
    if not files and not held:
        held = [docs_schema(source).empty_table()]
    if held:
        write()
    return files


def _fitting_groups(source: Path, max_file_bytes: int) -> Iterator[tuple[pa.Table, int]]:
    """Yield the row groups of a file, cut where needed, with the bytes each takes in a file of its own."""
    for batch in read_docs(source):
        pending = [pa.Table.from_batches([batch])]
        while pending:
            group = pending.pop()
            sink = pa.BufferOutputStream()
            with parquet_writer(sink, group.schema) as writer:
                writer.write_table(group, row_group_size=group.num_rows)
            n_bytes = sink.getvalue().size
            if n_bytes <= max_file_bytes or group.num_rows == 1:
                yield group, n_bytes
            else:
                half = group.num_rows // 2
                pending += [group.slice(half).combine_chunks(), group.slice(0, half).combine_chunks()]


def _cut_jsonl(source: Path, max_file_bytes: int, place: Place) -> list[Rows]:
    files: list[Rows] = []
    out = _JsonlFile(place(0), max_file_bytes)
    for batch in read_docs(source):
        for row in batch.to_pylist():
            line = as_json_line(row)
            if not out.has_room(line):
                files.append(out.close(files))
                out = _JsonlFile(place(len(files)), max_file_bytes)
            out.add(line)
    return [*files, out.close(files)]


class _JsonlFile:
    """A JSONL file in one zstd frame: many readers stop, without a word, after the first.

    How far lines will be compressed is not known before; so they are taken for incompressible until the room is
    used up, then the stream is flushed, which tells how much is left. That happens a few times a file.
    """

    def __init__(self, path: Path, max_file_bytes: int) -> None:
        self.max_file_bytes = max_file_bytes
        self.n_rows = 0
        self._file = pa.OSFile(str(path), "wb")
        self._stream = pa.CompressedOutputStream(self._file, "zstd")
        self._n_pending = 0  # bytes of lines that may still be in the stream

    def has_room(self, line: bytes) -> bool:
        """Say whether the file stays in bounds with this line; an empty file has room for any."""
        if self.n_rows == 0 or self._fits(self._n_pending + len(line)):
            return True
        self._stream.flush()
        self._n_pending = 0
        return self._fits(len(line))

    def _fits(self, n_bytes: int) -> bool:
        # RFC 8878: a frame header of up to 18 bytes; a block that cannot be compressed takes 3 bytes more than its
        # content of up to 128 KiB; a last block and a checksum, 7 bytes. The rest is reserve.
        return bool(self._file.tell() + n_bytes + n_bytes // 1024 + 64 <= self.max_file_bytes)

    def add(self, line: bytes) -> None:
        self._stream.write(line)
        self._n_pending += len(line)
        self.n_rows += 1

    def close(self, before: list[Rows]) -> Rows:
        """Finish the file; return its rows, which follow those of the files `before` it."""
        self._stream.close()
        start = before[-1].end if before else 0
        return Rows(start, start + self.n_rows)
