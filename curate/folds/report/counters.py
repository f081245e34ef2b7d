"""From a batch of docs, kept or lost, to sums per axis, key and step: the rows the report is made of."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.folds.report.declared import consent_axes
from curate.folds.report.words import n_words
from curate.sites import host_of, public_suffix, site_of

MAX_KEY_CHARS = 200  # of a language, source, step or reason; longer ones are cut, hosts never are
MEASURES = ("docs", "tokens", "words", "chars", "bytes")
SCHEMA = pa.schema(
    [
        ("part", pa.int32()),
        ("axis", pa.string()),
        ("key", pa.string()),  # "" where the doc has none
        ("step", pa.string()),  # "" for kept docs, else where the doc was lost
        *((name, pa.int64()) for name in MEASURES),
    ]
)
TAG_SUFFIX = "_reason"  # of the columns that `mode: tag` writes
TAG_AXIS = "tag "  # before the step's id: one axis per tagging step, its keys the reasons
_POWERS = 2 ** np.arange(63, dtype=np.int64)


def count(batch: pa.RecordBatch, n_parts: int) -> pa.Table:
    """Return rows of SCHEMA: the batch's docs summed per (axis, key, step), each key in one fixed part.

    Axes: outcome, unit (how a kept doc was measured), reason, site, host, suffix, tld, language, source,
    chars and units (lengths in powers of two), what pages declare (robots, tdm_reservation, license), and one per
    step that tags. A doc whose key is null is not
    counted on that axis.
    """
    step = pc.utf8_slice_codeunits(_strings(batch, "step"), 0, MAX_KEY_CHARS)
    kept = pc.is_null(step)
    sums = _measures(batch, kept)
    axes = _axes(batch, kept, sums)
    long = pa.table(
        {
            "axis": pa.array(np.repeat(list(axes), batch.num_rows), pa.string()),
            "key": pa.concat_arrays(list(axes.values())),
            "step": pa.concat_arrays([pc.fill_null(step, "")] * len(axes)),
            **{name: pa.concat_arrays([pc.fill_null(sums[name], 0)] * len(axes)) for name in MEASURES},
        }
    )
    table = add_up(long.filter(pc.is_valid(long["key"])))
    parts = [
        _route(axis, key) % n_parts for axis, key in zip(*(table[c].to_pylist() for c in ("axis", "key")), strict=True)
    ]
    return table.add_column(0, SCHEMA.field("part"), pa.array(parts, pa.int32()))


def add_up(table: pa.Table) -> pa.Table:
    """Return one row per (axis, key, step) with the sums of the measures, in order of first appearance."""
    grouped = table.group_by(["axis", "key", "step"], use_threads=False).aggregate([(name, "sum") for name in MEASURES])
    return grouped.select(["axis", "key", "step", *(f"{name}_sum" for name in MEASURES)]).rename_columns(
        ["axis", "key", "step", *MEASURES]
    )


def _strings(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.string())
    return pc.cast(batch[name], pa.string())


def _integers(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.int64())
    return pc.cast(batch[name], pa.int64())


def _measures(batch: pa.RecordBatch, kept: pa.Array) -> dict[str, pa.Array]:
    """Return int64[n] per measure, null where unknown: the ledger has lengths but no text and no tokens."""
    text, tokens = _strings(batch, "text"), _integers(batch, "n_tokens")
    uncounted = pc.if_else(pc.and_(kept, pc.is_null(tokens)), text, pa.scalar(None, pa.string()))
    return {
        "docs": pa.array(np.ones(batch.num_rows, dtype=np.int64)),
        "tokens": tokens,
        "words": pa.array([None if each is None else n_words(each) for each in uncounted.to_pylist()], pa.int64()),
        "chars": pc.coalesce(pc.cast(pc.utf8_length(text), pa.int64()), _integers(batch, "n_chars")),
        "bytes": pc.coalesce(pc.cast(pc.binary_length(text), pa.int64()), _integers(batch, "text_bytes")),
    }


def _axes(batch: pa.RecordBatch, kept: pa.Array, sums: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Return string[n] per axis: the doc's key, "" where it has none, null where it does not count."""
    hosts = [host_of(url) for url in _strings(batch, "url").to_pylist()]
    reason = _strings(batch, "reason")
    outcome = pc.coalesce(_strings(batch, "outcome"), pc.if_else(pc.equal(reason, "error"), "quarantined", "dropped"))
    lost = pc.if_else(pc.equal(outcome, "quarantined"), "quarantined", "dropped")
    has_tokens, has_words = pc.is_valid(sums["tokens"]), pc.is_valid(sums["words"])
    unit = pc.if_else(has_tokens, "tokens", pc.if_else(has_words, "words", "none"))
    length = pc.binary_join_element_wise(unit, _size_class(pc.coalesce(sums["tokens"], sums["words"])), " ")
    nothing = pa.scalar(None, pa.string())
    return {
        "outcome": pc.if_else(kept, "kept", pc.fill_null(lost, "dropped")),
        "unit": pc.if_else(kept, unit, nothing),
        "reason": pc.if_else(kept, nothing, _short(reason)),
        "site": pa.array([site_of(host) if host else "" for host in hosts], pa.string()),
        "host": pa.array([host or "" for host in hosts], pa.string()),
        "suffix": pa.array([_suffix(host) for host in hosts], pa.string()),
        "tld": pa.array([_suffix(host).rpartition(".")[2] for host in hosts], pa.string()),
        "language": _short(_strings(batch, "language")),
        "source": _short(_strings(batch, "source")),
        "chars": _size_class(sums["chars"]),
        "units": pc.if_else(kept, length, nothing),
        **consent_axes(batch, kept),
        **{
            TAG_AXIS + name.removesuffix(TAG_SUFFIX): pc.if_else(kept, _strings(batch, name), nothing)
            for name in _tags(batch)
        },
    }


def _tags(batch: pa.RecordBatch) -> list[str]:
    """Return the columns that steps with `mode: tag` wrote; the ledger's own `reason` is none of them."""
    return [name for name in batch.schema.names if name.endswith(TAG_SUFFIX) and pa.types.is_string(batch[name].type)]


def _short(names: pa.Array) -> pa.Array:
    return pc.fill_null(pc.utf8_slice_codeunits(names, 0, MAX_KEY_CHARS), "")


def _suffix(host: str | None) -> str:
    if not host:
        return ""
    return public_suffix(host) or "[ip]"  # brackets: no host name can have them


def _size_class(lengths: pa.Array) -> pa.Array:
    """Return string[n]: the number of binary digits of a length, "00" for 0, "11" for 1,024–2,047; "" for null."""
    bits = np.searchsorted(_POWERS, pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False), side="right")
    digits = pc.utf8_lpad(pc.cast(pa.array(bits, pa.int64()), pa.string()), 2, "0")
    return pc.if_else(pc.is_valid(lengths), digits, "")


@lru_cache(maxsize=1 << 16)
def _route(axis: str, key: str) -> int:
    return int.from_bytes(blake2b(f"{axis}\0{key}".encode(), digest_size=8).digest(), "little")
