"""Walks over the members of a compressed file, and finds the next whole one after damage."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Protocol

from curate.source import Tally
from curate.sources import recovery
from curate.sources.formats import Format

_ZEROS = re.compile(rb"\x00*")

WINDOW_BYTES = 1 << 20  # read from the file at once
WHOLE_BYTES = 64 << 10  # a member of no more is at hand when it begins, and inflated in one step
PEEK_BYTES = 1024  # inflated, of a member: enough to see whether it begins a record
MAX_PEEKED_BYTES = 264 << 10  # compressed, that are needed for them: two blocks of zstd
SMALL_STEP_BYTES = 64  # compressed, in which it is looked up how far a member was right
MAX_DAMAGED_ZEROS = 64
MAX_EXTENT_BYTES = 4 << 20  # how far behind damage the end of the damaged member is looked for


class BrokenStreamError(Exception):
    """The stream cannot be inflated any further."""


class Inflater(Protocol):
    """Decompresses one member step by step."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: memoryview, /) -> bytes:
        """Return what `data` gives; raises an error of the codec's."""
        ...


class Codec(Protocol):
    """What differs between gzip, zstd and lz4. `raw` is bytes of the file, in which a member begins at `at`."""

    name: str
    magic: bytes
    step_bytes: int  # compressed, that give some 64 MB at most
    errors: tuple[type[Exception], ...]
    trailers: tuple[int, ...]  # how many bytes may stand behind the content of a member that is stored as it is
    hides_ends: bool  # a member may be compressed and still hold other members as they are

    def inflater(self) -> Inflater:
        """Return what decompresses one member."""
        ...

    def explain(self, error: Exception) -> str:
        """Return the cause of a damaged span."""
        ...

    def first_step(self, raw: bytes, at: int) -> int:
        """Return how many bytes to decompress first: about as long as the member is."""
        ...

    def whole(self, raw: bytes, at: int) -> tuple[bytes, int] | None:
        """Return all bytes of a member and where it ends; None where that cannot be had at once."""
        ...

    def peek(self, raw: bytes, at: int) -> bytes:
        """Return the first PEEK_BYTES of a member; b"" where it cannot be decompressed."""
        ...

    def skippable(self, raw: bytes, at: int) -> int:
        """Return the length of a frame without content at `at`, 0 where there is none."""
        ...

    def extent(self, raw: bytes, at: int, n_inflated: int | None) -> tuple[int, bool]:
        """Return where the damaged member at `at` ends if its structure can still be read, else -1; and whether
        that is sure.
        """
        ...

    def likely_end(self, raw: bytes, at: int, n_inflated: int | None) -> int:
        """Return where the damaged member at `at` may well end, by what stands there; -1 where nothing says so."""
        ...

    def covers(self, raw: bytes, damaged: tuple[int, int], rest: tuple[int, int]) -> bool:
        """Say whether what can still be read of a damaged member shows that it ends in a `rest`.

        `damaged`: where it begins, and where members that it may hold as they are do. `rest`: where those end, and
        where the next member begins.
        """
        ...


