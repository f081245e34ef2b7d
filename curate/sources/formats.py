"""What a format of records tells the framing: how a record begins, how long it is, how it ends."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NamedTuple, Protocol

MAX_HEAD_BYTES = 4 << 20  # of the header of one record: crawls hold URLs of some megabytes


class BrokenRecordError(Exception):
    """A record does not follow the format; the stream around it can be read on."""


class Hash(Protocol):
    """What `hashlib` makes."""

    @property
    def name(self) -> str: ...

    def update(self, data: memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class Head(NamedTuple):
    """The header of a record: its kind (of a closed set), its length in the file, that of the block behind it."""

    kind: str
    n_bytes: int
    length: int
    fields: Mapping[str, str] | None  # names in lower case; None where the record is only counted


class Format(Protocol):
    """How records look. `data` holds a record at `at`."""

    start_bytes: int  # how long what `find` looks for can be
    closing_bytes: int  # how many stand behind a block as a rule

    def starts(self, head: bytes) -> bool:
        """Say whether a record begins with these bytes."""
        ...

    def find(self, data: bytes, at: int, end: int = sys.maxsize) -> int:
        """Return where the next record begins, from `at` on and whose start lies before `end`; -1 where none does."""
        ...

    def head(self, data: bytes, at: int) -> Head | None:
        """Return the header; None where `data` ends before it does. Raises BrokenRecordError."""
        ...

    def guessed_length(self, data: bytes, at: int) -> int:
        """Return how long a record with a damaged start says it is, its header included; 0 where it does not."""
        ...

    def leads_on(self, data: bytes, at: int) -> bool:
        """Say at a glance whether a record is closed at `at`, and the next one follows."""
        ...

    def is_closed(self, before: bytes, after: bytes) -> bool:
        """Say whether a record may end between these bytes.

        None behind it stand for the end of a member or file; none before it are given where a checksum proves it.
        """
        ...

    def digest(self, head: Head) -> tuple[Hash, bytes] | None:
        """Return what hashes the block of a record, and what must come out; None where the header does not say."""
        ...
