"""Token shards on disk: raw token files with document bounds, provenance rows and one manifest that binds them.

A folder of shards holds `manifest.json`, `tokenizer.json` and, for each shard `<stem>`:

    <stem>.ds             token ids, little-endian u16 or u32, no header; every document ends with EOS
    <stem>.ds.index       u64 per document: where it ends, in tokens, exclusive (the layout of datatrove)
    <stem>.prov.parquet   one row per document, same order: doc_id, domain, url, warc_file, offset_bytes, text_bytes, …

The trainer reads this module and nothing else of `curate`; it needs numpy and pyarrow only.
"""

from __future__ import annotations

import dataclasses
import errno
import resource
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import InputError
from curate.shard_manifest import DTYPES, READ_BYTES, Manifest, ShardEntry, Total, dtype_for, file_sha256

__all__ = [
    "DTYPES",
    "MAX_SHARD_BYTES",
    "InputError",
    "Manifest",
    "Place",
    "ShardEntry",
    "ShardWriter",
    "TokenShard",
    "TokenShards",
    "TokenStream",
    "Tokens",
    "Total",
    "dtype_for",
    "file_sha256",
    "join_shards",
]

MAX_SHARD_BYTES = 1 << 30
PROVENANCE_ROWS = 8192  # per row group: one lookup reads one group, about 1 MB

Tokens = npt.NDArray[np.unsignedinteger[Any]]  # u16 or u32
Ends = npt.NDArray[np.uint64]


class ShardWriter:
    """Writes the three files of one shard as documents come; memory is one group of provenance rows.

    The same documents give the same bytes however they are cut into `add` calls.
    """

    def __init__(self, folder: Path, stem: str, dtype: str, provenance: pa.Schema) -> None:
        self._entry = ShardEntry(f"{stem}.ds", "", "", 0, 0, 0, 0, "", "", "")
        self._provenance_path = folder / self._entry.provenance_file
        self._dtype = DTYPES[dtype]
        self._ids = _HashedFile(folder / self._entry.file)
        self._index = _HashedFile(folder / self._entry.index_file)
        self._rows = pq.ParquetWriter(self._provenance_path, provenance, compression="zstd")
        self._held: list[pa.Table] = []
        self._n_held = 0
        self.n_tokens = self.n_docs = self.text_bytes = 0

    def add(self, tokens: Tokens, provenance: pa.Table) -> None:
        """Append documents: `tokens` (of the shard's dtype) are all of theirs on end, `provenance` has a row for each.

        `provenance["n_tokens"]` cuts the tokens into documents; `provenance["text_bytes"]` is summed.
        """
        n_tokens = provenance["n_tokens"].to_numpy().astype(np.uint64)
        if tokens.dtype != self._dtype or int(n_tokens.sum()) != len(tokens):
            raise ValueError(f"{len(tokens)} tokens of {tokens.dtype} for rows that say {int(n_tokens.sum())}")
        self._ids.write(np.ascontiguousarray(tokens))
        self._index.write((np.cumsum(n_tokens, dtype=np.uint64) + np.uint64(self.n_tokens)).astype("<u8"))
        self.n_tokens += len(tokens)
        self.n_docs += provenance.num_rows
        self.text_bytes += int(provenance["text_bytes"].to_numpy().sum())
        self._held.append(provenance)
        self._n_held += provenance.num_rows
        while self._n_held >= PROVENANCE_ROWS:
            self._flush(PROVENANCE_ROWS)

    def close(self, source: str, split: str) -> ShardEntry:
        """Finish the three files and return what the manifest says of them."""
        self._flush(self._n_held)
        self._rows.close()
        return dataclasses.replace(
            self._entry, source=source, split=split, n_bytes=self.n_tokens * self._dtype.itemsize,
            n_tokens=self.n_tokens, n_docs=self.n_docs, text_bytes=self.text_bytes,
            sha256=self._ids.close(), index_sha256=self._index.close(),
            provenance_sha256=file_sha256(self._provenance_path),
        )  # fmt: skip

    def _flush(self, n_rows: int) -> None:
        if n_rows == 0:
            return
        table = pa.concat_tables(self._held)
        self._rows.write_table(table.slice(0, n_rows).combine_chunks(), row_group_size=n_rows)
        self._held, self._n_held = [table.slice(n_rows)], table.num_rows - n_rows


