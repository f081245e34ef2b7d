"""What `finish` does: buckets of all parts become clusters, clusters become verdicts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import AccountingError
from curate.fold import write_verdicts
from curate.folds.dedup.candidates import BUCKETS_FILE, DOCS, DOCS_FILE, SHINGLES_FILE, batches_of
from curate.folds.dedup.rows import I64, U64, shards_and_rows
from curate.folds.dedup.unions import alike, find, roots, unite, unite_buckets

U32 = npt.NDArray[np.uint32]

MERGE_DOCS = 1 << 22  # doc numbers gathered before they are made distinct: 32 MiB
MAX_LEADERS = 16  # of a bucket: a doc is compared with that many docs at most, so a bucket costs linear time


CANDIDATES = DOCS.append(pa.field("part", pa.int64()))


class Candidates(NamedTuple):
    """The n docs that share a bucket with another, best first: index 0 is the one to keep before all others."""

    doc: U64  # [n] numbers
    doc_id: pa.ChunkedArray  # [n]
    part: I64  # [n] whose shingle file holds the doc's shingles
    start: I64  # [n] in that file
    n_shingles: I64  # [n]


def write_clusters(
    parts: Sequence[Path], out: Path, reason: str, keep: Literal["longest", "first"], min_jaccard: float | None
) -> None:
    """Write a verdict for each doc of a cluster of two or more; the kept doc's drop_reason is null.

    Memory grows with the docs that share a bucket (some 280 bytes each, measured), not with the corpus.
    Raises AccountingError if the files of the parts do not belong together.
    """
    candidates = _candidates(parts, keep)
    parent = np.arange(len(candidates.doc), dtype=np.int64)
    buckets = _buckets(parts, candidates.doc)
    if min_jaccard is None:
        for members, offsets in buckets:
            unite_buckets(parent, members, offsets)
    else:
        _unite_verified(parts, buckets, candidates, parent, min_jaccard)
    keeper = roots(parent)
    size = np.bincount(keeper, minlength=len(parent))[keeper]
    clustered = np.flatnonzero(size >= 2)
    keeper, size = keeper[clustered], size[clustered]
    shards, rows = shards_and_rows(candidates.doc[clustered])
    reasons = pc.if_else(pa.array(keeper == clustered, pa.bool_()), pa.scalar(None, pa.string()), reason)
    verdicts = {
        "shard": pa.array(shards, pa.int32()),
        "row": pa.array(rows, pa.int64()),
        "drop_reason": reasons,
        "cluster_id": candidates.doc_id.take(pa.array(keeper, pa.int64())),
        "cluster_size": pa.array(size, pa.int32()),
    }
    write_verdicts(out, pa.table(verdicts))


def _candidates(parts: Sequence[Path], keep: Literal["longest", "first"]) -> Candidates:
    in_buckets = _bucket_docs(parts)
    tables = [CANDIDATES.empty_table()]
    for number, part in enumerate(parts):
        for batch in batches_of(part, DOCS_FILE):
            docs: U64 = batch["doc"].to_numpy()
            at = np.minimum(np.searchsorted(in_buckets, docs), max(0, len(in_buckets) - 1))
            known = in_buckets[at] == docs if len(in_buckets) else np.zeros(len(docs), bool)
            chosen = batch.filter(pa.array(known, pa.bool_()))
            numbers = pa.array(np.full(chosen.num_rows, number), pa.int64())
            tables.append(pa.Table.from_arrays([*chosen.columns, numbers], schema=CANDIDATES))
    table = pa.concat_tables(tables)
    if table.num_rows != len(in_buckets):
        raise AccountingError(f"dedup: {len(in_buckets)} docs stand in buckets, but {table.num_rows} of them are known")
    by = [("doc", "ascending")]
    if keep == "longest":
        by = [("n_chars", "descending"), ("doc_id", "ascending"), *by]
    table = table.sort_by(by).combine_chunks()
    place = [pc.fill_null(table[name], 0).to_numpy().astype(np.int64) for name in ("part", "start", "n_shingles")]
    return Candidates(table["doc"].to_numpy(), table["doc_id"], *place)


def _bucket_docs(parts: Sequence[Path]) -> U64:
    """Return the numbers of all docs in buckets, sorted and distinct."""
    held: list[U64] = [np.empty(0, np.uint64)]
    n_pending = 0
    for part in parts:
        for batch in batches_of(part, BUCKETS_FILE):
            held.append(batch["docs"].flatten().to_numpy())
            n_pending += len(held[-1])
            if n_pending >= max(MERGE_DOCS, len(held[0])):  # each merge doubles what is known: n log n in all
                held, n_pending = [np.unique(np.concatenate(held))], 0
    return np.unique(np.concatenate(held))


def _buckets(parts: Sequence[Path], docs: U64) -> Iterator[tuple[I64, I64]]:
    """Yield (members, offsets) of the buckets in key order; members are indices into `docs`."""
    by_number = np.argsort(docs)
    numbers = docs[by_number]
    for part in parts:
        for batch in batches_of(part, BUCKETS_FILE):
            lengths = batch["docs"].value_lengths().to_numpy()
            members = by_number[np.searchsorted(numbers, batch["docs"].flatten().to_numpy())]
            yield members, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _unite_verified(
    parts: Sequence[Path],
    buckets: Iterator[tuple[I64, I64]],
    candidates: Candidates,
    parent: I64,
    min_jaccard: float,
) -> None:
    """Join only pairs that are alike. In a bucket, best doc first, each doc is held against the leaders: docs
    that joined no one before them. What is joined depends on the docs alone, not on the order they came in.
    """
    files = [_shingles(part / SHINGLES_FILE) for part in parts]

    def shingles(doc: int) -> U32:
        start = candidates.start[doc]
        held: U32 = files[candidates.part[doc]][start : start + candidates.n_shingles[doc]]
        return held

    for members, offsets in buckets:
        for start, end in itertools.pairwise(offsets.tolist()):
            leaders: list[int] = []
            for doc in np.sort(members[start:end]).tolist():
                joined = False
                for leader in leaders:
                    if find(parent, doc) == find(parent, leader):
                        joined = True
                    elif alike(shingles(doc), shingles(leader), min_jaccard):
                        unite(parent, doc, leader)
                        joined = True
                if not joined and len(leaders) < MAX_LEADERS:
                    leaders.append(doc)


def _shingles(file: Path) -> U32:
    """Map a shingle file into memory: pages are read when a pair needs them, and can be given back."""
    if file.stat().st_size == 0:
        return np.empty(0, np.uint32)
    mapped: U32 = np.asarray(np.memmap(file, np.uint32, mode="r"))
    return mapped
