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
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.shards import TokenStream
from train.errors import DataError

BUFFER_DOCS = 1 << 18  # fitted together: about 20 MB while the index is built
MAX_PIECES = 1 << 32  # of one source, since rows name them as u32

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
    """Rows of whole documents, all in one table: 8 bytes a piece of a document and 4 a row are held in memory.

    First come the rows that one piece of a long document fills, then those that are packed. Documents are fitted in
    the order of the shards, BUFFER_DOCS at a time, largest first, each into the fullest row that has room (best fit
    decreasing). A table of document numbers would be half as large, but every piece of every batch would be looked up
    in the shards' indexes: half the time of a batch from memory, and one read more from a disk.
    """

    seq_len: int
    pieces: Indices  # row after row: first token of the stream, tokens and overlap, in the bits that `_size_bits` says
    starts: NDArray[np.uint32]  # of each row in `pieces`, and their number

    @classmethod
    def of(cls, stream: TokenStream, seq_len: int) -> BestFit:
        """Fit the documents of a stream into rows. Raises DataError for more than the table can name."""
        n_docs, n_tokens = int(stream.doc_starts[-1]), len(stream)
        if n_docs + n_tokens // seq_len >= MAX_PIECES or n_tokens >> (63 - _size_bits(seq_len)):
            raise DataError(
                f"packing best_fit takes fewer than {MAX_PIECES:,} documents and rows per source; "
                f"{n_tokens:,} tokens in {n_docs:,} documents may be more: split the source, or use packing concat"
            )
        full, packed = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        counts = [np.empty(0, np.int64)]
        for number in range(0, n_docs, BUFFER_DOCS):
            first, length = stream.document_spans(np.arange(number, min(number + BUFFER_DOCS, n_docs)))
            full.append(_filling(first, length, seq_len))
            loose, size = _loose(first, length, seq_len)
            row_of = best_fit_decreasing(size, seq_len)
            packed.append(loose[np.argsort(row_of, kind="stable")])
            counts.append(np.bincount(row_of))
        n_full = sum(map(len, full))
        ends = n_full + np.cumsum(np.concatenate(counts))
        starts = np.concatenate((np.arange(n_full + 1), ends)).astype(np.uint32)
        return cls(seq_len, np.concatenate(full + packed), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def segments(self, rows: Indices) -> Segments:
        """Return the pieces of documents in these rows."""
        starts = self.starts[rows].astype(np.int64)
        n_pieces = self.starts[rows + 1] - starts
        row = np.repeat(np.arange(len(rows)), n_pieces)
        before = np.cumsum(n_pieces) - n_pieces
        piece = self.pieces[np.arange(len(row)) + (starts - before)[row]]
        n_tokens = (piece & ((1 << _size_bits(self.seq_len)) - 1)) >> 1
        passed = np.cumsum(n_tokens) - n_tokens
        opened = n_tokens <= self.seq_len  # with an EOS; a piece of T + 1 tokens has its row to itself
        position = passed - passed[before][row] + opened
        return Segments(row, position, piece >> _size_bits(self.seq_len), n_tokens, n_tokens - (piece & 1))

    def count_labels(self, rows: Indices) -> int:
        """Return how many labels of these rows count."""
        return int(self.segments(rows).n_labels.sum())

    def holding(self, first: int, n_tokens: int) -> Indices:
        """Return the rows with tokens of the document that begins at token `first`."""
        low, high = (token << _size_bits(self.seq_len) for token in (first, first + n_tokens))
        slots = np.flatnonzero((self.pieces >= low) & (self.pieces < high))
        return np.searchsorted(self.starts, slots, side="right") - 1


def _size_bits(seq_len: int) -> int:
    """Bits below a piece's first token: its length, T + 1 at most, then 1 for a first token that is no label here."""
    return (seq_len + 1).bit_length() + 1


def _piece(first: Indices, n_labels: Indices, overlap: Indices, seq_len: int) -> Indices:
    """Return what the table holds for pieces of `n_labels` tokens, and of the one before where `overlap` is 1."""
    return (first - overlap) << _size_bits(seq_len) | (n_labels + overlap) << 1 | overlap


def _filling(first: Indices, length: Indices, seq_len: int) -> Indices:
    """Return the pieces of T tokens of documents that are so long; all but a document's first have one token more."""
    n_full = length // seq_len
    number = np.arange(int(n_full.sum())) - np.repeat(np.cumsum(n_full) - n_full, n_full)  # within the document
    labels = np.full(len(number), seq_len, np.int64)
    return _piece(np.repeat(first, n_full) + number * seq_len, labels, (number > 0).astype(np.int64), seq_len)


def _loose(first: Indices, length: Indices, seq_len: int) -> tuple[Indices, Indices]:
    """Return what of each document stands in a packed row, if anything, and the places that it takes there."""
    rest = length % seq_len
    overlap = (length >= seq_len).astype(np.int64)
    some = np.flatnonzero(rest)
    piece = _piece((first + length - rest)[some], rest[some], overlap[some], seq_len)
    return piece, (rest + overlap)[some]


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
