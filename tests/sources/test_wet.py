"""Mirrors curate/sources/wet.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from curate.sources import sniff
from curate.sources.wet import Wet
from tests.helpers import shared_data
from tests.sources.build import members, page, read, read_bytes, record, whole


def _conversion(text: bytes, number: int = 0, **options) -> bytes:
    url = f"https://example.org/{number}"
    return record(text, kind="conversion", url=url, **{"content_type": "text/plain", **options})


def test_conversions_become_docs_with_what_their_headers_say(tmp_path: Path) -> None:
    records = [
        record(b"software: test\r\n", kind="warcinfo", content_type="application/warc-fields"),
        _conversion("día\nuno".encode(), 1, extra=["WARC-Identified-Content-Language: spa,eng"]),
        _conversion(b"caf\xe9 \xff", 2, extra=["WARC-Truncated: length"]),
        _conversion(b"", 3),
        _conversion(b"%PDF", 4, content_type="application/pdf"),
        page(5),
    ]
    table, tally = read_bytes(tmp_path, members(records), "a.warc.wet.gz", "wet")
    assert table["text"].to_pylist() == ["día\nuno", "caf� �", ""]
    assert table["declared_language"].to_pylist() == ["spa", None, None]
    assert table["truncated"].to_pylist() == [None, "length", None]
    assert table["url"].to_pylist() == [f"https://example.org/{number}" for number in (1, 2, 3)]
    assert table["id"].to_pylist() == ["urn:uuid:00000000-0000-0000-0000-000000000000"] * 3
    assert table["fetched_at"][0].as_py().isoformat() == "2024-05-06T07:08:09+00:00"
    assert tally.records == {"warcinfo": 1, "conversion": 3, "mime:application": 1, "response": 1}
    assert tally.bytes_bad == 0


def test_batches_stay_small(tmp_path: Path) -> None:
    table, _ = read_bytes(tmp_path, b"".join(_conversion(b"x", n) for n in range(200)), "a.wet", "wet")
    assert table.num_rows == 200  # `read` holds each batch to 64
    path = tmp_path / "b.wet"
    path.write_bytes(b"".join(_conversion(b"x" * (9 << 20), n) for n in range(3)))
    from curate.source import Tally

    assert [batch.num_rows for batch in Wet().batches(whole(path, "wet"), Tally())] == [1, 1, 1]


@pytest.mark.parametrize("name", ["whirlwind.warc.wet", "whirlwind.warc.wet.gz"])
def test_a_file_of_common_crawl(name: str) -> None:
    path = shared_data("warc", name)
    assert sniff(str(path)) == "wet"
    table, tally = read(replace(whole(path, "wet"), check_digests=True))
    assert tally.records == {"warcinfo": 1, "conversion": 1}
    (doc,) = table.to_pylist()
    assert (doc["url"], doc["declared_language"]) == ("https://an.wikipedia.org/wiki/Escopete", "spa")
    assert doc["text"].startswith("Escopete - Biquipedia, a enciclopedia libre\n")
    assert len(doc["text"].encode()) == 4456


def test_it_is_told_from_a_warc_by_name_or_content() -> None:
    head = _conversion(b"text")
    assert Wet().sniff("a.warc", head)
    assert Wet().sniff("a.wet", page(0))
    assert not Wet().sniff("a.warc", page(0))
    assert not Wet().sniff("a.wet", b"{}")
