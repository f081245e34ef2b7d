"""Undoes the transfer and content codings of a stored HTTP body, and refuses the bombs among them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO

from isal import isal_zlib  # inflates about twice as fast as zlib, to the same bytes

MAX_PAYLOAD_BYTES = 64 << 20  # after decoding; larger payloads are refused, not cut
MAX_RATIO = 1_000  # of 2,376 real pages over 50 KB the best packed comes to 45 in gzip, 75 in zstd, 89 in brotli
MIN_BOMB_BYTES = 8 << 20  # no bomb below: repeated words pack as well. Extraction takes up to 10 MiB
MAX_CODINGS = 3  # one upon the other; more are an attack
MAX_GZIP_MEMBERS = 64  # in one body; the rest is left out

_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]{0,1024})?\r?\n")
_HTML_START = re.compile(  # the tags of the WHATWG MIME sniffing standard, section 7.1, that open a page
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*<(?:!doctype html|html|head|body|title|!--|script|meta|h1|div|p|table)[\s/>-]",
    re.IGNORECASE,
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")  # MIME sniffing, section 3: "binary data byte"
_TEXT_BYTES = 64  # as many without a binary byte are text: of random bytes one run in 1,250 looks so
_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_STEP_BYTES = 16 << 10  # of output; a fault loses no more than one step
_MAX_WINDOW_BYTES = 64 << 20  # of zstd; browsers allow 8 MiB (RFC 9659), but stored frames may be in one piece


class UndecodableError(Exception):
    """The payload does not follow its declared coding."""


class TooLargeError(Exception):
    """The payload decodes to more than MAX_PAYLOAD_BYTES."""


class DecompressRatioError(Exception):
    """The payload decodes to more than MAX_RATIO times its size, or is coded more than MAX_CODINGS times."""


def looks_like_html(body: bytes | memoryview) -> bool:
    """Say whether a payload starts like a page."""
    return _HTML_START.match(body) is not None


def dechunk(body: bytes | memoryview) -> bytes:
    """Undo chunked transfer coding; from the first fault on, bytes are kept as they are.

    A body that never was chunked comes back unchanged, a cut one up to the cut. Trailer fields are left out.
    Raises UndecodableError where the first chunk says that it is larger than any payload may be.
    """
    body = bytes(body)
    parts: list[bytes] = []
    at = 0
    while found := _CHUNK_SIZE.match(body, at):
        size = int(found.group(1), 16)
        if size == 0:
            return b"".join(parts)
        if size > MAX_PAYLOAD_BYTES:
            if not parts:
                raise UndecodableError(f"a chunk of {size} bytes")
            break
        parts.append(body[found.end() : found.end() + size])
        at = found.end() + size
        if body.startswith(b"\r\n", at):
            at += 2
        elif body.startswith(b"\n", at):
            at += 1
        elif at < len(body):  # the size is wrong
            break
    return b"".join([*parts, body[at:]]) if parts else body


def decode(body: bytes | memoryview, codings: Sequence[str]) -> bytes | memoryview:
    """Undo content codings, given in the order they were applied; gzip and zstd also where none is declared.

    Crawlers often store a body decoded and keep the header: a body that is text is taken as it is. A coded body
    that breaks off is decoded up to there. Memory: twice the largest payload.

    Raises UndecodableError, TooLargeError and DecompressRatioError.
    """
    if len(codings) > MAX_CODINGS:
        raise DecompressRatioError(f"{len(codings)} content codings")
    if not codings and not bytes(body[:4]).startswith((_GZIP, _ZSTD)):
        return body
    body = bytes(body)
    allowed = min(MAX_PAYLOAD_BYTES, max(MIN_BOMB_BYTES, MAX_RATIO * len(body)))  # for all codings together
    for coding in reversed(codings):
        body = _undone(body, coding, allowed)
    if body.startswith((_GZIP, _ZSTD)):
        return _undeclared(body, allowed, MAX_CODINGS - len(codings))
    return body


def _undeclared(body: bytes, allowed: int, n_codings: int) -> bytes:
    """Undo up to `n_codings` codings seen by their magic bytes; no page in them: it is a file of that kind."""
    inner = body
    for _ in range(n_codings):
        try:
            inner = _undone(inner, "gzip" if inner.startswith(_GZIP) else "zstd", allowed)
        except UndecodableError:
            return body
        if not inner.startswith((_GZIP, _ZSTD)):
            return inner if looks_like_html(inner) else body
    raise DecompressRatioError(f"coded more than {MAX_CODINGS} times")


def _undone(body: bytes, coding: str, allowed: int) -> bytes:
    """Return `body` with one coding undone, at most `allowed` bytes."""
    if not body or looks_like_html(body):
        return body
    decoder = _DECODERS.get(coding)
    decoded = decoder(body, allowed + 1) if decoder and not _is_text(body) else b""
    if len(decoded) > allowed:
        raise TooLargeError if allowed == MAX_PAYLOAD_BYTES else DecompressRatioError
    if decoded:
        return decoded
    if _is_text(body):
        return body
    raise UndecodableError(f"not in its content coding {coding[:20]!r}")


def _is_text(body: bytes) -> bool:
    return len(body) >= _TEXT_BYTES and _BINARY.search(body, 0, 512) is None


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = max_bytes
    for _ in range(MAX_GZIP_MEMBERS):  # several members make one body
        if not body.startswith(_GZIP[:2]) or left <= 0:
            break
        part, body = _inflate(body, 31, left)
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _inflate_either(body: bytes, max_bytes: int) -> bytes:
    """Inflate what "deflate" stands for: zlib's format by the standard, often without its frame."""
    framed = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    found = _inflate(body, zlib.MAX_WBITS, max_bytes)[0] if framed else b""
    return found or _inflate(body, -zlib.MAX_WBITS, max_bytes)[0]


