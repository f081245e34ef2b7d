"""What fuzzing calls: each target takes any bytes and fails on an exception outside the error tree or a broken law."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from curate.errors import CurateError
from curate.source import Slice, Tally
from curate.sources import source_of

PAGE = "<!doctype html><html><head><meta charset=utf-8><title>é</title></head><body><p>{}</p></body></html>".encode()
LABELS = (
    None, "utf-8", "utf-16", "utf-16be", "gbk", "big5", "euc-kr", "shift_jis", "euc-jp", "iso-2022-jp", "latin1",
    "windows-1255", "x-user-defined", "replacement", "nonsense",
)  # fmt: skip
HEADS = (
    b"", b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n", b"Content-Encoding: br\r\n",
    b"Content-Encoding: zstd\r\n", b"Content-Encoding: gzip, br\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\nContent-Encoding: zstd\r\n", b"content-encoding:\r\n\tx-gzip\r\n",
)  # fmt: skip


def _record(block: bytes, kind: bytes = b"response", content_type: bytes = b"application/http") -> bytes:
    head = b"WARC/1.0\r\nWARC-Type: %b\r\nWARC-Target-URI: http://a.org/\r\n" % kind
    head += b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (content_type, len(block))
    return head + block + b"\r\n\r\n"


@cache
def healthy() -> tuple[tuple[str, bytes], ...]:
    """Return (kind, file) of small archives: plain, a member a record, one member, zstd; ARC, plain and gzip; WET."""
    import zstandard

    response = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + PAGE
    records = [_record(response), _record(b"a: b", b"metadata"), _record(response * 3), _record(response)]
    fields = b"1 0 Internet Archive\nURL IP-address Archive-date Content-type Archive-length\n\n"
    arc = [b"filedesc://a.arc 0.0.0.0 20240101000000 text/plain %d\n" % len(fields) + fields]
    arc += [b"http://a.org/ 1.2.3.4 20240101000000 text/html %d\n" % len(response) + response + b"\n"] * 3
    return (
        ("warc", b"".join(records)),
        ("warc", b"".join(gzip.compress(record, mtime=0) for record in records)),
        ("warc", gzip.compress(b"".join(records), mtime=0)),
        ("warc", b"".join(zstandard.compress(record) for record in records)),
        ("arc", b"".join(arc)),
        ("arc", b"".join(gzip.compress(record, mtime=0) for record in arc)),
        ("wet", b"".join(_record(b"text", b"conversion", b"text/plain") for _ in range(3))),
    )


def damaged(whole: bytes, edits: bytes) -> bytes:
    """Return a file with up to 20 edits: three bytes each, place (two) and what to do there."""
    data = bytearray(whole)
    for at in range(0, min(len(edits) - 2, 60), 3):
        place = int.from_bytes(edits[at : at + 2], "big") % (len(data) + 1)
        what = edits[at + 2]
        if what < 96:
            data[place : place + 1] = bytes([what])
        elif what < 160:
            del data[place : place + what - 90]
        elif what < 200:
            data[place:place] = bytes(what - 150)
        elif what < 230:
            data[place:place] = whole[: (what - 199) * 17]
        else:
            del data[place:]
    return bytes(data)


def read(kind: str, data: bytes) -> Tally:
    """Read a file with a source; check that batches are valid and that every byte is accounted for."""
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        Path(file.name).write_bytes(data)
        tally = Tally()
        piece = Slice(file.name, "a", kind, "web", 0, len(data), len(data))
        for batch in source_of(kind).batches(piece, tally):
            batch.validate(full=True)
    assert tally.bytes_ok + tally.bytes_bad + tally.bytes_padding == len(data), "bytes do not add up"
    assert tally.bytes_bad == sum(span.n_bytes for span in tally.bad_spans), "bad bytes without a span"
    return tally


def framer(data: bytes) -> None:
    """Read an archive: any bytes, a healthy file with edits, or bytes between two healthy files."""
    if not data:
        return
    kind, whole = healthy()[data[0] % len(healthy())]
    if data[0] < 60:
        read(kind, data[1:])
    else:
        read(kind, damaged(whole, data[1:]) if data[0] < 200 else whole + data[1:] + whole)


def http(data: bytes) -> None:
    """Read an HTTP response: any bytes, or a body under a header that declares a coding, coded so or not."""
    from curate.sources import http as module

    if not data:
        return
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n" + HEADS[data[0] % len(HEADS)] + b"\r\n"
    body = data[2:]
    if len(data) > 1 and data[1] % 4 == 1:
        body = damaged(gzip.compress(PAGE * 9, mtime=0), body)
    elif len(data) > 1 and data[1] % 4 == 2:
        body = damaged(zlib.compress(PAGE * 9), body)
    for block in (data, head + body, b"HTTP/1.1 200\r\n" + body):
        response = module.parse_response(block)
        if response is None:
            continue
        assert isinstance(response.mime, str)
        assert all(isinstance(value, str) for value in module.kept_headers(response).values())
        with suppress(module.UndecodableError, module.TooLargeError, module.DecompressRatioError):
            payload = module.payload_of(response)
            assert len(payload) <= max(8 << 20, 1000 * len(block))
            module.sniffed_family(payload)


def charset(data: bytes) -> None:
    """Decode a page under one of the labels."""
    from curate.charset import decode_html

    label = LABELS[data[0] % len(LABELS)] if data else None
    decoded = decode_html(data[1:], label)
    decoded.utf8.decode()
    assert b"\x00" not in decoded.utf8
    assert 0 <= decoded.n_bad_chars <= len(data)


def jsonl(data: bytes) -> None:
    """Read JSON lines: any bytes, or lines built around them; plain, gzip, zstd or damaged gzip."""
    import zstandard

    if not data:
        return
    lines = data[1:]
    if data[0] & 4:
        lines = (
            b'{"text": "a' + lines + b'", "id": 1}\n{"text": ' + lines + b"}\n" + b'{"metadata": {' + lines + b"}}\n"
        )
    packed = [lines, gzip.compress(lines, mtime=0), zstandard.compress(lines)][data[0] % 3]
    read("jsonl", damaged(packed, data[-6:]) if data[0] & 8 else packed)


def scan(data: bytes) -> None:
    """Scan a page, with its tokens, and render all of it."""
    from curate.charset import decode_html

    page = _scanner().scan(decode_html(data, "utf-8").utf8, want_tokens=True)
    for text in page.texts():
        text.encode()


@cache
def _scanner():  # type: ignore[no-untyped-def]  # numba is loaded when it is used
    from curate.kernels.html.scan import Scanner

    return Scanner()


def entities(data: bytes) -> None:
    """Decode character references, by themselves and in a page."""
    from curate.charset import decode_html
    from curate.kernels.html.entities import decode_entities

    utf8 = decode_html(data, "utf-8").utf8
    decode_entities(utf8).decode()
    decode_entities(b"&" + utf8.replace(b" ", b"&#")).decode()
    scan(b"<p>" + data.replace(b"<", b"&lt;") + b"</p><pre>&" + data.replace(b"<", b"&#") + b"</pre>")


def head(data: bytes) -> None:
    """Read what the head of a page says of it."""
    from curate.charset import decode_html
    from curate.kernels.html.head import read_head

    found = read_head(decode_html(data, "utf-8").utf8, {"x-robots-tag": data[:40].decode("latin-1")}, "https://a.org/b")
    for value in found:
        if isinstance(value, str):
            value.encode()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "framer": framer,
    "http": http,
    "charset": charset,
    "jsonl": jsonl,
    "scan": scan,
    "entities": entities,
    "head": head,
}
SEEDS: dict[str, tuple[bytes, ...]] = {
    "framer": (
        *(bytes([number]) + whole for number, (_, whole) in enumerate(healthy())),
        *(bytes([63 + number]) + b"\x00\x99\x60\x01\x00\xe0" for number in range(7)),
    ),
    "http": tuple(bytes([n, kind]) + PAGE for n in range(len(HEADS)) for kind in range(3)),
    "charset": tuple(
        bytes([n]) + b"<meta charset=" + (label or "x").encode() + b">" + "é日本\x1b$B".encode() * 4
        for n, label in enumerate(LABELS)
    ),
    "jsonl": (
        b'\x00{"text": "a", "id": "b", "metadata": {"url": "c"}}\n',
        b'\x04\\ud83d\\ude00", "url": "x',
        b"\x05[[[",
    ),
    "scan": (
        PAGE,
        b"<table><tr><td>a<td>b</table><ul><li>c<ol><li>d</ol></ul><pre> x\n y</pre><!-- e --><script><!--</script>",
        b"<svg><style><a title='</style>'></svg><textarea><b></textarea><a href=x>y<br>z</a><![CDATA[q]]><?php ?>",
    ),
    "entities": (b"&amp;&eacute;&#x41;&#65;&notit;&#xD800;&#0;&#99999999;&lt&CounterClockwiseContourIntegral;",),
    "head": (
        b'<html lang=de><head><title>T</title><meta name=robots content="noai, noindex"><link rel=canonical href=/x>'
        b'<meta name=author content=A><script type="application/ld+json">{"@type":"Article","author":{"name":"B"},'
        b'"datePublished":"2024-01-02"}</script><link rel=license href="https://creativecommons.org/licenses/by/4.0/">',
    ),
}
ERROR_TREE = (CurateError,)
