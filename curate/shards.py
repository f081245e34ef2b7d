"""Token shards on disk: raw token files with document bounds, provenance rows and one manifest that binds them.

A folder of shards holds `manifest.json`, `tokenizer.json` and, for each shard `<stem>`:

    <stem>.ds             token ids, little-endian u16 or u32, no header; every document ends with EOS
    <stem>.ds.index       u64 per document: where it ends, in tokens, exclusive (the layout of datatrove)
    <stem>.prov.parquet   one row per document, same order: doc_id, domain, url, warc_file, offset_bytes, text_bytes, …

The trainer reads this module and nothing else of `curate`; it needs numpy and pyarrow only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curate.errors import InputError
from curate.shard_manifest import DTYPES, Manifest, ShardEntry, Total, dtype_for, file_sha256
from curate.token_shard import Place, Tokens, TokenShard

__all__ = [
    "DTYPES",
    "InputError",
    "Manifest",
    "Place",
    "ShardEntry",
    "TokenShard",
    "TokenShards",
    "TokenStream",
    "Tokens",
    "Total",
    "dtype_for",
    "file_sha256",
]

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenStream:
    """The shards of one source and split as one long row of tokens, in manifest order."""

    shards: tuple[TokenShard, ...]

    @cached_property
    def starts(self) -> Numbers:
        """Return int64[n_shards + 1]: the position of each shard's first token; the last entry is the length."""
        return np.cumsum([0, *(shard.entry.n_tokens for shard in self.shards)], dtype=np.int64)

    @cached_property
    def doc_starts(self) -> Numbers:
        """Return int64[n_shards + 1]: the number of each shard's first document; the last entry is their count."""
        return np.cumsum([0, *(shard.entry.n_docs for shard in self.shards)], dtype=np.int64)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, start: int, n_tokens: int) -> Tokens:
        """Return ids[n_tokens] from `start`; a view where one shard holds them all. Raises IndexError past an end."""
        pieces = [shard.tokens[lo:hi] for shard, lo, hi in self._spans(start, n_tokens)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def views(self, first: Numbers, n_tokens: Numbers) -> list[Tokens]:
        """Return `read` of many places; each is a view where one shard holds it all. Raises IndexError past an end."""
        stop = first + n_tokens
        if len(first) and not 0 <= int(first.min()) <= int(stop.max()) <= len(self):
            raise IndexError(f"tokens {first.min()}..{stop.max()} of a stream of {len(self)}")
        number = np.searchsorted(self.starts, first, side="right") - 1
        base = self.starts[number]
        places = zip(number.tolist(), (first - base).tolist(), (stop - base).tolist(), strict=True)
        found = [self.shards[k].tokens[low:high] for k, low, high in places]
        for k in np.flatnonzero(stop > self.starts[number + 1]).tolist():
            found[k] = self.read(int(first[k]), int(n_tokens[k]))
        return found

    def document_spans(self, docs: Numbers) -> tuple[Numbers, Numbers]:
        """Return each document's first token in the stream and its number of tokens. Raises IndexError outside it."""
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
