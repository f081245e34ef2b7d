"""Says where reading goes on behind a damaged member of a compressed file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.sources.members import Codec


MAX_SHIFT_BYTES = 128  # lost or put in, up to which a member is looked for near the place where it should be
MAX_GARBAGE_BYTES = 16  # in front of a member, that may be taken for the start of another by chance
MIN_PADDING_BYTES = 64
MAX_CHAIN = 64  # members that are followed to see whether they are real

_ZEROS = re.compile(rb"\x00*")
StartsRecord = Callable[[bytes], bool]


def next_start(
    codec: Codec, raw: bytes, at: int, n_inflated: int | None, starts_record: StartsRecord, *, is_last: bool
) -> int:
    """Return where the member behind the damaged one at `at` begins; -1 where `raw` holds none.

    `n_inflated`: what the damaged member should give, by the header of its record. `is_last`: the file ends with
    `raw`.

    Where the damaged member ends is known if all of it could be inflated but for its checksum, or its frame's
    headers can be read. Otherwise it is the first place where bytes look like a member and inflate to the start of
    a record. Payloads hold such bytes, too, as in an archived archive. So if there is a place where the damaged
    member may well end (a trailer with its length; a member near the end that its headers tell), what was found
    before it is believed only if whole members lead from there to that place.
    """
    first = candidate(codec, raw, at + 1, starts_record)
    if at < first < at + MAX_GARBAGE_BYTES:
        return first
    end, is_sure = codec.extent(raw, at, n_inflated)
    if at < end <= len(raw):
        if _is_boundary(codec, raw, end, starts_record, is_last=is_last):
            return end
        if is_sure:  # but bytes that were stored as they are may be fewer or more than they were
            near = nearest(raw, codec.magic, at, end)
            return end if near < 0 else near
    likely = codec.likely_end(raw, at, n_inflated)
    if likely < 0 or (0 <= first <= likely and _leads_to(codec, raw, first, likely)):
        return first
    return likely


def candidate(codec: Codec, raw: bytes, at: int, starts_record: StartsRecord) -> int:
    """Return where the first member from `at` on begins that inflates to the start of a record; -1 without one."""
    while (at := raw.find(codec.magic, at)) >= 0:
        if starts_record(codec.peek(raw, at)):
            return at
        at += 1
    return -1


def nearest(raw: bytes, magic: bytes, at: int, end: int) -> int:
    """Return where `magic` stands nearest to `end`, behind `at` and up to MAX_SHIFT_BYTES off; -1 where it does not."""
    place, stop = max(at + 1, end - MAX_SHIFT_BYTES), end + MAX_SHIFT_BYTES + len(magic)
    places = []
    while (place := raw.find(magic, place, stop)) >= 0:
        places.append(place)
        place += 1
    return min(places, key=lambda place: abs(place - end), default=-1)


def member_end(codec: Codec, raw: bytes, at: int) -> int:
    """Return where the whole member at `at` ends; -1 where it is damaged or `raw` ends before."""
    inflater = codec.inflater()
    with memoryview(raw) as view:
        for place in range(at, len(raw), codec.step_bytes):
            step = view[place : place + codec.step_bytes]
            try:
                inflater.decompress(step)
            except codec.errors:
                return -1
            if inflater.eof:
                return place + len(step) - len(inflater.unused_data or b"")
    return -1


def is_sound(codec: Codec, raw: bytes, at: int) -> bool:
    """Say whether there is a whole member at `at`, and after it another, padding or the end of `raw`."""
    end = member_end(codec, raw, at)
    return end >= 0 and (end >= len(raw) or raw.startswith((codec.magic, b"\x00"), end))


def _leads_to(codec: Codec, raw: bytes, at: int, place: int) -> bool:
    """Say whether whole members follow each other from `at` to `place`."""
    for _ in range(MAX_CHAIN):
        if at >= place:
            return at == place
        at = member_end(codec, raw, at)
        if at < 0:
            return False
    return True


def _is_boundary(codec: Codec, raw: bytes, at: int, starts_record: StartsRecord, *, is_last: bool) -> bool:
    found = _ZEROS.match(raw, at)
    place = found.end() if found else at
    if place == len(raw):
        return is_last
    if codec.skippable(raw, place) or place - at > MIN_PADDING_BYTES:
        return True
    return starts_record(codec.peek(raw, place))
