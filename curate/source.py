"""The contract of a source: bytes in, batches of docs out, and every byte accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Slice:
    """A planned piece of one input file. `start` and `end` are bytes, or rows where the format has them."""

    path: str
    name: str  # relative to the inputs' common root; goes into doc ids, never the path
    kind: str
    source: str
    start: int
    end: int
    size_bytes: int  # of the whole file, as it was planned
    check_digests: bool = False  # compare blocks and payloads with the digests their records carry
    etag: str | None = None  # of a remote file, as it was planned; its Last-Modified where it has none
    text_column: str | None = None  # what `text` and `url` are called in files with columns; None: so
    url_column: str | None = None


@dataclass(frozen=True)
class ShardRef:
    """A unit of work: slices of one or more inputs. Keeps its number through all phases."""

    number: int
    slices: tuple[Slice, ...]

    @property
    def name(self) -> str:
        return f"{self.number:05d}"


@dataclass(frozen=True)
class BadSpan:
    """Input bytes that could not be read as records."""

    offset_bytes: int
    n_bytes: int
    cause: str


@dataclass
class Tally:
    """What reading one slice came to. Filled by the source while it reads, complete at its end."""

    bytes_ok: int = 0
    bytes_bad: int = 0
    bytes_padding: int = 0
    records: Counter[str] = field(default_factory=Counter)  # by kind: "response", "request", "mime:image", …
    bad_spans: list[BadSpan] = field(default_factory=list)

    def bad(self, offset_bytes: int, n_bytes: int, cause: str) -> None:
        """Count a span of bytes as damaged."""
        self.bytes_bad += n_bytes
        self.bad_spans.append(BadSpan(offset_bytes, n_bytes, cause))


class Source(Protocol):
    """Reads one kind of file. `schema` has the columns every file of the kind gives, `schema_of` all of a slice."""

    kind: str
    version: int  # one more whenever the docs it makes of a file change; enters the keys of runs, as `uses` does
    schema: pa.Schema
    uses: tuple[str, ...]  # distributions whose version can change the output

    def sniff(self, name: str, head: bytes) -> bool:
        """Say whether a file that begins with `head` (up to 4 KiB, decompressed) is of this kind."""
        ...

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return the (start, end) pieces this file may be read in, from sizes only."""
        ...

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of every batch of a slice; reads the file's head at most."""
        ...

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """Yield batches of docs in file order, and fill `tally`."""
        ...


def doc_id(name: str, offset: int) -> str:
    """Return 32 hex digits: blake2b-128 of input name, a zero byte, and the record's offset (or row)."""
    return blake2b(b"%s\x00%d" % (name.encode(), offset), digest_size=16).hexdigest()
