"""Reads an HTTP response as a crawler stored it: status, header fields, and the payload with its codings undone."""

from __future__ import annotations

import re
from functools import lru_cache

from curate.sources.codings import (
    DecompressRatioError,
    TooLargeError,
    UndecodableError,
    dechunk,
    decode,
    looks_like_html,
)

__all__ = [  # with what callers of payload_of need of the codings
    "HTML_MIMES",
    "KEPT_HEADERS",
    "DecompressRatioError",
    "Response",
    "TooLargeError",
    "UndecodableError",
    "charset_of",
    "kept_headers",
    "looks_like_html",
    "mime_of",
    "parse_response",
    "payload_of",
    "sniffed_family",
]

MAX_HEAD_BYTES = 256 << 10
MAX_TYPE_CHARS = 256  # of a Content-Type that is remembered
KEPT_HEADERS = ("content-language", "last-modified", "link", "tdm-policy", "tdm-reservation", "x-robots-tag")
HTML_MIMES = frozenset({"text/html", "application/xhtml+xml"})

_STATUS = re.compile(rb"[\r\n]{0,4}(?:HTTP(?:/\d(?:\.\d)?)?[ \t]+(\d{3})|:status:[ \t]*(\d{3}))(?!\d)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\n\r{0,2}\n")  # servers that end lines with CR CR LF are known
_USED_FIELD = re.compile(
    rb"\n(content-(?:type|encoding|language)|transfer-encoding|last-modified|link|tdm-(?:policy|reservation)|x-robots-tag)"
    rb"[ \t]{0,99}:([^\r\n]*)"
)
_FOLD = re.compile(rb"\r?\n[ \t]+")  # a line that starts with white space goes on with the field above
_TYPE_VALUE = re.compile(r"(?:[^,\"]+|\"[^\"]*\"?)+")
_TYPE = re.compile(r"\s*([^\s;,(/]{1,99}/[^\s;,(/]{1,99})")
_UNKNOWN_TYPES = frozenset({"*/*", "application/unknown", "unknown/unknown"})  # say nothing; MIME sniffing, section 7
_PARAMETER = re.compile(
    r";\s*([^\s;=\"]{0,40})[^;=\"]{0,9}=\s{0,9}(?:\"([^\"]{0,99})\"?|([^\s;,\"]{0,99}))", re.ASCII
)  # a name, perhaps with blanks behind it, and its value
_SEPARATOR = re.compile(r"[,\s]+")
_PLAIN_CODINGS = frozenset({"", "identity", "none", "utf-8", "binary", "8bit", "7bit", "chunked"})
# The first bytes of files that are no pages: MIME sniffing standard, section 6, and other common formats.
_MAGIC = re.compile(
    rb"(?P<application>%PDF-|%!PS-Adobe|PK\x03\x04|PK\x05\x06|\x1f\x8b\x08|\x28\xb5\x2f\xfd|BZh[1-9]1AY&SY|\xfd7zXZ\x00"
    rb"|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\xd0\xcf\x11\xe0|\{\\rtf|\x7fELF|MZ[\x90\x00P]\x00|\xca\xfe\xba\xbe|\x00asm"
    rb"|SQLite format 3\x00|[FC]WS[\x03-\x08\x0b\x0e-\x1f]|.{257}ustar)"
    rb"|(?P<image>\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF....WEBP|BM....\x00\x00\x00\x00|II\*\x00|MM\x00\*"
    rb"|\x00\x00[\x01\x02]\x00[^\x00]\x00|....ftyp(?:avif|heic|mif1)|8BPS\x00)"
    rb"|(?P<audio>ID3[\x02-\x04]|RIFF....WAVE|fLaC\x00|MThd\x00|....ftypM4A)"
    rb"|(?P<video>....ftyp|\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|\x00\x00\x01[\xb3\xba]|OggS\x00)"
    rb"|(?P<font>wOF[F2]|OTTO\x00|\x00\x01\x00\x00\x00|ttcf\x00)",
    re.DOTALL,
)


