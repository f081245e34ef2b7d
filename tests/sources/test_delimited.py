"""Mirrors curate/sources/delimited.py."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.source import doc_id
from curate.sources import delimited, lines, sniff, source_of
from tests.sources.build import read, read_bytes, whole

PACK = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}


def _read(folder: Path, data: bytes, name: str = "a.csv"):
    return read_bytes(folder, data, name, "csv")


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_columns_are_found_by_name_and_cells_may_hold_anything(tmp_path: Path, pack: str, bom: bytes) -> None:
    data = bom + (
        b"id,text,url,date,other\r\n"
        b"7,one,https://a.example/,2024-01-02T03:04:05Z,x\r\n"
        b"\r\n"
        b'8,"two\nlines, a ""quote"" and , commas",,,\r\n'
        b"9,,https://c.example/,no date,\r\n"
    )
    table, tally = _read(tmp_path, PACK[pack](data))
    assert table["text"].to_pylist() == ["one", 'two\nlines, a "quote" and , commas', ""]
    assert table["id"].to_pylist() == ["7", "8", "9"]
    assert table["url"].to_pylist() == ["https://a.example/", None, "https://c.example/"]
    assert table["fetched_at"].to_pylist() == [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), None, None]
    offsets = table["offset_bytes"].to_pylist()
    assert [data[at : at + 2] for at in offsets] == [b"7,", b"8,", b"9,"]
    assert table["doc_id"].to_pylist() == [doc_id("a.csv", at) for at in offsets]
    assert (tally.records, tally.bytes_bad) == ({"doc": 3}, 0)
    assert tally.bytes_padding == (2 if pack == "plain" else 0)


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "a.csv"), ("\t", "a.tsv"), (";", "a.csv"), ("|", "a"), ("\t", "a.csv")]
)
def test_the_delimiter_is_found_in_the_header(tmp_path: Path, delimiter: str, name: str) -> None:
    rows = [["id", "text"], ["1", "a, b; c | d \t e"], ["2", 'x"y']]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    table, _ = _read(tmp_path, out.getvalue().encode(), name)
    assert table.select(["id", "text"]).to_pylist() == [{"id": i, "text": t} for i, t in rows[1:]]


def test_one_column_is_a_table_too(tmp_path: Path) -> None:
    table, tally = _read(tmp_path, b'text\none\n"two, and"\n\n')
    assert table["text"].to_pylist() == ["one", "two, and"]
    assert tally.bytes_padding == 1


def test_other_names_for_text_and_url(tmp_path: Path) -> None:
    from dataclasses import replace

    path = tmp_path / "a.csv"
    path.write_bytes(b"text,body,link\nno,yes,https://a.example/\n")
    piece = replace(whole(path, "csv"), text_column="body", url_column="link")
    table, _ = read(piece)
    assert table.select(["text", "url"]).to_pylist() == [{"text": "yes", "url": "https://a.example/"}]
    for wrong in ({"text_column": "none"}, {"url_column": "none"}):
        with pytest.raises(InputError, match="a column `none`"):
            source_of("csv").schema_of(replace(piece, **wrong))


BAD = {
    "too few cells": (b"1\n", "a row has 1 cells, the header 2"),
    "too many cells": (b"1,a,b\n", "a row has 3 cells, the header 2"),
    "a NUL byte": (b"1,a\x00b\n", "NUL"),
    "text after a quote": (b'1,"a"b\n', "expected after"),
    "CR inside a line": (b"1,a\rb,c\n", "new-line character"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("pack", PACK)
def test_a_bad_row_costs_itself_alone(tmp_path: Path, case: str, pack: str) -> None:
    bad, said = BAD[case]
    before, after = b"id,text\n0,before\n", b'2,"after\nwards"\n3,last\n'
    table, tally = _read(tmp_path, PACK[pack](before + bad + after))
    assert table["text"].to_pylist() == ["before", "after\nwards", "last"]
    assert tally.records == {"doc": 3, "bad_row": 1}
    (span,) = tally.bad_spans
    assert span.offset_bytes == len(before)
    assert span.n_bytes == (len(bad) if pack == "plain" else 0)
    assert said in span.cause


@pytest.mark.parametrize("rest", [b"", b"2,b\n3,c\n", b'2,"b"\n3,c\n'])
def test_an_open_quote_costs_its_line_not_the_rest(tmp_path: Path, rest: bytes) -> None:
    table, tally = _read(tmp_path, b'id,text\n0,x\n1,"never closed\n' + rest)
    n = rest.count(b"\n")
    assert table["id"].to_pylist() == ["0", "2", "3"][: n + 1]
    assert tally.records == {"doc": n + 1, "bad_row": 1}
    assert tally.bytes_bad == len(b'1,"never closed\n')


def test_a_row_over_the_cap_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    long = b'1,"' + b"line\n" * 500 + b'"\n2,' + b"x" * 5000 + b"\n"
    table, tally = _read(tmp_path, b"id,text\n0,a\n" + long + b"3,b\n")
    assert [text for text in table["text"].to_pylist() if text in ("a", "b")] == ["a", "b"]
    assert tally.records["bad_row"] > 1
    assert b"x" * 900 not in b"".join(text.encode() for text in table["text"].to_pylist())


@pytest.mark.timeout(30)
def test_quotes_that_never_close_take_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line opens a quote that reads on to the cap, whether one comes from inside a quote or not."""
    monkeypatch.setattr(delimited, "MAX_LINE_BYTES", 1 << 20)
    monkeypatch.setattr(delimited, "MAX_REREAD_BYTES", 8 << 20)
    data = b"id,text\n" + b'x",",y\n' * 100_000
    table, tally = _read(tmp_path, data)
    assert table.num_rows == 0
    assert tally.bytes_bad == len(data) - len(b"id,text\n")


