"""Damage of every kind to a WARC: the rest is read, the damage is reported, the bytes add up, nothing hangs."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.source import Tally
from curate.sources import framing
from curate.sources.arc import ArcFormat
from curate.sources.warc_format import WarcFormat
from tests.sources.build import LAYOUTS, PAGE, http_response, members, packed, page, read_bytes, record
from tests.sources.damage import Case, archive_case, case, packer

N = 200


def _numbers(table) -> list[int]:
    return [int(url.rsplit("/", 1)[1]) for url in table["url"].to_pylist()]


def _two_hundred() -> tuple[bytearray, list[int]]:
    """Return 200 pages, one a gzip member, and where the members start."""
    parts = [members([page(i)]) for i in range(N)]
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part))
    return bytearray(b"".join(parts)), starts


DAMAGES = ["magic", "bits", "checksum", "37 bytes gone", "zeros", "text before", "two side by side"]


@pytest.mark.parametrize("at", [0, 1, 99, N - 1])
@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_member_costs_only_itself(tmp_path: Path, damage: str, at: int) -> None:
    data, starts = _two_hundred()
    start, end = starts[at], starts[at + 1]
    lost = {at}
    if damage == "magic":
        data[start : start + 2] = b"\x00\x00"
    elif damage == "bits":
        middle = (start + end) // 2
        data[middle : middle + 20] = bytes(b ^ 0xFF for b in data[middle : middle + 20])
    elif damage == "checksum":
        data[end - 8] ^= 1
    elif damage == "37 bytes gone":
        del data[start + 50 : start + 87]
    elif damage == "zeros":
        data[start + 40 : end] = b"\x00" * (end - start - 40)
    elif damage == "text before":
        data[start:start] = b"a line of a log that went to the wrong file\n"
        lost = set()
    else:
        data[start : start + 2] = b"xx"
        lost = {at, min(at + 1, N - 1)}
        data[starts[max(lost)] + 30] ^= 0xFF
        data[starts[max(lost)] + 60] ^= 0xFF
    table, tally = read_bytes(tmp_path, bytes(data), "a.warc.gz")
    assert _numbers(table) == [i for i in range(N) if i not in lost]
    assert len(tally.bad_spans) in (1, 2)
    assert tally.bad_spans[0].offset_bytes in (start, start + 2)  # two zero bytes are padding
    assert tally.bytes_bad <= len(data) - sum(starts[i + 1] - starts[i] for i in range(N) if i not in lost)


def test_a_cut_file_is_read_to_the_cut_and_says_so(tmp_path: Path) -> None:
    data, starts = _two_hundred()
    for cut in (starts[50] + 1, starts[50] + 100, starts[51] - 1):
        table, tally = read_bytes(tmp_path, bytes(data[:cut]), "a.warc.gz")
        assert _numbers(table) == list(range(50))
        assert [(span.offset_bytes, span.n_bytes) for span in tally.bad_spans] == [(starts[50], cut - starts[50])]
        assert "ends inside" in tally.bad_spans[0].cause
    table, tally = read_bytes(tmp_path, bytes(data[: starts[50]]), "a.warc.gz")
    assert (_numbers(table), tally.bad_spans) == (list(range(50)), [])


def test_a_cut_file_without_members_keeps_what_comes_before(tmp_path: Path) -> None:
    rng = random.Random(0)
    records = [record(http_response(rng.randbytes(4000)), url=f"https://example.org/{i}") for i in range(N)]
    data = gzip.compress(b"".join(records), mtime=0)
    table, tally = read_bytes(tmp_path, data[: len(data) // 2], "a.warc.gz")
    assert _numbers(table) == list(range(table.num_rows))
    assert N // 2 - 6 <= table.num_rows <= N // 2
    assert tally.bytes_bad < 40_000
    assert ["ends inside" in span.cause for span in tally.bad_spans] == [True]
    damaged = bytearray(data)
    damaged[len(data) // 2 : len(data) // 2 + 4] = b"\xff\xff\xff\xff"
    table, tally = read_bytes(tmp_path, bytes(damaged), "a.warc.gz")
    assert _numbers(table)[: N // 2 - 6] == list(range(N // 2 - 6))


WRONG_LENGTHS = ["-5", "12x", "", "9" * 18, "9" * 30, "0x10", "٣", 5, 100_000, 10_000_000, 200_000_000]


@pytest.mark.parametrize("length", WRONG_LENGTHS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_wrong_length_costs_only_its_record(tmp_path: Path, length: str | int, layout: str) -> None:
    broken = record(http_response(PAGE), url="https://example.org/999", length=length)
    records = [page(0), page(1), broken, page(2), page(3)]
    data = packed(records, layout)
    table, tally = read_bytes(tmp_path, data)
    if layout == "one member" and length in ("9" * 18, 200_000_000):
        assert _numbers(table) == [0, 1]  # over the cap nothing is kept that could be read again
    else:
        assert _numbers(table) == [0, 1, 2, 3]
    assert len(tally.bad_spans) == 1
    if layout != "one member":
        assert tally.bytes_bad == len(broken if layout == "plain" else members([broken]))


def test_conflicting_lengths_are_damage_and_equal_ones_are_not(tmp_path: Path) -> None:
    block = http_response(PAGE)
    for other, n_docs in ((len(block), 1), (len(block) - 1, 0)):
        table, tally = read_bytes(tmp_path, record(block, extra=[f"Content-Length: {other}"]))
        assert (table.num_rows, len(tally.bad_spans)) == (n_docs, 1 - n_docs)


def test_plain_file_with_garbage_missing_bytes_and_a_cut(tmp_path: Path) -> None:
    records = [page(i) for i in range(5)]
    data = records[0] + b"garbage\r\n" * 50 + records[1] + records[2][:-300] + records[3] + records[4][:-100]
    table, tally = read_bytes(tmp_path, data)
    assert _numbers(table) == [0, 1, 3]
    assert [(span.offset_bytes, span.n_bytes) for span in tally.bad_spans] == [
        (len(records[0]), 450),
        (len(records[0]) + 450 + len(records[1]), len(records[2]) - 300),
        (len(data) - len(records[4]) + 100, len(records[4]) - 100),
    ]


def test_bait_inside_payloads_makes_no_records(tmp_path: Path) -> None:
    bait = b"<p>\x1f\x8b\x08\x00\x00\x00\x00\x00" + gzip.compress(b"no record", mtime=0) + b"\nWARC/1.0\r\nno field\r\n"
    records = [record(http_response(bait), url=f"https://example.org/{i}") for i in range(3)]
    stored = [gzip.compress(one, compresslevel=0, mtime=0) for one in records]
    stored[1] = stored[1][:40] + b"\xff" + stored[1][41:-8] + b"\x00" * 8
    table, _ = read_bytes(tmp_path, b"".join(stored), "a.warc.gz")
    assert _numbers(table) == [0, 2]


def test_a_head_without_end_is_damage_in_bounded_memory(tmp_path: Path) -> None:
    endless = b"WARC/1.0\r\n" + b"A: b\r\n" * 1_000_000
    table, tally = read_bytes(tmp_path, page(1) + endless + page(2))
    assert _numbers(table) == [1, 2]
    assert tally.bytes_bad == len(endless)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "hostile",
    [
        b"WARC/1.0\r\nContent-Length: 60000000\r\n\r\n" * 17_000,
        b"WARC/1.0\r\nA:" * 70_000,
        b"WARC/1.0\r\nA: b\r\n\r\n" * 35_000,
        b"\nWARC/1.0\n" * 70_000,
        b"\r\n" * 400_000,
        b"\x00" * 1_500_000,
        b"\x1f\x8b\x08" * 35_000,
        b"\x1f\x8b\x08\x00" + b"\x00" * 6 + zlib.compress(b"WARC/1.0\r\n")[2:-4] * 2000,
        (gzip.compress(b"WARC/1.0\r\nA: b\r\n\r\n", mtime=0)[:-4] + b"abcd") * 2_000,
        gzip.compress(b"", mtime=0) * 7_000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_hostile_files_end_soon(tmp_path: Path, hostile: bytes) -> None:
    for data in (hostile, gzip.compress(hostile, mtime=0)):
        table, tally = read_bytes(tmp_path, data)
        assert table.num_rows == 0
        assert len(tally.bad_spans) <= 2


@pytest.mark.timeout(60)
def test_damage_in_many_places_is_read_in_linear_time(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(100_000)
    parts = [page(0), *(page(number, 8) for number in range(1, 1501))]
    good = [gzip.compress(one, mtime=0) for one in parts]
    data = good[0] + b"\x1f\x8b\x08\x00" + b"\xff" * 40 + noise + b"".join(one + b"\xfe" * 44 for one in good[1:])
    table, _ = read_bytes(tmp_path, data, "a.warc.gz")
    assert _numbers(table) == list(range(1501))


def test_a_bad_checksum_of_many_records_does_not_cost_the_next_member(tmp_path: Path) -> None:
    bait = record(http_response(b"<p>\x1f\x8b\x08"), url="https://example.org/1")  # inflated in two steps
    groups = [bytearray(gzip.compress(page(at) + bait + page(at + 1), 0, mtime=0)) for at in (0, 2, 4)]
    groups[0][-6] ^= 1
    table, tally = read_bytes(tmp_path, b"".join(groups), "a.warc.gz")
    assert _numbers(table)[0] == 0
    assert _numbers(table)[-6:] == [2, 1, 3, 4, 1, 5]
    assert len(tally.bad_spans) == 1


def test_an_inflating_bomb_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_RECORD_BYTES", 1 << 20)
    bomb = record(b"\x00" * (120 << 20))
    table, tally = read_bytes(tmp_path, members([page(0), bomb, page(1)]), "a.warc.gz")
    assert _numbers(table) == [0, 1]
    assert tally.records["too_large"] == 1


@settings(max_examples=150, deadline=None)
@given(data=st.data(), layout=st.sampled_from(LAYOUTS))
def test_random_damage_never_invents_or_loses_bytes(data, layout: str, tmp_path_factory) -> None:
    """Cut, delete, insert, flip: `read_bytes` checks the accounting; pages before the damage are all there."""
    records = [page(i, 8) for i in range(6)]
    healthy = packed(records, layout)
    at = data.draw(st.integers(0, len(healthy) - 1))
    n = data.draw(st.integers(1, 400))
    put = data.draw(st.binary(max_size=60) | st.sampled_from([b"\r\n\r\n", b"WARC/1.0\r\n", b"\x1f\x8b\x08"]))
    damaged = healthy[:at] + put + healthy[at + n :]
    if not damaged:
        return
    table, _ = read_bytes(tmp_path_factory.mktemp("warc"), damaged)
    known = {f"https://example.org/{i}": one for i, one in enumerate(records)}
    if layout == "members":  # checksums prove each page
        for url, html in zip(table["url"].to_pylist(), table["html"].to_pylist(), strict=True):
            assert known[url].endswith(html + b"\r\n\r\n")
    if layout != "one member":
        ends = [len(packed(records[: i + 1], layout)) for i in range(6)]
        before = sum(end <= at - 5 for end in ends)
        assert table["url"].to_pylist()[:before] == [f"https://example.org/{i}" for i in range(before)]


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_member_that_broke_off_costs_none_that_were_put_behind_it(tmp_path: Path, level: int, share: float) -> None:
    """A writer died and went on with the next record. A stored block goes on, by its length, into what follows."""
    parts = [gzip.compress(page(number, 400 if number == 2 else 20), level, mtime=0) for number in range(8)]
    cut = parts[2][: int(share * len(parts[2]))]
    table, tally = read_bytes(tmp_path, b"".join([*parts[:2], cut, *parts[3:]]), "a.warc.gz")
    assert _numbers(table) == [0, 1, 3, 4, 5, 6, 7]
    start = len(parts[0]) + len(parts[1])
    assert [(span.offset_bytes, span.n_bytes) for span in tally.bad_spans] == [(start, len(cut))]


@pytest.mark.parametrize("n_zeros", [8, 12, 20])
def test_a_member_whose_end_is_gone_costs_none_behind_it(tmp_path: Path, n_zeros: int) -> None:
    """All of its record may come out before the stream is seen to have gone astray, into the members behind it."""
    rng = random.Random(5)
    records = [record(http_response(rng.randbytes(900)), url=f"https://example.org/{i}") for i in range(40)]
    for at in range(0, 40, 3):
        parts = [gzip.compress(one, mtime=0) for one in records]
        parts[at] = parts[at][:-n_zeros] + bytes(n_zeros)
        table, tally = read_bytes(tmp_path, b"".join(parts), "a.warc.gz")
        assert [number for number in _numbers(table) if number != at] == [i for i in range(40) if i != at]
        start, end = sum(map(len, parts[:at])), sum(map(len, parts[: at + 1]))
        assert all(start <= span.offset_bytes < end for span in tally.bad_spans)
        assert len(tally.bad_spans) == 1


def test_a_header_that_breaks_off_does_not_go_on_in_the_next(tmp_path: Path) -> None:
    """Else a page would come out under the address of another one."""
    parts = [page(number) for number in range(4)]
    for n_bytes in range(1, 300, 3):
        table, tally = read_bytes(tmp_path, b"".join([parts[0], parts[1][:n_bytes], *parts[2:]]))
        assert _numbers(table) == [0, 2, 3], n_bytes
        assert [(span.offset_bytes, span.n_bytes) for span in tally.bad_spans] == [(len(parts[0]), n_bytes)]


# -- damage in known places, see tests/sources/damage.py

FORMS = [(kind, codec) for kind in ("warc", "arc") for codec in ("gzip", "zstd", "lz4", "plain")]
FORMS.append(("digested warc", "plain"))


def _read_records(kind: str, data: bytes) -> tuple[list[int], Tally]:
    """Return the numbers of a file's records, -1 for others; check that its bytes add up."""
    tally = Tally()
    form = ArcFormat() if kind == "arc" else WarcFormat(("response",))
    fields = [record.fields for record in framing.Records(io.BytesIO(data), len(data), tally, form)]
    assert tally.bytes_ok + tally.bytes_bad + tally.bytes_padding == len(data)
    assert tally.bytes_bad == sum(span.n_bytes for span in tally.bad_spans)
    last = [(one.get("warc-target-uri") or one["url"]).rsplit("/", 1)[-1] for one in fields]
    return [int(number) if number.isdigit() else -1 for number in last], tally


