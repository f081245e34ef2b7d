"""Mirrors curate/sources/{http,codings}.py: payloads with their codings undone, and what cannot be undone."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curate.sources import codings, http
from tests.sources.build import PAGE, http_response, read_bytes, record

HTML = (PAGE.format("naïve café ") * 40).encode()


def _raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


CODED = {
    "gzip": gzip.compress(HTML, mtime=0),
    "x-gzip": gzip.compress(HTML[:100], mtime=0) + gzip.compress(HTML[100:], mtime=0),
    "deflate": zlib.compress(HTML),
    "Deflate": _raw_deflate(HTML),
    "br": brotli.compress(HTML),
    "zstd": zstandard.compress(HTML),
    "identity": HTML,
    "gzip, br": brotli.compress(gzip.compress(HTML, mtime=0)),
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


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("at", [0.3, 0.9])
def test_a_coded_body_with_a_fault_is_decoded_up_to_there(coding: str, at: float) -> None:
    """What comes behind a fault may be anything, so all that is asked for is the part before it, up to one step."""
    big = b"".join(b"<p>%d</p>" % (i * i) for i in range(20_000))
    coded = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": lambda data: brotli.compress(data, quality=4),
        "zstd": lambda data: b"".join(zstandard.compress(data[i : i + 9000]) for i in range(0, len(data), 9000)),
    }[coding](big)
    place = int(len(coded) * at)
    got = _payload(coded[:place] + bytes(60) + coded[place + 60 :], content_encoding=coding)
    n_same = next((i for i, (a, b) in enumerate(zip(big, got, strict=False)) if a != b), min(len(big), len(got)))
    assert n_same > len(big) * at - 40_000


def test_a_wrong_checksum_loses_nothing() -> None:
    for body in (CODED["gzip"][:-8] + bytes(8), CODED["gzip"][:-8], CODED["deflate"][:-4] + b"abcd"):
        assert _payload(body, content_encoding="gzip" if body[0] == 0x1F else "deflate") == HTML


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "made-up"])
def test_a_body_of_text_is_taken_as_it_is_whatever_coding_is_declared(coding: str) -> None:
    text = b"Only text, no tag at its start, but <b>long enough</b> to be no coded stream: those hold other bytes."
    assert _payload(text, content_encoding=coding) == text


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "made-up"])
def test_what_is_neither_coded_nor_a_page_is_refused(coding: str) -> None:
    with pytest.raises(http.UndecodableError):
        _payload(b"\x00\x01\x02 nothing of the sort", content_encoding=coding)


def test_codings_in_other_fields_and_repeated_fields_are_undone() -> None:
    body = _chunked(gzip.compress(HTML, mtime=0), 500)
    assert _payload(body, transfer_encoding="gzip, chunked") == HTML
    assert (
        _payload(brotli.compress(gzip.compress(HTML, mtime=0)), content_encoding="gzip\r\nContent-Encoding: br") == HTML
    )


def test_codings_nobody_declared_are_seen_by_their_first_bytes() -> None:
    assert _payload(gzip.compress(HTML, mtime=0)) == HTML
    assert _payload(zstandard.compress(HTML)) == HTML
    assert _payload(gzip.compress(gzip.compress(HTML, mtime=0), mtime=0), content_encoding="gzip") == HTML
    archive = gzip.compress(b"no page " * 100, mtime=0)
    assert _payload(archive) == archive  # a file of its own kind
    assert http.sniffed_family(archive) == "application"


COMPRESS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstandard.compress,
    "zstd streamed": lambda data: _zstd_streamed(data),
}


def _zstd_streamed(data: bytes) -> bytes:
    """A frame that does not say how large its content is."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("coding", COMPRESS)
def test_a_payload_over_the_cap_is_refused(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codings, "MAX_PAYLOAD_BYTES", 1 << 20)
    allowed = COMPRESS[coding](b"<" * (1 << 20))
    assert len(_payload(allowed, content_encoding=coding.split()[0])) == 1 << 20
    with pytest.raises(http.TooLargeError):
        _payload(COMPRESS[coding](b"<" * ((1 << 20) + 1)), content_encoding=coding.split()[0])


