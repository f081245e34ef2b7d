"""Makes files of records and damages them in known places: which records must come out, and which must not."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
import re
from collections.abc import Callable
from typing import NamedTuple

import zstandard

from tests.sources.build import arc_record, http_response, record

Pack = Callable[[bytes], bytes]  # one record → its bytes in the file


class Damaged(NamedTuple):
    """A damaged file: the numbers of the records that survive, and where the lost ones lay."""

    data: bytes
    survivors: list[int]
    lost: list[tuple[int, int]]  # offset and end in `data` of what is left of each lost record
    kept: list[tuple[int, int]]  # offset and end of each survivor


class Case(NamedTuple):
    """A healthy file's records, and what became of it."""

    n_records: int
    damaged: Damaged  # survivors and places are those of groups, where several records share a member
    group_size: int = 1

    def group(self, number: int) -> range:
        """Return the records of a member."""
        return range(number * self.group_size, min((number + 1) * self.group_size, self.n_records))


BAIT = (  # what looks like the start of something, and is none
    b"\x1f\x8b\x08" + bytes(7),
    gzip.compress(b"no record", mtime=0),
    zstandard.compress(b"no record"),
    b"\nWARC/1.0\r\nno field",
)


def case(seed: int, codec: str, kind: str, *, with_false_records: bool = False) -> Case:
    """Return some records of a kind, packed and damaged; a seed and its file stay the same."""
    rng = random.Random(seed)
    make, pack = MAKERS[kind], packer(codec)
    false = false_record(make)
    bait = (pack(false), 2 * pack(false), *BAIT[:2], false) if with_false_records else BAIT
    records = [make(payload(rng, rng.choice(bait)), number) for number in range(rng.randrange(3, 9))]
    damage = damage_plain if codec == "plain" else damage_packed
    return Case(len(records), damage(rng, [pack(one) for one in records], rng.randrange(1, 3)))


def archive_case(seed: int, codec: str, kind: str, *, group_size: int = 1) -> Case:
    """Return a damaged crawl of archives: many payloads are whole archives, plain or packed, in any codec.

    `group_size`: records that share a member; in a plain file 1.
    """
    rng = random.Random(seed)
    make = MAKERS[kind]
    n_records = rng.randrange(3, 9)
    records = [make(_body(rng, make), number) for number in range(n_records)]
    groups = [b"".join(records[at : at + group_size]) for at in range(0, n_records, group_size)]
    pack = packer(codec)
    damage = damage_plain if codec == "plain" else damage_packed
    n_damages = rng.choice([1, 1, 1, 2, 2])
    cut_share = 0.3
    if codec != "plain" and rng.random() < cut_share:
        n_damages = 0
    return Case(n_records, damage(rng, [pack(one) for one in groups], n_damages, cut_share), group_size)


def _body(rng: random.Random, make: Callable[..., bytes]) -> bytes:
    """Return a payload: text, noise, an archive of false records, or one with something around it."""
    if rng.random() < 0.4:
        return payload(rng, rng.choice(BAIT))
    pack = packer(rng.choice(["plain", "gzip", "zstd", "lz4"]))
    noise = rng.choice([b"", rng.randbytes(rng.randrange(600))])  # what compresses badly is stored as it is
    inner = [make(b"<p>false</p>" + noise, 666) for _ in range(rng.randrange(1, 5))]
    held = pack(b"".join(inner)) if rng.random() < 0.2 else b"".join(map(pack, inner))
    before, after = rng.choice([(b"", b""), (b"<p>", b""), (b"", b" </p>"), (rng.randbytes(300), rng.randbytes(300))])
    return before + held + after


def false_record(make: Callable[..., bytes]) -> bytes:
    """Return a record that stands inside a payload, and must never come out."""
    return make(b"<p>false</p>", 666)


def warc_page(html: bytes, number: int) -> bytes:
    """Return a WARC record with a page."""
    return record(http_response(html), url=f"https://example.org/{number}")


def arc_page(html: bytes, number: int) -> bytes:
    """Return an ARC record with a page."""
    return arc_record(http_response(html), url=f"https://example.org/{number}")


def digested_page(html: bytes, number: int) -> bytes:
    """Return a WARC record with a page, and the digest of its block, as crawlers write it."""
    block = http_response(html)
    digest = base64.b32encode(hashlib.sha1(block, usedforsecurity=False).digest()).decode()
    return record(block, url=f"https://example.org/{number}", extra=[f"WARC-Block-Digest: sha1:{digest}"])


MAKERS = {"warc": warc_page, "digested warc": digested_page, "arc": arc_page}


def payload(rng: random.Random, bait: bytes) -> bytes:
    """Return a page of words or of noise, with or without bait in it."""
    kind = rng.randrange(4)
    if kind == 0:
        body = b"<p>" + rng.randbytes(rng.randrange(2000))
    else:
        words = [rng.choice(["the", "page", "of", "words", str(rng.random())]) for _ in range(rng.randrange(300))]
        body = b"<p>" + " ".join(words).encode()
    return body + rng.choice([b"", b"", bait, bait + b"and more text </html>", bait + rng.randbytes(300)])


def packer(codec: str) -> Pack:
    """Return what packs one record by itself."""
    if codec == "plain":
        return bytes
    if codec == "gzip":
        return lambda one: gzip.compress(one, compresslevel=len(one) % 10, mtime=0)
    if codec == "zstd":
        return zstandard.ZstdCompressor(write_checksum=True).compress
    import lz4.frame

    return lambda one: bytes(lz4.frame.compress(one, content_checksum=True))


GARBAGE = (
    b"a line of a log\n",
    b"\xff" * 40,
    b"\x00\x01" * 30,
    b"<html>half a page</html>\r\n",
    b"\x1f\x8b\x08",
    b"\x1f\x8b\x08\x00" * 9,
)


