"""What a compiled pass over texts is given and what it fills; a family of signals registers its passes with these.

A family's module holds `PASSES`, a tuple of `Pass`; `measure.FAMILIES` names the module. A pass's kernel is called for
a group of docs as `kernel(docs, words, room, out)`: it fills out[d, c], the c-th of the pass's columns for doc d, and
leaves -1 where it measured nothing (null). A pass with `words` finds them cut in `words`; a family with words of its
own registers a segmenter in its module's `SEGMENTERS`, called as `segmenter(docs, words, room, max_words)`.

Write a kernel as a function that builds it; each array that compiled code is given takes time to compile:

    @functools.cache
    def my_kernel() -> Kernel:
        digest = source_digest()          # a constant of the closure: a part of the key of Numba's cache on disk

        @kernel
        def run(docs: Docs, out: Ints) -> None:
            if digest == 0:
                return
            ...

        return lambda docs, words, room, out: run(docs, out)

    PASSES = (Pass(None, ("n_mine",), my_kernel),)
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.compiled import inner
from curate.kernels.text.primitives import Bytes, Int, Records
from curate.kernels.text.tables import PATH

# C4 copies lines that hold citation marks; a doc is not measured whose kept ones have more bytes together, are more
# lines, or where one has more words.
MAX_CITED_BYTES = 1 << 22
MAX_CITED_LINES = 1 << 16
MAX_CITED_WORDS = 1 << 18
CITED = np.dtype([("end", "i8"), ("doc", "i8"), ("kept", "i8")])

Ints = npt.NDArray[np.int64]
Kernel = Callable[..., None]


class Docs(NamedTuple):
    """A group of n texts; text d is data[offsets[d] : offsets[d + 1]], UTF-8, and read-only."""

    data: Bytes
    offsets: Ints  # [n + 1]
    valid: npt.NDArray[np.bool_]  # [n] False where the text is null


class Words(NamedTuple):
    """The words of a group: those of doc d are word[first[d] : first[d + 1]], counted in bytes from the doc's start."""

    word: Records  # see `words.WORD`
    first: Ints  # [n + 1]
    measured: npt.NDArray[np.bool_]  # [n] False where the text is null or has too many words


class Grams(NamedTuple):
    """Scratch memory for what counts repetitions, with room for every doc of a group."""

    table: Records  # see `primitives.SLOT`; at least slots_for(n) slots for a doc of n words or n lines
    generation: Ints  # [1] the last generation used in `table`
    gram: npt.NDArray[np.uint64]  # [n words]
    total: Ints  # [n words + 1]
    count: npt.NDArray[np.int32]  # type: ignore[assignment]  # [n words]; hides tuple.count, which nobody needs
    where: npt.NDArray[np.int32]  # [n words]
    at: npt.NDArray[np.int32]  # [n words]
    seen: npt.NDArray[np.uint8]  # [2 x n words]


class Copies(NamedTuple):
    """Copies of lines without their citation marks."""

    line: Bytes  # what is copied
    line_read: Bytes  # the same memory, of the type that texts have
    cited: Records  # [n lines + 1], see CITED: line k ends in `line` where cited[k] says, the first begins at 0
    n_cited: Ints  # [1]


class Room(NamedTuple):
    """Scratch memory, with room for every doc of a group; a kernel takes what it needs of it."""

    grams: Grams
    chars: Records  # [MAX_CHUNK_BYTES + 1], see `words.CHAR`
    ends: Ints  # [MAX_CHUNK_BYTES + 1]
    copies: Copies
    line_words: Records  # the words of these lines


@dataclass(frozen=True)
class Pass:
    """A compiled walk over texts that fills columns; `words` is the variant of words it needs."""

    words: str | None
    columns: tuple[str, ...]
    kernel: Callable[[], Kernel]  # compiles, or loads from the cache, when called


@functools.cache
def source_digest() -> int:
    """Return a number that changes with any source or table of this package: Numba's cache looks at one file only."""
    sources = [*sorted(Path(__file__).parent.glob("*.py")), PATH]
    return int(hashlib.blake2b(b"\0".join(path.read_bytes() for path in sources), digest_size=7).hexdigest(), 16)


def groups(offsets: Ints, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of runs of texts of at most `max_bytes`, or of one larger; one empty run without texts."""
    n = offsets.size - 1
    first = 0
    if n == 0:
        yield 0, 0
    while first < n:
        last = int(np.searchsorted(offsets, offsets[first] + max_bytes, side="right")) - 1
        last = min(max(last, first + 1), n)
        yield first, last
        first = last


def read_only(array: Any) -> Any:
    """Return the same memory as an array that cannot be written to, for Numba of the type that texts have."""
    view = array[:]
    view.flags.writeable = False
    return view


@functools.partial(inner, inline="always")
def doc_of(docs: Docs, d: Int) -> Bytes:
    """Return the bytes of text d."""
    return docs.data[docs.offsets[d] : docs.offsets[d + 1]]


@functools.partial(inner, inline="always")
def words_of(words: Words, d: Int) -> Records:
    """Return the words of text d."""
    return words.word[words.first[d] : words.first[d + 1]]