def _faults_of(one: Case, kind: str) -> set[str]:
    """Say what is wrong with the reading of a damaged file. Of a damaged group of records the first may come out."""
    found, tally = _read_records(kind, one.damaged.data)
    survivors = [number for group in one.damaged.survivors for number in one.group(group)]
    spans = [(span.offset_bytes, span.offset_bytes + span.n_bytes) for span in tally.bad_spans]
    is_alone = one.group_size == 1

    def is_in_a_span(start: int, end: int) -> bool:
        return any(a < end and b > start for a, b in spans)

    def touches_a_span(start: int, end: int) -> bool:  # a member whose checksum alone is bad gives all its records
        return any(a <= end and b >= start for a, b in spans)

    is_reported = is_in_a_span if is_alone else touches_a_span
    return {
        *(["false record"] if set(found) - set(range(one.n_records)) else []),
        *(["lost"] if set(survivors) - set(found) else []),
        *(["not noticed"] if is_alone and found != survivors and set(found) > set(survivors) else []),
        *(["out of order"] if found != sorted(found) else []),
        *(["not reported"] if not all(is_reported(*place) for place in one.damaged.lost) else []),
        *(["reported though whole"] if any(is_in_a_span(*place) for place in one.damaged.kept) else []),
    }


def _sweep(kind: str, codec: str, seeds: range, **options: bool) -> dict[int, set[str]]:
    cases = ((seed, case(seed, codec, kind, **options)) for seed in seeds)
    return {seed: faults for seed, one in cases if one.damaged.data and (faults := _faults_of(one, kind))}


