"""The plain-Python twin of the RefinedWeb kernel: it defines the line-wise corrections. Tests compare the two.

As in DCLM each step looks at all lines, and white space goes from both ends of the page behind most of them.
Differences: `Read more...` ends in three full stops, where DCLM's regular expression takes any three characters; only
ASCII letters are the same in any case; words are cut at white space before and after, where DCLM counts line ends as
words before and leaves punctuation out after; a line of more than MAX_EDITED_BYTES is not edited.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from curate.kernels.text.refinedweb import COUNTED, MAX_EDITED_BYTES, MAX_EDITED_WORDS, MIN_WORDS

COUNTER = re.compile(rf"\W*\d[,.\d]*[KkMmBb]?\s+(?:{'|'.join(COUNTED)})\W*")
LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})


def refinedweb_of(text: str) -> tuple[dict[str, int], str]:
    """Return the signals of `corpus_signals.REFINEDWEB` and the text that remains."""
    lines = text.split("\n")
    counts = Counter[str]()
    kept = []
    for line in lines:
        reason = _fault(line)
        if reason:
            counts[reason] += 1
        else:
            kept.append(line)
    pairs = [(line, line) for line in kept]  # as it was, as it is
    for cut in (_without_cart, _without_more, _without_sign_in):
        pairs = _strip(_edit(pairs, cut, counts))
    left = "\n".join(line for _, line in pairs).strip()
    counts["refinedweb_edited_lines"] += sum(was.strip() != line.strip() for was, line in pairs)
    return {
        "refinedweb_words": len(text.split()),
        "refinedweb_removed_words": len(text.split()) - len(left.split()),
        "refinedweb_lines": sum(line != "" for line in lines),
        **{f"refinedweb_{kind}_lines": counts[f"refinedweb_{kind}_lines"] for kind in KINDS},
    }, left


KINDS = ("uppercase", "digit", "counter", "short", "edited")


def _fault(line: str) -> str | None:
    """Return the signal that counts a line which goes, None where it stays."""
    if not line:
        return None
    if 2 * sum(map(str.isupper, line)) > len(line):
        return "refinedweb_uppercase_lines"
    if all(map(str.isdigit, line)):
        return "refinedweb_digit_lines"
    if COUNTER.fullmatch(line.translate(LOWER)):
        return "refinedweb_counter_lines"
    return "refinedweb_short_lines" if len(line.split()) < MIN_WORDS else None


def _edit(pairs: Sequence[tuple[str, str]], cut: Callable[[str], str], counts: Counter[str]) -> list[tuple[str, str]]:
    """Return the lines with a phrase cut from the short ones; what has nothing left goes."""
    edited = []
    for was, line in pairs:
        short = len(was.split()) <= MAX_EDITED_WORDS and len(was.encode()) <= MAX_EDITED_BYTES
        new = cut(line) if short else line
        if was and not new.strip():
            counts["refinedweb_edited_lines"] += 1
        else:
            edited.append((was, new))
    return edited


def _strip(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the lines without the white space at both ends of the page."""
    filled = [k for k, (_, line) in enumerate(pairs) if line.strip()]
    if not filled:
        return []
    first, last = filled[0], filled[-1]
    whole = list(pairs[first : last + 1])
    whole[0] = (whole[0][0], whole[0][1].lstrip())
    whole[-1] = (whole[-1][0], whole[-1][1].rstrip())
    return whole


def _without_cart(line: str) -> str:
    folded, out, k = line.translate(LOWER), "", 0
    while k < len(line):
        skip = 1 if line[k].isspace() else 0
        if folded.startswith("items in cart", k + skip):
            k += skip + len("items in cart")
        else:
            out += line[k]
            k += 1
    return out


def _without_more(line: str) -> str:
    if not line.translate(LOWER).endswith("read more..."):
        return line
    line = line[: -len("read more...")]
    return line[:-1] if line and line[-1].isspace() else line


def _without_sign_in(line: str) -> str:
    if not line.translate(LOWER).startswith("sign-in"):
        return line
    line = line[len("sign-in") :]
    return line[1:] if line and line[0].isspace() else line