def test_what_is_no_utf8_is_replaced_and_counted(tmp_path: Path) -> None:
    table, tally = _read(tmp_path, b"id,text\n1,caf\xe9\n2,caf\xc3\xa9\n")
    assert table["text"].to_pylist() == ["caf\ufffd", "café"]
    assert tally.records == {"doc": 2, "repaired_utf8": 1}


def test_a_doc_that_has_a_doc_id_keeps_it(tmp_path: Path) -> None:
    own = "0123456789abcdef" * 2
    table, _ = _read(tmp_path, f"text,doc_id,offset_bytes,warc_file,source\nx,{own},99,w.gz,wiki\n".encode())
    (row,) = table.to_pylist()
    assert [row[n] for n in ("doc_id", "offset_bytes", "warc_file", "source")] == [own, 99, "w.gz", "wiki"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"id,body\n", "a header row with a column `text` .*; found: id, body"),
        (b"text,text\n", "two columns of one name"),
        (b"text," + b",".join(b"%d" % n for n in range(100_000)) + b"\n", "100,001 columns; 1,000 are read at most"),
        (b"text," + b"x" * (2 << 20), "header row is over 1 MiB"),
        (b'"text\n', "a header row with a column `text`"),
    ],
)
def test_a_table_without_a_usable_header_is_refused(tmp_path: Path, header: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(header + b"1,2\n")
    with pytest.raises(InputError, match=said):
        source_of("csv").schema_of(whole(tmp_path / "a.csv", "csv"))


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_damaged_compression_is_read_up_to_there_and_reported(tmp_path: Path, pack: str) -> None:
    data = b"id,text\n" + b"".join(b'%d,"text %d"\n' % (n, n**7) for n in range(50_000))
    packed = PACK[pack](data)
    table, tally = _read(tmp_path, packed[: len(packed) // 2])
    assert table["text"].to_pylist()[:10_000] == [f"text {n**7}" for n in range(10_000)]
    assert tally.bad_spans[0].cause == "the file ends inside compressed data"
    assert tally.records["cut_line"] == 1


CELLS = st.text(st.sampled_from('ab,"\n\r;\té '), max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=8), ending=st.sampled_from(["\n", "\r\n"]))
def test_what_the_standard_library_writes_comes_back(tmp_path: Path, rows: list[tuple[str, str]], ending: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text"), *rows])
    table, tally = _read(tmp_path, out.getvalue().encode())
    assert table["text"].to_pylist() == [text for _, text in rows]
    assert [one or "" for one in table["id"].to_pylist()] == [one for one, _ in rows]
    assert tally.records == ({"doc": len(rows)} if rows else {})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r", b"\x00", b"\xff", b'""']), max_size=40))
def test_any_bytes_are_rows_or_bad_rows(tmp_path: Path, data: list[bytes]) -> None:
    """`read` checks that the bytes add up."""
    body = b"".join(data)
    table, tally = _read(tmp_path, b"id,text\n" + body)
    n_lines = len([line for line in body.split(b"\n") if line])
    assert table.num_rows + tally.records["bad_row"] <= n_lines
    assert (table.num_rows + tally.records["bad_row"] > 0) == bool(body.replace(b"\r\n", b"\n").strip(b"\n\r"))


@pytest.mark.parametrize("before", [b"\r", b"\r\n\r\n", b"\n\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", b"\r\xef\xbb\xbf"])
def test_line_ends_and_marks_before_the_header_are_not_of_its_first_column(tmp_path: Path, before: bytes) -> None:
    data = before + b"text,id\nhello,1\n"
    table, _ = _read(tmp_path, data)
    assert table["text"].to_pylist() == ["hello"]
    source_of("csv").schema_of(whole(tmp_path / "a.csv", "csv"))


def test_a_zero_byte_behind_the_header_costs_its_row_and_not_the_file(tmp_path: Path) -> None:
    data = b"id,text\n1,one\n2,t\x00o\n3,three\n"
    for name in ("a.csv", "a"):
        (tmp_path / name).write_bytes(data)
        assert sniff(str(tmp_path / name)) == "csv"
    table, tally = read_bytes(tmp_path, data, "a.csv", "csv")
    assert table["text"].to_pylist() == ["one", "three"]
    assert tally.records["bad_row"] == 1
