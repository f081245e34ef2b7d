"""Reads an HTTP response as a crawler stored it: status, content type, and the payload with its codings undone."""

from __future__ import annotations

import re
import zlib
from contextlib import suppress
from dataclasses import dataclass

MAX_HEAD_BYTES = 256 << 10
MAX_PAYLOAD_BYTES = 64 << 20  # after decoding; larger payloads are refused, not cut
KEPT_HEADERS = ("content-language", "last-modified", "link", "tdm-policy", "tdm-reservation", "x-robots-tag")
MAX_CODINGS = 3  # stacked content codings; more are an attack
HTML_MIMES = frozenset({"text/html", "application/xhtml+xml"})

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\n\r?\n")
_CHARSET = re.compile(r"charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w.:+-]{1,40})", re.IGNORECASE | re.ASCII)
_FIELD = re.compile(r"\n([^\s:][^\r\n:]{0,127}):[ \t]*([^\r\n]*)")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,1024})?\r?\n")
_HTML_START = re.compile(  # the tags of the WHATWG MIME sniffing standard, section 7.1, that open a page
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*<(?:!doctype html|html|head|body|title|!--|script|meta|h1|div|p|table)[\s/>-]",
    re.IGNORECASE,
)


class UndecodableError(Exception):
    """The payload does not follow its declared content coding."""


class TooLargeError(Exception):
    """The payload decodes to more than MAX_PAYLOAD_BYTES."""


@dataclass(frozen=True)
class Response:
    """An HTTP response. `headers` have lower-case names; of a repeated one the last stays, as in browsers."""

    status: int
    headers: dict[str, str]
    body: bytes  # as sent

    @property
    def mime(self) -> str:
        return mime_of(self.headers.get("content-type", ""))

    @property
    def charset(self) -> str | None:
        return charset_of(self.headers.get("content-type", ""))


def kept_headers(response: Response) -> dict[str, str]:
    """Return the headers that say something of the page itself, for the `http_headers` column."""
    return {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}


def mime_of(content_type: str) -> str:
    """Return the type without parameters, in lower case; "" where there is none."""
    return content_type.partition(";")[0].partition(",")[0].strip().lower()


def charset_of(content_type: str) -> str | None:
    """Return the charset parameter in lower case, as sent."""
    found = _CHARSET.search(content_type)
    return found.group(1).lower() if found else None


def parse_response(block: bytes) -> Response | None:
    """Return the response in the block of a WARC record, or None where it does not start with a status line."""
    status = _STATUS.match(block)
    if status is None:
        return None
    end = _HEAD_END.search(block, 0, MAX_HEAD_BYTES)
    head = block[: end.start()] if end else block[:MAX_HEAD_BYTES]
    fields = _FIELD.findall(head.decode("latin-1"))
    headers = {name.rstrip().lower(): value.rstrip() for name, value in fields}
    return Response(int(status.group(1)), headers, block[end.end() :] if end else b"")


def looks_like_html(body: bytes) -> bool:
    """Say whether a payload without a declared type starts like a page."""
    return _HTML_START.match(body) is not None


def payload_of(response: Response) -> bytes:
    """Return the body with transfer and content codings undone.

    Crawlers often store a body decoded and keep the header: a body that is not in the coding it declares is
    taken as it is if it starts like a page. A coded body that breaks off is decoded up to there.

    Raises UndecodableError and TooLargeError.
    """
    body = response.body
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        body = dechunk(body)
    codings = [c for c in re.split(r"[,\s]+", response.headers.get("content-encoding", "").lower()) if c]
    codings = [c for c in codings if c not in ("identity", "none", "utf-8", "binary", "8bit", "7bit")]
    if len(codings) > MAX_CODINGS:
        raise UndecodableError(f"{len(codings)} content codings")
    for coding in reversed(codings):
        body = _decode(body, coding)
    return body


def dechunk(body: bytes) -> bytes:
    """Undo chunked transfer coding; from the first fault on, bytes are kept as they are.

    A body that never was chunked comes back unchanged, a cut one up to the cut.
    """
    parts: list[bytes] = []
    at = 0
    while found := _CHUNK_SIZE.match(body, at):
        size = int(found.group(1), 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[found.end() : found.end() + size])
        at = found.end() + size
        if body.startswith(b"\r\n", at):
            at += 2
        elif body.startswith(b"\n", at):
            at += 1
        elif at < len(body):  # the size is wrong
            break
    return b"".join([*parts, body[at:]])


def _decode(body: bytes, coding: str) -> bytes:
    if not body:
        return body
    if coding in ("gzip", "x-gzip"):
        decoded = _gunzip(body) if body.startswith(b"\x1f\x8b") else None
    elif coding in ("deflate", "x-deflate"):
        decoded = _inflate(body, zlib.MAX_WBITS) or _inflate(body, -zlib.MAX_WBITS)
    elif coding == "br":
        decoded = _brotli(body)
    elif coding in ("zstd", "x-zstd"):
        decoded = _zstd(body)
    else:
        decoded = None
    if decoded:
        return decoded
    if looks_like_html(body):
        return body
    raise UndecodableError(f"not in its content coding {coding[:20]!r}")


def _bounded(decoded: bytes) -> bytes:
    if len(decoded) > MAX_PAYLOAD_BYTES:
        raise TooLargeError
    return decoded


def _gunzip(body: bytes) -> bytes | None:
    decoded = b""
    while body.startswith(b"\x1f\x8b"):  # several members make one body
        part, body = _inflate_member(body, 31, MAX_PAYLOAD_BYTES + 1 - len(decoded))
        if not part:
            break
        decoded = _bounded(decoded + part)
    return decoded or None


def _inflate(body: bytes, wbits: int) -> bytes | None:
    return _bounded(_inflate_member(body, wbits, MAX_PAYLOAD_BYTES + 1)[0]) or None


def _inflate_member(body: bytes, wbits: int, max_bytes: int) -> tuple[bytes, bytes]:
    """Return what can be inflated of the first member, at most `max_bytes`, and what stands behind it."""
    inflater = zlib.decompressobj(wbits)
    parts: list[bytes] = []
    left = max_bytes
    for at in range(0, len(body), 4096):  # small steps, so that a fault costs no more than one of them
        try:
            parts.append(inflater.decompress(body[at : at + 4096], left))
        except zlib.error:
            return b"".join(parts), b""
        left -= len(parts[-1])
        if left <= 0:
            break
        if inflater.eof:
            return b"".join(parts), inflater.unused_data + body[at + 4096 :]
    return b"".join(parts), b""


def _brotli(body: bytes) -> bytes | None:
    import brotli

    decoder = brotli.Decompressor()
    parts: list[bytes] = []
    n_bytes = 0
    with suppress(brotli.error):  # what was decoded up to the fault counts; nothing at all is reported by the caller
        parts.append(decoder.process(body, output_buffer_limit=1 << 20))
        while parts[-1] and n_bytes <= MAX_PAYLOAD_BYTES:
            n_bytes += len(parts[-1])
            parts.append(decoder.process(b"", output_buffer_limit=1 << 20))
    return _bounded(b"".join(parts)) or None


def _zstd(body: bytes) -> bytes | None:
    import zstandard

    parts: list[bytes] = []
    n_bytes = 0
    with suppress(zstandard.ZstdError):  # as above
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body, read_across_frames=True)
        while n_bytes <= MAX_PAYLOAD_BYTES and (part := reader.read(1 << 20)):
            parts.append(part)
            n_bytes += len(part)
    return _bounded(b"".join(parts)) or None