@pytest.mark.parametrize(("kind", "codec"), FORMS)
def test_exactly_the_damaged_records_are_lost_and_each_is_reported(kind: str, codec: str) -> None:
    assert _sweep(kind, codec, range(120)) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "codec"), FORMS)
def test_the_same_in_a_wide_sweep(kind: str, codec: str) -> None:
    """What is left are damages by which a file becomes another healthy one, or nearly: one in 1,000 at most.

    An ARC shows where a record ends by one end of line: there it is one in 200.
    """
    faults = _sweep(kind, codec, range(120, 2120))
    assert len(faults) <= (10 if (kind, codec) == ("arc", "plain") else 2), faults
    assert sum("lost" in found for found in faults.values()) <= 1, faults


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "codec"), FORMS)
def test_whole_records_in_the_payloads_of_damaged_ones_seldom_come_out(kind: str, codec: str) -> None:
    """One payload in three ends with, or holds, whole packed records. They are told apart but where the damage took
    the record's start, its length and what else of it covers them: then nothing says what encloses them.
    """
    faults = _sweep(kind, codec, range(600), with_false_records=True)
    assert sum("false record" in found for found in faults.values()) <= 4, faults
    assert not any("lost" in found for found in faults.values()), faults


# Most payloads are archives themselves, in all codecs; one record a member, three, or all.
ARCHIVES = [(kind, "plain", 1) for kind in ("warc", "digested warc", "arc")]
ARCHIVES += [
    (kind, codec, size) for kind in ("warc", "arc") for codec in ("gzip", "zstd", "lz4") for size in (1, 3, 99)
]


