"""Mirrors curate/sources/__init__.py: what a file is, and a one-line refusal of what is not read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.errors import InputError
from curate.sources import sniff, source_of
from tests.helpers import shared_data
from tests.sources.build import members, page

LINE = b'{"text": "x"}\n'


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.warc", page(1), "warc"),
        ("a.warc.gz", members([page(1)]), "warc"),
        ("no-ending", members([page(1)]), "warc"),
        ("a.jsonl", page(1), "warc"),  # bytes come before names
        ("a.warc.gz", b"\x00\x00" + members([page(1), page(2)])[2:], "warc"),  # damaged at its start
        ("a.warc", b"garbage " * 100 + page(1), "warc"),
        ("a.jsonl", LINE, "jsonl"),
        ("a.jsonl", b"\xef\xbb\xbf\n\n" + LINE, "jsonl"),
        ("a.jsonl", b"a damaged line\n" + LINE, "jsonl"),
        ("a.json.gz", gzip.compress(LINE), "jsonl"),
        ("a.jsonl.zst", zstandard.compress(LINE * 10_000), "jsonl"),
        ("00004.jsonl.zst", zstandard.compress(b""), "jsonl"),  # a shard that kept no doc
    ],
)
def test_kinds(tmp_path: Path, name: str, data: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert sniff(str(tmp_path / name)) == kind


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "x")
    assert sniff(str(tmp_path / "x")) == "parquet"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.arc", b"filedesc://x 0.0.0.0 2008 text/plain 73\n", "ARC files are not read yet"),
        ("a.arc.gz", gzip.compress(b"filedesc://x 0.0.0.0 2008 text/plain 73\n"), "ARC files are not read yet"),
        ("a.warc.wet.gz", members([page(1)]), "WET files are not read yet"),
        ("a.warc.wat", page(1), "WAT files hold no pages"),
        ("a.warc.lz4", b"\x04\x22\x4d\x18" + b"x" * 50, "lz4"),
        ("a.warc.zst", zstandard.compress(page(1)), "zstd is read for JSONL only"),
        ("a.wacz", b"PK\x03\x04rest", "WACZ files are not read yet"),
        ("a.zip", b"PK\x03\x04rest", "zip"),
        ("a.warc.bz2", bz2.compress(page(1)), "bzip2"),
        ("a.warc.xz", lzma.compress(page(1)), "xz"),
        ("a.warc", b"", "empty"),
        ("a.warc.gz", gzip.compress(b""), "empty"),
        ("a.warc", b"<html>503</html>", "not a WARC, JSONL or Parquet file"),
        ("a.warc.gz", gzip.compress(b"<html>503</html>"), "not a WARC, JSONL or Parquet file"),
        ("a.warc.gz", b"\x1f\x8b\x08junk", "not a WARC, JSONL or Parquet file"),
        ("a.txt", b"hello", "not a WARC, JSONL or Parquet file"),
        ("a.warc", b"\r\n\r\n", "not a WARC, JSONL or Parquet file"),
        ("a.csv.gz", gzip.compress(b"text,id\n"), "not a WARC, JSONL or Parquet file"),
        ("a.bin", os.urandom(5000), "not a WARC, JSONL or Parquet file"),
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
    with pytest.raises(InputError, match="known: warc, jsonl, parquet"):
        source_of("csv")


def test_real_files_are_what_their_names_say() -> None:
    for path in sorted(shared_data("warc").iterdir()):
        expected = "warc" if path.name.endswith((".warc", ".warc.gz", ".open", ".warc.txt")) else None
        try:
            assert sniff(str(path)) == expected, path.name
        except InputError:
            assert expected is None, path.name


def test_zip_made_by_the_library_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.wacz", "w") as archive:
        archive.writestr("archive/a.warc.gz", members([page(1)]))
    with pytest.raises(InputError, match="WACZ"):
        sniff(str(tmp_path / "a.wacz"))
