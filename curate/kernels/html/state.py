"""What the parts of the scan share: the arrays of a page, its running counts, what is known of an open element."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
Int = Any  # int64, or uint64 for a hash: Numba infers the types inside a kernel
Records = Any  # a structured array: NumPy's stubs know no record fields

_TEXT_PARTS = ("characters", "chars", "entities", "find", "render", "runs")
_TAG_PARTS = ("attributes", "markup", "nesting", "tags")
_PARTS = (*_TEXT_PARTS, *_TAG_PARTS, "scan", "state")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a part of the scan into the one loop of `scan.py`, so that a call costs nothing.

    Without Numba's reference counts (`_nrt`; no kernel here makes an array) the scan is ten times as fast: they are
    taken and given back for all arrays of a Room at every call.
    """
    options: dict[str, Any] = {"nogil": True, "forceinline": True, "_nrt": False}
    return cast(_Function, njit(**options)(function))


def compiled_apart(function: _Function) -> _Function:
    """Compile a part that is worth a call of its own, since it is called from many places."""
    options: dict[str, Any] = {"nogil": True, "_nrt": False}
    return cast(_Function, njit(**options)(function))


def cached(function: _Function) -> _Function:
    """Compile an entry point, or load what an earlier process compiled. It must hold `source_digest()`, see there."""
    options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
    return cast(_Function, njit(**options)(function))


@functools.cache
def source_digest() -> int:
    """Return a number for the sources of all kernels of the scan, never 0.

    Numba's cache looks at the file of the entry point only; a number that the entry point closes over is part of its
    key, and brings a change in any part to light.
    """
    sources = [Path(__file__).with_name(f"{name}.py") for name in _PARTS]
    digest = hashlib.blake2b(b"\0".join(path.read_bytes() for path in sources), digest_size=7)
    return int(digest.hexdigest(), 16) | 1


COUNTS = (
    "units",  # characters that are no white space; an ideograph counts 3
    "words",  # runs of letters and digits; an ideograph is a word by itself
    "link_units",
    "links",
    "digits",
    "commas",
    "sentence_marks",  # . ! ? ; : and their like in other scripts
    "ends_with_mark",  # 1 where a sentence mark is the last of letters, digits and marks
    "short_words",  # of at most 3 characters
    "capitals",  # words that start with a capital
    "breaks",  # `<br>`
    "word_chars",
    "cjk",  # ideographs
    "title_words",  # words that also stand in <title>
    "tag",  # of the nearest block element, as in tags.NAMES
    "depth",
    "element",  # the innermost one where the text starts, as in Page.element_tag
    "offset_bytes",  # where the text starts in the page
)
(
    UNITS, WORDS, LINK_UNITS, LINKS, DIGITS, COMMAS, SENTENCE_MARKS, ENDS_WITH_MARK, SHORT_WORDS, CAPITALS, BREAKS,
    WORD_CHARS, CJK, TITLE_WORDS, TAG, DEPTH, ELEMENT, OFFSET,
) = range(len(COUNTS))  # fmt: skip
SHORT_WORD_CHARS = 3
IDEOGRAPH_UNITS = 3

# ---- Room.state
(
    N_TEXT,  # bytes of text written
    N_BLOCKS,
    N_ELEMENTS,
    N_TOKENS,
    TOP,  # of the stack
    TOO_DEEP,  # open elements that found no room on it
    START,  # of the block in the text
    PENDING,  # what is due before the next character: nothing, a blank, a line break, or the start of a block
    WORD,  # characters of the word that is not yet over
    RAW_END,  # up to here `<` is text
    IN_TITLE,
    N_BREAKS,  # `<br>` in a row
    SEEN_BODY,
    CAPS,  # limits that were hit
    WANTS_TOKENS,
    WANTS_SCORES,
    N_STATE,
) = range(17)
BLANK, LINE_BREAK, BLOCK_START = ord(" "), ord("\n"), 1  # values of PENDING beside 0

# ---- limits
MAX_DEPTH = 511  # Source: browsers nest no deeper than 512
MAX_BLOCKS, MAX_ELEMENTS, MAX_TOKENS = 200_000, 600_000, 2_000_000
CAP_NAMES = ("blocks", "elements", "tokens", "depth")
BLOCKS_CAP, ELEMENTS_CAP, TOKENS_CAP, DEPTH_CAP = (1 << k for k in range(len(CAP_NAMES)))

# Room.hashes: a table of the title's words, and the hash of the word that is not yet over
N_TITLE_SLOTS = 256
OPEN_WORD = N_TITLE_SLOTS

LINE_UNSEEN = 1  # an inline element that a style hides inside a visible block; blocks in it are seen
ALL_UNSEEN = 2  # what shows something else than its content

# An element that is open. Index 0 of the stack is the page itself.
OPEN = np.dtype(
    [
        ("mask", "u8"),  # ancestors and itself
        ("tag", "i4"),
        ("element", "i4"),
        ("block_at", "i4"),  # where the nearest block element stands on the stack; itself, if it is one
        ("link_at", "i4"),  # where the nearest <a> stands; 0 if there is none
        ("is_linked", "i4"),  # in an <a href>
        ("keeps_lines", "i4"),  # in a <pre>
        ("is_unseen", "i4"),  # its text is left out: LINE_UNSEEN, ALL_UNSEEN or 0
        ("own", "f4"),  # sum of the weights of its own tokens
        ("total", "f4"),  # sum, largest, smallest of `own` over ancestors and itself
        ("most", "f4"),
        ("least", "f4"),
    ],
    align=True,
)


class Room(NamedTuple):
    """The arrays of a scan; one tuple, because a kernel would else take two dozen arguments."""

    html: U8
    weights: F32  # [65536], by token
    text: U8  # at least as long as html
    block_text: I64  # [.., 2]
    counts: F32  # [.., len(COUNTS)]
    ancestors: U64
    token_scores: F32  # [.., 4]
    element_parent: I32
    element_tag: U8
    element_first_token: I64
    token_ids: U32
    stack: Records  # [MAX_DEPTH + 1] of OPEN
    state: I64  # [N_STATE]
    now: I64  # [len(COUNTS)], of the block that is not yet over
    hashes: U64  # [N_TITLE_SLOTS + 1]
    missing: U8  # [256], 1 for elements whose end tag is known to be missing
