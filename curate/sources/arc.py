"""Reads ARC files, version 1 and 2, plain or compressed: HTML pages become docs, the rest is counted by its kind."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pyarrow as pa

from curate.schema import HTML_SCHEMA
from curate.source import Slice, Tally
from curate.sources.batches import WholeFiles
from curate.sources.dates import timestamp_of
from curate.sources.files import open_input
from curate.sources.formats import BrokenRecordError, Head
from curate.sources.framing import Record, Records
from curate.sources.pages import Page, Pages, page_of

_ADDRESS = rb"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}|-)"
# URL, IP address, date, type; in version 2 also status, checksum, location, offset and file name; length.
# A URL may hold spaces; the type may be missing. Everything from the address on is bounded.
_TAIL = re.compile(
    rb" (" + _ADDRESS + rb") (\d{8,18}|-) ?([^ \r\n]{0,200}+)((?: [^ \r\n]{0,1000}+){0,5}) (\d{1,18})[ \t]{0,9}\r?\n"
)
_TORN_TAIL = re.compile(rb"(?:\d{8}|-) ?[^ \r\n]{0,200}+(?: [^ \r\n]{0,1000}+){0,5} (\d{1,18})[ \t]{0,9}\r?\n")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{0,20}:[^\s]")
_KNOWN_SCHEME = re.compile(rb"(?:https?|ftp|gopher|dns|whois|filedesc|metadata|warcinfo|screenshot)://?[^\s]|dns:[^\s]")
_SCHEMES = (b"http", b"https", b"ftp", b"gopher", b"dns", b"whois", b"filedesc")
_FILE = b"filedesc:"
_MAX_URL_BYTES = 64 << 10
_MAX_FOUND_URL_BYTES = 8 << 10  # behind damage
_MAX_TAIL_BYTES = 512


class Arc(WholeFiles):
    """ARC 1 and 2: records that hold an HTTP response with status 200 and an HTML type.

    Compressed as WARC files may be. Kinds are those of `Warc` for a `response`, and `filedesc` (the record that
    describes the file). HTTP/0.9 pages, which have no header, count as `not_http`. A record whose length does not
    lead to an end of line or to another record is damage, and so is a header line that cannot be read. Checksums,
    which version 2 has, are not compared: the format does not say how they are made.
    """

    kind = "arc"
    version = 2
    schema = HTML_SCHEMA
    uses: tuple[str, ...] = ("brotli", "isal", "lz4", "zstandard")

    def sniff(self, name: str, head: bytes) -> bool:
        """See `Source.sniff`."""
        start = head.lstrip(b"\x00\r\n")
        return start.startswith(b"filedesc://") or _is_header(start)

    def batches(self, piece: Slice, tally: Tally) -> Iterator[pa.RecordBatch]:
        """See `Source.batches`. Memory: one batch and one record."""
        pages = Pages(piece)
        with open_input(piece) as file:
            for record in Records(file, piece.size_bytes, tally, ArcFormat()):
                kind, page = _page(record)
                tally.records[kind] += 1
                if page is None:
                    continue
                if pages.is_full(len(page.html)):
                    yield pages.take()
                fields = record.fields
                pages.add(record.offset_bytes, fields["url"], timestamp_of(fields["date"]), None, page)
        if len(pages):
            yield pages.take()


def _page(record: Record) -> tuple[str, Page | None]:
    if record.too_large:
        return "too_large", None
    if record.kind != "response" or record.block is None:
        return record.kind, None
    return page_of(record.block, record.fields["content-type"])


class ArcFormat:
    """See `formats.Format`: a line of URL, address, date, type and length, the block, an empty line."""

    start_bytes = _MAX_FOUND_URL_BYTES + 2 * _MAX_TAIL_BYTES
    closing_bytes = 1

    def guessed_length(self, data: bytes, at: int) -> int:
        """See `formats.Format`."""
        found = _TORN_TAIL.search(data, at, at + _MAX_FOUND_URL_BYTES)
        if found is None or b"\n" in data[at : found.start()] or _KNOWN_SCHEME.search(data, at + 1, found.start()):
            return 0  # the header is that of the next record
        return found.end() - at + int(found[1])

    def starts(self, head: bytes) -> bool:
        if b"\n" in head:
            return _is_header(head)
        return _SCHEME.match(head) is not None and len(head) > _MAX_TAIL_BYTES

    def find(self, data: bytes, at: int, end: int = sys.maxsize) -> int:
        """The line's end is what is looked for; its URL begins the line, or stands behind a record that broke off."""
        while found := _TAIL.search(data, at, end):
            floor = max(at, found.start() - _MAX_FOUND_URL_BYTES)
            begin = data.rfind(b"\n", floor, found.start()) + 1
            if (begin or not floor) and _SCHEME.match(data, begin):
                return begin
            url = _KNOWN_SCHEME.search(data, begin or floor, found.start())
            if url:
                return url.start()
            at = found.end() - 1
        return -1

    def leads_on(self, data: bytes, at: int) -> bool:
        return data.startswith(b"\n", at) and _KNOWN_SCHEME.match(data, at + 1) is not None

    def is_closed(self, before: bytes, after: bytes) -> bool:
        if not after or after[0] in b"\r\n" or _KNOWN_SCHEME.match(after):
            return True
        return not after.strip()  # early crawlers wrote blanks behind a block

    def digest(self, head: Head) -> None:
        """See `formats.Format`. Version 2 has checksums, but does not say how they are made."""

    def head(self, data: bytes, at: int) -> Head | None:
        """See `formats.Format`."""
        end = data.find(b"\n", at, at + _MAX_URL_BYTES + _MAX_TAIL_BYTES)
        if end < 0:
            if len(data) - at > _MAX_URL_BYTES + _MAX_TAIL_BYTES:
                raise BrokenRecordError("not an ARC record")
            return None
        line = data[at : end + 1]
        words = line.split()
        if _SCHEME.match(line) is None or len(words) < 4 or not words[-1].isdigit() or len(words[-1]) > 18:
            raise BrokenRecordError("not an ARC record")
        if _is_torn(line):
            raise BrokenRecordError("not an ARC record")
        length = int(words[-1])
        if line.startswith(_FILE):
            return Head("filedesc", len(line), length, None)
        found = _TAIL.search(line)
        if found is None:
            raise BrokenRecordError("not an ARC record")
        url = line[: found.start()].decode("utf-8", "replace")
        fields = {"url": url, "date": found[2].decode(), "content-type": found[3].decode("latin-1")}
        return Head("response", len(line), length, fields)


def _is_torn(line: bytes) -> bool:
    """Say whether a line begins with a known scheme that has lost its first letters, or got some in front."""
    scheme = line[: line.find(b":")].lower()
    return scheme not in _SCHEMES and any(one.endswith(scheme) or scheme.endswith(one) for one in _SCHEMES)


def _is_header(head: bytes) -> bool:
    line = head[: head.find(b"\n") + 1]
    return _SCHEME.match(line) is not None and _TAIL.search(line) is not None