def _archive_sweep(kind: str, codec: str, group_size: int, seeds: range) -> dict[str, int]:
    """Return in how many files each fault was found."""
    counts = dict.fromkeys(("false record", "lost", "not reported"), 0)
    for seed in seeds:
        one = archive_case(seed, codec, kind, group_size=group_size)
        if one.damaged.data:
            for fault in _faults_of(one, kind) & counts.keys():
                counts[fault] += 1
    return counts


@pytest.mark.parametrize(("kind", "codec", "group_size"), ARCHIVES)
def test_archives_in_damaged_payloads_give_no_records(kind: str, codec: str, group_size: int) -> None:
    """What is left is damage that took the start of the member or record that holds them, or its length."""
    counts = _archive_sweep(kind, codec, group_size, range(150))
    assert counts["false record"] <= 2, counts
    assert counts["lost"] == counts["not reported"] == 0, counts


def _archive(n_records: int = 6) -> bytes:
    return members(record(http_response("<p>false</p>"), url="https://example.org/false") for _ in range(n_records))


def test_a_damaged_stored_file_gives_no_members_of_an_archive_in_it(tmp_path: Path) -> None:
    records = [page(0), page(1), record(_archive(), content_type="application/warc"), page(2)]
    data = bytearray(gzip.compress(b"".join(records), compresslevel=0, mtime=0))
    data[len(page(0)) + len(page(1)) - 9 : len(page(0)) + len(page(1)) + 500] = b"\xff" * 509
    table, tally = read_bytes(tmp_path, bytes(data), "a.warc.gz")
    assert _numbers(table) in ([0], [0, 1])
    assert len(tally.bad_spans) == 1


