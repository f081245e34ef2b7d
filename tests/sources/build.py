"""Builds WARC bytes in memory, healthy ones; tests then damage them."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from curate.source import Slice, Tally
from curate.sources import source_of

PAGE = "<!doctype html><html><head><title>t</title></head><body><p>{}</p></body></html>"


def http_response(
    body: bytes | str, *, status: str = "200 OK", content_type: str | None = "text/html; charset=utf-8", **headers: str
) -> bytes:
    """Return an HTTP response; keyword names become header names (`content_encoding` → Content-Encoding)."""
    lines = [f"HTTP/1.1 {status}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    payload = body.encode() if isinstance(body, str) else body
    return "\r\n".join([*lines, "", ""]).encode() + payload


def record(
    block: bytes = b"",
    *,
    kind: str = "response",
    url: str = "https://example.org/",
    date: str = "2024-05-06T07:08:09Z",
    content_type: str = "application/http; msgtype=response",
    length: str | int | None = None,
    version: str = "WARC/1.0",
    extra: Iterable[str] = (),
    newline: str = "\r\n",
    ending: bytes = b"\r\n\r\n",
) -> bytes:
    """Return one WARC record; `length` overrides what Content-Length says ("" leaves the field out)."""
    lines = [
        version,
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: {url}",
        f"WARC-Date: {date}",
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>",
        f"Content-Type: {content_type}",
        *extra,
    ]
    if length != "":
        lines.append(f"Content-Length: {len(block) if length is None else length}")
    return newline.join([*lines, "", ""]).encode() + block + ending


def page(number: int, n_words: int = 40) -> bytes:
    """Return a response record with a page that says its number."""
    text = " ".join(f"word{number}x{i}" for i in range(n_words))
    return record(http_response(PAGE.format(text)), url=f"https://example.org/{number}")


def members(records: Iterable[bytes]) -> bytes:
    """Compress each record by itself, as WARC writers do."""
    return b"".join(gzip.compress(one, mtime=0) for one in records)


LAYOUTS = ("plain", "members", "one member")


def packed(records: Iterable[bytes], layout: str) -> bytes:
    """Return the file that holds these records, in one of LAYOUTS."""
    if layout == "members":
        return members(records)
    data = b"".join(records)
    return data if layout == "plain" else gzip.compress(data, mtime=0)


def whole(path: Path, kind: str = "warc", name: str | None = None) -> Slice:
    """Return the slice that is the whole file."""
    size_bytes = path.stat().st_size
    return Slice(str(path), name or path.name, kind, "web", 0, size_bytes, size_bytes)


def read(piece: Slice) -> tuple[pa.Table, Tally]:
    """Read a slice to its end; check the schema of each batch and that the bytes add up."""
    tally = Tally()
    source = source_of(piece.kind)
    schema = source.schema_of(piece) if hasattr(source, "schema_of") else source.schema
    batches = []
    for batch in source.batches(piece, tally):
        assert batch.schema == schema
        assert 0 < batch.num_rows <= 64
        batch.validate(full=True)
        batches.append(batch)
    table = pa.Table.from_batches(batches, schema)
    assert len(set(table["doc_id"].to_pylist())) == table.num_rows
    n_bytes = 0 if piece.kind == "parquet" else piece.end - piece.start
    assert tally.bytes_ok + tally.bytes_bad + tally.bytes_padding == n_bytes
    assert tally.bytes_bad == sum(span.n_bytes for span in tally.bad_spans)
    return table, tally


def read_bytes(folder: Path, data: bytes, name: str = "a.warc", kind: str = "warc") -> tuple[pa.Table, Tally]:
    """Write `data` to a file and read it whole."""
    path = folder / name
    path.write_bytes(data)
    return read(whole(path, kind))


def arc_record(
    block: bytes,
    *,
    url: str = "https://example.org/",
    address: str = "127.0.0.1",
    date: str = "20240506070809",
    content_type: str = "text/html",
    length: str | int | None = None,
    version: int = 1,
) -> bytes:
    """Return one ARC record; `length` overrides what its header says."""
    extra = "200 checksum - 12345 a.arc.gz " if version == 2 else ""
    n_bytes = len(block) if length is None else length
    return f"{url} {address} {date} {content_type} {extra}{n_bytes}\n".encode() + block + b"\n"


def arc_file_record(version: int = 1) -> bytes:
    """Return the record an ARC file begins with."""
    fields = "URL IP-address Archive-date Content-type "
    fields += "Result-code Checksum Location Offset Filename " if version == 2 else ""
    block = f"{version} 0 Tests\n{fields}Archive-length\n".encode()
    return arc_record(block, url="filedesc://a.arc", content_type="text/plain", version=version)
