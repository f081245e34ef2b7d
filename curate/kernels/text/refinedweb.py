"""RefinedWeb's line-wise corrections: which lines go, what is cut from short ones, how many words that costs a page.

The steps are DCLM's, in its order; the twin in `refinedweb_plain.py` defines them. Lines are judged one by one: what a
step does to a line depends on its neighbours only in that white space goes from both ends of a page, before each step.
"""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus_signals import REFINEDWEB
from curate.kernels.compiled import inner, kernel
from curate.kernels.text.measure import docs_of
from curate.kernels.text.passes import Docs, Ints, Kernel, Pass, doc_of, read_only, source_digest
from curate.kernels.text.primitives import Bytes, Int, decode, strip
from curate.kernels.text.redpajama_chars import flags_at
from curate.kernels.text.redpajama_tables import DECIMAL, DIGIT, SPACE, UPPER, WORD
from curate.kernels.text.redpajama_words import ASCII

# What is counted of a page, in the order of REFINEDWEB; a dropped line counts for the first reason, in this order.
N_WORDS, N_REMOVED, N_LINES, N_UPPER, N_DIGITS, N_COUNTERS, N_SHORT, N_EDITED = range(len(REFINEDWEB))
N_COUNTS = len(REFINEDWEB)
KEPT = 0

# DCLM, baselines_configs/refinedweb.yaml.
MIN_WORDS = 2  # uppercase: more than half of the characters; digits: all
MAX_EDITED_WORDS = 10
MAX_EDITED_BYTES = 1 << 16  # a line of ten words that is longer stays as it is: a stated difference

NEWLINE, COMMA, FULL_STOP, KILO, MILLION, BILLION = ord("\n"), ord(","), ord("."), ord("k"), ord("m"), ord("b")
BEFORE, NUMBER, UNIT, SPACES, AFTER = range(5)  # how far `is_counter` has come
LOWER_CASE = 0x20  # the bit by which an ASCII letter differs from its capital
COUNTED = (
    "likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes", "downvotes", "downloads",
    "views", "followers",
)  # fmt: skip
PHRASES = ("items in cart", "read more...", "sign-in", *COUNTED)
IN_CART, READ_MORE, SIGN_IN, FIRST_COUNTED = np.arange(4)  # typed: one is_phrase serves all
TEXT = np.zeros((len(PHRASES), 13), np.uint8)
for _row, _phrase in zip(TEXT, PHRASES, strict=True):
    _row[: len(_phrase)] = np.frombuffer(_phrase.encode(), np.uint8)
SIZE = np.array([len(phrase) for phrase in PHRASES], np.int64)


@inner
def is_phrase(line: Bytes, k: Int, end: Int, which: Int) -> bool:
    """Return whether a phrase stands at byte k, before `end`, in any case of ASCII letters."""
    size = SIZE[which]
    if k < 0 or k + size > end:
        return False
    for j in range(size):
        byte = line[k + j]
        if 65 <= byte <= 90:
            byte += np.uint8(32)
        if byte != TEXT[which, j]:
            return False
    return True


@inner
def class_at(line: Bytes, i: Int) -> tuple[Int, Int]:
    """Return (class bits, bytes) of the character at byte i."""
    if line[i] < 128:
        return ASCII[line[i]], np.int64(1)
    code, n_bytes = decode(line, i)
    return flags_at(code), np.int64(n_bytes)


@inner
def space_before(line: Bytes, start: Int, end: Int) -> Int:
    """Return where line[start:end] ends without the white space character it may end in."""
    k = end - 1
    while k > start and line[k] & 0xC0 == 0x80:
        k -= 1
    if k >= start and class_at(line, k)[0] & SPACE:
        return k
    return end


