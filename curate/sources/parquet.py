"""Reads Parquet: one doc a row, with a `text` column; columns that are no document columns are kept as signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import InputError
from curate.schema import TEXT_SCHEMA
from curate.source import Slice, Tally
from curate.sources import columns
from curate.sources.batches import MAX_BATCH_DOCS
from curate.sources.files import open_input


class Parquet:
    """Parquet files, cut at row groups; `start` and `end` of a piece are row numbers, `offset_bytes` a row number.

    Rows are counted instead of bytes (compression mixes the bytes of rows): `doc`; `no_text` for a null text;
    `bad_row` for the rows of a row group that cannot be read, with a bad span of 0 bytes at its first row; checksums
    of pages are checked where the file has them. `repaired_utf8` says how many of the docs had strings that are no
    UTF-8. A doc with a 32-hex `doc_id` keeps it, and its source, WARC file, offset and date: documents of a run read
    again as they were. Columns of nested types are left out, but `metadata.url` is read. `text_column` and
    `url_column` of the source say what the two are called.
    """

    kind = "parquet"
    version = 2
    schema = TEXT_SCHEMA
    uses: tuple[str, ...] = ()

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`."""
        return head.startswith(b"PAR1")

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return runs of row groups that reach `shard_bytes` of the file. Raises InputError.

        A group's part of the file is taken to be its part of the uncompressed bytes: asking pyarrow for the sizes of
        single columns ends the whole process where a footer is damaged (pyarrow 26).
        """
        with _opened(path) as file:
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            inside = max(1, sum(max(0, group.total_byte_size) for group in groups))
            pieces, start, end, n_bytes = [], 0, 0, 0
            for group in groups:
                n_bytes += max(0, group.total_byte_size) * size_bytes // inside
                end += max(0, group.num_rows)
                if n_bytes >= shard_bytes and end > start:
                    pieces.append((start, end))
                    start, n_bytes = end, 0
            return [*pieces, (start, end)] if end > start or not pieces else pieces

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of the batches of a piece: TEXT_SCHEMA and the file's further scalar columns."""
        with _opened(piece) as file:
            return columns.doc_schema(file.schema_arrow, piece)

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one row group's pages and one batch."""
        with _opened(piece) as file:
            schema = columns.doc_schema(file.schema_arrow, piece)
            given = columns.wanted(file.schema_arrow, piece)
            row = 0
            for number in range(file.metadata.num_row_groups):
                n_rows = file.metadata.row_group(number).num_rows
                if piece.start <= row < piece.end:
                    yield from _group(file, number, row, given, schema, piece, tally)
                row += n_rows


@contextmanager
def _opened(where: str | Slice) -> Iterator[pq.ParquetFile]:
    path = where if isinstance(where, str) else where.path
    with open_input(where) as raw:
        try:
            file = pq.ParquetFile(raw, page_checksum_verification=True)
            _ = file.schema_arrow  # a damaged footer fails here, not later
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name that is no UTF-8
            raise InputError(f"{path}: not a readable Parquet file: {str(error)[:200]}") from error
        with file:
            yield file


def _group(
    file: pq.ParquetFile, number: int, row: int, given: list[str], schema: pa.Schema, piece: Slice, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Yield the docs of one row group, whose first row is number `row` of the file."""
    end = row + file.metadata.row_group(number).num_rows
    batches = file.iter_batches(MAX_BATCH_DOCS, row_groups=[number], columns=given, use_threads=False)
    while row < end:
        try:
            batch = next(batches)
        except (pa.ArrowException, OSError, StopIteration) as error:
            tally.records["bad_row"] += end - row
            tally.bad(row, 0, f"rows {row} to {end - 1} cannot be read: {str(error)[:200]}")
            return
        yield from columns.docs(batch, row, schema, piece, tally)
        row += batch.num_rows