def peeked(read: Callable[[int], bytes], errors: tuple[type[Exception], ...]) -> bytes:
    """Return the first PEEK_BYTES that `read` gives; fewer if it finds a checksum behind them that is wrong."""
    for n_bytes in (PEEK_BYTES, PEEK_BYTES // 2, PEEK_BYTES // 4, PEEK_BYTES // 8):
        with suppress(*errors):
            return read(n_bytes)
    return b""


def read_full(file: BinaryIO, n_bytes: int) -> bytes:
    """Read `n_bytes`, fewer only at the end of the file."""
    data = file.read(n_bytes)
    if not 0 < len(data) < n_bytes:
        return data
    parts = [data]
    left = n_bytes - len(data)
    while left and (data := file.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


class MemberStream:
    """A file of members: one a record, one for all, or cut anywhere.

    It is read forward in steps of 1 MiB, and backward only after damage.
    """

    def __init__(self, file: BinaryIO, codec: Codec, tally: Tally, form: Format) -> None:
        self._file = file
        self._codec = codec
        self._tally = tally
        self._form = form
        self._raw = b""  # a window of the file
        self._view = memoryview(b"")
        self._base = 0  # where it begins
        self._at = 0  # what of it is consumed
        self._is_last = False  # it reaches the end of the file
        self._inflater: Inflater | None = None
        self._eof = True
        self._looked_bytes = 0  # what looking for the ends of damaged members came to
        self._is_cut = False  # the file ended inside a member
        self._n_inflated = 0  # of the current member, step by step
        self.member_start = 0
        self.n_whole_bytes = 0  # inflated, of a member that was inflated at once

    @property
    def position(self) -> int:
        """Bytes of the file that are consumed."""
        return self._base + self._at

    def next_member(self) -> bool:
        """Go to the next member, over padding and frames without content (both counted); False at the file's end."""
        while self._at < len(self._raw) or self._extend():
            if self._raw.startswith(self._codec.magic, self._at):
                break
            self._reach(2 * MAX_DAMAGED_ZEROS)
            if n_bytes := self._codec.skippable(self._raw, self._at) or self._n_padding():
                self._pass_over(n_bytes)
            else:
                break
        else:
            return False
        self.member_start = self.position
        if self._left() < WHOLE_BYTES:
            self._reach(WHOLE_BYTES)
        self._inflater, self._eof, self.n_whole_bytes, self._n_inflated = None, False, 0, 0
        return True

    def _n_padding(self) -> int:
        """Count zero bytes; a few in front of something that is no member are damage to it, not padding."""
        found = _ZEROS.match(self._raw, self._at)
        end = found.end() if found else self._at
        known = self._raw.startswith(self._codec.magic, end) or self._codec.skippable(self._raw, end)
        n_zeros = end - self._at
        return n_zeros if known or end == len(self._raw) or n_zeros > MAX_DAMAGED_ZEROS else 0

    def _pass_over(self, n_bytes: int) -> None:
        is_padding = self._raw[self._at] == 0
        start = self.position
        while self._left() < n_bytes:
            n_bytes -= self._left()
            self._at = len(self._raw)
            if not self._extend():
                self._tally.bad(start, self.position - start, "the file ends inside a frame without content")
                return
        self._at += n_bytes
        if is_padding:
            self._tally.bytes_padding += self.position - start
        else:
            self._tally.bytes_ok += self.position - start

    def chunk(self) -> bytes:
        """Return the next bytes of this member, empty at its end; BrokenStreamError where there is none."""
        if self._eof:
            return b""
        if self._inflater is not None:
            return self._step(self._inflater)
        if (whole := self._codec.whole(self._raw, self._at)) is not None:
            data, self._at = whole
            self._eof, self.n_whole_bytes = True, len(data)
            return data
        self._inflater = self._codec.inflater()
        data = self._step(self._inflater, self._codec.first_step(self._raw, self._at))
        if self._inflater.eof:
            self.n_whole_bytes = len(data)
        return data

    def _step(self, inflater: Inflater, step_bytes: int = 0) -> bytes:
        codec = self._codec
        while not self._eof:
            if self._at >= len(self._raw) and not self._extend():
                self._is_cut = True
                raise BrokenStreamError(f"the file ends inside a {codec.name} member")
            step = self._view[self._at : self._at + (step_bytes or codec.step_bytes)]
            step_bytes = 0
            try:
                data = inflater.decompress(step)
            except codec.errors as error:
                raise BrokenStreamError(codec.explain(error)) from error
            self._at += len(step)
            self._n_inflated += len(data)
            if inflater.eof:
                self._at -= len(inflater.unused_data or b"")
                self._eof = True
            if data:
                return data
        return b""

    def continues(self) -> bool:
        """At the end of a member: go to the next one if it goes on with the record of this one."""
        self._reach(MAX_PEEKED_BYTES)
        at = self._at
        while n_bytes := self._codec.skippable(self._raw, at):
            at += n_bytes
        head = self._codec.peek(self._raw, at)
        return bool(head) and not self._form.starts(head) and self.next_member()

    # -- the window

    def _left(self) -> int:
        return len(self._raw) - self._at

    def _extend(self) -> bool:
        """Read on in the file and drop what is consumed; False at its end."""
        if self._is_last:
            return False
        data = read_full(self._file, WINDOW_BYTES)
        self._is_last = len(data) < WINDOW_BYTES
        self._base += self._at
        self._raw = self._raw[self._at :] + data
        self._view = memoryview(self._raw)
        self._at = 0
        return bool(data)

    def _reach(self, n_bytes: int) -> None:
        while self._left() < n_bytes and self._extend():
            pass

    def _seek(self, position: int) -> None:
        if self._base <= position <= self._base + len(self._raw):
            self._at = position - self._base
            return
        self._file.seek(position)
        self._raw, self._view, self._base, self._at, self._is_last = b"", memoryview(b""), position, 0, False

    # -- after damage

    def recover(self, start: int, n_inflated: int | None, *, anywhere: bool) -> None:
        """After BrokenStreamError: stand at the first member after `start` that begins a record, or at the file's end.

        `n_inflated`: see `recovery.next_start`. `anywhere`: members of this file do not begin with records, so any
        sound one will do.
        """
        self._eof = True
        found = -1
        if start <= self.member_start and n_inflated is not None and self._n_inflated >= n_inflated:
            is_near = self.position - self.place_of(n_inflated) <= MAX_DAMAGED_ZEROS
            self._is_cut = self._is_cut and is_near  # or it went astray in damage, and on to the end
        self._seek(max(start, self.member_start))
        if start <= self.member_start and not anywhere and self._looked_bytes < 8 * self.position + (64 << 20):
            self._reach(MAX_EXTENT_BYTES)  # bounded, as hostile files may be damaged everywhere
            self._looked_bytes += min(self._left(), MAX_EXTENT_BYTES)
            starts, is_last = self._form.starts, self._is_last
            found, place = recovery.next_start(self._codec, self._raw, self._at, n_inflated, starts, is_last=is_last)
        else:
            place = self._at + (start <= self.member_start)  # all of it may have come out, but for its checksum
        self._at = found if found >= 0 else place
        if found < 0:
            self._find_member(anywhere=anywhere, is_shared=start > self.member_start)

    def place_of(self, n_inflated: int) -> int:
        """Return up to where in the file this member gives its first `n_inflated` bytes, or a few less."""
        position = self.position
        if position - self.member_start > MAX_EXTENT_BYTES:
            return position
        self._seek(self.member_start)
        self._reach(position - self.member_start)
        inflater, place = self._codec.inflater(), self._at
        while place < len(self._raw) and not inflater.eof:
            try:
                n_inflated -= len(inflater.decompress(self._view[place : place + SMALL_STEP_BYTES]))
            except self._codec.errors:
                break
            if n_inflated <= 0:
                break
            place += SMALL_STEP_BYTES
        place = min(self._base + place, position)
        self._seek(position)
        return place

    def peek(self) -> bytes:
        """Return the first bytes of this member again, as far as they can be inflated."""
        position = self.position
        self._seek(self.member_start)
        self._reach(MAX_PEEKED_BYTES)
        head = self._codec.peek(self._raw, self._at)
        self._seek(position)
        return head

    def _find_member(self, *, anywhere: bool, is_shared: bool) -> None:
        """Go to the next member that begins a record, or to the end of the file."""
        is_cut, self._is_cut = self._is_cut, False
        while not anywhere:
            self._reach(MAX_EXTENT_BYTES)
            raw, is_last = self._raw, self._is_last
            found, place = recovery.believed_start(
                self._codec, raw, self._at, self._form, is_last=is_last, is_shared=is_shared, is_cut=is_cut
            )
            self._at = max(found, place)
            if found >= 0:
                return
            if is_last:
                self._at = len(raw)
                return
        while self._at < len(self._raw) or self._extend():
            found = self._raw.find(self._codec.magic, self._at)
            self._at = found if found >= 0 else max(self._at, len(self._raw) - len(self._codec.magic) + 1)
            if found >= 0:
                self._reach(MAX_EXTENT_BYTES)
                if self._form.starts(self._codec.peek(self._raw, self._at)):
                    return
                if recovery.is_sound(self._codec, self._raw, self._at):
                    return
                self._at += 1
            elif not self._extend():
                break
        self._at = len(self._raw)
