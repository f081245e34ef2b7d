"""Writing token shards: the three files of one as documents come, or one of several joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curate.shard_manifest import DTYPES, ShardEntry, file_sha256
from curate.token_shard import PROVENANCE_ROWS, Tokens, TokenShard

MAX_SHARD_BYTES = 1 << 30  # of token ids: below the 2 GiB where llm.c and others stop


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


def join_shards(folder: Path, stem: str, pieces: Sequence[TokenShard]) -> ShardEntry:
    """Write one shard that holds the documents of `pieces` (same source, split and dtype) in their order.

    One piece is open at a time: there may be more of them than files a process can open. Memory is that of one group
    of provenance rows and its tokens.
    """
    first = pieces[0]
    writer = ShardWriter(folder, stem, first.dtype, pq.read_schema(first.folder / first.entry.provenance_file))
    for piece in pieces:
        with (
            (piece.folder / piece.entry.file).open("rb") as ids,
            pq.ParquetFile(piece.folder / piece.entry.provenance_file) as file,
        ):
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                n_tokens = int(rows["n_tokens"].to_numpy().sum())
                writer.add(np.fromfile(ids, DTYPES[piece.dtype], n_tokens), rows)
    return writer.close(first.entry.source, first.entry.split)
