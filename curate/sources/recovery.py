"""Says where reading goes on behind a damaged member of a compressed file."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from curate.sources.formats import Format

if TYPE_CHECKING:
    from curate.sources.members import Codec


MAX_SHIFT_BYTES = 128  # lost or put in, up to which a member is looked for near the place where it should be
MAX_SHIFTED_BYTES = 64  # from a damaged member's start on, in which what its header says may stand elsewhere
MAX_SLIP_BYTES = 4  # between the end of a member by its shifted header and the next one's start
MAX_GARBAGE_BYTES = 96  # in front of a member: a damaged one that holds another has a longer head
MIN_PADDING_BYTES = 64
MAX_DAMAGED = 16  # members in a chain of them, so that a file with nothing but damage is read in linear time
MAX_SHOWN_BYTES = 8 << 10
TEXT_BYTES = 5
MIN_MEMBER_BYTES = 128  # of a record with its header; the rest of a payload is seldom as long

_ZEROS = re.compile(rb"\x00*")
_ENDS_IN_TEXT = re.compile(rb"[\t\r\n -~]{%d}" % TEXT_BYTES)
_TEXT = re.compile(rb"[\t\r\n -~]{16}")
StartsRecord = Callable[[bytes], bool]


def next_start(
    codec: Codec, raw: bytes, at: int, n_inflated: int | None, starts_record: StartsRecord, *, is_last: bool
) -> tuple[int, int]:
    """Return where the member behind the damaged one at `at` begins, or -1; and from where on to look for it then.

    `n_inflated`: what the damaged member should give, by the header of its record. `is_last`: the file ends with
    `raw`.

    Where the damaged member ends is known if all of it could be inflated but for its checksum, or its frame's
    headers can be read. There may also be a place where it may well end (a trailer with its length; a member near
    the end that its headers tell): what looks like a member before that place is believed only if whole members
    lead from there to it.
    """
    first = candidate(codec, raw, at + 1, starts_record, at + MAX_GARBAGE_BYTES)
    if first >= 0:
        return first, first
    end, is_sure = codec.extent(raw, at, n_inflated)
    if is_sure and _strayed(codec, raw, at, end, starts_record):  # it was cut off, and others were put behind it
        return -1, at + 1
    if at < end <= len(raw):
        first = -1 if is_sure else candidate(codec, raw, at + 1, starts_record, end)
        if first >= 0 and _leads_to(codec, raw, first, end):  # it went astray into others
            return first, first
        if _is_boundary(codec, raw, end, is_last=is_last):
            return end, end
        if is_sure:  # but bytes that were stored as they are may be fewer or more than they were
            near = nearest(raw, codec.magic, at, end, is_last=is_last)
            return (end, end) if near < 0 else (near, near)
    likely = codec.likely_end(raw, at, n_inflated)
    first = candidate(codec, raw, at + 1, starts_record, likely + 1) if likely >= 0 else -1
    if first >= 0 and _leads_to(codec, raw, first, likely):
        return first, first
    return likely, (end if at < end < len(raw) and not _strayed(codec, raw, at, end, starts_record) else at + 1)


def believed_start(
    codec: Codec, raw: bytes, at: int, form: Format, *, is_last: bool, is_shared: bool, is_cut: bool
) -> tuple[int, int]:
    """Return where a member begins, from `at` on, that stands in no payload, or -1; and where to look on without it.

    Payloads hold whole members, as archived archives do, and may be stored as they are. Members are followed to
    where their chain breaks off: those of the file end there at other members, at zeros, or at the end of the file,
    those of a payload at the rest of it and of the damaged member, see `_encloses`. `is_shared`: the damaged member
    may hold many records. `is_cut`: it reached the end of the file; believe only what proves the opposite by
    leading to the end itself.
    """
    first = place = candidate(codec, raw, at, form.starts)
    n_damaged = 0
    while place >= 0:
        end = member_end(codec, raw, place)
        if end < 0:  # damaged, or longer than `raw`
            n_damaged += 1
            behind = candidate(codec, raw, place + 1, form.starts) if n_damaged < MAX_DAMAGED else -1
            if behind < 0 and not is_cut and not (is_shared and is_last):
                return first, first
            place = behind
            continue
        found = _ZEROS.match(raw, end)
        place = found.end() if found else end
        if place == len(raw) and not (is_cut and not is_last):
            return first, first
        if raw.startswith(codec.magic, place):
            continue
        behind = candidate(codec, raw, place, form.starts)
        if not codec.skippable(raw, place) and (
            is_cut or is_shared or _is_rest(codec, raw, (at, first), (place, behind if behind >= 0 else len(raw)), form)
        ):
            first = behind
        elif behind < 0 or n_damaged == MAX_DAMAGED:
            return first, first
        else:
            n_damaged += 1
        place = behind
    return -1, max(at, len(raw) - len(codec.magic) + 1)


def _is_rest(codec: Codec, raw: bytes, damaged: tuple[int, int], rest: tuple[int, int], form: Format) -> bool:
    """Say whether a span behind whole members is the rest of the damaged member that holds them.

    Else it is one that lost its start, or garbage: then the damaged member ends before those. Only what is stored as
    it is holds members that show, and then the header of its record shows in front of them.
    """
    (at, first), (start, end) = damaged, rest
    if first - at < MAX_GARBAGE_BYTES or not shows_text(raw, at, first):
        return False
    if codec.covers(raw, damaged, rest):
        return True
    if _shows_closing(codec, raw, first, form):
        return False
    if _ENDS_IN_TEXT.search(raw, first - TEXT_BYTES, first):  # no member does: checksums and lengths are no text
        return True
    if codec.hides_ends:
        return end - start < MIN_MEMBER_BYTES and _closes_inside(raw, start, end, form)
    return end - start < MIN_MEMBER_BYTES and _shows_closing(codec, raw, end, form)


def _closes_inside(raw: bytes, start: int, end: int, form: Format) -> bool:
    """Say whether the end of a record shows in a span, and something behind it."""
    return re.search(rb"[\r\n]{%d}[^\r\n]" % form.closing_bytes, raw[start:end]) is not None


def shows_text(raw: bytes, at: int, end: int) -> bool:
    """Say whether there is text behind `at`, as in front of what a record holds that is stored as it is.

    Compressed bytes show none. Some bytes of a header suffice, so no more than MAX_SHOWN_BYTES are looked at.
    """
    return _TEXT.search(raw, at, min(end, at + MAX_SHOWN_BYTES)) is not None


def _shows_closing(codec: Codec, raw: bytes, end: int, form: Format) -> bool:
    """Say whether a member that is stored as it is ends at `end`: the end of a record shows there."""
    for n_bytes in codec.trailers:
        closing = raw[max(0, end - n_bytes - form.closing_bytes) : end - n_bytes]
        if len(closing) == form.closing_bytes and not closing.strip(b"\r\n"):
            return True
    return False


def candidate(codec: Codec, raw: bytes, at: int, starts_record: StartsRecord, stop: int = sys.maxsize) -> int:
    """Return where the first member begins, from `at` to `stop`, that inflates to the start of a record, or -1."""
    while 0 <= (at := raw.find(codec.magic, at)) < stop:
        if starts_record(codec.peek(raw, at)):
            return at
        at += 1
    return -1


def nearest(raw: bytes, magic: bytes, at: int, end: int, *, is_last: bool = False) -> int:
    """Return where `magic` stands nearest to `end`, behind `at` and up to MAX_SHIFT_BYTES off; -1 where it does not.

    `is_last`: the end of `raw` counts as well.
    """
    place, stop = max(at + 1, end - MAX_SHIFT_BYTES), end + MAX_SHIFT_BYTES + len(magic)
    places = [len(raw)] if is_last and abs(len(raw) - end) <= MAX_SHIFT_BYTES else []
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
    while 0 <= at < place:
        at = member_end(codec, raw, at)
    return at == place


def _strayed(codec: Codec, raw: bytes, at: int, end: int, starts_record: StartsRecord) -> bool:
    """Say whether a whole member reaches beyond `end`, which then is no end of the damaged one at `at`."""
    place = candidate(codec, raw, at + 1, starts_record, end)
    while 0 <= place < end:
        behind = member_end(codec, raw, place)
        place = behind if behind >= 0 else candidate(codec, raw, place + 1, starts_record, end)
    return place > end


def _is_boundary(codec: Codec, raw: bytes, at: int, *, is_last: bool) -> bool:
    found = _ZEROS.match(raw, at)
    place = found.end() if found else at
    if place == len(raw):
        return is_last
    if codec.skippable(raw, place) or place - at > MIN_PADDING_BYTES or raw.startswith(codec.magic, place):
        return True
    end, _ = codec.extent(raw, place, None)  # of one whose first bytes are damaged, too
    return (end == len(raw) and is_last) or (place < end < len(raw) and raw.startswith(codec.magic, end))
