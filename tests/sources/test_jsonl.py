"""Mirrors curate/sources/jsonl.py."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.source import Tally, doc_id
from curate.sources import lines, source_of
from curate.sources.streams import MAX_BAD_SPANS
from tests.helpers import shared_data
from tests.sources.build import read, read_bytes, whole

PACK = {
    "plain": bytes,
    "gzip": gzip.compress,
    "members": lambda data: gzip.compress(data[:20], mtime=0) + gzip.compress(data[20:], mtime=0),
    "zstd": zstandard.compress,
    "frames": lambda data: zstandard.compress(data[:20]) + zstandard.compress(data[20:]),
}
LINES = [
    {"text": "one", "id": "a", "metadata": {"url": "https://a.example/", "date": "2024-01-02T03:04:05Z"}},
    {"text": "zwei", "id": 7, "url": "https://b.example/", "metadata": None},
    {"text": "", "metadata": {"url": 5}},
]


def _read(tmp_path: Path, data: bytes, name: str = "a.jsonl"):
    return read_bytes(tmp_path, data, name, "jsonl")


@pytest.mark.parametrize("pack", PACK)
def test_fields_are_read_from_the_top_level_and_from_metadata(tmp_path: Path, pack: str) -> None:
    data = "\n".join(map(json.dumps, LINES)).encode()
    table, tally = _read(tmp_path, PACK[pack](data))
    assert table["text"].to_pylist() == ["one", "zwei", ""]
    assert table["id"].to_pylist() == ["a", "7", None]
    assert table["url"].to_pylist() == ["https://a.example/", "https://b.example/", None]
    assert table["fetched_at"].to_pylist() == [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), None, None]
    offsets = table["offset_bytes"].to_pylist()
    assert [data[at : at + 6] for at in offsets] == [b'{"text'] * 3
    assert table["doc_id"].to_pylist() == [doc_id("a.jsonl", at) for at in offsets]
    assert (tally.records, tally.bytes_bad) == ({"doc": 3}, 0)


def test_a_doc_that_has_a_doc_id_keeps_it_and_where_it_came_from(tmp_path: Path) -> None:
    own = {"doc_id": "0123456789abcdef" * 2, "source": "wiki", "warc_file": "w.warc.gz", "offset_bytes": 99}
    lines = [
        {"text": "x", **own},
        {"text": "x", "metadata": {**own, "doc_id": "f" * 32}},
        {"text": "x", **own, "doc_id": "ABC"},
    ]
    table, _ = _read(tmp_path, "\n".join(map(json.dumps, lines)).encode())
    assert table["doc_id"].to_pylist()[:2] == [own["doc_id"], "f" * 32]
    assert table["source"].to_pylist() == ["wiki", "wiki", "web"]
    assert table["warc_file"].to_pylist() == ["w.warc.gz", "w.warc.gz", "a.jsonl"]
    assert table["offset_bytes"].to_pylist()[:2] == [99, 99]


@pytest.mark.parametrize("pack", PACK)
def test_lines_that_are_no_docs_are_counted(tmp_path: Path, pack: str) -> None:
    bad = [b"not json", b"[1]", b'{"text": "cut', b"{" * 100_000, b'{"a":' * 100_000, b"[" * 100_000]
    data = (
        b"\n".join([b'{"text": "x"}', b"", b"  ", *bad, b'{"text": null}', b'{"txt": "x"}', b'{"text": "y"}']) + b"\n\n"
    )
    table, tally = _read(tmp_path, PACK[pack](data))
    assert table["text"].to_pylist() == ["x", "y"]
    assert tally.records == {"doc": 2, "bad_line": len(bad), "no_text": 2}
    assert all(data[span.offset_bytes :].startswith(tuple(bad)) for span in tally.bad_spans)
    assert tally.bad_spans[0].offset_bytes == data.index(bad[0])
    if pack == "plain":
        assert tally.bytes_bad == sum(map(len, bad)) + len(bad)
        assert tally.bytes_padding == 5


def test_what_is_no_unicode_is_replaced_and_counted(tmp_path: Path) -> None:
    lines = [
        b'{"text": "caf\xe9"}',
        b'{"text": "a\\ud800b\\ud83d\\ude00"}',
        b'{"text": "\xef\xbf\xbd", "id": "ok"}',
        b'{"text": "x", "id": "\\udfff"}',
    ]
    table, tally = _read(tmp_path, b"\n".join(lines))
    assert table["text"].to_pylist() == ["caf\ufffd", "a\ufffdb\U0001f600", "\ufffd", "x"]
    assert table["id"].to_pylist() == [None, None, "ok", "\ufffd"]
    assert tally.records == {"doc": 4, "repaired_utf8": 3}


def test_a_line_over_the_cap_is_a_bad_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    long = b'{"text": "' + b"x" * 1_000_000 + b'"}'
    for pack in PACK.values():
        table, tally = _read(tmp_path, pack(b'{"text": "a"}\n' + long + b'\n{"text": "b"}\n' + long))
        assert table["text"].to_pylist() == ["a", "b"]
        assert tally.records == {"doc": 2, "bad_line": 2}
        assert [span.offset_bytes for span in tally.bad_spans] == [14, 14 + len(long) + 1 + 14]


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "bits"])
def test_damaged_compression_is_read_up_to_there_and_reported(tmp_path: Path, pack: str, damage: str) -> None:
    data = b"".join(b'{"text": "%d %d"}\n' % (i, i**7) for i in range(50_000))
    packed = PACK[pack](data)
    half = len(packed) // 2
    broken = (
        packed[:half]
        if damage == "cut"
        else packed[:half] + bytes(b ^ 255 for b in packed[half : half + 50]) + packed[half + 50 :]
    )
    table, tally = _read(tmp_path, broken)
    texts = table["text"].to_pylist()
    n = 15_000
    assert texts[:n] == [f"{i} {i**7}" for i in range(n)]
    end = tally.bad_spans[-1].offset_bytes + tally.bad_spans[-1].n_bytes
    if damage == "cut":
        assert (end, len(tally.bad_spans), tally.records["bad_line"]) == (len(broken), 1, 0)
        assert tally.records["cut_line"] == 1
    else:  # inflate may give nonsense for a while before it fails
        assert tally.records.total() < 50_000
        assert 1 <= len(tally.bad_spans) <= MAX_BAD_SPANS


def test_the_list_of_bad_spans_is_bounded(tmp_path: Path) -> None:
    table, tally = _read(tmp_path, b'bad\n{"text": "a"}\n' * 5000)
    assert (table.num_rows, tally.records["bad_line"], tally.bytes_bad) == (5000, 5000, 20_000)
    assert len(tally.bad_spans) == MAX_BAD_SPANS


@settings(max_examples=60, deadline=None)
@given(
    written=st.lists(
        st.sampled_from(
            [
                b'{"text": "a"}',
                b'{"text": "%s"}' % (b"b" * 50),
                b"",
                b"bad",
                b"bad" * 40,
                b"  " * 30,
                b'{"text": "c"}\r',
            ]
        ),
        max_size=12,
    ),
    shard_bytes=st.integers(1, 80),
    ending=st.booleans(),
)
def test_pieces_give_what_the_whole_file_gives(
    written: list[bytes], shard_bytes: int, ending: bool, tmp_path_factory
) -> None:
    data = b"\n".join(written) + (b"\n" if ending else b"")
    if not data:
        return
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_bytes(data)
    piece = whole(path, "jsonl")
    table, tally = read(piece)
    rows, records, bad, padding = [], Tally().records, 0, 0
    pieces = source_of("jsonl").cut(str(path), len(data), shard_bytes)
    assert [start for start, _ in pieces] == [0, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == len(data)
    for start, end in pieces:
        part, one = read(replace(piece, start=start, end=end))
        rows += part.to_pylist()
        records += one.records
        bad += one.bytes_bad
        padding += one.bytes_padding
    assert rows == table.to_pylist()
    assert records == tally.records
    assert (bad, padding) == (tally.bytes_bad, tally.bytes_padding)  # also of lines that a cut goes through


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b'{"text": "a", "text": "b"}', "the key 'text' is given twice"),
        (b'{"text": "a", "metadata": {"url": 1, "url": 2}}', "the key 'url' is given twice"),
        (b'{"text": "a", "score": NaN}', "NaN is no JSON"),
        (b'{"text": "a", "score": -Infinity}', "-Infinity is no JSON"),
        (b'{"text": "a", "n": %s}' % (b"9" * 5000), "Exceeds the limit"),
        (b'{"text": "a"} {"text": "b"}', "more than one value on a line"),
        (b'{"text": "a"}{"text": "b"}', "more than one value on a line"),
        (b'{"text": "a"}\r{"text": "b"}\r', "lines end with CR alone"),
        (b'{"text": "a",}', "trailing comma|property name"),
        (b'{"text": "a\x01b"}', "Invalid control character"),
        (b'{"text": "a"', "Expecting"),
        (b"{'text': 'a'}", "Expecting property name"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it nests too deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "it nests too deep"),
        (b'"text"', "no object"),
        ('{"text": "x"}'.encode("utf-16"), "Expecting"),
    ],
)
def test_what_is_no_json_is_a_bad_line_that_says_why(tmp_path: Path, line: bytes, cause: str) -> None:
    table, tally = _read(tmp_path, b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
    assert table["text"].to_pylist() == ["before", "after"]
    assert tally.records == {"doc": 2, "bad_line": 1}
    assert re.search(cause, tally.bad_spans[0].cause), tally.bad_spans[0].cause


@pytest.mark.parametrize("value", [b"null", b"7", b"[]", b"{}", b"true", b"1e400"])
def test_a_text_that_is_no_string_is_counted(tmp_path: Path, value: bytes) -> None:
    table, tally = _read(tmp_path, b'{"text": %s}\n{"id": "no text at all"}\n' % value)
    assert (table.num_rows, tally.records) == (0, {"no_text": 2})


def test_numbers_of_any_size_are_ids(tmp_path: Path) -> None:
    table, _ = _read(tmp_path, b'{"text": "a", "id": 123456789012345678901234567890, "score": 1e400}\n')
    assert table["id"].to_pylist() == ["123456789012345678901234567890"]


def test_other_names_for_text_and_url(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "no", "body": "yes", "link": "https://a.example/"}\n')
    piece = replace(whole(tmp_path / "a.jsonl", "jsonl"), text_column="body", url_column="link")
    table, _ = read(piece)
    assert table.select(["text", "url"]).to_pylist() == [{"text": "yes", "url": "https://a.example/"}]


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 4000), max_size=4), shard_bytes=st.integers(40, 700))
def test_a_line_that_spans_many_pieces_is_counted_in_each(cuts: list[int], shard_bytes: int, tmp_path_factory) -> None:
    """Lines over the cap, bad lines and good ones, each longer than the pieces."""
    data = b"\n".join([b"bad " * n if n % 2 else b'{"text": "%s"}' % (b"x" * n) for n in cuts])
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_bytes(data or b"x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "MAX_LINE_BYTES", 3000)
        patch.setattr(lines, "_BACK_BYTES", 100)
        at_once, tally = read(whole(path, "jsonl"))
        sums, n_docs = Tally(), 0
        for start, end in source_of("jsonl").cut(str(path), path.stat().st_size, shard_bytes):
            table, one = read(replace(whole(path, "jsonl"), start=start, end=end))
            n_docs += table.num_rows
            sums.records += one.records
            sums.bytes_bad += one.bytes_bad
    assert (n_docs, sums.records, sums.bytes_bad) == (at_once.num_rows, tally.records, tally.bytes_bad)


def test_compressed_files_are_never_cut(tmp_path: Path) -> None:
    for pack in ("gzip", "zstd"):
        path = tmp_path / "a.jsonl"  # whatever its name says
        path.write_bytes(PACK[pack](b"x" * 1000))
        assert source_of("jsonl").cut(str(path), 999, 10) == [(0, 999)]


def test_agrees_with_json_on_real_files() -> None:
    for parts in (("dedup", "licences-docs.jsonl.gz"), ("corpora", "fortunes.jsonl.gz"), ("lid", "lid-dev.jsonl.gz")):
        path = shared_data(*parts)
        with gzip.open(path, "rt") as file:
            expected = [json.loads(line) for line in file]
        table, tally = read(whole(path, "jsonl"))
        assert table["text"].to_pylist() == [line["text"] for line in expected]
        assert tally.records == {"doc": len(expected)}
