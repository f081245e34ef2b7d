"""Mirrors curate/sources/{zstd,lz4}.py: WARC files in zstd frames, with and without a dictionary, and in lz4 frames."""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sources import lz4, zstd
from curate.sources.streams import head_of
from tests.helpers import shared_data
from tests.sources.build import http_response, page, read, read_bytes, record, whole

N = 40


def _numbers(table) -> list[int]:
    return [int(url.rsplit("/", 1)[1]) for url in table["url"].to_pylist()]


def _dictionary(seed: int = 0) -> zstandard.ZstdCompressionDict:
    return zstandard.train_dictionary(4096, [page(seed + i) for i in range(300)], dict_id=40_000 + seed)


def _dictionary_frame(dictionary: zstandard.ZstdCompressionDict, *, packed: bool) -> bytes:
    data = dictionary.as_bytes()
    if packed:
        data = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    return zstd.DICTIONARY_MAGIC + struct.pack("<I", len(data)) + data


def _frames(parts: list[bytes], dictionary: zstandard.ZstdCompressionDict | None = None) -> list[bytes]:
    packer = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True)
    return [packer.compress(part) for part in parts]


PAGES = [page(number) for number in range(N)]


@pytest.mark.parametrize("packed", [False, True])
def test_a_dictionary_frame_is_used_and_counted(tmp_path: Path, packed: bool) -> None:
    dictionary = _dictionary()
    first = _dictionary_frame(dictionary, packed=packed)
    frames = _frames(PAGES, dictionary)
    data = first + b"".join(frames)
    table, tally = read_bytes(tmp_path, data, "a.warc.zst")
    assert _numbers(table) == list(range(N))
    assert (tally.bytes_bad, tally.bytes_ok) == (0, len(data))
    assert table["offset_bytes"][:2].to_pylist() == [len(first), len(first) + len(frames[0])]
    assert head_of(io.BytesIO(data)).startswith(PAGES[0][:100])


@pytest.mark.parametrize("first", ["none", "another", "cut", "broken"])
def test_without_the_right_dictionary_everything_is_bad_for_that_reason(tmp_path: Path, first: str) -> None:
    frames = b"".join(_frames(PAGES, _dictionary()))
    right = _dictionary_frame(_dictionary(), packed=True)
    fronts = {
        "none": b"",
        "another": _dictionary_frame(_dictionary(1000), packed=False),
        "cut": right[:8] + right[8:-20] + bytes(20),
        "broken": zstd.DICTIONARY_MAGIC + struct.pack("<I", 100) + bytes(100),
    }
    table, tally = read_bytes(tmp_path, fronts[first] + frames, "a.warc.zst")
    assert table.num_rows == 0
    assert tally.bytes_bad == len(frames)
    assert [span.cause.partition(":")[0] for span in tally.bad_spans] == ["zstd_dict"]
    assert head_of(io.BytesIO(fronts[first] + frames)) == b""


def test_frames_without_checksum_size_or_dictionary_are_read(tmp_path: Path) -> None:
    plain = zstandard.ZstdCompressor(write_content_size=False)
    table, tally = read_bytes(tmp_path, b"".join(plain.compress(one) for one in PAGES), "a.warc.zst")
    assert (_numbers(table), tally.bytes_bad) == (list(range(N)), 0)
    stream = zstandard.ZstdCompressor().compressobj()  # one frame for all, of unknown size
    data = b"".join(stream.compress(one) for one in PAGES) + stream.flush()
    table, tally = read_bytes(tmp_path, data, "a.warc.zst")
    assert (_numbers(table), tally.bytes_bad) == (list(range(N)), 0)


