"""Mirrors curate/sources/http.py: payloads with their codings undone, and what cannot be undone."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curate.sources import http
from tests.sources.build import PAGE, http_response

HTML = (PAGE.format("naïve café ") * 40).encode()


def _raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


CODED = {
    "gzip": gzip.compress(HTML),
    "x-gzip": gzip.compress(HTML[:100]) + gzip.compress(HTML[100:]),
    "deflate": zlib.compress(HTML),
    "Deflate": _raw_deflate(HTML),
    "br": brotli.compress(HTML),
    "zstd": zstandard.compress(HTML),
    "identity": HTML,
    "gzip, br": brotli.compress(gzip.compress(HTML)),
}


def _payload(body: bytes, **headers: str) -> bytes:
    response = http.parse_response(http_response(body, **headers))
    assert response is not None
    return http.payload_of(response)


def _chunked(body: bytes, step: int) -> bytes:
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("coding", CODED)
def test_content_codings_are_undone(coding: str) -> None:
    assert _payload(CODED[coding], content_encoding=coding) == HTML
    assert _payload(_chunked(CODED[coding], 97), content_encoding=coding, transfer_encoding="chunked") == HTML


@pytest.mark.parametrize("coding", ["gzip", "deflate", "Deflate", "br", "zstd"])
def test_a_coded_body_that_breaks_off_is_decoded_up_to_there(coding: str) -> None:
    big = b"".join(b"<p>%d</p>" % (i * i) for i in range(20_000))
    coded = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "Deflate": _raw_deflate,
        "br": lambda data: brotli.compress(data, quality=4),
        "zstd": zstandard.compress,
    }
    body = coded[coding](big)
    got = _payload(body[: len(body) // 2], content_encoding=coding)
    assert big.startswith(got)
    assert len(got) > len(big) // 5


def test_a_body_stored_decoded_under_its_old_header_is_taken_as_it_is() -> None:
    for coding in ("gzip", "deflate", "br", "zstd", "made-up"):
        assert _payload(HTML, content_encoding=coding) == HTML
    assert _payload(HTML, transfer_encoding="chunked") == HTML


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "made-up", "gzip, gzip, gzip, gzip"])
def test_what_is_neither_coded_nor_a_page_is_refused(coding: str) -> None:
    with pytest.raises(http.UndecodableError):
        _payload(b"\x00\x01\x02 nothing of the sort", content_encoding=coding)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, brotli.compress, zstandard.compress])
def test_a_bomb_is_refused_before_it_fills_memory(compress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_PAYLOAD_BYTES", 1 << 20)
    coding = {gzip.compress: "gzip", zlib.compress: "deflate", brotli.compress: "br", zstandard.compress: "zstd"}[
        compress
    ]
    assert len(_payload(compress(b"<" * (1 << 20)), content_encoding=coding)) == 1 << 20
    with pytest.raises(http.TooLargeError):
        _payload(compress(b"<" * (1 << 24)), content_encoding=coding)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3\nabc\n0\n\n", b"abc"),
        (b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", b"abc"),
        (b"3\r\nabc\r\n5\r\nde", b"abcde"),  # cut
        (b"3\r\nabc\r\n", b"abc"),
        (b"3\r\nabcdef\r\n0\r\n\r\n", b"abcdef\r\n0\r\n\r\n"),  # a wrong size: the rest stays as it is
        (b"3\r\nabc\r\nxyz\r\n", b"abcxyz\r\n"),
        (b"never chunked", b"never chunked"),
        (b"", b""),
        (b"fffffffff\r\nx", b"fffffffff\r\nx"),
    ],
)
def test_broken_chunking_loses_nothing(body: bytes, payload: bytes) -> None:
    assert http.dechunk(body) == payload


@given(st.binary(max_size=500), st.integers(1, 50))
def test_chunking_round_trip(body: bytes, step: int) -> None:
    assert http.dechunk(_chunked(body, step)) == body


@given(st.binary(max_size=300))
def test_any_bytes_parse_or_are_no_response(block: bytes) -> None:
    for data in (block, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + block):
        response = http.parse_response(data)
        if response is not None:
            try:
                http.payload_of(response)
            except http.UndecodableError:
                continue


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.0 404", 404),
        ("HTTP/2 200", 200),
        ("http/1.1 301 x", 301),
        ("HTTP/1.1 2000", None),
        ("", None),
    ],
)
def test_status_lines(line: str, status: int | None) -> None:
    response = http.parse_response(line.encode() + b"\r\nA: b\r\n\r\nbody")
    assert (response.status if response else None) == status


def test_header_details() -> None:
    block = b'HTTP/1.1 200 OK\nContent-Type : Text/HTML;Charset = "UTF-8"\nX:\nno colon\nX-Y: \xff\n\nbody\r\n\r\nmore'
    response = http.parse_response(block)
    assert response is not None
    assert (response.mime, response.charset, response.body) == ("text/html", "utf-8", b"body\r\n\r\nmore")
    assert http.parse_response(b"HTTP/1.1 302 Found\r\nLocation: x").headers == {"location": "x"}  # type: ignore[union-attr]


@pytest.mark.timeout(20)
def test_hostile_headers_take_no_time() -> None:
    for filler in (
        b"charset=" + b" " * 250_000,
        b"charset" * 40_000,
        b";" * 250_000,
        b"\n" * 9 + b":" * 250_000,
        b"\r" * 250_000,
    ):
        response = http.parse_response(b"HTTP/1.1 200 OK\r\nContent-Type: text/html;" + filler + b"\r\n\r\n<html>")
        assert response is not None
        assert response.charset is None