@pytest.mark.parametrize("coding", COMPRESS)
def test_a_bomb_is_stopped_by_its_ratio_and_fills_no_memory(coding: str) -> None:
    body = COMPRESS[coding](bytes(60 << 20))
    assert len(body) * 1_000 < 60 << 20
    response = http.parse_response(http_response(body, content_encoding=coding.split()[0]))
    assert response is not None
    tracemalloc.start()
    with pytest.raises(http.DecompressRatioError):
        http.payload_of(response)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 3 * max(codings.MIN_BOMB_BYTES, 1_000 * len(body))


_BOMBS_IN_A_PROCESS = """
import resource, zlib, brotli, zstandard
from curate.sources import codings

def compressed(feed, finish):
    return b"".join(feed(bytes(1 << 20)) for _ in range(150)) + finish()

br, gz, zs = brotli.Compressor(quality=2), zlib.compressobj(6, wbits=31), zstandard.ZstdCompressor().compressobj()
low = zlib.compressobj(1, wbits=31)
bodies = [
    ("br", compressed(br.process, br.finish)),
    ("gzip", compressed(gz.compress, gz.flush)),
    ("zstd", compressed(zs.compress, zs.flush)),
    ("gzip", compressed(low.compress, low.flush)),  # 230 times as large
]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for coding, body in bodies:
    try:
        codings.decode(body, [coding])
    except (codings.DecompressRatioError, codings.TooLargeError) as error:
        print(coding, type(error).__name__)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.timeout(60)
def test_bombs_of_150_mb_leave_the_process_small() -> None:
    run = subprocess.run([sys.executable, "-c", _BOMBS_IN_A_PROCESS], capture_output=True, text=True, check=True)
    lines = run.stdout.split()
    assert lines[0::3] == ["br", "gzip", "zstd", "gzip"]
    assert lines[1::3] == ["DecompressRatioError"] * 3 + ["TooLargeError"]
    growth_bytes = [int(kb) << 10 for kb in lines[2::3]]
    assert growth_bytes[2] < 8 * codings.MIN_BOMB_BYTES  # a bomb is stopped early
    assert growth_bytes[3] < 2.5 * codings.MAX_PAYLOAD_BYTES


def test_an_honest_page_of_one_word_is_no_bomb() -> None:
    page = b"<html>" + b"<br>" * 1_900_000
    for coding, compress in COMPRESS.items():
        assert _payload(compress(page), content_encoding=coding.split()[0]) == page


@pytest.mark.parametrize("n_bytes", [8 << 20, (8 << 20) + 1, 16 << 20])
def test_large_pages_come_whole(n_bytes: int) -> None:
    page = (b"".join(b"<p>%d" % number for number in range(2_000_000)))[:n_bytes]
    for coding, data in {"gzip": gzip.compress(page, 1, mtime=0), "zstd": zstandard.compress(page)}.items():
        assert _payload(data, content_encoding=coding) == page


def test_nesting_is_stopped_by_depth_and_by_the_ratio_of_what_was_sent() -> None:
    body = HTML
    for _ in range(20):
        body = gzip.compress(body, mtime=0)
    for declared in ("identity", "gzip", ", ".join(["gzip"] * 20)):
        with pytest.raises(http.DecompressRatioError):
            _payload(body, content_encoding=declared)
    with pytest.raises(http.DecompressRatioError):
        _payload(gzip.compress(gzip.compress(bytes(100 << 20), mtime=0), mtime=0), content_encoding="gzip, gzip")


def test_a_body_of_countless_tiny_members_takes_no_time() -> None:
    start = time.process_time()
    body = gzip.compress(b"<", mtime=0) * 300_000
    assert _payload(body, content_encoding="gzip") == b"<" * codings.MAX_GZIP_MEMBERS
    assert time.process_time() - start < 5


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
        (b'3;ext="a"\r\nabc\r\n00\r\n\r\n', b"abc"),
        (b"  3  \r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"0000000000000003\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3\r\nabc\r\nFFFFFFFFFFFF\r\nde", b"abcFFFFFFFFFFFF\r\nde"),  # like any other wrong size
        (b"-3\r\nabc", b"-3\r\nabc"),
        (b"fffffffffffffffff\r\nx", b"fffffffffffffffff\r\nx"),
    ],
)
def test_broken_chunking_loses_nothing(body: bytes, payload: bytes) -> None:
    assert http.dechunk(body) == payload


@given(st.binary(max_size=500), st.integers(1, 50))
def test_chunking_round_trip(body: bytes, step: int) -> None:
    assert http.dechunk(_chunked(body, step)) == body


@pytest.mark.parametrize("size", [b"FFFFFFFFFFFF", b"FFFFFFFF", b"4000001", b"7fffffffffffffff"])
def test_a_first_chunk_larger_than_any_payload_is_refused(size: bytes) -> None:
    with pytest.raises(http.UndecodableError):
        http.dechunk(size + b"\r\n<html>")
    assert http.dechunk(b"4000000\r\n<html>") == b"<html>"


FIELDS = st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "x", "identity"])


@given(st.binary(max_size=300), FIELDS, st.booleans(), st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]))
def test_any_bytes_parse_or_are_no_response(block: bytes, coding: str, chunked: bool, magic: bytes) -> None:
    transfer = b"Transfer-Encoding: chunked\r\n" if chunked else b""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding.encode() + b"\r\n" + transfer + b"\r\n"
    for data in (block, head + magic + block, b"HTTP/1.1 200\r\nContent-Type:" + block):
        response = http.parse_response(data)
        if response is not None:
            http.kept_headers(response), response.mime, response.charset
            with suppress(http.UndecodableError, http.DecompressRatioError):
                http.sniffed_family(http.payload_of(response))


@given(st.data())
def test_a_bit_flipped_in_a_coded_body_raises_nothing_else(data: st.DataObject) -> None:
    coding = data.draw(st.sampled_from(sorted(COMPRESS)))
    body = bytearray(COMPRESS[coding](HTML))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[place] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(http.UndecodableError, http.DecompressRatioError):
        _payload(bytes(body), content_encoding=coding.split()[0])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 200", 200),  # no text
        ("HTTP/1.0 404", 404),
        ("HTTP/1.1\t500 oh", 500),
        ("HTTP/2 200", 200),
        ("HTTP/3 204", 204),
        ("HTTP 200 OK", 200),
        ("http/1.1 301 x", 301),
        ("\r\nHTTP/1.1 200 OK", 200),
        (":status: 200", 200),  # HTTP/2 and 3
        (":status:404", 404),
        ("HTTP/1.1 2000", None),
        ("HTTP/1.1 20", None),
        ("HTTP/1.1", None),
        ("HTTP/1.1 OK", None),
        ("<html>", None),  # HTTP/0.9
        ("Content-Type: text/html", None),  # a missing status line
        ("", None),
    ],
)
def test_status_lines(line: str, status: int | None) -> None:
    response = http.parse_response(line.encode() + b"\r\nA: b\r\n\r\nbody")
    assert (response.status if response else None) == status


def _response(head: bytes, body: bytes = b"<p>") -> http.Response:
    response = http.parse_response(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)
    assert response is not None
    return response


def test_where_the_head_ends() -> None:
    block = b'HTTP/1.1 200 OK\nContent-Type : Text/HTML;Charset = "UTF-8"\nX:\nno colon\nX-Y: \xff\n\nbody\r\n\r\nmore'
    response = http.parse_response(block)
    assert response is not None
    assert (response.mime, response.charset, response.body) == ("text/html", "utf-8", b"body\r\n\r\nmore")
    cut = http.parse_response(b"HTTP/1.1 200 OK\r\nLink: x")
    assert cut is not None
    assert (cut.field("link"), cut.body) == ("x", b"")


@pytest.mark.parametrize("coding", CODED)
def test_a_view_of_a_record_is_read_as_its_bytes_are_and_not_copied(coding: str) -> None:
    for body in (CODED[coding], _chunked(CODED[coding], 97)):
        chunked = {"transfer_encoding": "chunked"} if body is not CODED[coding] else {}
        block = http_response(body, content_encoding=coding, **chunked)
        response = http.parse_response(memoryview(block))
        assert response is not None
        payload = http.payload_of(response)
        assert payload == HTML
        assert isinstance(payload, memoryview) == (coding == "identity" and not chunked)
        assert http.sniffed_family(payload) is None
        assert http.looks_like_html(payload)


def test_repeated_and_folded_fields_are_joined() -> None:
    response = _response(
        b"X-Robots-Tag: noai\r\nlink: <a>; rel=license\r\nX-ROBOTS-TAG:googlebot: noindex ,nofollow\r\n"
        b"LINK:\r\n <b>;\r\n\t rel=next\r\nTDM-Reservation:\t1 \r\nX-Link: no"
    )
    assert http.kept_headers(response) == {
        "x-robots-tag": "noai, googlebot: noindex ,nofollow",
        "link": "<a>; rel=license, <b>; rel=next",
        "tdm-reservation": "1",
    }


def test_fields_that_are_no_utf8_are_latin_1() -> None:
    response = _response("Link: <é>".encode() + b"\r\nTDM-Policy: caf\xe9\r\nX-Robots-Tag: \x00")
    assert http.kept_headers(response) == {"link": "<é>", "tdm-policy": "café", "x-robots-tag": "\x00"}


@pytest.mark.parametrize(
    ("value", "mime", "charset"),
    [
        ("text/html", "text/html", None),
        ("TEXT/HTML;charset=Shift_JIS", "text/html", "shift_jis"),
        ("text/html; a=b; charset=x; charset=y", "text/html", "x"),
        ('text/html; charset="utf-8', "text/html", "utf-8"),
        ("text/html; charset = utf-8 ", "text/html", "utf-8"),
        ("text/html; xcharset=utf-8", "text/html", None),
        ('text/html; a="b;charset=utf-8"; charset=koi8-r', "text/html", "koi8-r"),
        ("text/html;; charset=koi8-r", "text/html", "koi8-r"),
        ("text/html; charset=; charset=koi8-r", "text/html", "koi8-r"),
        ("text/html; charset=", "text/html", None),
        ('text/html; charset=""', "text/html", None),
        ("text/html charset=utf-8", "text/html", None),  # browsers see no parameter in it either
        ("text/html(comment)", "text/html", None),
        ("text/plain, text/html; charset=a", "text/html", "a"),  # the last type counts
        ("text/html; charset=a, text/html", "text/html", "a"),  # its charset stays with the type
        ("text/html; charset=a, text/html; charset=b", "text/html", "b"),
        ("text/html; charset=a, text/plain", "text/plain", None),
        ("text/html; charset=a, */*, ,nonsense", "text/html", "a"),
        ('text/html; x="a, text/plain"', "text/html", None),
        ("*/*", "", None),
        ("html", "", None),
        ("/html", "", None),
        ("", "", None),
    ],
)
def test_content_types(value: str, mime: str, charset: str | None) -> None:
    assert (http.mime_of(value), http.charset_of(value)) == (mime, charset)


def test_of_repeated_content_types_the_last_one_counts() -> None:
    response = _response(b"Content-Type: text/plain; charset=a\r\nContent-Type: text/html; charset=b")
    assert (response.mime, response.charset) == ("text/html", "b")


def test_a_head_over_the_cap_makes_no_response() -> None:
    field = b"A: " + b"x" * 1000 + b"\r\n"
    assert http.parse_response(b"HTTP/1.1 200 OK\r\n" + field * 250 + b"\r\n<p>") is not None
    assert http.parse_response(b"HTTP/1.1 200 OK\r\n" + field * 300 + b"\r\n<p>") is None


@pytest.mark.parametrize(
    ("start", "family"),
    [
        (b"%PDF-1.7", "application"),
        (b"PK\x03\x04", "application"),
        (b"\x1f\x8b\x08\x00", "application"),
        (bytes(257) + b"ustar", "application"),
        (b"\xff\xd8\xff\xe0", "image"),
        (b"\x89PNG\r\n\x1a\n", "image"),
        (b"GIF89a", "image"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8", "image"),
        (b"\x00\x00\x00\x20ftypavif", "image"),
        (b"ID3\x03", "audio"),
        (b"\x00\x00\x00\x18ftypmp42", "video"),
        (b"wOF2", "font"),
        (b"<html>", None),
        (b"\n<html>", None),
        (b"\xef\xbb\xbf<html>", None),
        ("<html>".encode("utf-16"), None),
        ("<html>".encode("utf-16-be"), None),
        (b"BMW drivers", None),
        (b"MZ is short for", None),
        (b"PKW", None),
        ("яы".encode("cp1251"), None),
        (b"", None),
    ],
)
def test_what_a_payload_is_by_its_first_bytes(start: bytes, family: str | None) -> None:
    assert http.sniffed_family(start + b" and more" * 30) == family


@pytest.mark.timeout(20)
def test_hostile_headers_take_no_time() -> None:
    for filler in (
        b";charset=" + b" " * 250_000,
        b";charset" * 30_000,
        b";" * 250_000,
        b"," * 250_000,
        b'"' * 250_000,
        b',"' * 120_000,
        b"/" * 250_000,
        b"\n " * 120_000,
        b"\nlink:" * 40_000,
        b"\ncontent-type" * 20_000,
        b"\n" * 9 + b":" * 250_000,
        b"\r" * 250_000,
    ):
        response = http.parse_response(b"HTTP/1.1 200 OK\r\nContent-Type: text/html;" + filler + b"\r\n\r\n<html>")
        assert response is not None
        assert response.charset is None
        http.kept_headers(response)


def _pages_of(folder: Path, *blocks: bytes) -> Counter[str]:
    return read_bytes(folder, b"".join(record(block) for block in blocks))[1].records


def test_what_a_warc_counts_of_responses_that_are_no_pages(tmp_path: Path) -> None:
    """A type that lies is counted as what the payload is; a bomb under its own name; an error by its status."""
    counts = _pages_of(
        tmp_path,
        http_response(b"%PDF-1.4 ..."),
        http_response(b"\xff\xd8\xff\xe0..."),
        http_response(PAGE, content_type="text/plain"),
        http_response(gzip.compress(bytes(20 << 20), mtime=0), content_encoding="gzip"),
        http_response(PAGE, status="204 No Content"),
        http_response(PAGE, status="500"),
        PAGE.encode(),
        http_response(PAGE).replace(b"HTTP/1.1 200 OK", b":status: 200"),
    )
    assert counts == {
        "mime:application": 1, "mime:image": 1, "mime:text": 1, "decompress_ratio": 1, "status:204": 1,
        "status:500": 1, "not_http": 1, "response": 1,
    }  # fmt: skip


def test_what_stands_behind_a_zstd_frame_costs_nothing_of_it() -> None:
    """Decoders that read on into it fail in the very call that should give the page."""
    page = PAGE.format("words " * 99).encode()
    for rest in (b"garbage", b"\r\n", b"\x00" * 9):
        assert codings.decode(zstandard.compress(page) + rest, ["zstd"]) == page


@pytest.mark.parametrize("behind", [b"\x00", b"\n", b"<!-- put there by a proxy -->" * 5])
def test_brotli_with_bytes_behind_its_end_is_read_to_its_end(behind: bytes) -> None:
    page = b"<html><p>" + b" ".join(b"word%d" % i for i in range(20_000)) + b"</html>"
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n"
    response = http.parse_response(head + brotli.compress(page) + behind)
    assert response is not None
    assert http.payload_of(response) == page


def test_a_head_whose_lines_end_with_two_returns_is_read() -> None:
    response = http.parse_response(b"HTTP/1.1 200 OK\r\r\nContent-Type: text/html; charset=utf-8\r\r\n\r\r\n<p>a")
    assert response is not None
    assert (response.status, response.mime, response.charset) == (200, "text/html", "utf-8")
    assert bytes(response.body) == b"<p>a"