def test_skippable_and_empty_frames_between_records_are_counted(tmp_path: Path) -> None:
    extension = b"\x53\x2a\x4d\x18" + struct.pack("<I", 5) + b"12345"
    empty = zstandard.ZstdCompressor().compress(b"")
    data = b"".join(part for frame in _frames(PAGES) for part in (frame, extension, empty))
    table, tally = read_bytes(tmp_path, data, "a.warc.zst")
    assert _numbers(table) == list(range(N))
    assert (tally.bytes_bad, tally.bytes_padding) == (0, N * len(empty))
    table, tally = read_bytes(tmp_path, data[: -len(empty) - 3], "a.warc.zst")
    assert [span.cause for span in tally.bad_spans] == ["the file ends inside a frame without content"]


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 6000), min_size=1, max_size=30), codec=st.sampled_from(["zstd", "gzip"]))
def test_a_record_may_span_frames_cut_anywhere(cuts: list[int], codec: str, tmp_path_factory) -> None:
    """As warc-zstd allows, and as block compressors make them."""
    import gzip

    data = b"".join(PAGES[:12])
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    parts = [data[a:b] for a, b in pairwise(places)]
    packed = _frames(parts) if codec == "zstd" else [gzip.compress(part, mtime=0) for part in parts]
    table, tally = read_bytes(tmp_path_factory.mktemp("zstd"), b"".join(packed), "a.warc.zst")
    assert (_numbers(table), tally.bytes_bad) == (list(range(12)), 0)


def test_behind_damage_in_a_file_of_spanning_frames_reading_goes_on(tmp_path: Path) -> None:
    data = b"".join(PAGES)
    frames = [bytearray(frame) for frame in _frames([data[at : at + 1000] for at in range(0, len(data), 1000)])]
    frames[10][30] ^= 0xFF
    table, tally = read_bytes(tmp_path, b"".join(frames), "a.warc.zst")
    lost = set(range(N)) - set(_numbers(table))
    assert lost <= {number for number in range(N) if 8000 < len(b"".join(PAGES[: number + 1])) < 14_000}
    assert len(tally.bad_spans) >= 1


def test_an_inflating_frame_is_passed_over_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.sources.framing.MAX_RECORD_BYTES", 1 << 20)
    bomb = record(http_response(b"\x00" * (80 << 20)), url="https://example.org/999")
    for level_size in (True, False):
        packer = zstandard.ZstdCompressor(write_content_size=level_size)
        data = b"".join(packer.compress(one) for one in (PAGES[0], bomb, PAGES[1]))
        table, tally = read_bytes(tmp_path, data, "a.warc.zst")
        assert (_numbers(table), tally.records["too_large"]) == ([0, 1], 1)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300_000), level=st.integers(1, 6), checksum=st.booleans(), sized=st.booleans())
def test_a_frame_ends_where_its_headers_say(data: bytes, level: int, checksum: bool, sized: bool) -> None:
    packer = zstandard.ZstdCompressor(level=level, write_checksum=checksum, write_content_size=sized)
    frame = packer.compress(data)
    assert zstd.frame_end(b"x" + frame + b"more", 1) == 1 + len(frame)
    assert zstd.frame_end(frame[:-1], 0) == -1


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300_000), checksum=st.booleans(), sized=st.booleans(), linked=st.booleans())
def test_an_lz4_frame_ends_where_its_headers_say(data: bytes, checksum: bool, sized: bool, linked: bool) -> None:
    from lz4.frame import compress

    frame = compress(data, content_checksum=checksum, store_size=sized, block_linked=linked)
    assert lz4.frame_end(b"x" + frame + b"more", 1) == 1 + len(frame)
    assert lz4.frame_end(frame[:-1], 0) == -1


def test_lz4_files_give_what_their_gzip_twins_give() -> None:
    for name in ("warcfile.warc", "block-sized-records.warc"):
        table, tally = read(whole(shared_data("warc", f"{name}.lz4")))
        twin, twin_tally = read(whole(shared_data("warc", f"{name}.gz")))
        assert (tally.records, tally.bytes_bad) == (twin_tally.records, 0)
        assert table["html"].to_pylist() == twin["html"].to_pylist()
