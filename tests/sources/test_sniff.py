"""Mirrors curate/sources/__init__.py: what a file is, and a one-line refusal of what is not read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.errors import InputError
from curate.sources import sniff, source_of
from tests.helpers import shared_data
from tests.sources.build import PAGE, arc_file_record, arc_record, http_response, members, page, record

LINE = b'{"text": "x"}\n'
INFO = record(b"software: test\r\n", kind="warcinfo", content_type="application/warc-fields")
DICTIONARY = zstandard.train_dictionary(2000, [page(n) for n in range(200)])
WITH_DICTIONARY = zstandard.ZstdCompressor(dict_data=DICTIONARY).compress(page(1))
CONVERSION = record(b"plain text", kind="conversion", content_type="text/plain")


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.warc", page(1), "warc"),
        ("a.warc.gz", members([page(1)]), "warc"),
        ("no-ending", members([page(1)]), "warc"),
        ("a.jsonl", page(1), "warc"),  # bytes come before names
        ("a.warc.gz", b"\x00\x00" + members([page(1), page(2)])[2:], "warc"),  # damaged at its start
        ("a.warc", b"garbage " * 100 + page(1), "warc"),
        ("a.arc", arc_file_record() + arc_record(b"x"), "arc"),
        ("no-ending", members([arc_file_record(2), arc_record(b"x", version=2)]), "arc"),
        ("a.warc.wet.gz", members([INFO, CONVERSION]), "wet"),
        ("no-ending", members([INFO, CONVERSION]), "wet"),
        ("no-ending", INFO + CONVERSION, "wet"),
        ("no-ending", members([INFO, page(1), CONVERSION]), "warc"),
        ("no-ending", INFO + record(http_response(PAGE.format("\r\nWARC-Type: conversion"))), "warc"),
        ("a.jsonl", LINE, "jsonl"),
        ("a.jsonl", b"\xef\xbb\xbf\n\n" + LINE, "jsonl"),
        ("a.jsonl", b"a damaged line\n" + LINE, "jsonl"),
        ("a.json.gz", gzip.compress(LINE, mtime=0), "jsonl"),
        ("a.jsonl.zst", zstandard.compress(LINE * 10_000), "jsonl"),
        ("00004.jsonl.zst", zstandard.compress(b""), "jsonl"),  # a shard that kept no doc
        ("page.html", b"<!doctype html><html>", "html"),
        ("page", b"\xef\xbb\xbf\n<!-- saved -->\n<HTML lang=en>", "html"),
        ("page.htm", b"<center>no head at all", "html"),
        ("page.html.gz", gzip.compress(b"<html><p>x", mtime=0), "html"),
        ("page.html", "<html><p>x".encode("utf-16"), "html"),
        ("a.csv", b"text,id\nx,1\n", "csv"),
        ("a.csv.gz", gzip.compress(b"text,id\n", mtime=0), "csv"),
        ("a.tsv.zst", zstandard.compress(b"id\ttext\n1\tx\n"), "csv"),
        ("table", b"id;text\n1;x\n", "csv"),
        ("a.csv", b"title,body\nx,1\n", "csv"),  # its column may be named by the source
    ],
)
def test_kinds(tmp_path: Path, name: str, data: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert sniff(str(tmp_path / name)) == kind


def test_parquet_and_arrow(tmp_path: Path) -> None:
    table = pa.table({"text": ["a"]})
    pq.write_table(table, tmp_path / "x")
    assert sniff(str(tmp_path / "x")) == "parquet"
    feather.write_feather(table, tmp_path / "x")
    assert sniff(str(tmp_path / "x")) == "arrow"
    with pa.OSFile(str(tmp_path / "x"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    assert sniff(str(tmp_path / "x")) == "arrow"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.warc.wat", page(1), "WAT files hold no pages"),
        ("a.warc.lz4", b"\x04\x22\x4d\x18" + b"x" * 50, "lz4"),
        ("a.warc.zst", WITH_DICTIONARY, "need a dictionary that the file does not hold"),
        ("a.jsonl.lz4", b"\x04\x22\x4d\x18" + b"x" * 50, "lz4 is read for archives only"),
        ("a.wacz", b"PK\x03\x04rest", "WACZ files are not read yet"),
        ("a.zip", b"PK\x03\x04rest", "zip"),
        ("a.warc.bz2", bz2.compress(page(1)), "bzip2"),
        ("a.warc.xz", lzma.compress(page(1)), "xz"),
        ("a.warc", b"", "empty"),
        ("a.warc.gz", gzip.compress(b"", mtime=0), "empty"),
        ("a.warc", b"<html>503</html>", "not a WARC"),
        ("a.warc.gz", gzip.compress(b"<html>503</html>", mtime=0), "not a WARC"),
        ("a.warc.gz", b"\x1f\x8b\x08junk", "not a WARC"),
        ("a.txt", b"hello", "not a WARC"),
        ("a.warc", b"\r\n\r\n", "not a WARC"),
        ("a.csv", b"<html>503</html>", "not a WARC"),
        ("a.csv", "text,id\n".encode("utf-16"), "UTF-16"),
        ("a.jsonl", '{"text": "x"}\n'.encode("utf-16"), "UTF-16 text is not read; convert it with `iconv"),
        ("a.feather", b"FEA1" + bytes(40), "Feather V1"),
        ("a.svg", b"<svg><title>x</title></svg>", "not a WARC"),
        ("feed.xml", b"<?xml version='1.0'?><rss><title>x</title>", "not a WARC"),
        ("a.bin", os.urandom(5000), "not a WARC"),
    ],
)
def test_refusals_are_one_line_that_names_the_file(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    path = str(tmp_path / name)
    Path(path).write_bytes(data)
    with pytest.raises(InputError, match=says) as raised:
        sniff(path)
    assert str(raised.value).startswith(path)
    assert "\n" not in str(raised.value)


def test_a_zstd_file_is_known_by_its_first_block_which_may_be_large(tmp_path: Path) -> None:
    line = b'{"text": "%s"}\n' % os.urandom(60_000).hex().encode()  # hardly compresses: a block far over the head
    (tmp_path / "no-ending").write_bytes(zstandard.compress(line * 4))
    assert sniff(str(tmp_path / "no-ending")) == "jsonl"


@pytest.mark.timeout(10)
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dir.warc.gz").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "dir.warc.gz", "loop", "missing"):
        with pytest.raises(InputError, match=name):
            sniff(str(tmp_path / name))


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(InputError, match="known: arc, wet, warc, "):
        source_of("pdf")


def test_real_files_are_what_their_names_say() -> None:
    for path in sorted(shared_data("warc").iterdir()):
        kinds = {".wet": "wet", ".arc": "arc", ".warc": "warc", ".open": "warc"}
        expected = kinds.get(Path(path.name.removesuffix(".gz").removesuffix(".lz4").removesuffix(".zst")).suffix)
        if path.name == "sample.warc.txt":
            expected = "wet"  # all its records but one are conversions
        try:
            assert sniff(str(path)) == expected, path.name
        except InputError:
            assert expected is None, path.name


def test_zip_made_by_the_library_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.wacz", "w") as archive:
        archive.writestr("archive/a.warc.gz", members([page(1)]))
    with pytest.raises(InputError, match="WACZ"):
        sniff(str(tmp_path / "a.wacz"))
