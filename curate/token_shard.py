"""One token shard on disk: its tokens, where its documents end, where they come from, and whether all that is true."""

from __future__ import annotations

import dataclasses
import errno
import resource
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import InputError
from curate.shard_manifest import DTYPES, READ_BYTES, Manifest, ShardEntry, file_sha256

PROVENANCE_ROWS = 8192  # per row group: one lookup reads one group, about 1 MB

Tokens = npt.NDArray[np.unsignedinteger[Any]]  # u16 or u32
Ends = npt.NDArray[np.uint64]


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