def _inflate(body: bytes, wbits: int, max_bytes: int) -> tuple[bytes, bytes]:
    """Return what can be inflated of the first member, at most `max_bytes`, and what stands behind it."""
    inflater = isal_zlib.decompressobj(wbits=wbits)
    parts: list[bytes] = []
    left, rest = max_bytes, body
    while left > 0:
        step_bytes = min(left, MIN_BOMB_BYTES)
        try:
            parts.append(inflater.decompress(rest, step_bytes))
        except isal_zlib.error:  # type: ignore[misc]  # its stub calls the class an instance
            return _inflate_to_fault(body, wbits, max_bytes), b""
        left -= len(parts[-1])
        if inflater.eof or len(parts[-1]) < step_bytes:
            break
        rest = inflater.unconsumed_tail
        _refuse_bomb(max_bytes - left, len(body) - len(rest))
    return parts[0] if len(parts) == 1 else b"".join(parts), inflater.unused_data if inflater.eof else b""


def _inflate_to_fault(body: bytes, wbits: int, max_bytes: int) -> bytes:
    """Inflate a damaged member up to its last good byte (zlib gives nothing of the call in which it fails)."""
    inflater = zlib.decompressobj(wbits)
    parts: list[bytes] = []
    left = max_bytes
    for at in range(0, len(body), 4096):
        before = inflater.copy()
        try:
            parts.append(inflater.decompress(body[at : at + 4096], left))
        except zlib.error:
            with suppress(zlib.error):
                for i in range(at, at + 4096):
                    parts.append(before.decompress(body[i : i + 1], left))
                    left -= len(parts[-1])
                    if left <= 0:
                        break
            break
        left -= len(parts[-1])
        _refuse_bomb(max_bytes - left, at + 4096)
        if left <= 0 or inflater.eof:
            break
    return b"".join(parts)


def _brotli(body: bytes, max_bytes: int) -> bytes:
    """Undo brotli. Nothing is given of the call that meets a fault, or bytes behind the end: that part byte by byte."""
    decoded, fault = _brotli_in_steps(body, len(body), max_bytes)
    return decoded if fault < 0 else _brotli_in_steps(body, fault, max_bytes)[0]


def _brotli_in_steps(body: bytes, fine_from: int, max_bytes: int) -> tuple[bytes, int]:
    """Return what comes out, fed byte by byte from `fine_from` on, and where the step with the fault begins, or -1."""
    import brotli

    decoder = brotli.Decompressor()
    parts: list[bytes] = []
    left = max_bytes
    at = 0
    try:
        while at < len(body) and left > 0 and not decoder.is_finished():
            step_bytes = 1 if at >= fine_from else min(_STEP_BYTES, fine_from - at)
            part = decoder.process(body[at : at + step_bytes], output_buffer_limit=_STEP_BYTES)
            while part and left > 0:
                parts.append(part)
                left -= len(part)
                _refuse_bomb(max_bytes - left, at + step_bytes)
                part = decoder.process(b"", output_buffer_limit=_STEP_BYTES)
            at += step_bytes
    except brotli.error:
        return b"".join(parts), at
    return b"".join(parts), -1


def _zstd(body: bytes, max_bytes: int) -> bytes:
    """Undo zstd; where something stands behind the first frame that is none, that frame alone."""
    decoded, is_whole = _zstd_frames(body, max_bytes, all_frames=True)
    return decoded if is_whole else max(decoded, _zstd_frames(body, max_bytes, all_frames=False)[0], key=len)


def _zstd_frames(body: bytes, max_bytes: int, *, all_frames: bool) -> tuple[bytes, bool]:
    import zstandard

    parts: list[bytes] = []
    left = max_bytes
    source = BytesIO(body)
    try:
        size = zstandard.get_frame_parameters(body).content_size
        if max_bytes <= size < zstandard.CONTENTSIZE_ERROR:  # CONTENTSIZE_UNKNOWN is larger still
            _refuse_bomb(size, len(body))
            raise TooLargeError  # it says so itself
        decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        reader = decoder.stream_reader(source, read_size=4096, read_across_frames=all_frames)
        while left > 0 and (part := reader.read(_STEP_BYTES)):
            parts.append(part)
            left -= len(part)
            _refuse_bomb(max_bytes - left, source.tell())
    except zstandard.ZstdError:  # what was decoded up to a fault counts; the caller reports if nothing was
        return b"".join(parts), False
    return b"".join(parts), True


def _refuse_bomb(n_decoded: int, n_coded: int) -> None:
    if n_decoded > max(MIN_BOMB_BYTES, MAX_RATIO * n_coded):
        raise DecompressRatioError(f"{n_coded} bytes decode to {n_decoded} or more")


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate_either,
    "x-deflate": _inflate_either,
    "br": _brotli,
    "zstd": _zstd,
    "x-zstd": _zstd,
}