def damage_packed(rng: random.Random, parts: list[bytes], n_damages: int, cut_share: float = 0.15) -> Damaged:
    """Damage some members; neighbours are hit as often as not."""
    first = rng.randrange(len(parts))
    hit = {(first + i * rng.choice([1, 1, 2, 3])) % len(parts) for i in range(n_damages)}
    out: list[bytes] = []
    lost, kept, survivors = [], [], []
    at = 0
    for number, part in enumerate(parts):
        alive = True
        if number in hit:
            before, part, alive = _damage(rng, part)
            out.append(before)
            at += len(before)
        out.append(part)
        (kept if alive else lost).append((at, at + len(part)))
        at += len(part)
        if alive:
            survivors.append(number)
    data = b"".join(out)
    if rng.random() < cut_share:  # cut the end off, somewhere inside the last member
        start = (kept + lost and max(kept + lost))[0]
        cut = rng.randrange(start + 1, len(data))
        if len(data) - cut > 0:
            data = data[:cut]
            if kept and kept[-1][0] == start:
                kept.pop()
                survivors.pop()
                lost.append((start, cut))
            else:
                lost[-1] = (start, cut)
    return Damaged(data, survivors, lost, kept)


def _damage(rng: random.Random, part: bytes) -> tuple[bytes, bytes, bool]:
    """Return what stands before a member, the member, and whether it can still be read."""
    data = bytearray(part)
    kind = rng.randrange(9)
    if kind == 0:  # garbage between members
        return rng.choice(GARBAGE), part, True
    if kind == 1:  # zero padding
        return bytes(rng.choice([1, 7, 512, 4096])), part, True
    if kind == 2:  # magic
        data[: rng.choice([1, 2, 3])] = b"\x00" * 3
        data = data[: len(part)]
    elif kind == 3:  # the checksum, or gzip's length
        data[-rng.randrange(1, 5)] ^= 1 << rng.randrange(8)
    elif kind == 4:  # bits
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(10, len(data))] ^= 1 << rng.randrange(8)
        if data == part:
            data[-1] ^= 1
    elif kind == 5:  # bytes gone
        n_bytes = rng.randrange(1, min(64, len(data) - 12))
        at = rng.randrange(1, len(data) - n_bytes)
        del data[at : at + n_bytes]
        if data == part[: len(data)]:
            return b"", bytes(data), False
    elif kind == 6:  # bytes put in
        at = rng.randrange(1, len(data))
        data[at:at] = rng.randbytes(rng.randrange(1, 64))
    elif kind == 7:  # a hole of zeros that leaves the first bytes
        at = rng.randrange(4, len(data) - 1)
        data[at : at + 400] = bytes(len(data[at : at + 400]))
        if data == part:
            data[5] ^= 0x55
            data[-1] ^= 1
    else:  # the start overwritten
        n_bytes = rng.randrange(4, min(40, len(data)))
        data[:n_bytes] = rng.randbytes(n_bytes)
    return b"", bytes(data), False


def damage_plain(rng: random.Random, parts: list[bytes], n_damages: int, cut_share: float = 0.15) -> Damaged:
    """Damage some records of an uncompressed file, so that the format shows it."""
    first = rng.randrange(len(parts))
    hit = {(first + i * rng.choice([1, 1, 2, 3])) % len(parts) for i in range(n_damages)}
    out: list[bytes] = []
    lost, kept, survivors = [], [], []
    at = 0
    for number, part in enumerate(parts):
        before, part, alive = _damage_plain(rng, part) if number in hit else (b"", part, True)
        out += [before, part]
        at += len(before)
        (kept if alive else lost).append((at, at + len(part)))
        at += len(part)
        if alive:
            survivors.append(number)
    data = b"".join(out)
    if rng.random() < cut_share:
        start = max(kept + lost)[0]
        data = data[: rng.randrange(start + 1, max(start + 2, len(data) - 6))]
        if kept and kept[-1][0] == start:
            kept.pop()
            survivors.pop()
            lost.append((start, len(data)))
        else:
            lost[-1] = (start, len(data))
    return Damaged(data, survivors, lost, kept)


def _damage_plain(rng: random.Random, part: bytes) -> tuple[bytes, bytes, bool]:
    data = bytearray(part)
    head = min(end for end in (part.find(b"\r\n\r\n"), part.find(b"\nHTTP")) if end > 0)
    kind = rng.randrange(6)
    if kind == 0:  # garbage between records, which does not begin like padding
        return rng.choice(GARBAGE[:4]).lstrip(b"\x00"), part, True
    if kind == 1:  # padding
        return bytes(rng.choice([1, 7, 512, 4096])), part, True
    if kind == 2:  # the start overwritten
        n_bytes = rng.randrange(6, min(30, head))
        data[:n_bytes] = bytes(rng.randrange(128, 256) for _ in range(n_bytes))
    elif kind == 3:  # bytes gone from the block
        n_bytes = rng.randrange(5, 60)
        at = rng.randrange(head + 4, len(data) - n_bytes - 4)
        del data[at : at + n_bytes]
    elif kind == 4:  # bytes put in
        at = rng.randrange(head + 4, len(data) - 4)
        data[at:at] = bytes(rng.randrange(128, 256) for _ in range(rng.randrange(1, 60)))
    else:  # another length
        found = re.search(rb"Content-Length: (\d+)|(?<= )(\d+)(?=\n)", part)
        assert found is not None
        start, end = found.span(1 if found[1] else 2)
        data[start:end] = str(max(0, int(part[start:end]) + rng.choice([-50, -9, 37, 200, 5000, 10**7]))).encode()
    return b"", bytes(data), False
