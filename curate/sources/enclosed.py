"""Tells the records of a file from those in its payloads, where damage took what would say so."""

from __future__ import annotations

import re

from curate.sources.formats import BrokenRecordError, Format

_NEWLINES = re.compile(rb"[\r\n]*")
_ZEROS = re.compile(rb"\x00*")
_ARC_AND_HTTP = re.compile(rb" \d{1,18}\r?\nHTTP/")  # the header of an ARC record has no empty line behind it
MAX_GARBAGE_BYTES = 96  # in front of a record: a damaged one that holds another has a longer header
_MAX_INNER_HEAD_BYTES = 4096  # of an HTTP header in front of a payload


def next_record(
    form: Format, data: bytes, at: int, *, is_end: bool, is_cut: bool, n_closing: int | None
) -> tuple[int, int]:
    """Return where a record begins, from `at` on, that stands in no payload, or -1; and where to look on without it.

    Archived archives hold whole records. Records are followed to where their chain breaks off: those of the file
    end there at damage or at the end of the file, those of a payload at the rest of it, or at the empty lines that
    close the record around them. `is_end`: nothing follows `data`. `is_cut`: by its length the damaged record
    reaches beyond the end; believe only what proves that length wrong by leading to the end. `n_closing`: the bytes
    that stand between the blocks and records of this file, if one was read.
    """
    first = place = form.find(data, at)
    expected = n_closing
    if at <= first < at + MAX_GARBAGE_BYTES:
        return first, first
    while place >= 0:
        end = _end_of(form, data, place)
        is_behind = _follows_record(form, data, first)
        is_held = is_cut and not is_behind  # unless its chain leads to the end
        if end < 0 or (end <= len(data) and not form.is_closed(b"", data[end : end + 64])):  # damaged itself
            if not is_held:
                return first, first
            first = place = form.find(data, place + 1)
            expected = n_closing
            continue
        n_newlines = _over(_NEWLINES, data, end) - end if end <= len(data) else 0
        behind = _over(_ZEROS, data, end + n_newlines)
        if behind >= len(data):
            if is_end and ((is_held and end > len(data)) or n_newlines > (expected or form.closing_bytes)):
                return -1, len(data)  # cut off as the damaged one is, or closed twice: by itself and by what holds it
            return first, first
        if form.starts(data[behind : behind + form.start_bytes]):
            expected = n_newlines if expected is None else expected
            if n_newlines == expected or (n_newlines < expected and n_closing is not None):
                place = behind
                continue
        else:
            behind = form.find(data, end)
            if is_behind or (not is_cut and _is_damage(form, data, first, end + n_newlines, behind)):
                return first, first
        first = place = behind
        expected = n_closing
    return -1, max(at, len(data) - form.start_bytes)


def _end_of(form: Format, data: bytes, at: int) -> int:
    """Return where the block of a record ends, beyond `data` where its header is cut off; -1 without a header."""
    try:
        head = form.head(data, at)
    except BrokenRecordError:
        return -1
    return at + head.n_bytes + head.length if head else len(data) + 1


def _over(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    return found.end() if found else at


def _is_damage(form: Format, data: bytes, first: int, at: int, behind: int) -> bool:
    """Say whether from `at` to `behind` there is a record without its start, or garbage, and no end of a payload."""
    if data[max(0, first - 1) : first] not in (b"\r", b"\n"):  # a record in a packed one, as it is stored
        return False
    if form.guessed_length(data, at):
        return True
    end = behind if behind >= 0 else len(data)
    return bool(data[max(at, end - form.closing_bytes) : end].strip(b"\r\n"))


def _follows_record(form: Format, data: bytes, at: int) -> bool:
    """Say whether empty lines in front of `at` close a record; not if they close the header of a payload."""
    before = data[max(0, at - _MAX_INNER_HEAD_BYTES) : at].rstrip(b"\x00")  # padding
    if len(before) < form.closing_bytes or before[-form.closing_bytes :].strip(b"\r\n"):
        return False
    start = before.rstrip(b"\r\n").rfind(b"\n\r\n") + 3
    start = start if start > 2 else 0
    return not before.startswith((b"HTTP/", b"WARC/"), start) and _ARC_AND_HTTP.search(before, start) is None
