"""Mirrors curate/sources/{warc,warc_format,framing,members,gzip}.py: healthy files, against warcio and FastWARC."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections import Counter
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator as FastWarcIterator
from fastwarc.warc import WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator as WARCIterator

from curate.source import Tally, doc_id
from curate.sources import framing
from curate.sources.arc import ArcFormat
from curate.sources.framing import Records
from curate.sources.warc_format import KINDS, UNKNOWN, WarcFormat
from tests.helpers import shared_data
from tests.sources.build import LAYOUTS, PAGE, http_response, members, packed, page, read, read_bytes, record, whole

ALL_KINDS = [
    record(b"software: test\r\n", kind="warcinfo", content_type="application/warc-fields"),
    record(b"GET / HTTP/1.1\r\n\r\n", kind="request", content_type="application/http; msgtype=request"),
    page(1),
    record(b"fetchTimeMs: 1\r\n", kind="metadata", content_type="application/warc-fields"),
    record(http_response(PAGE, status="304 Not Modified"), kind="revisit"),
    record(http_response(PAGE, status="404 Not Found")),
    record(http_response(b"\x89PNG", content_type="image/png")),
    record(http_response(b"?", content_type="made/up")),
    record(http_response(b"plain", content_type=None)),
    record(http_response(PAGE, content_type=None), url="<https://example.org/untyped>"),
    record(b"20240506 example.org. 300 IN A 1.2.3.4", content_type="text/dns", url="dns:example.org"),
    record(b"Whois says nothing", content_type="text/plain", url="whois://example.org"),
    record(PAGE.encode(), kind="resource", content_type="text/html; charset=koi8-r"),
    record(b"%PDF", kind="resource", content_type="application/pdf"),
    record(b"text", kind="conversion", content_type="text/plain"),
    record(b"rest", kind="continuation"),
    record(b"?", kind="invented"),
    record(http_response(b"not gzip, not a page", content_encoding="gzip")),
]
ALL_COUNTS = {
    "warcinfo": 1, "request": 1, "response": 2, "metadata": 1, "revisit": 1, "status:404": 1, "mime:image": 1,
    "mime:other": 1, "mime:none": 1, "dns": 1, "not_http": 1, "resource": 1, "mime:application": 1, "conversion": 1,
    "continuation": 1, "unknown_type": 1, "undecodable_http": 1,
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_record_is_a_doc_or_counted_by_kind(tmp_path: Path, layout: str) -> None:
    table, tally = read_bytes(tmp_path, packed(ALL_KINDS, layout))
    assert tally.records == ALL_COUNTS
    assert tally.bytes_bad == 0
    assert table["url"].to_pylist() == ["https://example.org/1", "https://example.org/untyped", "https://example.org/"]
    assert table["http_charset"].to_pylist() == ["utf-8", None, "koi8-r"]
    assert table["html"][1].as_py() == PAGE.encode()
    assert table["fetched_at"][0].as_py().isoformat() == "2024-05-06T07:08:09+00:00"
    assert table["warc_file"].to_pylist() == ["a.warc"] * 3
    assert table["source"].to_pylist() == ["web"] * 3


def test_offsets_are_where_the_record_starts(tmp_path: Path) -> None:
    records = [page(i) for i in range(3)]
    plain, _ = read_bytes(tmp_path, b"".join(records))
    starts = [0, len(records[0]), len(records[0]) + len(records[1])]
    assert plain["offset_bytes"].to_pylist() == starts
    inflated, _ = read_bytes(tmp_path, gzip.compress(b"".join(records)))
    assert inflated["offset_bytes"].to_pylist() == starts
    packed = members(records)
    table, _ = read_bytes(tmp_path, packed)
    for offset, one in zip(table["offset_bytes"].to_pylist(), records, strict=True):
        assert gzip.GzipFile(fileobj=io.BytesIO(packed[offset:])).read(len(one)) == one
    assert table["doc_id"].to_pylist() == [doc_id("a.warc", at) for at in table["offset_bytes"].to_pylist()]


def test_offsets_stay_unique_where_members_hold_different_numbers_of_records(tmp_path: Path) -> None:
    one, two = members([page(0)]), gzip.compress(page(1) + page(2) + page(3))
    for data in (one + two + one, two + one + two, one + b"\x00" * 7 + two, b"".join([two, one] * 20)):
        table, tally = read_bytes(tmp_path, data)  # `read` compares the ids
        assert tally.records["response"] == table.num_rows
        assert tally.bytes_bad == 0


def test_versions_line_ends_folds_and_case_are_read(tmp_path: Path) -> None:
    body = http_response(PAGE.format("x"))
    data = (
        record(body, version="WARC/0.17")
        + record(body, version="WARC/1.1", newline="\n", ending=b"\n\n", date="2024-05-06T07:08:09.123456Z")
        + record(body, version="warc/1.0", ending=b"\r\n")
        + record(body, extra=["X-Folded: one\r\n  two", "warc-TRUNCATED: length"], ending=b"")
        + record(body, date="not a date", url="", ending=b"\r\n\r\n\r\n")
    )
    table, tally = read_bytes(tmp_path, data)
    assert tally.records == {"response": 5}
    assert [None if t is None else t.year for t in table["fetched_at"].to_pylist()] == [2024, 2024, 2024, 2024, None]
    assert table["url"].to_pylist()[-1] is None


def test_padding_and_empty_members_are_padding(tmp_path: Path) -> None:
    empty = gzip.compress(b"", mtime=0)
    _, tally = read_bytes(
        tmp_path, empty + members([page(1)]) + b"\x00" * 100 + empty + members([page(2)]) + b"\x00" * 512
    )
    assert (tally.bytes_padding, tally.bytes_bad, tally.records["response"]) == (612 + 2 * len(empty), 0, 2)
    _, tally = read_bytes(tmp_path, page(1) + b"\x00" * 1000 + page(2) + b"\x00" * 5)
    assert (tally.bytes_padding, tally.bytes_bad, tally.records["response"]) == (1005, 0, 2)


def test_a_record_over_the_cap_is_passed_over_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "MAX_RECORD_BYTES", 1000)
    records = [page(1, 5), record(http_response(b"x" * 1_000_000)), page(2, 5)]
    for layout in LAYOUTS:
        table, tally = read_bytes(tmp_path, packed(records, layout))
        assert tally.records == {"response": 2, "too_large": 1}
        assert tally.bytes_bad == 0
        assert table["url"].to_pylist() == ["https://example.org/1", "https://example.org/2"]


def test_batches_stay_small(tmp_path: Path) -> None:
    """`read` holds each batch to 64 docs; large pages make smaller ones."""
    from curate.sources import source_of

    path = tmp_path / "a.warc.gz"
    path.write_bytes(members([record(http_response(b"<p>" + b"x" * (6 << 20))) for _ in range(5)]))
    sizes = [batch.num_rows for batch in source_of("warc").batches(whole(path), Tally())]
    assert sizes == [2, 2, 1]


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.lists(
        st.binary(max_size=300) | st.just(b"\r\n\r\n\r\n") | st.just(b"WARC/1.0\r\nA: b\r\n\r\n"), max_size=8
    ),
    layout=st.sampled_from(LAYOUTS),
)
def test_any_payload_comes_back_unchanged(blocks: list[bytes], layout: str, tmp_path_factory) -> None:
    blocks = [b"<" + block for block in blocks]  # a page, by its first byte
    records = [record(http_response(block, content_type="text/html"), url=f"u:{i}") for i, block in enumerate(blocks)]
    data = packed(records, layout)
    if not data:
        return
    table, tally = read_bytes(tmp_path_factory.mktemp("warc"), data)
    assert table["html"].to_pylist() == blocks
    assert tally.records == ({"response": len(blocks)} if blocks else {})


# -- oracles

ENDINGS = (".warc", ".warc.gz", ".warc.lz4", ".open", ".wet", ".wet.gz", ".wat", ".wat.gz", ".arc", ".arc.gz")
# What the other readers do not read, and why. All other records of all files are the same: kind, URL, and block.
NOT_BY_WARCIO = {
    "block-sized-records.warc.lz4": "lz4",
    "warcfile.warc.lz4": "lz4",
    "good.warc.gz.open": "gzip members that hold several records",
    "link-extraction-test.warc": "a stray empty line after a version line",
    "webrecorder_pywb__example.warc": "a request with a wrong Content-Length: it warns, and reads it twice",
}
NOT_BY_FASTWARC = {
    "valid-warcfile-fields-metainfo.warc": "a value that goes on in the next line",
    "valid-warcfile-fields-warcinfo.warc": "a value that goes on in the next line",
    "valid-warcfile-upper-lower-case.warc": "a version line in lower case",
    "valid-warcfile-upper-lower-case.warc.gz": "a version line in lower case",
    "richardlehane_webarchive__valid-warcfile-upper-lower-case.warc": "a version line in lower case",
    "webrecorder_pywb__example.warc": "a request with a wrong Content-Length",
}
SAME_KIND = {"unknown": "unknown_type", "arc_header": "filedesc"}

Seen = list[tuple[str, str, str]]  # kind, URL, sha1 of the block


def _healthy() -> list[Path]:
    files = sorted(path for path in shared_data("warc").iterdir() if path.name.endswith(ENDINGS))
    assert len(files) > 55
    return files


def _ours(path: Path) -> Seen:
    form = ArcFormat() if ".arc" in path.name else WarcFormat((*KINDS, UNKNOWN))
    with path.open("rb") as file:
        return [
            _seen(one.kind, one.fields.get("warc-target-uri", one.fields.get("url", "")), bytes(one.block or b""))
            for one in Records(file, path.stat().st_size, Tally(), form)
        ]


def _seen(kind: str, url: str | None, block: bytes) -> tuple[str, str, str]:
    kind = kind.strip().lower()
    digest = "" if kind in ("filedesc", "arc_header") else hashlib.sha1(block, usedforsecurity=False).hexdigest()
    return SAME_KIND.get(kind, kind), (url or "").strip("<> \t").removeprefix("%20"), digest


def test_the_same_records_as_warcio_with_the_same_blocks() -> None:
    for path in _healthy():
        if path.name not in NOT_BY_WARCIO:
            with path.open("rb") as file:
                theirs = [
                    _seen(
                        one.rec_type,
                        one.rec_headers.get_header("WARC-Target-URI" if ".arc" not in path.name else "uri"),
                        one.raw_stream.read(),
                    )
                    for one in WARCIterator(file, no_record_parse=True, arc2warc=False)
                ]
            assert [_bare(one) for one in _ours(path)] == [_bare(one) for one in theirs], path.name


def _bare(one: tuple[str, str, str]) -> tuple[str, str, str]:
    return (one[0], "", "") if one[0] == "filedesc" else one


def test_the_same_records_as_fastwarc_with_the_same_blocks() -> None:
    for path in _healthy():
        if path.name not in NOT_BY_FASTWARC and ".arc" not in path.name:  # it reads no ARC
            with path.open("rb") as file:
                theirs = [
                    _seen(one.headers.get("WARC-Type", ""), one.headers.get("WARC-Target-URI"), one.reader.read())
                    for one in FastWarcIterator(file, parse_http=False)
                ]
            assert _ours(path) == theirs, path.name


def test_healthy_files_have_no_bad_bytes() -> None:
    """But for a request with a wrong length, and for 80 blanks behind the last block of an ARC."""
    bad = {}
    for path in _healthy():
        kind = "arc" if ".arc" in path.name else "warc"
        if n_bytes := read(whole(path, kind))[1].bytes_bad:
            bad[path.name] = n_bytes
    assert bad == {"webrecorder_pywb__example.warc": 710, "test-arc-1.0-dashed-fields.arc": 80}


# Files in which warcio sees other pages than we do: what we find (docs, all records), and why.
PAGES_DIFFER = {
    "example-extra.warc": ((1, 6), "one status line begins with HTTPX/1.1, which is no HTTP"),
}


def test_the_same_pages_as_warcio() -> None:
    for path in _healthy():
        if ".warc" not in path.name or path.name in NOT_BY_WARCIO:
            continue
        table, tally = read(whole(path))
        found = (table.num_rows, tally.records.total())
        if path.name in PAGES_DIFFER:
            assert found == PAGES_DIFFER[path.name][0], path.name
        else:
            expected = _with_warcio(path)
            assert found == (expected["pages"], expected["all"]), path.name
            assert table.num_rows == tally.records["response"] + tally.records["resource"]


def _with_warcio(path: Path) -> Counter[str]:
    """Count records, and those that are HTML pages, as warcio sees them."""
    seen: Counter[str] = Counter()
    with open(path, "rb") as file:
        for one in WARCIterator(file):
            seen["all"] += 1
            headers = one.http_headers
            if one.rec_type == "response" and headers is not None:
                mime = (headers.get_header("content-type") or "").split(";")[0].split(",")[0].strip().lower()
                seen["pages"] += headers.get_statuscode() == "200" and mime in ("text/html", "application/xhtml+xml")
            elif one.rec_type == "resource":
                mime = (one.rec_headers.get_header("content-type") or "").split(";")[0].strip().lower()
                seen["pages"] += mime in ("text/html", "application/xhtml+xml")
    return seen


def test_agrees_with_fastwarc_byte_by_byte_on_real_pages() -> None:
    path = shared_data("pages", "web-dev-03.warc.gz")
    table, tally = read(whole(path))
    ours = zip(table["url"].to_pylist(), table["html"].to_pylist(), table["offset_bytes"].to_pylist(), strict=True)
    with open(path, "rb") as file:
        theirs = FastWarcIterator(file, record_types=WarcRecordType.response, parse_http=True)
        for (url, html, offset), one in zip(ours, theirs, strict=True):
            assert (url, offset) == (one.headers["WARC-Target-URI"], one.stream_pos)
            assert html == one.reader.read()
    assert tally.records == {"warcinfo": 1, "response": 2159, "request": 2159, "metadata": 2159}


@pytest.mark.parametrize("layout", ["plain", "one member"])
def test_of_two_records_without_a_start_the_second_is_not_searched_for_the_records_it_holds(
    tmp_path: Path, layout: str
) -> None:
    """The first one's length leads to its empty lines: there the second begins, though nothing shows it."""
    archive = record(http_response(page(7) + page(8)), url="https://example.org/archive")
    records = [page(0), bytes(5) + page(1)[5:], bytes(8) + archive[8:], page(2)]
    table, tally = read_bytes(tmp_path, packed(records, layout))
    assert [url.rsplit("/", 1)[1] for url in table["url"].to_pylist()] == ["0", "2"]
    assert tally.bytes_bad > 0
