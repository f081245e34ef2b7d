"""Reads Parquet: one doc a row, with a `text` column; columns that are no document columns are kept as signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import InputError
from curate.schema import TEXT_SCHEMA, TRANSIENT
from curate.source import Slice, Tally, doc_id

MAX_BATCH_DOCS = 64
MAX_BATCH_BYTES = 16 << 20
_DOC_ID = "^[0-9a-f]{32}$"
_KEPT_WITH_DOC_ID = ("source", "warc_file", "offset_bytes", "fetched_at")


class Parquet:
    """Parquet files, cut at row groups; `start` and `end` of a piece are row numbers, `offset_bytes` a row number.

    Rows are counted instead of bytes (compression mixes the bytes of rows): `doc`; `no_text` for a null text;
    `bad_row` for the rows of a row group that cannot be read, with a bad span of 0 bytes at its first row.
    `repaired_utf8` says how many of the docs had strings that are no UTF-8. A doc with a 32-hex `doc_id` keeps
    it, and its source, WARC file, offset and date: documents of a run read again as they were. Columns of nested
    types are left out, but `metadata.url` is read.
    """

    kind = "parquet"
    version = 1
    schema = TEXT_SCHEMA
    uses: tuple[str, ...] = ()

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`."""
        return head.startswith(b"PAR1")

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return runs of row groups that reach `shard_bytes` of stored data. Raises InputError."""
        with _opened(path) as file:
            pieces, start, end, n_bytes = [], 0, 0, 0
            for number in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(number)
                n_bytes += sum(group.column(i).total_compressed_size for i in range(group.num_columns))
                end += group.num_rows
                if n_bytes >= shard_bytes:
                    pieces.append((start, end))
                    start, n_bytes = end, 0
            return [*pieces, (start, end)] if end > start or not pieces else pieces

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of the batches of a piece: TEXT_SCHEMA and the file's further scalar columns."""
        with _opened(piece.path) as file:
            return _schema_of(file.schema_arrow)

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one row group's pages and one batch."""
        with _opened(piece.path) as file:
            schema = _schema_of(file.schema_arrow)
            given = [name for name in file.schema_arrow.names if name in {*schema.names, "metadata"}]
            row = 0
            for number in range(file.metadata.num_row_groups):
                n_rows = file.metadata.row_group(number).num_rows
                if piece.start <= row < piece.end:
                    yield from _group(file, number, row, given, schema, piece, tally)
                row += n_rows


def _opened(path: str) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file: {str(error)[:200]}") from error
    if len(set(file.schema_arrow.names)) < len(file.schema_arrow.names):
        raise InputError(f"{path}: a Parquet file has two columns of one name: {_listed(file.schema_arrow.names)}")
    if "text" not in file.schema_arrow.names or not _is_string(file.schema_arrow.field("text").type):
        raise InputError(
            f"{path}: a Parquet file needs a string column `text`; found: {_listed(file.schema_arrow.names)}"
        )
    return file


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "")


def _schema_of(found: pa.Schema) -> pa.Schema:
    extra = []
    for field in found:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        known = field.name in TEXT_SCHEMA.names or field.name in TRANSIENT or field.name == "metadata"
        if not known and not pa.types.is_nested(kind) and not pa.types.is_null(kind):
            extra.append(pa.field(field.name, pa.string() if _is_string(kind) else kind))
    return pa.schema([*TEXT_SCHEMA, *extra])


def _is_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


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
        for part in _small(batch):
            yield from _docs(part, row, schema, piece, tally)
            row += part.num_rows


def _small(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Halve a batch until it holds MAX_BATCH_BYTES or one doc."""
    if batch.num_rows <= 1 or batch.get_total_buffer_size() <= MAX_BATCH_BYTES or batch.nbytes <= MAX_BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _small(batch.slice(0, half))
    yield from _small(batch.slice(half))


def _docs(batch: pa.RecordBatch, row: int, schema: pa.Schema, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
    n = batch.num_rows
    columns: dict[str, pa.Array] = {}
    repaired = pa.array([False] * n, pa.bool_())
    for field in schema:
        column = _column(batch, field)
        if pa.types.is_string(field.type):
            column, bad = _valid_utf8(column)
            repaired = pc.or_(repaired, bad)
        columns[field.name] = column
    rows = pa.array(range(row, row + n), pa.int64())
    keeps = pc.fill_null(pc.match_substring_regex(columns["doc_id"], _DOC_ID), False)
    own = pa.array([doc_id(piece.name, at) for at in range(row, row + n)], pa.string())
    columns["doc_id"] = pc.if_else(keeps, columns["doc_id"], own)
    defaults = {"source": piece.source, "warc_file": piece.name, "offset_bytes": rows}
    for name in _KEPT_WITH_DOC_ID[:3]:
        columns[name] = pc.coalesce(
            pc.if_else(keeps, columns[name], pa.scalar(None, schema.field(name).type)), defaults[name]
        )
    has_text = columns["text"].is_valid()
    docs = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema).filter(has_text)
    tally.records["doc"] += docs.num_rows
    if docs.num_rows < n:
        tally.records["no_text"] += n - docs.num_rows
    if n_repaired := pc.sum(pc.and_(repaired, has_text)).as_py():
        tally.records["repaired_utf8"] += n_repaired
    if docs.num_rows:
        yield docs


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """Return a column as the schema wants it; nulls where the file has none that can be read so."""
    nothing = pa.nulls(batch.num_rows, field.type)
    if field.name not in batch.schema.names:
        metadata = batch["metadata"] if "metadata" in batch.schema.names else None
        if field.name != "url" or metadata is None or not pa.types.is_struct(metadata.type):
            return nothing
        inner = metadata.type.get_field_index("url")
        if inner < 0 or not _is_string(metadata.type.field(inner).type):
            return nothing
        return pc.cast(pc.struct_field(metadata, "url"), field.type)
    column = batch[field.name]
    try:
        return cast("pa.Array", pc.cast(column, field.type, safe=not pa.types.is_timestamp(field.type)))
    except pa.ArrowException:
        return nothing


def _valid_utf8(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the column as UTF-8, and which rows had to be repaired. Parquet files do not promise UTF-8."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        values = column.cast(pa.binary()).to_pylist()
        texts = [None if value is None else value.decode("utf-8", "replace") for value in values]
        bad = [text is not None and text.encode() != value for text, value in zip(texts, values, strict=True)]
        return pa.array(texts, pa.string()), pa.array(bad, pa.bool_())
    return column, pa.array([False] * len(column), pa.bool_())