class _HashedFile:
    """A file that knows the sha256 of what went into it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=1 << 20)
        self._digest = sha256()

    def write(self, array: npt.NDArray[Any]) -> None:
        self._digest.update(array.data)
        self._file.write(array.data)

    def close(self) -> str:
        self._file.close()
        return self._digest.hexdigest()


class Place(NamedTuple):
    """Where a token stands: in document `doc` (number within its shard) of `shard`, `offset` tokens from its start."""

    shard: TokenShard
    doc: int
    offset: int

    def provenance(self) -> dict[str, Any]:
        """Return the provenance row of the document."""
        return self.shard.provenance(self.doc)


@dataclass(frozen=True)
class TokenShard:
    """One shard, memory-mapped on first use. Pickles as its path, never as its tokens."""

    folder: Path
    entry: ShardEntry
    dtype: str

    @cached_property
    def tokens(self) -> Tokens:
        """Return ids[n_tokens], a read-only memory map."""
        return _mapped(self.folder / self.entry.file, DTYPES[self.dtype])

    @cached_property
    def ends(self) -> Ends:
        """Return ends[n_docs] in tokens, exclusive, a read-only memory map."""
        return _mapped(self.folder / self.entry.index_file, np.dtype("<u8"))

    def document(self, doc: int) -> Tokens:
        """Return the ids of document `doc` of this shard, EOS included. Raises IndexError outside it."""
        if not 0 <= doc < self.entry.n_docs:
            raise IndexError(f"document {doc} of {self.entry.n_docs} in {self.entry.file}")
        start = int(self.ends[doc - 1]) if doc else 0
        return self.tokens[start : int(self.ends[doc])]

    def locate(self, position: int) -> Place:
        """Return where token `position` of this shard stands, in O(log n_docs). Raises IndexError outside it."""
        if not 0 <= position < self.entry.n_tokens:
            raise IndexError(f"token {position} of {self.entry.n_tokens} in {self.entry.file}")
        doc = int(np.searchsorted(self.ends, np.uint64(position), side="right"))
        return Place(self, doc, position - (int(self.ends[doc - 1]) if doc else 0))

    def provenance(self, doc: int) -> dict[str, Any]:
        """Return the provenance row of document `doc`: doc_id, source, domain, url, warc_file, …"""
        if not 0 <= doc < self.entry.n_docs:
            raise IndexError(f"document {doc} of {self.entry.n_docs} in {self.entry.file}")
        with pq.ParquetFile(self.folder / self.entry.provenance_file) as file:
            group = file.read_row_group(doc // PROVENANCE_ROWS)
        return dict(group.slice(doc % PROVENANCE_ROWS, 1).to_pylist()[0])

    def provenance_table(self) -> pa.Table:
        """Return all provenance rows of this shard."""
        return pq.read_table(self.folder / self.entry.provenance_file)

    def check(self, manifest: Manifest, *, deep: bool = False) -> None:
        """Compare the files with the manifest: sizes and counts; `deep` adds checksums, ids and EOS.

        Raises InputError that names the file.
        """
        entry, size = self.entry, DTYPES[self.dtype].itemsize
        ids, index, rows = (self.folder / n for n in (entry.file, entry.index_file, entry.provenance_file))
        if entry.n_bytes != entry.n_tokens * size:
            raise InputError(f"{ids}: {entry.n_bytes:,} bytes are not {entry.n_tokens:,} tokens of {self.dtype}")
        for path, n_bytes in ((ids, entry.n_bytes), (index, 8 * entry.n_docs)):
            if not path.is_file():
                raise InputError(f"{path}: listed in the manifest, but missing")
            found = path.stat().st_size
            if found != n_bytes:
                raise InputError(f"{path}: {found:,} bytes, the manifest says {n_bytes:,}: cut or foreign file")
        if (int(self.ends[-1]) if entry.n_docs else 0) != entry.n_tokens:
            raise InputError(f"{index}: the last document does not end at token {entry.n_tokens:,}")
        try:
            n_rows = pq.read_metadata(rows).num_rows
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{rows}: unreadable: {error}") from error
        if n_rows != entry.n_docs:
            raise InputError(f"{rows}: {n_rows:,} rows for {entry.n_docs:,} documents")
        if deep:
            self._check_checksums()
            self._check_ids(manifest)

    def _check_checksums(self) -> None:
        entry = self.entry
        digests = {
            entry.file: entry.sha256, entry.index_file: entry.index_sha256,
            entry.provenance_file: entry.provenance_sha256,
        }  # fmt: skip
        for name, digest in digests.items():
            if file_sha256(self.folder / name) != digest:
                raise InputError(f"{self.folder / name}: its sha256 is not the one in the manifest")

    def _check_ids(self, manifest: Manifest) -> None:
        path = self.folder / self.entry.file
        if np.any(self.ends[1:] <= self.ends[:-1]) or (self.entry.n_docs and self.ends[0] == 0):
            raise InputError(f"{self.folder / self.entry.index_file}: the document ends do not rise")
        for start in range(0, self.entry.n_tokens, READ_BYTES):
            worst = int(self.tokens[start : start + READ_BYTES].max())
            if worst >= manifest.vocab_size:
                raise InputError(f"{path}: token id {worst} in a vocabulary of {manifest.vocab_size}")
        if np.any(self.tokens[self.ends - np.uint64(1)] != manifest.eos_id):
            raise InputError(f"{path}: a document does not end with EOS ({manifest.eos_id})")

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True)
class TokenStream:
    """The shards of one source and split as one long row of tokens, in manifest order."""

    shards: tuple[TokenShard, ...]

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Return int64[n_shards + 1]: the position of each shard's first token; the last entry is the length."""
        return np.cumsum([0, *(shard.entry.n_tokens for shard in self.shards)], dtype=np.int64)

    @cached_property
    def doc_starts(self) -> npt.NDArray[np.int64]:
        """Return int64[n_shards + 1]: the number of each shard's first document; the last entry is their count."""
        return np.cumsum([0, *(shard.entry.n_docs for shard in self.shards)], dtype=np.int64)

    @cached_property
    def _token_starts(self) -> list[int]:
        return self.starts.tolist()  # type: ignore[no-any-return]

    @cached_property
    def _doc_starts(self) -> list[int]:
        return self.doc_starts.tolist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self._token_starts[-1]

    def read(self, start: int, n_tokens: int) -> Tokens:
        """Return ids[n_tokens] from `start`; a view where one shard holds them all. Raises IndexError past an end."""
        pieces = [shard.tokens[lo:hi] for shard, lo, hi in self._spans(start, n_tokens)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def read_into(self, start: int, out: npt.NDArray[np.integer[Any]]) -> None:
        """Copy ids[len(out)] from `start` into `out`, whatever its integer type. Raises IndexError past an end."""
        number = bisect_right(self._token_starts, start) - 1
        if 0 <= number < len(self.shards):
            first = start - self._token_starts[number]
            ids = self.shards[number].tokens
            if first + len(out) <= len(ids):
                out[:] = ids[first : first + len(out)]
                return
        out[:] = self.read(start, len(out))

    def document_span(self, doc: int) -> tuple[int, int]:
        """Return a document's first token in the stream and its number of tokens. Raises IndexError outside it."""
        if not 0 <= doc < self._doc_starts[-1]:
            raise IndexError(f"document {doc} of {self._doc_starts[-1]}")
        number = bisect_right(self._doc_starts, doc) - 1
        ends, inside = self.shards[number].ends, doc - self._doc_starts[number]
        first = int(ends[inside - 1]) if inside else 0
        return self._token_starts[number] + first, int(ends[inside]) - first

    def document_spans(self, docs: npt.NDArray[np.integer[Any]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return `document_span` of each document, for many at once. Raises IndexError outside the stream."""
        docs = docs.astype(np.int64)
        if len(docs) and not 0 <= int(docs.min()) <= int(docs.max()) < int(self.doc_starts[-1]):
            raise IndexError(f"documents {docs.min()}..{docs.max()} of {self.doc_starts[-1]}")
        first, stop = np.empty(len(docs), np.int64), np.empty(len(docs), np.int64)
        which = np.searchsorted(self.doc_starts, docs, side="right") - 1
        for number in np.unique(which).tolist():
            mine = np.flatnonzero(which == number)
            ends, inside = self.shards[number].ends, docs[mine] - self.doc_starts[number]
            first[mine] = np.where(inside > 0, ends[inside - 1], 0).astype(np.int64) + self.starts[number]
            stop[mine] = ends[inside].astype(np.int64) + self.starts[number]
        return first, stop - first

    def document_at(self, position: int) -> int:
        """Return the number in the stream of the document that holds token `position`. Raises IndexError outside."""
        shard, offset, _ = next(self._spans(position, 1))
        return int(self.doc_starts[self.shards.index(shard)]) + shard.locate(offset).doc

    def locate(self, position: int) -> Place:
        """Return the document that holds token `position`. Raises IndexError outside the stream."""
        shard, offset, _ = next(self._spans(position, 1))
        return shard.locate(offset)

    def documents(self, start: int, n_tokens: int) -> list[tuple[int, int, Place]]:
        """Return (from, to, place) for each document that the window touches; from and to count from its start.

        `place` is where the first of those tokens stands, so `place.provenance()` traces a batch to its pages.
        """
        found, done = [], 0
        for shard, low, high in self._spans(start, n_tokens):
            while low < high:
                place = shard.locate(low)
                n = min(high, int(shard.ends[place.doc])) - low
                found.append((done, done + n, place))
                done, low = done + n, low + n
        return found

    def _spans(self, start: int, n_tokens: int) -> Iterator[tuple[TokenShard, int, int]]:
        end = start + n_tokens
        if start < 0 or n_tokens < 1 or end > len(self):
            raise IndexError(f"tokens {start}..{end} of a stream of {len(self)}")
        number = int(np.searchsorted(self.starts, start, side="right")) - 1
        while start < end:
            base, stop = int(self.starts[number]), min(end, int(self.starts[number + 1]))
            if start < stop:
                yield self.shards[number], start - base, stop - base
            start, number = stop, number + 1


@dataclass(frozen=True)
class TokenShards:
    """A folder of token shards, opened and checked."""

    folder: Path
    manifest: Manifest
    sha256: str  # of manifest.json: the fingerprint of the whole data set
    shards: tuple[TokenShard, ...]

    @classmethod
    def open(cls, folder: Path | str, *, deep: bool = False) -> TokenShards:
        """Open a folder with a `manifest.json` (or a run that has one under `tokens/`) and compare it with its files.

        Always checks sizes, counts, dtype and the tokenizer's sha256; `deep` reads all bytes and checks the
        rest. Raises InputError that names the file.
        """
        folder = Path(folder)
        if not (folder / "manifest.json").is_file() and (folder / "tokens" / "manifest.json").is_file():
            folder = folder / "tokens"
        path = folder / "manifest.json"
        if not path.is_file():
            raise InputError(f"{path}: no such file; `curate tokenize` writes a folder of token shards")
        raw = path.read_bytes()
        manifest = Manifest.of_json(raw.decode("utf-8", "replace"), str(path))
        tokenizer = folder / "tokenizer.json"
        if not tokenizer.is_file() or file_sha256(tokenizer) != manifest.tokenizer_sha256:
            raise InputError(f"{tokenizer}: not the tokenizer these shards were written with")
        shards = tuple(TokenShard(folder, entry, manifest.dtype) for entry in manifest.shards)
        for shard in shards:
            shard.check(manifest, deep=deep)
        return cls(folder, manifest, sha256(raw).hexdigest(), shards)

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the names of the sources, sorted."""
        return tuple(sorted({shard.entry.source for shard in self.shards}))

    def stream(self, source: str, split: str = "train") -> TokenStream:
        """Return the tokens of one source and split; empty if it has none there. Raises InputError if unknown."""
        if source not in self.sources:
            raise InputError(f"{self.folder}: no source {source!r}; it has: {', '.join(self.sources) or 'none'}")
        return TokenStream(tuple(s for s in self.shards if (s.entry.source, s.entry.split) == (source, split)))

    def document(self, number: int) -> Tokens:
        """Return the ids of document `number`, counted over all shards in manifest order. Raises IndexError."""
        left = number
        for shard in self.shards:
            if 0 <= left < shard.entry.n_docs:
                return shard.document(left)
            left -= shard.entry.n_docs
        raise IndexError(f"document {number} of {sum(s.entry.n_docs for s in self.shards)}")


def join_shards(folder: Path, stem: str, pieces: Sequence[TokenShard]) -> ShardEntry:
    """Write one shard that holds the documents of `pieces` (same source, split and dtype) in their order.

    One piece is open at a time: there may be more of them than files a process can open.
    """
    first = pieces[0]
    writer = ShardWriter(folder, stem, first.dtype, pq.read_schema(first.folder / first.entry.provenance_file))
    for piece in pieces:
        start, tokens = 0, _mapped(piece.folder / piece.entry.file, DTYPES[piece.dtype])
        with pq.ParquetFile(piece.folder / piece.entry.provenance_file) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                n_tokens = int(rows["n_tokens"].to_numpy().sum())
                writer.add(tokens[start : start + n_tokens], rows)
                start += n_tokens
    return writer.close(first.entry.source, first.entry.split)


def _mapped(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Map a file read-only; an empty file, which cannot be mapped, gives an empty array.

    A plain array over the map: slices of numpy's own memmap type cost four times as much. A map keeps its file open,
    and a large corpus has more of them than a process may open unless it asks.
    """
    if path.stat().st_size == 0:
        return np.empty(0, dtype)
    try:
        return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
    except OSError as error:
        if error.errno != errno.EMFILE or not _may_open_more_files():
            raise
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _may_open_more_files() -> bool:
    """Raise the soft limit of open files to the hard one; return whether that made room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return True
