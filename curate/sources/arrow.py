"""Reads Arrow IPC files and streams (`.arrow`, `.feather`): one doc a row, as in Parquet."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa

from curate.errors import InputError
from curate.schema import TEXT_SCHEMA
from curate.source import Slice, Tally
from curate.sources import columns
from curate.sources.files import open_input
from curate.sources.streams import count_bad

_FILE, _STREAM = b"ARROW1", b"\xff\xff\xff\xff"
_MAX_SCHEMA_BYTES = 64 << 20


class Arrow:
    """Arrow IPC, the file and the stream format; Feather V2 is the file format. Never cut.

    Rows become docs as they do from Parquet, with the same counts and the row number as `offset_bytes`; bytes are
    counted, too. Record batches of the file format that cannot be read are `bad_batch`, and a bad span each: the
    others are read. In a stream all that follows the first damage is a bad span.
    """

    kind = "arrow"
    version = 1
    schema = TEXT_SCHEMA
    uses: tuple[str, ...] = ()

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`. A stream begins with a continuation mark and the length of its schema."""
        n_bytes = int.from_bytes(head[4:8], "little")
        is_stream = head.startswith(_STREAM) and 0 < n_bytes <= _MAX_SCHEMA_BYTES and n_bytes % 8 == 0
        return head.startswith(_FILE) or is_stream

    def cut(self, path: str, size_bytes: int, shard_bytes: int) -> Sequence[tuple[int, int]]:
        """Return the whole file: how many rows its batches have is known only when they are read."""
        return [(0, size_bytes)]

    def schema_of(self, piece: Slice) -> pa.Schema:
        """Return the schema of the batches of a piece: TEXT_SCHEMA and the file's further scalar columns."""
        with _opened(piece) as (reader, _):
            return columns.doc_schema(reader.schema, piece)

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one record batch of the file, as long as whoever wrote it made it."""
        row = 0
        with _opened(piece) as (reader, watched):
            schema = columns.doc_schema(reader.schema, piece)
            given = columns.wanted(reader.schema, piece)
            for batch in _read(reader, given, watched, piece, tally):
                yield from columns.docs(batch, row, schema, piece, tally)
                row += batch.num_rows
        tally.bytes_ok = piece.size_bytes - tally.bytes_bad


class _Watched(io.RawIOBase):
    """A file that remembers which of its bytes were read last."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        super().__init__()
        self.file, self.size_bytes = file, size_bytes
        self.first, self.after = 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        at = self.file.tell()
        data = self.file.read(min(size, self.size_bytes) if size >= 0 else size)  # damage may ask for any length
        self.first = min(self.first, at) if self.after else at
        self.after = max(self.after, at + len(data))
        return data

    def forget(self) -> None:
        self.first = self.after = 0


_THREAD_ENDS_S = 0.05  # in which a thread of Arrow's lets go of a file that could not be read


@contextmanager
def _opened(piece: Slice) -> Iterator[tuple[Any, _Watched]]:
    with open_input(piece) as file:
        watched = _Watched(file, piece.size_bytes)
        is_file = file.read(len(_FILE)) == _FILE
        file.seek(0)
        source = pa.PythonFile(watched, mode="r")
        try:
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
            _ = reader.schema.names
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name that is no UTF-8
            time.sleep(_THREAD_ENDS_S)  # lets it have Python's lock: if it wants that while Python ends, it aborts
            raise InputError(f"{piece.path}: not a readable Arrow file: {str(error)[:200]}") from error
        yield reader, watched


def _read(reader: Any, given: list[str], watched: _Watched, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Yield the given columns of the record batches whose buffers are sound; count the other batches."""
    if not isinstance(reader, pa.ipc.RecordBatchFileReader):
        yield from _stream(reader, given, watched, piece, tally)
        return
    for number in range(reader.num_record_batches):
        watched.forget()
        try:
            yield _sound(reader.get_batch(number).select(given))
        except (pa.ArrowException, OSError) as error:
            tally.records["bad_batch"] += 1
            cause = f"record batch {number} cannot be read: {str(error)[:200]}"
            count_bad(tally, watched.first, watched.after - watched.first, cause)


def _stream(reader: Any, given: list[str], watched: _Watched, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
    while True:
        at = watched.tell()
        try:
            batch = _sound(reader.read_next_batch().select(given))
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            tally.records["bad_batch"] += 1
            count_bad(tally, at, piece.size_bytes - at, f"the stream cannot be read on: {str(error)[:200]}")
            return
        yield batch


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch if nothing in it points outside its buffers. Texts that are no UTF-8 are repaired later."""
    for column in batch.columns:
        as_bytes = columns.is_string(column.type) and not pa.types.is_dictionary(column.type)
        column.validate()
        (column.view(_BYTES[str(column.type)]) if as_bytes else column).validate(full=True)
    return batch


_BYTES = {"string": pa.binary(), "large_string": pa.large_binary(), "string_view": pa.binary_view()}