@inner
def is_counter(line: Bytes, i: Int, end: Int) -> bool:
    """Return whether line[i:end] is a number, perhaps in thousands (K), millions or billions, of likes or the like.

    White space and other characters that are of no word may stand on both sides.
    """
    state = BEFORE
    while i < end:
        flags, n_bytes = class_at(line, i)
        if state == BEFORE and flags & WORD:
            if not flags & DECIMAL:
                return False
            state = NUMBER
        elif state == NUMBER and not (flags & DECIMAL or line[i] in (COMMA, FULL_STOP)):
            state = UNIT if line[i] | LOWER_CASE in (KILO, MILLION, BILLION) else SPACES if flags & SPACE else AFTER
            if state == AFTER:
                return False
        elif state == UNIT:
            if not flags & SPACE:
                return False
            state = SPACES
        elif state == SPACES and not flags & SPACE:
            n_bytes = counted_bytes(line, i, end)
            if n_bytes == 0:
                return False
            state = AFTER
        elif state == AFTER and flags & WORD:
            return False
        i += n_bytes
    return state == AFTER


@inner
def counted_bytes(line: Bytes, i: Int, end: Int) -> Int:
    """Return the length of the word of COUNTED that begins at byte i, 0 where there is none."""
    for which in range(FIRST_COUNTED, SIZE.size):
        if is_phrase(line, i, end, which):
            return SIZE[which]
    return np.int64(0)


