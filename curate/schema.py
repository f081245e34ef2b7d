"""Columns every doc has, and those that exist only for part of a run."""

from __future__ import annotations

import pyarrow as pa

from curate.errors import InputError

DOC_ID = pa.field("doc_id", pa.string())  # 32 hex digits, see `curate.source.doc_id`
TEXT = pa.field("text", pa.string())

# Written by every source, in this order.
DOC_FIELDS = (
    DOC_ID,
    pa.field("url", pa.string()),  # null where the input has none
    pa.field("source", pa.string()),  # the recipe's source name
    pa.field("warc_file", pa.string()),  # input name: path relative to the inputs' common root
    pa.field("offset_bytes", pa.int64()),  # of the record in its file; row number for Parquet
    pa.field("fetched_at", pa.timestamp("s", tz="UTC")),
)
HTML_FIELDS = (
    pa.field("html", pa.binary()),  # HTTP payload, content codings undone, charset as sent
    pa.field("http_charset", pa.string()),  # of the Content-Type header; null where none
    pa.field("http_headers", pa.map_(pa.string(), pa.string())),  # those that speak of the page; names in lower case
)
TRUNCATED = pa.field("truncated", pa.string())  # why the crawler cut the payload: length, time …; null where it did not
FOREIGN_ID = pa.field("id", pa.string())  # the input's own id, if it had one

HTML_SCHEMA = pa.schema([*DOC_FIELDS, TRUNCATED, *HTML_FIELDS])
TEXT_SCHEMA = pa.schema([*DOC_FIELDS, FOREIGN_ID, TEXT])

# A verdict column of a fold: byte spans [start, end) that the runner cuts from the text.
SPANS = "drop_spans"
SPANS_TYPE = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))

# The runner drops these after their last reader; they never reach a file.
TRANSIENT = frozenset(field.name for field in HTML_FIELDS)

# First columns of a ledger row; the signals measured so far follow.
LEDGER_FIELDS = (
    DOC_ID,
    pa.field("url", pa.string()),
    pa.field("source", pa.string()),
    pa.field("warc_file", pa.string()),
    pa.field("offset_bytes", pa.int64()),
    pa.field("language", pa.string()),
    pa.field("n_chars", pa.int64()),  # of the text as it was when the doc left
    pa.field("text_bytes", pa.int64()),
    pa.field("outcome", pa.string()),  # "dropped" or "quarantined"
    pa.field("step", pa.string()),  # id of the step in the recipe
    pa.field("reason", pa.string()),  # one of the step's reasons; "error" in quarantine
    pa.field("detail", pa.string()),  # the exception of a quarantined doc
)


def schema_field(name: str) -> pa.Field | None:
    """Return the field of a column that sources give; None for one that steps write."""
    return {field.name: field for field in (*HTML_SCHEMA, *TEXT_SCHEMA)}.get(name)


def check_column(step: str, name: str) -> None:
    """Raise InputError unless a step may call its own column `name`: a plain word that no column of all docs has."""
    if not name.isidentifier():
        raise InputError(f"{step}: column {name!r} may have letters, digits and _ only")
    if schema_field(name) is not None or name in {field.name for field in LEDGER_FIELDS}:
        raise InputError(f"{step}: column {name!r} is what every doc has; call it something else")
