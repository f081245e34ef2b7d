"""Tells where a doubtful or broken record ends: by its digest, by what stands behind it, by whole records in it.

All look at bytes that were read already; `data` may end anywhere.
"""

from __future__ import annotations

import re
from itertools import islice

from curate.sources.formats import BrokenRecordError, Format, Head

MAX_AFTER_BYTES = 64  # looked at behind a record, to see whether it is closed
MAX_SHIFT_BYTES = 128  # lost or put in, up to which a record is looked for near another one's declared end
MAX_ENDS = 10_000  # of the block of a record with a wrong length
MAX_CROSSING = 64  # records in a doubtful one, tried
MAX_STARTS = 8  # of records, looked at near a declared end
PADDING = re.compile(rb"[\x00\r\n]*")
_BLOCK_END = re.compile(rb"(?=\r\n\r\n)")
_ZEROS = re.compile(rb"\x00*")


def head_at(form: Format, data: bytes, at: int) -> Head | None:
    """Return the header that begins at `at`, None where there is none or it does not end."""
    try:
        return form.head(data, at)
    except BrokenRecordError:
        return None


def is_followed(form: Format, data: bytes, end: int) -> bool:
    """Say whether another record stands behind one that ends at `end`, or padding, or nothing."""
    found = PADDING.match(data, end)
    place = found.end() if found else end
    return place == len(data) or form.starts(data[place : place + form.start_bytes])


def is_whole(form: Format, data: bytes, end: int) -> bool:
    """Say whether a record that ends at `end` is closed there, and followed by another or by the end."""
    if end > len(data) or not form.is_closed(b"", data[end : end + MAX_AFTER_BYTES]):
        return False
    return is_followed(form, data, end)


def has_digest(form: Format, head: Head, block: memoryview) -> bool:
    """Say whether a block has the digest in its header, or none is given."""
    if (digest := form.digest(head)) is None:
        return True
    hasher, expected = digest
    hasher.update(block)
    return bool(hasher.digest() == expected)


def is_crossed(form: Format, data: bytes, start: int, end: int) -> bool:
    """Say whether a whole record begins between `start` and `end` and ends behind: what a record holds does not."""
    for _ in range(MAX_CROSSING):
        start = form.find(data, start, end)
        if start < 0:
            return False
        inner = head_at(form, data, start)
        inner_end = start + inner.n_bytes + inner.length if inner else start
        if inner_end > end and is_whole(form, data, inner_end):
            return True
        start = inner_end if start < inner_end <= end else start + 1
    return False


def end_by_digest(form: Format, data: bytes, head: Head, start: int, stop: int) -> int:
    """Return where a record ends whose block begins at `start` and has the digest in its header; -1 if none has it.

    Ends up to `stop` are tried, MAX_ENDS of them.
    """
    if (digest := form.digest(head)) is None:
        return -1
    hasher, expected = digest
    for found in islice(_BLOCK_END.finditer(data, start, stop), MAX_ENDS):
        hasher.update(memoryview(data)[start : found.start()])
        start = found.start()
        if hasher.digest() == expected:
            return start + form.closing_bytes
    return -1


def near(form: Format, data: bytes, at: int, end: int, *, is_last: bool) -> int:
    """Return where a record starts near the place `end` where the broken one at `at` should end; -1 where none does.

    If there is one, the broken record's length is right but for some bytes that were lost or put in, and what looks
    like a record before that place is part of its block, as of an archived archive. So it is where the empty lines
    that close a record stand before the declared end. `is_last`: nothing follows `data`.
    """
    starts = [len(data)] if is_last and abs(len(data) - end) <= MAX_SHIFT_BYTES else []
    at = max(at + 1, end - MAX_SHIFT_BYTES)
    while (at := form.find(data, at, end + 2 * MAX_SHIFT_BYTES)) >= 0 and len(starts) < MAX_STARTS:
        starts.append(at)
        at += 1
    closing = data[end - form.closing_bytes : end]
    if not starts and len(closing) == form.closing_bytes > 1 and not closing.strip(b"\r\n"):
        return end
    return min(starts, key=lambda start: abs(start - end), default=-1)


def chain_end(form: Format, data: bytes, at: int, end: int) -> int:
    """Return `end` if whole records follow each other from `at` to there or beyond, else where the last begins."""
    while (head := head_at(form, data, at)) is not None:
        behind = at + head.n_bytes + head.length + form.closing_bytes
        found = _ZEROS.match(data, behind)
        if found is None or behind > end:  # what a record holds does not reach beyond it
            return end if is_whole(form, data, behind - form.closing_bytes) else at
        if found.end() >= end:
            return end
        at = found.end()
    return at
