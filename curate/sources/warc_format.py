"""How WARC records look: the version line, the fields of their header, what stands between them."""

from __future__ import annotations

import re
import sys

from curate.sources.digests import digest_of
from curate.sources.formats import MAX_HEAD_BYTES, BrokenRecordError, Hash, Head

KINDS = ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation")
UNKNOWN = "unknown_type"

_START = re.compile(rb"WARC/\d{1,3}\.\d{1,3}[ \t]{0,9}\r?\n", re.IGNORECASE)
_CLOSING = b"\r\n\r\n"
_NEXT_ONE = (_CLOSING + b"WARC/1.", b"\n\nWARC/1.")
_MAX_GUESSED_BYTES = 8 << 10
_MAX_START_BYTES = 24
_NEXT = re.compile(rb"WARC/\d{1,3}\.\d{1,3}[ \t]{0,9}\r?\n[A-Za-z][\w-]{0,63}[ \t]{0,9}:", re.IGNORECASE)
_FOLD = re.compile(rb"\r?\n[ \t]+")  # a line that starts with white space goes on with the field above
_FRAME_FIELD = re.compile(rb"\n(warc-type|content-length)[ \t]*:[ \t]*([^\r\n]*)")
_USED_FIELD = re.compile(
    rb"\n(content-type|warc-(?:target-uri|date|truncated|block-digest|payload-digest|record-id"
    rb"|identified-content-language|segment-number))[ \t]*:[ \t]*([^\r\n]*)"
)
_KINDS = {kind.encode(): kind for kind in KINDS}


class WarcFormat:
    """See `formats.Format`. `wanted`: the kinds whose records are given with fields and block."""

    start_bytes = 128
    closing_bytes = 4

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self._wanted = frozenset(wanted)

    def starts(self, head: bytes) -> bool:
        return _START.match(head) is not None

    def find(self, data: bytes, at: int, end: int = sys.maxsize) -> int:
        found = _NEXT.search(data, at, end)
        return found.start() if found else -1

    def leads_on(self, data: bytes, at: int) -> bool:
        return data.startswith(_NEXT_ONE, at)

    def is_closed(self, before: bytes, after: bytes) -> bool:
        """See `formats.Format`. Missing empty lines are borne, unless they are the block's: then some of it is lost."""
        if after.startswith((_CLOSING, b"\n\n")):
            return True
        rest = after.lstrip(b"\r\n")
        n_newlines = len(after) - len(rest)
        if rest and n_newlines and before[len(before.rstrip(b"\r\n")) :] + after[:n_newlines] == _CLOSING:
            return False
        return b"WARC/".startswith(rest[:5].upper())

    def digest(self, head: Head) -> tuple[Hash, bytes] | None:
        """See `formats.Format`. That of a payload would not do: tools do not agree on what a payload is."""
        return digest_of((head.fields or {}).get("warc-block-digest", ""))

    def guessed_length(self, data: bytes, at: int) -> int:
        """See `formats.Format`."""
        end = data.find(b"\n\r\n", at, at + _MAX_GUESSED_BYTES)
        if end < 0 or _NEXT.search(data, at + 1, end):  # the header is that of the next record
            return 0
        lengths = {
            value.strip() for name, value in _FRAME_FIELD.findall(data[at : end + 1].lower()) if name[:1] == b"c"
        }
        length = lengths.pop() if len(lengths) == 1 else b""
        return end + 3 - at + int(length) if length.isdigit() and len(length) <= 18 else 0

    def head(self, data: bytes, at: int) -> Head | None:
        """See `formats.Format`. Of a repeated field the first counts; lengths must agree."""
        stop = at + MAX_HEAD_BYTES
        place = data.find(b"\n\r\n", at, stop)
        end = place + 3
        if (bare := data.find(b"\n\n", at, place + 1 if place >= 0 else stop)) >= 0:
            place, end = bare, bare + 2
        if (place >= 0 or len(data) >= at + _MAX_START_BYTES) and not _START.match(data, at):
            raise BrokenRecordError("not a WARC record")
        if place < 0:
            return None
        raw = data[at : place + 1]
        if b"\n " in raw or b"\n\t" in raw:
            raw = _FOLD.sub(b" ", raw)
        lower = raw.lower()
        if lower.find(b"warc/", 5) >= 0 and _NEXT.search(raw, 5):
            raise BrokenRecordError("a record is cut off in its header")
        kind, length = _frame(lower)
        fields = _fields(raw, lower) if kind in self._wanted else None
        return Head(kind, end - at, length, fields)


def _frame(lower: bytes) -> tuple[str, int]:
    kind = length = None
    for name, value in _FRAME_FIELD.findall(lower):
        if name == b"warc-type":
            kind = value.rstrip() if kind is None else kind
        elif length is not None and value.rstrip() != length:
            raise BrokenRecordError("a record has two different Content-Length fields")
        else:
            length = value.rstrip()
    if not length or not length.isdigit() or len(length) > 18:
        raise BrokenRecordError("a record has no valid Content-Length")
    return _KINDS.get(kind or b"", UNKNOWN), int(length)


def _fields(raw: bytes, lower: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for found in _USED_FIELD.finditer(lower):
        value = raw[found.start(2) : found.end(2)].decode("utf-8", "replace").rstrip()
        fields.setdefault(found[1].decode(), value)
    return fields
