"""Turns rows of files that have columns (Parquet, Arrow) into docs, whatever types their columns have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.schema import TEXT_SCHEMA, TRANSIENT
from curate.source import Slice, Tally, doc_id
from curate.sources.batches import MAX_BATCH_BYTES, MAX_BATCH_DOCS

_DOC_ID = "^[0-9a-f]{32}$"
_KEPT_WITH_DOC_ID = ("source", "warc_file", "offset_bytes")


def naming(schema: pa.Schema, piece: Slice) -> dict[str, str]:
    """Return file column → doc column. Raises InputError where two have one name or no column holds text."""
    names = list(schema.names)
    if len(set(names)) < len(names):
        raise InputError(f"{piece.path}: the file has two columns of one name: {listed(names)}")
    text, url = piece.text_column or "text", piece.url_column or "url"
    if text in names and not is_string(schema.field(text).type):
        raise InputError(
            f"{piece.path}: the column `{text}` should hold strings, and has the type "
            f"{str(schema.field(text).type)[:80]}; `text_column` names another"
        )
    if text not in names:
        raise InputError(
            f"{piece.path}: a file with columns needs a string column `{text}` (or another as `text_column`); "
            f"found: {listed(names)}"
        )
    if piece.url_column is not None and url not in names:
        raise InputError(f"{piece.path}: there is no column `{url}`; found: {listed(names)}")
    found = {name: name for name in names if name not in ("text", "url")}
    return {**found, **({url: "url"} if url in names else {}), text: "text"}


def listed(names: Sequence[str]) -> str:
    """Return column names for an error."""
    return ", ".join(name[:40] for name in names[:10]) + (f" … {len(names)} in all" if len(names) > 10 else "")


def doc_schema(schema: pa.Schema, piece: Slice) -> pa.Schema:
    """Return the schema of the docs: TEXT_SCHEMA and the file's further scalar columns. Raises InputError."""
    extra = []
    names = naming(schema, piece)
    for field in schema:
        name = names.get(field.name, "text")
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        known = name in TEXT_SCHEMA.names or name in TRANSIENT or name == "metadata"
        if not known and not pa.types.is_nested(kind) and not pa.types.is_null(kind):
            extra.append(pa.field(name, pa.string() if is_string(kind) else kind))
    return pa.schema([*TEXT_SCHEMA, *extra])


def wanted(schema: pa.Schema, piece: Slice) -> list[str]:
    """Return the columns of a file that `docs` reads."""
    made = {*doc_schema(schema, piece).names, "metadata"}
    return [name for name, doc_name in naming(schema, piece).items() if doc_name in made]


def is_string(kind: pa.DataType) -> bool:
    """Say whether a column holds text, in whatever layout."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def docs(batch: pa.RecordBatch, row: int, schema: pa.Schema, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Yield the docs in rows of a file, of which the first is number `row`, in batches of bounded size; count them."""
    names = naming(batch.schema, piece)
    batch = batch.select(list(names)).rename_columns(list(names.values()))
    for start in range(0, batch.num_rows, MAX_BATCH_DOCS):
        for part in _small(batch.slice(start, MAX_BATCH_DOCS)):
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
    for name in _KEPT_WITH_DOC_ID:
        columns[name] = pc.coalesce(
            pc.if_else(keeps, columns[name], pa.scalar(None, schema.field(name).type)), defaults[name]
        )
    has_text = columns["text"].is_valid()
    made = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema).filter(has_text)
    tally.records["doc"] += made.num_rows
    if made.num_rows < n:
        tally.records["no_text"] += n - made.num_rows
    if n_repaired := pc.sum(pc.and_(repaired, has_text)).as_py():
        tally.records["repaired_utf8"] += n_repaired
    if made.num_rows:
        yield made


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """Return a column as the schema wants it; nulls where the file has none that can be read so."""
    nothing = pa.nulls(batch.num_rows, field.type)
    if field.name not in batch.schema.names:
        metadata = batch["metadata"] if "metadata" in batch.schema.names else None
        if field.name != "url" or metadata is None or not pa.types.is_struct(metadata.type):
            return nothing
        inner = metadata.type.get_field_index("url")
        if inner < 0 or not is_string(metadata.type.field(inner).type):
            return nothing
        return pc.cast(pc.struct_field(metadata, "url"), field.type)
    column = batch[field.name]
    try:
        return cast("pa.Array", pc.cast(column, field.type, safe=not pa.types.is_timestamp(field.type)))
    except pa.ArrowException:
        return nothing


def _valid_utf8(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the column as UTF-8, and which rows had to be repaired. Neither format promises UTF-8."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        values = column.cast(pa.binary()).to_pylist()
        texts = [None if value is None else value.decode("utf-8", "replace") for value in values]
        bad = [text is not None and text.encode() != value for text, value in zip(texts, values, strict=True)]
        return pa.array(texts, pa.string()), pa.array(bad, pa.bool_())
    return column, pa.array([False] * len(column), pa.bool_())