@inner
def judge(doc: Bytes, start: Int) -> tuple[Int, Int, Int]:
    """Return (end, words, verdict) of the line at byte `start`; the verdict is N_UPPER … N_SHORT, or KEPT."""
    n_chars = n_upper = n_digits = n_words = np.int64(0)
    in_word = False
    i = start
    while i < doc.size and doc[i] != NEWLINE:
        flags, n_bytes = class_at(doc, i)
        i += n_bytes
        n_chars += 1
        n_upper += flags & UPPER
        n_digits += flags & DIGIT
        spaced = flags & SPACE != 0
        if not (spaced or in_word):
            n_words += 1
        in_word = not spaced
    if i == start:
        return i, n_words, KEPT
    if 2 * (n_upper // UPPER) > n_chars:
        return i, n_words, N_UPPER
    if n_digits // DIGIT == n_chars:
        return i, n_words, N_DIGITS
    if n_digits > 0 and is_counter(doc, start, i):
        return i, n_words, N_COUNTERS
    if n_words < MIN_WORDS:
        return i, n_words, N_SHORT
    return i, n_words, KEPT


@inner
def cut_cart(doc: Bytes, start: Int, end: Int, line: Bytes) -> tuple[Int, Int]:
    """Return (bytes, words) of doc[start:end] without `items in cart` and a white space before it; copy them to `line`.

    Copies nothing if `line` has no room.
    """
    n = n_words = np.int64(0)
    in_word = False
    i = start
    while i < end:
        flags, n_bytes = class_at(doc, i)
        spaced = flags & SPACE != 0
        after = i + n_bytes if spaced else i
        if is_phrase(doc, after, end, IN_CART):
            i = after + SIZE[IN_CART]
            continue
        if not (spaced or in_word):
            n_words += 1
        in_word = not spaced
        n_bytes = min(n_bytes, end - i)
        if line.size > 0:
            for k in range(n_bytes):
                line[n + k] = doc[i + k]
        n += n_bytes
        i += n_bytes
    return n, n_words


@inner
def more_follows(doc: Bytes, i: Int, nothing: Bytes) -> bool:
    """Return whether a line from byte i on keeps any word when carts are cut out."""
    while i < doc.size:
        start = i
        end, n_words, verdict = judge(doc, start)
        i = end + 1
        if verdict != KEPT or n_words == 0:
            continue
        if n_words > MAX_EDITED_WORDS or end - start > MAX_EDITED_BYTES or cut_cart(doc, start, end, nothing)[1] > 0:
            return True
    return False


@inner
def cut_line(doc: Bytes, start: Int, end: Int, is_first: bool, line: Bytes, copy: Bytes) -> tuple[Int, Int]:
    """Copy doc[start:end] to `line` and cut the three phrases from it; return the bounds of what is left.

    `Read more...` goes from the end, `Sign-in` from the start, each with a white space. `copy` is `line`, to be read.
    """
    b, _ = cut_cart(doc, start, end, line)
    a = np.int64(0)
    _, stripped = strip(copy[:b], a, b)
    more = stripped - SIZE[READ_MORE]
    if is_phrase(copy, more, stripped, READ_MORE) and (stripped == b or not more_follows(doc, end + 1, line[:0])):
        b = space_before(copy, a, more)
    first, _ = strip(copy[:b], a, b)
    if (first == a or is_first) and is_phrase(copy, first, b, SIGN_IN):
        a = first + SIZE[SIGN_IN]
        if a < b:
            flags, n_bytes = class_at(copy, a)
            if flags & SPACE:
                a += n_bytes
    return a, b


@inner
def correct_lines(doc: Bytes, line: Bytes, copy: Bytes, kept: Bytes, at: Int, row: Ints) -> Int:
    """Fill row[:8]; if `kept` has room, write what remains of the doc to kept[at:]. Return where it ends."""
    row[:] = 0
    n_left = i = np.int64(0)
    begin = at
    while i <= doc.size:
        start = i
        end, n_words, verdict = judge(doc, start)
        i = end + 1
        row[N_WORDS] += n_words
        row[N_LINES] += int(end > start)
        if verdict != KEPT:
            row[verdict] += 1
            continue
        a, b, edited = np.int64(0), end - start, False
        if 0 < n_words <= MAX_EDITED_WORDS and b <= MAX_EDITED_BYTES:
            a, b = cut_line(doc, start, end, n_left == 0, line, copy)
            edited = b - a != end - start
            if edited:
                row[N_EDITED] += 1
                _, n_words, _ = judge(copy[a:b], np.int64(0))
                if n_words == 0:
                    continue
        n_left += n_words
        if kept.size > 0:
            if at > begin:
                kept[at] = NEWLINE
                at += 1
            for k in range(a, b):
                kept[at] = copy[k] if edited else doc[start + k]
                at += 1
    row[N_REMOVED] = row[N_WORDS] - n_left
    return at


@functools.cache
def refinedweb_kernel() -> Kernel:
    """Fill the columns REFINEDWEB."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, line: Bytes, copy: Bytes, out: Ints) -> None:
        if digest == 0:
            return
        nothing = line[:0]
        for d in range(docs.valid.size):
            if docs.valid[d]:
                correct_lines(doc_of(docs, d), line, copy, nothing, np.int64(0), out[d])

    return lambda docs, words, room, out: run(docs, room.copies.line, room.copies.line_read, out)


@functools.cache
def edit_kernel() -> Kernel:
    """Write what remains of all docs to `kept`, and where each ends to `ends`; `line` is room for a line."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, line: Bytes, copy: Bytes, kept: Bytes, kept_read: Bytes, ends: Ints, row: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            begin = ends[d]
            ends[d + 1] = begin
            if docs.valid[d]:
                at = correct_lines(doc_of(docs, d), line, copy, kept, begin, row)
                start, end = strip(kept_read[:at], begin, at)
                for k in range(start, end):
                    kept[begin + k - start] = kept_read[k]
                ends[d + 1] = begin + end - start

    return run


def refinedweb_text(text: pa.Array) -> pa.Array:
    """Return string[n_docs]: what RefinedWeb's line-wise corrections leave; null where the text is null."""
    docs = docs_of(text)
    line = np.empty(MAX_EDITED_BYTES, np.uint8)
    kept = np.empty(int(docs.offsets[-1] - docs.offsets[0]) + 1, np.uint8)
    ends = np.zeros(len(text) + 1, np.int64)
    edit_kernel()(docs, line, read_only(line), kept, read_only(kept), ends, np.zeros(N_COUNTS, np.int64))
    left = pa.LargeStringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(kept)).cast(pa.string())
    return pc.if_else(text.is_valid(), left, pa.scalar(None, pa.string()))


PASSES = (Pass(None, tuple(REFINEDWEB), refinedweb_kernel),)
