"""Which tokens of a source stand in which training row: documents end to end, or fitted into rows whole.

A row is T + 1 tokens: inputs are all but the last, labels all but the first. `concat` cuts the stream every T tokens,
wherever a document stands. `best_fit` begins each row with an EOS and puts whole documents into it; only a document of
T tokens and more is cut, into rows of its own and a rest that is fitted like a document. No token is left out, none is
a label twice; what is left of a row is padding. OLMo-core packs so too, after "Fewer Truncations Improve Language
Modeling" (arXiv 2404.10830); nanochat crops what does not fit.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.shards import TokenStream
from train.errors import DataError

BUFFER_DOCS = 1 << 18  # fitted together: about 20 MB while the index is built
MAX_DOCS = 1 << 32  # of one source, since the index holds their numbers as u32

Indices = NDArray[np.int64]


class Segments(NamedTuple):
    """Parallel arrays, one entry per piece of a document or of the stream, in the order of rows and positions.

    The last `n_labels` of its tokens are labels that count; the token before those, if it has one, is input only.
    """

    row: Indices  # which of the rows asked for, counted from 0
    position: Indices  # in the row's T + 1 tokens
    first: Indices  # token of the stream
    n_tokens: Indices
    n_labels: Indices


class Rows(Protocol):
    """The rows of one source; every number is decided by the shards and `seq_len` alone."""

    def __len__(self) -> int: ...

    def segments(self, rows: Indices) -> Segments:
        """Return what stands in these rows; tokens that no segment covers are EOS, and no labels."""
        ...

    def count_labels(self, rows: Indices) -> int:
        """Return how many labels of these rows count."""
        ...

    def holding(self, first: int, n_tokens: int) -> Indices:
        """Return the rows with any of a document's tokens, given where it lies in the stream."""
        ...