@pytest.mark.parametrize("codec", ["plain", "gzip", "zstd", "lz4"])
@pytest.mark.parametrize("inner", ["plain", "gzip", "zstd", "lz4"])
def test_a_cut_record_gives_no_records_of_an_archive_in_it(tmp_path: Path, codec: str, inner: str) -> None:
    held = b"".join(packer(inner)(record(http_response("<p>f</p>"), url="https://example.org/9")) for _ in range(9))
    parts = [packer(codec)(one) for one in (page(0), record(http_response(held), url="https://example.org/1"))]
    for share in (0.6, 0.75, 0.9, 0.99):
        table, tally = read_bytes(tmp_path, parts[0] + parts[1][: int(share * len(parts[1]))])
        assert _numbers(table) == [0]
        assert [span.offset_bytes for span in tally.bad_spans] == [len(parts[0])]


@pytest.mark.parametrize("codec", ["plain", "gzip", "zstd", "lz4"])
@pytest.mark.parametrize("inner", ["plain", "gzip", "zstd", "lz4"])
def test_the_packing_of_a_file_is_not_taken_from_the_payload_of_its_damaged_first_record(
    tmp_path: Path, codec: str, inner: str
) -> None:
    held = b"".join(packer(inner)(record(http_response("<p>f</p>"), url="https://example.org/9")) for _ in range(3))
    noise = random.Random(0).randbytes(400)
    parts = [packer(codec)(one) for one in (record(http_response(noise + held)), *map(page, range(4)))]
    start = b"\xff" * 30 + parts[0][30:]
    table, tally = read_bytes(tmp_path, start + b"".join(parts[1:]))
    assert _numbers(table) == [0, 1, 2, 3]
    assert [(span.offset_bytes, span.n_bytes) for span in tally.bad_spans] == [(0, len(parts[0]))]
