"""The element names a page is scanned for, what each does to the text, and a perfect hash to find them.

Source of the classes: the HTML standard, "Parsing HTML documents" and "Rendering" (2024); deviations stand beside them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# What an element does. One that has none of these is inline, like every unknown one.
VOID = 1  # has no content and no end tag
BLOCK = 2  # ends the line before and behind it
SKIPPED = 4  # its content is no text of the page: passed over up to its end tag
HEADING = 8
BREAK = 16
PREFORMATTED = 32  # keeps line breaks and indentation
RAW = 64  # its content is no markup: up to its end tag or, without one, to the end of the page
CLOSES_P = 128  # its start tag ends an open paragraph
BARRIER = 256  # end tags of what is not part of a table do not reach beyond it
TABLE_PART = 512
END_OMITTED = 1024  # its end tag is often left out
ITEM = 2048  # li, dd, dt: the next one ends it
CELL = 4096  # td, th: the next one ends it
UNSEEN = 16384  # its content is markup, but not shown
TRANSPARENT = 8192  # an item is ended through these: `<li><div><li>`

_FLAGGED = {
    "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr": VOID,
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form"
    " h1 h2 h3 h4 h5 h6 header hgroup hr listing main menu nav ol p plaintext pre search section summary table ul"
    " xmp li dd dt": BLOCK | CLOSES_P,
    "body button caption colgroup frameset head html legend noframes optgroup option tbody td tfoot th thead title"
    " tr": BLOCK,
    "h1 h2 h3 h4 h5 h6": HEADING,
    "br": BREAK,
    # Not shown where scripts run (noscript), or until a script asks for it (template). Form fields hold what a reader
    # may enter, not what the page says. `annotation` is the TeX source of a formula whose visible form is beside it.
    "annotation annotation-xml iframe noembed noscript script select style svg template textarea": SKIPPED,
    # Not shown where the medium plays. Its end tag is often missing; then the end of an element around it ends it.
    "audio canvas datalist object video": UNSEEN,
    "iframe noembed plaintext script style textarea title xmp": RAW,
    "listing plaintext pre textarea xmp": PREFORMATTED,
    "table td th caption": BARRIER,
    "caption colgroup tbody td tfoot th thead tr": TABLE_PART,
    "dd dt li optgroup option p td tfoot th thead tbody tr": END_OMITTED,
    "li dd dt": ITEM,
    "td th": CELL,
    "address div p": TRANSPARENT,
    # Inline ones, named because features, rendering or text rules tell them apart.
    "a abbr b big blink cite code del em font i ins kbd label map mark marquee math nobr q rp rt ruby s samp small"
    " span strike strong sub sup time tt u var picture": 0,
}


def _flags_by_name() -> dict[str, int]:
    flags: dict[str, int] = {}
    for names, bits in _FLAGGED.items():
        for name in names.split():
            flags[name] = flags.get(name, 0) | bits
    return flags


_FLAGS_BY_NAME = _flags_by_name()
NAMES = ("?", *sorted(_FLAGS_BY_NAME))  # "?" is every name that is not listed
ID = {name: i for i, name in enumerate(NAMES)}
FLAGS = np.array([_FLAGS_BY_NAME.get(name, 0) for name in NAMES], np.int64)

# ---- what a block stands in: bits of Page.ancestors

_OF_ANCESTOR = {
    "dl": "dl dd dt",
    "heading": "h1 h2 h3 h4 h5 h6",
    "pre": "pre listing plaintext xmp textarea",
    "td": "td th",
    "code": "code kbd samp tt",
}
_ANCESTOR_NAMES = (
    "nav footer header aside article main section form table li blockquote figure button a heading hidden p td dl"
    " figcaption address label ul body head ol details pre code aria_hidden dialog caption math summary menu th"
)  # `hidden`: the attribute, or a style of display:none or visibility:hidden; `aria_hidden`: aria-hidden="true"
ANCESTORS = tuple(_ANCESTOR_NAMES.split())
ANCESTOR_BIT = {name: i for i, name in enumerate(ANCESTORS)}
HIDDEN = np.uint64(1 << ANCESTOR_BIT["hidden"])
ARIA_HIDDEN = np.uint64(1 << ANCESTOR_BIT["aria_hidden"])


def _ancestor_masks() -> npt.NDArray[np.uint64]:
    masks = np.zeros(len(NAMES), np.uint64)
    for ancestor, bit in ANCESTOR_BIT.items():
        for name in _OF_ANCESTOR.get(ancestor, ancestor).split():
            if name in ID:
                masks[ID[name]] |= np.uint64(1 << bit)
    return masks


ANCESTOR_MASK = _ancestor_masks()

# ---- names by hash: a polynomial over the lower-case bytes, modulo 2 ** 64

HASH_BASE = 0x100000001B3  # the prime of FNV, 64 bits
SLOT_BITS = 11
_MASK = (1 << 64) - 1


def hash_of(name: str) -> int:
    """Return the hash of a lower-case name, as the compiled code computes it byte by byte."""
    h = 0
    for byte in name.encode():
        h = (h * HASH_BASE + byte) & _MASK
    return h


def perfect_table(names: tuple[str, ...], slot_bits: int) -> tuple[int, npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return (multiplier, key of each slot, index in `names` of each slot); no two names share a slot.

    The slot of a hash h is the upper `slot_bits` bits of `h * multiplier`. An empty slot has the key 0.
    """
    hashes = [hash_of(name) for name in names]
    multiplier = 0x9E3779B97F4A7C15
    while True:
        slots = [(h * multiplier & _MASK) >> (64 - slot_bits) for h in hashes]
        if len(set(slots)) == len(slots):
            break
        multiplier = (multiplier * 6364136223846793005 + 1442695040888963407) & _MASK | 1
    keys = np.zeros(1 << slot_bits, np.uint64)
    found = np.zeros(1 << slot_bits, np.uint8)
    keys[slots] = np.array(hashes, np.uint64)
    found[slots] = np.arange(len(names))
    return multiplier, keys, found


_multiplier, SLOT_KEY, _slot_name = perfect_table(NAMES[1:], SLOT_BITS)
SLOT_MULTIPLIER = np.uint64(_multiplier)
SLOT_ID = np.where(SLOT_KEY > 0, _slot_name + 1, 0).astype(np.uint8)
