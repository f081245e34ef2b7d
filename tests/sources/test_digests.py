"""Mirrors curate/sources/digests.py: records that are not what their digests say are damage."""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from curate.source import Tally
from curate.sources.warc import Warc
from tests.helpers import shared_data
from tests.sources.build import LAYOUTS, PAGE, http_response, packed, page, read, record, whole

BODY = PAGE.format("digested").encode()


def _digest(algorithm: str, data: bytes, form: str = "base32") -> str:
    digest = hashlib.new(algorithm, data).digest()
    encoded = {
        "hex": digest.hex(),
        "base32": base64.b32encode(digest).decode(),
        "base64": base64.b64encode(digest).decode(),
    }
    return f"{algorithm}:{encoded[form]}"


def _read(folder: Path, records: list[bytes], layout: str = "members") -> tuple[int, Tally]:
    path = folder / "a.warc"
    path.write_bytes(packed(records, layout))
    table, tally = read(replace(whole(path), check_digests=True))
    assert read(whole(path))[1].bytes_bad == 0  # without the option nothing is compared
    return table.num_rows, tally


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5"])
@pytest.mark.parametrize("form", ["base32", "base64", "hex"])
def test_right_digests_pass_and_wrong_ones_are_damage(tmp_path: Path, algorithm: str, form: str) -> None:
    block = http_response(BODY)
    right = [f"WARC-Block-Digest: {_digest(algorithm, block, form)}"]
    right.append(f"WARC-Payload-Digest: {_digest(algorithm, BODY, form)}")
    wrong = [f"WARC-Block-Digest: {_digest(algorithm, b'else', form)}"]
    wrong_payload = [f"WARC-Payload-Digest: {_digest(algorithm, block, form)}"]
    records = [record(block, extra=extra) for extra in (right, wrong, wrong_payload, right)]
    n_docs, tally = _read(tmp_path, records)
    assert n_docs == 2
    assert tally.records == {"response": 2, "digest_mismatch": 2}
    start = len(gzip.compress(records[0]))
    assert tally.bad_spans[0].offset_bytes == start
    assert tally.bytes_bad == sum(len(gzip.compress(one)) for one in records[1:3])
    assert ["digest" in span.cause for span in tally.bad_spans] == [True, True]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_flipped_bit_in_a_payload_is_found_where_no_checksum_shows_it(tmp_path: Path, layout: str) -> None:
    block = http_response(BODY)
    extra = [f"WARC-Block-Digest: {_digest('sha1', block)}"]
    records = [record(block, url=f"https://example.org/{number}", extra=extra) for number in range(3)]
    records[1] = records[1].replace(b"digested", b"digestfd")
    n_docs, tally = _read(tmp_path, records, layout)
    assert (n_docs, tally.records["digest_mismatch"], len(tally.bad_spans)) == (2, 1, 1)


def test_every_reading_of_payload_is_right(tmp_path: Path) -> None:
    """As sent, without chunks, without content coding: tools differ."""
    coded = gzip.compress(BODY, mtime=0)
    chunked = b"%x\r\n" % len(coded) + coded + b"\r\n0\r\n\r\n"
    block = http_response(chunked, transfer_encoding="chunked", content_encoding="gzip")
    payloads = (chunked, coded, BODY)
    records = [record(block, extra=[f"WARC-Payload-Digest: {_digest('sha1', payload)}"]) for payload in payloads]
    n_docs, tally = _read(tmp_path, records)
    assert (n_docs, tally.bytes_bad) == (3, 0)


def test_unknown_digests_are_counted_and_drop_nothing(tmp_path: Path) -> None:
    block = http_response(BODY)
    extras = ["WARC-Block-Digest: crc99:ABC", "WARC-Block-Digest: sha1:short", "WARC-Payload-Digest: nothing"]
    n_docs, tally = _read(tmp_path, [record(block, extra=[extra]) for extra in extras])
    assert n_docs == 3
    assert tally.records == {"response": 3, "digest_unknown": 3}


def test_cut_payloads_need_not_have_their_digest_and_all_kinds_are_checked(tmp_path: Path) -> None:
    wrong = _digest("sha1", b"else")
    records = [
        record(http_response(BODY), extra=[f"WARC-Payload-Digest: {wrong}", "WARC-Truncated: length"]),
        record(b"a: b\r\n", kind="metadata", content_type="text/plain", extra=[f"WARC-Block-Digest: {wrong}"]),
    ]
    n_docs, tally = _read(tmp_path, records)
    assert (n_docs, tally.records) == (1, {"response": 1, "digest_mismatch": 1})


@pytest.mark.parametrize(
    ("reason", "column"),
    [
        ("length", "length"),
        ("TIME", "time"),
        ("disconnect", "disconnect"),
        ("unspecified", "unspecified"),
        ("x", "other"),
    ],
)
def test_truncated_is_of_a_closed_set(tmp_path: Path, reason: str, column: str) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(record(http_response(BODY), extra=[f"WARC-Truncated: {reason}"]) + page(1))
    assert read(whole(path))[0]["truncated"].to_pylist() == [column, None]


def test_the_first_segment_of_a_record_is_no_page(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    rest = record(b"rest", kind="continuation", extra=["WARC-Segment-Number: 2"])
    path.write_bytes(record(http_response(BODY), extra=["WARC-Segment-Number: 1"]) + rest)
    table, tally = read(whole(path))
    assert (table.num_rows, tally.records) == (0, {"segment": 1, "continuation": 1})


def test_digests_of_real_crawls_are_right_but_for_known_faults() -> None:
    faults = {}
    for path in sorted(shared_data("warc").iterdir()):
        if path.name.endswith((".warc", ".warc.gz", ".warc.lz4")):
            tally = Tally()
            for _ in Warc().batches(replace(whole(path), check_digests=True), tally):
                pass
            if tally.records["digest_mismatch"]:
                faults[path.name] = tally.records["digest_mismatch"]
    # its bytes are not what they were; a digest with a letter that base32 has not
    assert faults == {"example-extra.warc": 1, "example-digest.warc": 1}  # warcio finds these two as well
