"""Mirrors curate/sources/gzip.py: where a member ends that lost its first bytes."""

from __future__ import annotations

import gzip
import io

import pytest

from curate.sources.gzip import Gzip

BODY = b"WARC/1.0\r\nWARC-Type: response\r\n\r\n" + b"hello " * 500


def member(name: str) -> bytes:
    held = io.BytesIO()
    with gzip.GzipFile(name, "wb", 6, held, 0) as file:
        file.write(BODY)
    return held.getvalue()


@pytest.mark.parametrize("name", ["", "crawl.warc"])
def test_the_end_is_found_without_the_magic_whatever_the_header_holds(name: str) -> None:
    sound = member(name)
    assert (sound[3] != 0) == bool(name)
    for raw in (sound, b"\x00\x00\x00" + sound[3:]):
        assert Gzip().extent(raw + b"junk", 0, None) == (len(sound), True)


def test_flags_that_are_damaged_too_are_not_believed() -> None:
    sound = member("")
    assert Gzip().extent(b"\x00\x00\x00\x1f" + sound[4:], 0, None) == (len(sound), True)
