"""A remote file that reads and seeks like a local one: verified blocks, resumed after breaks, never short or mixed."""

from __future__ import annotations

import io
import time
from typing import Any

from urllib3.exceptions import HTTPError

from curate.sources.remote import s3, web
from curate.sources.remote.address import bare
from curate.sources.remote.retry import Patience, RemoteError, Retry

HEAD_BYTES = 4096  # the first block at the start of a file: what telling its kind takes
FIRST_BYTES = 64 << 10  # the first block elsewhere
MAX_BYTES = 8 << 20  # blocks double up to this while reading goes straight on
_STEP_BYTES = 256 << 10


class RemoteFile(io.RawIOBase):
    """A file behind `https://`, `http://` or `s3://`, read-only.

    `read(n)` returns n bytes unless the file ends. Memory: one block, up to 8 MiB or the `n` asked for. Every reply
    must hold the bytes that were asked for, of a file of the same length and ETag (or Last-Modified) as the first.
    Raises RemoteError where that cannot be had; the address is shown without user, password and query.
    """

    def __init__(self, url: str, *, size_bytes: int | None = None, validator: str | None = None) -> None:
        super().__init__()
        self.url = bare(url)
        self.validator = validator
        self._patience = Patience.from_environment()
        self._planned_bytes = size_bytes
        self._position = 0
        self._start, self._block = 0, b""  # of the file: what is held
        self._next_bytes = HEAD_BYTES
        self._whole: web.Reply | None = None  # the one reply of a server that has no ranges
        if size_bytes is None:
            self._fetch(0, HEAD_BYTES)

    @property
    def size_bytes(self) -> int:
        """Length of the file."""
        assert self._planned_bytes is not None
        return self._planned_bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        if origin + offset < 0:
            raise ValueError("a place before the file's start")
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self.size_bytes - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        parts = []
        while wanted > 0:
            at = self._position - self._start
            if not 0 <= at < len(self._block):
                self._fetch(self._position, wanted)
                at = 0
            part = self._block[at : at + wanted]
            parts.append(part)
            self._position += len(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._whole is not None:
            self._whole.body.close()
            self._whole = None
        self._block = b""
        super().close()

    def _fetch(self, start: int, wanted: int) -> None:
        """Hold the block that begins at `start`: `wanted` bytes or more, to the end of the file at most."""
        straight_on = start == self._start + len(self._block) and start > 0
        grown = min(MAX_BYTES, self._next_bytes * 2) if straight_on else (FIRST_BYTES if start else HEAD_BYTES)
        self._next_bytes = grown
        block = bytearray()
        end = start + max(grown, min(wanted, MAX_BYTES))
        if self._planned_bytes is not None:
            end = min(end, self._planned_bytes)
        started_s, n_tries = time.monotonic(), 0
        while start + len(block) < end:
            try:
                end = self._take(block, start, end)
            except Retry as failed:
                n_tries += 1
                self._patience.pause(n_tries, failed, self.url, started_s)
        self._start, self._block = start, bytes(block)

    def _take(self, block: bytearray, start: int, end: int) -> int:
        """Add to the block what one reply gives; return where the block ends, now that the file's length is known."""
        at = start + len(block)
        reply = self._whole if self._whole is not None and self._whole.start == at else self._asked(at, end)
        end = min(end, reply.size_bytes)
        deadline_s = time.monotonic() + self._patience.timeout_s + (end - at) / self._patience.min_bytes_per_s
        done = False
        try:
            stop = min(end, reply.end)
            while at < stop:
                data = reply.body.read1(min(stop - at, _STEP_BYTES))
                if not data:
                    raise Retry("the reply broke off")
                block += data
                at += len(data)
                if time.monotonic() > deadline_s and at < stop:
                    raise Retry("the reply comes too slowly")
            done = True
        except HTTPError as error:
            raise web.failed(error, self.url) from error
        finally:
            self._done_with(reply, at, done=done)
        return end

    def _done_with(self, reply: web.Reply, at: int, *, done: bool) -> None:
        """Keep what can be used again: the connection, or the rest of a whole file that will be read on from."""
        self._whole = None
        if reply.is_whole and done and at < reply.end:
            self._whole = reply._replace(start=at)
        elif done and at == reply.end:
            reply.body.release_conn()
        else:
            reply.body.close()

    def _asked(self, at: int, end: int) -> web.Reply:
        if self._whole is not None:
            self._whole.body.close()
            self._whole = None
        try:
            reply = web.ask(self._address(), self.url, at, end, self.validator, self._patience)
        except web.Moved as moved:
            if not self.url.startswith("s3://") or not s3.moved(self.url, moved.region):
                raise RemoteError(f"{self.url}: sent from region to region") from moved
            return self._asked(at, end)
        if self._planned_bytes is None:
            if reply.size_bytes == 0:
                reply.body.close()
            self._planned_bytes = reply.size_bytes
        if reply.size_bytes != self._planned_bytes:
            reply.body.close()
            raise web.changed(self.url)
        if self.validator is None:
            self.validator = reply.validator
        return reply

    def _address(self) -> str:
        return s3.signed(self.url) if self.url.startswith("s3://") else self.url