def count_windows(n_tokens: int, seq_len: int) -> int:
    """Rows needed so that each of the n_tokens - 1 labels comes once."""
    return max(0, -(-(n_tokens - 1) // seq_len))


@dataclass(frozen=True)
class Concatenated:
    """Row w holds tokens w T … w T + T: neighbours share one token, and only the last row has fewer. No index."""

    n_tokens: int
    seq_len: int

    def __len__(self) -> int:
        return count_windows(self.n_tokens, self.seq_len)

    def segments(self, rows: Indices) -> Segments:
        """Return one segment per row."""
        first = rows * self.seq_len
        n_tokens = np.minimum(self.seq_len + 1, self.n_tokens - first)
        return Segments(np.arange(len(rows)), np.zeros(len(rows), np.int64), first, n_tokens, n_tokens - 1)

    def count_labels(self, rows: Indices) -> int:
        """Return how many labels of these rows count."""
        return int(np.minimum(self.seq_len, self.n_tokens - 1 - rows * self.seq_len).sum())

    def holding(self, first: int, n_tokens: int) -> Indices:
        """Return the rows with any of these tokens."""
        last = (first + n_tokens - 1) // self.seq_len
        return np.arange(max(0, (first - 1) // self.seq_len), min(last + 1, len(self)))


@dataclass(frozen=True)
class BestFit:
    """Rows of whole documents. Held in memory: 4 bytes a document, 4 a row, and 12 a document of T tokens or more.

    Rows come in two kinds, in this order: those that one piece of a long document fills, found by counting; and those
    that are packed, whose documents are listed. Documents are fitted in the order of the shards, BUFFER_DOCS at a
    time, largest first, each into the fullest row that has room (best fit decreasing).
    """

    stream: TokenStream
    seq_len: int
    long_docs: NDArray[np.uint32]  # documents of T tokens or more
    full_ends: Indices  # the rows that they fill, added up
    docs: NDArray[np.uint32]  # documents with tokens in packed rows, row after row
    ends: NDArray[np.uint32]  # where each packed row ends in `docs`

    @classmethod
    def of(cls, stream: TokenStream, seq_len: int) -> BestFit:
        """Fit the documents of a stream into rows. Raises DataError for 2^32 documents and more."""
        n_docs = int(stream.doc_starts[-1])
        if n_docs >= MAX_DOCS:
            raise DataError(f"packing best_fit takes fewer than {MAX_DOCS:,} documents per source, not {n_docs:,}")
        long_docs, n_full = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
        docs, counts = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
        for first in range(0, n_docs, BUFFER_DOCS):
            numbers = np.arange(first, min(first + BUFFER_DOCS, n_docs))
            n_tokens = stream.document_spans(numbers)[1]
            is_long = n_tokens >= seq_len
            long_docs.append(numbers[is_long].astype(np.uint32))
            n_full.append(n_tokens[is_long] // seq_len)
            rest, overlap = _rest(n_tokens, seq_len)
            loose = np.flatnonzero(rest)
            row_of = best_fit_decreasing((rest + overlap)[loose], seq_len)
            docs.append(numbers[loose[np.argsort(row_of, kind="stable")]].astype(np.uint32))
            counts.append(np.bincount(row_of).astype(np.uint32))
        ends = np.cumsum(np.concatenate(counts), dtype=np.uint32)
        full_ends = np.cumsum(np.concatenate(n_full), dtype=np.int64)
        return cls(stream, seq_len, np.concatenate(long_docs), full_ends, np.concatenate(docs), ends)

    @cached_property
    def n_full(self) -> int:
        """Rows that one piece of a document fills."""
        return int(self.full_ends[-1]) if len(self.full_ends) else 0

    def __len__(self) -> int:
        return self.n_full + len(self.ends)

    def segments(self, rows: Indices) -> Segments:
        """Return the pieces of documents in these rows."""
        is_full = rows < self.n_full
        full, packed = np.flatnonzero(is_full), np.flatnonzero(~is_full)
        if not len(packed):
            return Segments(full, *self._full(rows))
        if not len(full):
            return self._packed(rows - self.n_full)
        some, others = self._full(rows[full]), self._packed(rows[packed] - self.n_full)
        row = np.concatenate((full, packed[others.row]))
        order = np.argsort(row, kind="stable")
        joined = (np.concatenate(pair)[order] for pair in zip(some, others[1:], strict=True))
        return Segments(row[order], *joined)

    def _spans(self, docs: NDArray[np.uint32]) -> tuple[Indices, Indices]:
        """Return where a few documents lie, each in a shard of its own as likely as not."""
        found = np.array([self.stream.document_span(doc) for doc in docs.tolist()], np.int64)
        return found[:, 0], found[:, 1]

    def _full(self, rows: Indices) -> tuple[Indices, Indices, Indices, Indices]:
        """Return position, first, n_tokens and n_labels of rows that one piece fills."""
        which = np.searchsorted(self.full_ends, rows, side="right")
        doc_first, doc_tokens = self._spans(self.long_docs[which])
        piece = rows - (self.full_ends[which] - doc_tokens // self.seq_len)
        goes_on = (piece > 0).astype(np.int64)  # it begins with the token before instead of an EOS
        n_labels = np.full(len(rows), self.seq_len, np.int64)
        return 1 - goes_on, doc_first + piece * self.seq_len - goes_on, n_labels + goes_on, n_labels

    def _packed(self, rows: Indices) -> Segments:
        starts = np.where(rows > 0, self.ends[rows - 1], 0).astype(np.int64)
        n_pieces = self.ends[rows].astype(np.int64) - starts
        row = np.repeat(np.arange(len(rows)), n_pieces)
        before = np.cumsum(n_pieces) - n_pieces
        slot = np.arange(len(row)) + np.repeat(starts - before, n_pieces)
        doc_first, doc_tokens = self._spans(self.docs[slot])
        rest, overlap = _rest(doc_tokens, self.seq_len)
        size = rest + overlap
        passed = np.cumsum(size) - size
        position = 1 + passed - np.repeat(passed[before], n_pieces)
        return Segments(row, position, doc_first + doc_tokens - size, size, rest)

    def count_labels(self, rows: Indices) -> int:
        """Return how many labels of these rows count."""
        return int(self.segments(rows).n_labels.sum())

    def holding(self, first: int, n_tokens: int) -> Indices:
        """Return the rows with tokens of the document that begins at token `first`."""
        doc = np.uint32(self.stream.document_at(first))
        which = int(np.searchsorted(self.long_docs, doc))
        full = np.empty(0, np.int64)
        if which < len(self.long_docs) and self.long_docs[which] == doc:
            full = np.arange(self.full_ends[which] - n_tokens // self.seq_len, self.full_ends[which])
        slots = np.flatnonzero(self.docs == doc)
        packed = np.searchsorted(self.ends, slots, side="right")
        return np.concatenate((full, packed + self.n_full))


def _rest(n_tokens: Indices, seq_len: int) -> tuple[Indices, Indices]:
    """Return the tokens of each document that stand in a packed row, and 1 where the token before goes with them."""
    is_long = n_tokens >= seq_len
    rest = np.where(is_long, n_tokens % seq_len, n_tokens)
    return rest, (is_long & (rest > 0)).astype(np.int64)


def best_fit_decreasing(sizes: Indices, capacity: int) -> Indices:
    """Return the row of each piece: largest first, into the fullest row with room, else into a new one.

    Pieces of one size, and rows of one room, are handled together, so that time goes with the number of different
    sizes. At most 11/9 of the fewest rows possible, and 4 more (Johnson, "Near-optimal bin packing algorithms", 1973).
    """
    order = np.argsort(-sizes, kind="stable")
    row_of = np.empty(len(sizes), np.int64)
    open_rows: dict[int, list[Indices]] = {}  # room left → rows
    rooms: list[int] = []  # the keys, sorted
    n_rows = 0
    for size, first, stop in _runs(sizes[order]):
        while first < stop:
            at = bisect_left(rooms, size)
            if at < len(rooms):
                room = rooms.pop(at)
                rows = np.concatenate(open_rows.pop(room))
            else:
                room = capacity
                rows = np.arange(n_rows, n_rows + -(-(stop - first) // (capacity // size)))
                n_rows += len(rows)
            per_row = room // size
            n_used = min(len(rows), -(-(stop - first) // per_row))
            n_placed = min(stop - first, n_used * per_row)
            row_of[order[first : first + n_placed]] = np.repeat(rows[:n_used], per_row)[:n_placed]
            first += n_placed
            in_last = n_placed - (n_used - 1) * per_row
            for left, some in (
                (room - per_row * size, rows[: n_used - 1]),
                (room - in_last * size, rows[n_used - 1 : n_used]),
                (room, rows[n_used:]),
            ):
                if left and len(some):
                    if left not in open_rows:
                        insort(rooms, left)
                    open_rows.setdefault(left, []).append(some)
    return row_of


def _runs(sizes: Indices) -> Iterator[tuple[int, int, int]]:
    """Yield (size, first, stop) of each run of equal sizes."""
    cuts = np.flatnonzero(np.diff(sizes)) + 1
    bounds = [0, *cuts.tolist(), len(sizes)] if len(sizes) else [0]
    for first, stop in pairwise(bounds):
        yield int(sizes[first]), first, stop
