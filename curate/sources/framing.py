"""Finds the records of a WARC or ARC file, plain or compressed, and accounts for every byte of it, damaged or not.

Why not FastWARC here: it is faster, but it loses all records after a damaged gzip member, and a file that was cut
ends for it without an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from curate.source import Tally
from curate.sources import enclosed, ends
from curate.sources.ends import MAX_AFTER_BYTES, PADDING
from curate.sources.formats import MAX_HEAD_BYTES, BrokenRecordError, Format, Head
from curate.sources.streams import BrokenStreamError, PlainStream, count_bad, open_stream

MAX_RECORD_BYTES = 64 << 20  # of a record's block; larger ones are passed over and counted
MAX_PROVED_BYTES = 4 << 20  # inflated behind a broken record, to see whether its member is whole
MIN_ENCLOSING_BYTES = 200  # a record that may hold another one is longer
_CLOSING = re.compile(rb"[\r\n]*")
_CUT_OFF = "a record is cut off: its length reaches beyond the end"


class Record(NamedTuple):
    """One record. `block` is None where the reader did not want it, or `too_large` is true."""

    kind: str
    offset_bytes: int
    fields: Mapping[str, str]
    block: memoryview | None
    too_large: bool
    span: tuple[int, int]  # where it lies in the file: offset and length


class Records:
    """Iterates over the records of one file and fills `tally` with bytes ok, bad and padding.

    `offset_bytes` of a record is that of its member (gzip, zstd or lz4), or its own in a plain file. Where the first
    member holds several records, as when a whole file was compressed at once, it is the offset in the inflated
    stream. In other files a record that is not the first of its member gets `size_bytes` + that offset.
    Where a member holds several records, `span` divides its bytes in proportion to theirs; of a member over 1 MiB
    it goes by the steps in which it was inflated.
    """

    def __init__(self, file: BinaryIO, size_bytes: int, tally: Tally, form: Format) -> None:
        self._form = form
        self._tally = tally
        self._size_bytes = size_bytes
        self._stream = open_stream(file, tally, form)
        self._plain = self._stream if isinstance(self._stream, PlainStream) else None
        self._data: bytes = b""
        self._at = 0  # the current record's place in it
        self._member_inflated = 0  # offset of the current member in the inflated stream
        self._inflated = 0  # offset of `data` in the inflated stream
        self._accounted = 0  # bytes of the file before it are in the tally
        self._ok_from = 0  # since there all bytes up to `accounted` were counted as ok
        self._n_taken = 0  # inflated bytes of this member up to the end of the last record
        self._n_members = 0
        self._n_in_member = 0
        self._n_declared = 0  # bytes of the current record, by its header
        self._n_closing: int | None = None  # bytes between the block of the last record and the next
        self._is_cut = False  # by its length the current record reaches beyond the end
        self._n_expected: int | None = None  # bytes of a member that holds one record, by its header
        self._first_start = 0
        self._shared = False  # the first member holds several records
        self._hashed_bytes = 0  # to find the ends of records with a wrong length
        self._spanning = False  # members of this file end inside records

    def __iter__(self) -> Iterator[Record]:
        while self._next_member():
            try:
                if (record := self._only_record()) is not None:
                    yield record
                else:
                    yield from self._member()
            except BrokenStreamError as error:
                if self._n_in_member and not self._spanning:
                    self._take_back()
                self._stream.recover(self._accounted, self._n_expected or self._peeked(), anywhere=self._spanning)
                self._at = len(self._data)
                self._bad(str(error))

    def _next_member(self) -> bool:
        more = self._stream.next_member()
        self._accounted = self._stream.position  # it counted what it passed over
        self._start = self._stream.member_start
        self._n_members += 1
        self._n_in_member = 0
        self._n_expected = None
        if self._n_members == 1:
            self._inflated = self._start  # so that no two records get the same offset
        self._ok_from = self._accounted
        self._member_inflated = self._inflated + self._at
        return more

    def _only_record(self) -> Record | None:
        """Return the record of a member that was inflated at once and holds nothing else: the common case."""
        if self._shared or self._at < len(self._data):
            return None
        self._inflated += self._at
        self._data, self._at = self._stream.chunk(), 0
        if not self._stream.n_whole_bytes:
            return None
        data, accounted = self._data, self._accounted
        try:
            head = self._form.head(data, 0)
        except BrokenRecordError:  # the general case says where
            return None
        if head is None or head.length > MAX_RECORD_BYTES:
            return None
        end = head.n_bytes + head.length
        if len(data) - end != self._form.closing_bytes or not self._form.is_closed(b"", data[end:]):
            return None
        self._at = len(data)
        self._accounted = self._stream.position
        self._tally.bytes_ok += self._accounted - accounted
        block = None if head.fields is None else memoryview(data)[head.n_bytes : end]
        return Record(head.kind, self._start, head.fields or {}, block, False, (accounted, self._accounted - accounted))

    def _peeked(self) -> int | None:
        """Return what the damaged member should have given, by the header of its record."""
        try:
            head = None if self._n_in_member or self._spanning else self._form.head(self._stream.peek(), 0)
        except BrokenRecordError:
            return None
        return head and head.n_bytes + head.length + self._form.closing_bytes

    def _member(self) -> Iterator[Record]:
        while self._at < len(self._data) or self._fill(1):
            if self._data[self._at] in b"\x00\r\n":
                self._pad()
                continue
            try:
                record = self._record()
            except BrokenRecordError as error:
                self._skip_to_next_record()
                self._bad(str(error))
            else:
                self._n_in_member += 1
                self._n_taken = self._inflated + self._at - self._member_inflated
                yield record
        if self._n_in_member:
            self._tally.bytes_ok += self._advance()
        else:  # nothing in it: an empty member
            self._tally.bytes_padding += self._advance()

    def _record(self) -> Record:
        """Read the record the data starts with, and check that it ends where it says."""
        self._n_declared = 0
        head = self._head()
        start, end = head.n_bytes, head.n_bytes + head.length
        self._n_declared = end
        too_large = head.length > MAX_RECORD_BYTES
        offset, accounted = self._offset(), self._accounted
        if self._n_in_member == 0:
            self._n_expected = end + self._form.closing_bytes
        self._is_cut = self._plain is not None and self._here() + end > self._size_bytes
        if self._is_cut:
            raise BrokenRecordError(_CUT_OFF)
        if too_large:
            self._pass_over(end)
            start = end = 0
        elif not self._fill(end, whole=True):
            self._is_cut = True
            raise BrokenRecordError(_CUT_OFF)
        self._fill(end + MAX_AFTER_BYTES)  # at the end of a member this also proves its checksum
        place = self._at + end
        if not self._form.leads_on(self._data, place):
            before = self._data[max(self._at, place - 8) : place] if self._plain else b""
            if not self._form.is_closed(before, self._data[place : place + MAX_AFTER_BYTES]):
                raise BrokenRecordError("the length of a record does not lead to its end")
            if not too_large and not ends.is_followed(self._form, self._data, place):
                self._doubt(head)
                place = self._at + end
        block = None
        if head.fields is not None and not too_large:
            block = memoryview(self._data)[self._at + start : place]
        self._at = place
        self._n_closing = self._close()
        n_bytes = self._advance()
        self._tally.bytes_ok += n_bytes
        return Record(head.kind, offset, head.fields or {}, block, too_large, (accounted, n_bytes))

    def _doubt(self, head: Head) -> None:
        """Look again at a record that is closed, but not followed by another: its length may lead into one by chance.

        Raises BrokenRecordError if it has not the digest in its header, or if a whole record begins in it and ends
        behind it: what a record holds does not.
        """
        end = head.n_bytes + head.length
        if self._plain:
            self._fill(end + MAX_PROVED_BYTES)
        start, end = self._at + head.n_bytes, self._at + end
        if not ends.has_digest(self._form, head, memoryview(self._data)[start:end]):
            raise BrokenRecordError("the length of a record does not lead to its end")
        if ends.is_crossed(self._form, self._data, start, end):
            raise BrokenRecordError("the length of a record leads into another one")

    def _head(self) -> Head:
        while (head := self._form.head(self._data, self._at)) is None:
            n_bytes = len(self._data) - self._at
            if n_bytes >= MAX_HEAD_BYTES:
                self._at += MAX_HEAD_BYTES - self._form.start_bytes  # never look at these bytes again
                raise BrokenRecordError("a record header does not end")
            if not self._fill(n_bytes + 1, whole=True):
                self._at = len(self._data)  # what begins in it does not end either
                raise BrokenRecordError("a record header is cut off")
        return head

    def _offset(self) -> int:
        if self._plain:
            return self._here()
        if self._n_in_member == 0 and not self._shared:
            return self._start
        self._shared = self._shared or self._n_members == 1
        return self._inflated + self._at + (0 if self._shared else self._size_bytes)

    # -- the data, and bytes accounted for

    def _here(self) -> int:
        """The position in the file of the record's start, or of what was inflated."""
        left = len(self._data) - self._at
        if self._plain or not left:
            return self._stream.position - left
        n_whole = self._stream.n_whole_bytes
        n_raw = self._stream.position - self._stream.member_start
        return self._stream.position - (n_raw * min(left, n_whole) // n_whole if n_whole else 0)

    def _advance(self) -> int:
        """Return how many bytes of the file were passed since the last call."""
        n_bytes = max(0, self._here() - self._accounted)
        self._accounted += n_bytes
        return n_bytes

    def _bad(self, cause: str) -> None:
        count_bad(self._tally, self._accounted, self._advance(), cause)
        self._ok_from = self._accounted

    def _take_back(self) -> None:
        """Count no more bytes as ok than the records of a broken member took, as it went astray behind them."""
        place = max(self._ok_from, min(self._accounted, self._stream.place_of(self._n_taken)))
        self._tally.bytes_ok -= self._accounted - place
        self._accounted = place

    def _fill(self, n_bytes: int, *, whole: bool = False) -> bool:
        """Have `n_bytes` from the record's start on; False where the member ends before.

        `whole`: the record needs them. If the next member goes on with it, go on there.
        """
        left = len(self._data) - self._at
        if left >= n_bytes:
            return True
        parts: list[bytes] = []
        try:
            while left < n_bytes:
                data = self._stream.chunk()
                if not data and not (whole and self._goes_on()):
                    break
                parts.append(data)
                left += len(data)
        finally:
            if parts:
                self._append(parts)
        return left >= n_bytes

    def _goes_on(self) -> bool:
        """At the end of a member: say whether the next one goes on with this record, and go there."""
        if not self._stream.continues():
            return False
        self._n_members += 1
        self._n_expected = None
        self._spanning = True
        return True

    def _append(self, parts: list[bytes]) -> None:
        rest = self._data[self._at :] if self._at < len(self._data) else b""
        self._inflated += self._at
        self._data = parts[0] if len(parts) == 1 and not rest else b"".join([rest, *parts])
        self._at = 0

    def _pass_over(self, n_bytes: int) -> None:
        """Drop more bytes than should ever be held."""
        if self._plain:
            target = self._here() + n_bytes
            if not self._form.is_closed(b"", self._plain.look(target, MAX_AFTER_BYTES)):
                raise BrokenRecordError("the length of a record does not lead to its end")
            self._inflated += self._at + n_bytes
            self._data, self._at = b"", 0
            self._plain.seek(target)
            return
        while (left := len(self._data) - self._at) < n_bytes:
            n_bytes -= left
            self._at = len(self._data)
            if not self._fill(1, whole=True):
                raise BrokenRecordError(_CUT_OFF)
        self._at += n_bytes

    def _close(self) -> int:
        """Drop the empty lines that close a record, as they belong to it, and return their bytes."""
        n_bytes = 0
        while self._at < len(self._data) or self._fill(1):
            found = _CLOSING.match(self._data, self._at)
            if found is None or found.end() == self._at:
                break
            n_bytes += found.end() - self._at
            self._at = found.end()
        return n_bytes

    def _pad(self) -> None:
        """Drop zero bytes and empty lines that stand where a record should."""
        found = PADDING.match(self._data, self._at)
        self._at = found.end() if found else self._at
        if self._plain:
            self._tally.bytes_padding += self._advance()

    def _skip_to_next_record(self) -> None:
        """Go to the next start of a record in this member, or to the member's end.

        It need not begin a line: a crawler that died leaves half a record, and the next run appends to it.
        """
        if not self._plain:  # a broken record in a broken member: find that out first, and search behind the member
            self._fill(len(self._data) - self._at + MAX_PROVED_BYTES)
        if (end := self._proved_end()) >= 0:
            self._at, self._is_cut = end, False
            return
        near = self._near_declared_end()
        is_cut, self._is_cut = self._is_cut, False
        self._at = min(self._at + 1, len(self._data))
        while near >= 0:
            found = self._form.find(self._data, self._at, near)
            broken = ends.chain_end(self._form, self._data, found, near) if found >= 0 else near
            if broken == near:
                self._at = found if found >= 0 else near
                return
            self._at = max(broken, found + 1)
        is_end = False
        while not is_end:
            is_end = not self._fill(MAX_PROVED_BYTES)
            found, place = enclosed.next_record(
                self._form, self._data, self._at, is_end=is_end, is_cut=is_cut, n_closing=self._n_closing
            )
            self._at = max(found, place)
            if found >= 0:
                return
        self._at = len(self._data)

    def _proved_end(self) -> int:
        """Return where the broken record ends if its block has its digest, and so only its length is wrong; else -1.

        At most MAX_PROVED_BYTES are hashed; of a hostile file a part.
        """
        head = ends.head_at(self._form, self._data, self._at)
        if head is None or self._form.digest(head) is None or self._hashed_bytes > 8 * self._here() + (64 << 20):
            return -1
        self._fill(MAX_PROVED_BYTES)
        start = self._at + head.n_bytes
        stop = min(len(self._data), start + MAX_PROVED_BYTES)
        self._hashed_bytes += stop - start
        return ends.end_by_digest(self._form, self._data, head, start, stop)

    def _near_declared_end(self) -> int:
        """Return where a record starts near the place where the broken one should end; -1 where none does."""
        n_declared, self._n_declared = self._n_declared or self._form.guessed_length(self._data, self._at), 0
        if not MIN_ENCLOSING_BYTES < n_declared <= MAX_RECORD_BYTES:
            return -1
        n_declared += self._form.closing_bytes
        is_last = not self._fill(n_declared + MAX_PROVED_BYTES)
        return ends.near(self._form, self._data, self._at, self._at + n_declared, is_last=is_last)


def holds_record(file: BinaryIO, form: Format) -> bool:
    """Say whether any record can be read from a file, which may be damaged at its start."""
    size_bytes = file.seek(0, 2)
    return next(iter(Records(file, size_bytes, Tally(), form)), None) is not None
