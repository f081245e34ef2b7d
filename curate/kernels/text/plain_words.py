"""The plain-Python twin of the Unicode words: UAX #29's rules one by one, for every pair of neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from curate.kernels.text.tables import PICTOGRAPH, WORD_BREAK_SHIFT, WORD_BREAKS, flags_of

LETTERS = ("ALetter", "Hebrew_Letter")
MIDS = ("MidNumLet", "Single_Quote")
ENDS = ("CR", "LF", "Newline")
IGNORED = ("Extend", "Format", "ZWJ")
EXTENDED = (*LETTERS, "Numeric", "Katakana", "ExtendNumLet")


def unicode_words(text: str) -> list[str]:
    """Return the segments between Unicode's word boundaries that begin with a letter or a digit."""
    kinds = [WORD_BREAKS[flags_of(char) >> WORD_BREAK_SHIFT & 31] for char in text]
    segments: list[str] = []
    for at, char in enumerate(text):
        if at > 0 and not is_boundary(text, kinds, at):
            segments[-1] += char
        else:
            segments.append(char)
    return [segment for segment in segments if segment[0].isalnum()]


def is_boundary(text: str, kinds: Sequence[str], at: int) -> bool:
    """Return whether UAX #29 (rules WB3 to WB999) breaks between text[at - 1] and text[at]."""
    before, after = kinds[at - 1], kinds[at]
    if before == "CR" and after == "LF":
        return False
    if before in ENDS or after in ENDS:
        return True
    if before == "ZWJ" and flags_of(text[at]) & PICTOGRAPH:
        return False
    if (before == after == "WSegSpace") or after in IGNORED:
        return False
    left, right = _left(kinds, at), _right(kinds, at)
    return not _joined(left, right)


def _left(kinds: Sequence[str], at: int) -> list[str]:
    """Return the classes before `at` that count, nearest first, back to the start of the line (WB4).

    Only two, or as many as there are regional indicators in a row.
    """
    found: list[str] = []
    while at > 0 and kinds[at - 1] not in ENDS and (len(found) < 2 or found[-1] == "Regional_Indicator"):
        at -= 1
        if kinds[at] not in IGNORED:
            found.append(kinds[at])
    return [*found, "", ""]


def _right(kinds: Sequence[str], at: int) -> list[str]:
    """Return the first two classes from `at` on that count."""
    counted = (kinds[k] for k in range(at, len(kinds)) if kinds[k] not in IGNORED)
    return [*itertools.islice(counted, 2), "", ""]


def _joined(left: Sequence[str], right: Sequence[str]) -> bool:
    """Return whether a rule from WB5 on holds the two sides together."""
    one, two = left[0], right[0]
    pairs = [(LETTERS, LETTERS), (("Numeric",), ("Numeric",)), (LETTERS, ("Numeric",)), (("Numeric",), LETTERS)]
    pairs += [(("Hebrew_Letter",), ("Single_Quote",)), (("Katakana",), ("Katakana",))]
    pairs += [(EXTENDED, ("ExtendNumLet",)), (("ExtendNumLet",), EXTENDED)]
    if any(one in a and two in b for a, b in pairs):
        return True
    bridges = [
        (LETTERS, ("MidLetter", *MIDS)),
        (("Numeric",), ("MidNum", *MIDS)),
        (("Hebrew_Letter",), ("Double_Quote",)),
    ]
    for sides, marks in bridges:
        if one in sides and two in marks and right[1] in sides:
            return True
        if left[1] in sides and one in marks and two in sides:
            return True
    n_flags = next(k for k, kind in enumerate(left) if kind != "Regional_Indicator")
    return two == "Regional_Indicator" and n_flags % 2 == 1
