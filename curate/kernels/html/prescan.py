"""Looks at the tags of a page, without parsing it, for what makes native parsers take quadratic time."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import numpy.typing as npt

# Elements without content, and those whose end tag may be left out: they do not nest by themselves.
_FLAT = (
    b"area base br col embed hr img input link meta param source track wbr "
    b"p li dt dd rb rt rp option optgroup tr td th thead tbody tfoot colgroup"
).split()
_NAME_BYTES = 8  # names are compared by so many bytes
_ATTRIBUTE = rb"[\s/]++[^\s/>=][^\s/>=]*+(?:\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+'|[^\s>]*+))?+"
_TAG = re.compile(rb"<[a-zA-Z][^\s/>]*+((?:" + _ATTRIBUTE + rb")*+)")
_ATTRIBUTES = re.compile(_ATTRIBUTE)


def _code(name: bytes) -> int:
    return int.from_bytes(name[:_NAME_BYTES].ljust(_NAME_BYTES, b"\x00"), "little")


_FLAT_CODES = np.array(sorted(_code(name) for name in _FLAT), dtype=np.uint64)


def tag_starts(html: bytes) -> npt.NDArray[np.intp]:
    """Return the offsets of all `<`, which both checks start from."""
    return np.flatnonzero(np.frombuffer(html, dtype=np.uint8) == ord("<"))


def nests_deeper(html: bytes, starts: npt.NDArray[np.intp], max_depth: int) -> bool:
    """Say whether elements may nest deeper than `max_depth`. Linear in the page.

    For each element name the largest surplus of start tags over end tags is taken, and these are summed: an
    upper bound, which end tags of other names cannot lower. Elements that close by themselves do not count.
    """
    if len(starts) <= max_depth:
        return False
    page = np.frombuffer(html + b"\x00" * (_NAME_BYTES + 2), dtype=np.uint8)
    ends = page[starts + 1] == ord("/")
    if len(starts) - np.count_nonzero(ends) <= max_depth:  # so many start tags at most
        return False
    names = _name_codes(page, starts + 1 + ends)
    nesting = (names != 0) & ~np.isin(names, _FLAT_CODES)
    names, steps = names[nesting], np.where(ends[nesting], -1, 1)
    order = np.argsort(names, kind="stable")
    names, level = names[order], np.cumsum(steps[order])
    cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
    depth = 0
    for start, end in pairwise(cuts):
        before = level[start - 1] if start else 0
        own = np.concatenate(([0], level[start:end] - before))
        depth += int((own - np.minimum.accumulate(own)).max())
    return depth > max_depth


def _name_codes(page: npt.NDArray[np.uint8], at: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """Return the first bytes of the names that start at `at`, in lower case, packed; 0 where there is no name."""
    codes = np.zeros(len(at), dtype=np.uint64)
    going = np.ones(len(at), dtype=bool)
    for i in range(_NAME_BYTES):
        letter = page[at + i]
        letter = letter | np.where((letter >= 65) & (letter <= 90), 32, 0).astype(np.uint8)
        is_letter = (letter >= 97) & (letter <= 122)
        going &= is_letter if i == 0 else (letter > 32) & (letter != ord("/")) & (letter != ord(">"))
        codes |= np.where(going, letter, 0).astype(np.uint64) << np.uint64(8 * i)
    return codes


def has_more_attributes(html: bytes, starts: npt.NDArray[np.intp], max_attributes: int) -> bool:
    """Say whether a tag has more than `max_attributes` attributes. Only long tags are looked at; linear."""
    gaps = np.diff(starts, append=len(html))
    for start in starts[gaps > 2 * max_attributes].tolist():  # an attribute takes two bytes or more
        found = _TAG.match(html, start)
        if found is None or len(found.group(1)) <= 2 * max_attributes:
            continue
        if sum(1 for _ in _ATTRIBUTES.finditer(found.group(1))) > max_attributes:
            return True
    return False