class Response:
    """An HTTP response. Of its header only the fields that this project uses are read; names are in lower case.

    Fields that are repeated are joined by ", ", as RFC 9110 (5.3) has it.
    """

    __slots__ = ("_block", "_body_at", "fields", "status")

    def __init__(self, status: int, fields: dict[bytes, bytes], block: bytes | memoryview, body_at: int) -> None:
        self.status = status
        self.fields = fields
        self._block = block
        self._body_at = body_at

    @property
    def body(self) -> bytes | memoryview:
        """The body as sent; of a view a view."""
        return self._block[self._body_at :]

    @property
    def mime(self) -> str:
        return mime_of(self.field("content-type"))

    @property
    def charset(self) -> str | None:
        return charset_of(self.field("content-type"))

    def field(self, name: str) -> str:
        """Return the value of a field, read as UTF-8 or else as Latin-1; "" where there is none."""
        value = self.fields.get(name.encode())
        if value is None:
            return ""
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")


def parse_response(block: bytes | memoryview) -> Response | None:
    """Return the response in the block of a WARC record, or None where it is none that can be read.

    A response starts with a status line (its text, and the version's number, may be missing) or with HTTP/2's
    `:status`; HTTP/0.9, a body alone, is not taken for one. A head over MAX_HEAD_BYTES makes it none, too.
    """
    status = _STATUS.match(block)
    if status is None:
        return None
    end = _HEAD_END.search(block, 0, MAX_HEAD_BYTES)
    if end is None and len(block) > MAX_HEAD_BYTES:
        return None
    head = bytes(block[: end.start()] if end else block)
    return Response(int(status[1] or status[2]), _used_fields(head), block, end.end() if end else len(block))


def _used_fields(head: bytes) -> dict[bytes, bytes]:
    if b"\n " in head or b"\n\t" in head:
        head = _FOLD.sub(b" ", head)
    fields: dict[bytes, bytes] = {}
    for found in _USED_FIELD.finditer(head.lower()):
        name, value = found[1], head[found.start(2) : found.end()].strip()
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def kept_headers(response: Response) -> dict[str, str]:
    """Return the headers that say something of the page itself, for the `http_headers` column."""
    return {name: value for name in KEPT_HEADERS if (value := response.field(name))}


def mime_of(content_type: str) -> str:
    """Return the type without parameters, in lower case; "" where there is none that browsers heed."""
    return _type_of(content_type)[0] if len(content_type) > MAX_TYPE_CHARS else _cached_type_of(content_type)[0]


def charset_of(content_type: str) -> str | None:
    """Return the charset parameter in lower case, as sent."""
    return _type_of(content_type)[1] if len(content_type) > MAX_TYPE_CHARS else _cached_type_of(content_type)[1]


def _type_of(content_type: str) -> tuple[str, str | None]:
    """Return type and charset: of several values the last valid one, as browsers do (Fetch standard, 3.6.2)."""
    mime, charset = "", None
    for value in _TYPE_VALUE.findall(content_type):
        found = _TYPE.match(value)
        if found is None or (essence := found[1].lower()) in _UNKNOWN_TYPES:
            continue
        named = (quoted or bare for name, quoted, bare in _PARAMETER.findall(value) if name.lower() == "charset")
        label = next(filter(None, named), None)
        if label or essence != mime:
            charset = label.lower() if label else None
        mime = essence
    return mime, charset


_cached_type_of = lru_cache(maxsize=1024)(_type_of)  # the web uses few


def sniffed_family(payload: bytes | memoryview) -> str | None:
    """Return what a payload is by its first bytes, where that is no page: application, audio, font, image, video."""
    found = None if not payload or payload[0] in b"<\n\r" else _MAGIC.match(payload)
    return found.lastgroup if found else None


def payload_of(response: Response) -> bytes | memoryview:
    """Return the body with transfer and content codings undone; see `codings.dechunk` and `codings.decode`.

    A body without codings is not copied. Raises UndecodableError, TooLargeError and DecompressRatioError.
    """
    body = response.body
    transfer, content = response.field("transfer-encoding").lower(), response.field("content-encoding").lower()
    if "chunked" in transfer:
        body = dechunk(body)
    found = _SEPARATOR.split(f"{content},{transfer}") if content or transfer else ()
    return decode(body, [coding for coding in found if coding not in _PLAIN_CODINGS])
