"""Compiled steps through the tags of a page: names, attributes, the ends of comments and of raw text.

They follow the tokeniser of the HTML standard (section 13.2.5): of a repeated attribute the first counts, a tag cut off
by the end of the page is no tag. No step goes back, so whoever walks a page with them takes time linear in the page.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Without Numba's reference counts, which cost something at every call; nothing here makes an array.
compiled: Any = functools.partial(numba.njit, cache=True, nogil=True, boundscheck=False, _nrt=False)

# Attributes whose values are kept, by their place in the array of spans.
ATTRIBUTES = (
    "rel", "href", "name", "lang", "type", "class", "content", "property", "itemprop", "datetime", "pubdate",
    "xml:lang", "http-equiv",
)  # fmt: skip
REL, HREF, NAME, LANG, TYPE, CLASS, CONTENT, PROPERTY, ITEMPROP, DATETIME, PUBDATE, XML_LANG, HTTP_EQUIV = range(13)
MAX_LOOKED_BYTES = 256  # of a value in which a word is looked for

_MAX_NAME = max(map(len, ATTRIBUTES))
_WORDS = np.zeros((len(ATTRIBUTES), _MAX_NAME), np.uint8)
_WHICH = np.full((_MAX_NAME + 1, 256), -1, np.int64)  # by length and first letter, which no two names share
for _i, _word in enumerate(ATTRIBUTES):
    _WORDS[_i, : len(_word)] = list(_word.encode())
    _WHICH[len(_word), [ord(_word[0]), ord(_word[0].upper())]] = _i
_NAME_ENDS = np.zeros(256, np.uint8)
_NAME_ENDS[[*range(33), *b"/>="]] = 1
LESS, GREATER, SLASH, BANG, QUESTION, DASH, EQUALS, QUOTE, APOSTROPHE = b"<>/!?-=\"'"


def packed(name: str) -> np.uint64:
    """Return a name of at most eight bytes as one number, as `tag_name` makes it."""
    return np.uint64(int.from_bytes(name.encode(), "big"))


@intrinsic
def _memchr(_context: Any, page: Any, at: Any, end: Any, byte: Any) -> Any:
    """The C library's memchr: return the offset of the next `byte` in page[at:end], `end` where there is none."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, at, end, byte = args
        i8p, i32, i64 = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
        kind = ir.FunctionType(i8p, [i8p, i32, i64])
        search = cgutils.get_or_insert_function(builder.module, kind, "memchr")  # type: ignore[no-untyped-call]
        base = builder.bitcast(context.make_array(signature.args[0])(context, builder, array).data, i8p)
        found = builder.call(search, [builder.gep(base, [at]), builder.trunc(byte, i32), builder.sub(end, at)])
        offset = builder.sub(builder.ptrtoint(found, i64), builder.ptrtoint(base, i64))
        return builder.select(builder.icmp_unsigned("==", found, ir.Constant(i8p, None)), end, offset)

    return types.int64(page, types.int64, types.int64, types.int64), emit


@compiled()
def _compiled_next(page, at, n, byte):  # type: ignore[no-untyped-def]
    return _memchr(page, at, n, byte) if at < n else n  # type: ignore[call-arg]


def _plain_next(page, at, n, byte):  # type: ignore[no-untyped-def]
    """Return the offset of the next `byte` from `at` on, `n` where there is none."""
    while at < n and page[at] != byte:
        at += 1
    return min(at, n)


# Where numba is told not to compile, all kernels run as plain Python, which checks every index.
_config: Any = numba.config
next_of = _plain_next if _config.DISABLE_JIT else _compiled_next


@compiled()
def lower(c):  # type: ignore[no-untyped-def]
    return c + np.uint8(32) if np.uint8(65) <= c <= np.uint8(90) else c


@compiled()
def starts(page, at, end, word):  # type: ignore[no-untyped-def]
    """Say whether `word` (lower case) stands at `at`, in any case."""
    if at + word.size > end:
        return False
    for i in range(word.size):  # noqa: SIM110 (numba compiles no generator)
        if lower(page[at + i]) != word[i]:
            return False
    return True


@compiled()
def mentions(page, span, attribute, word):  # type: ignore[no-untyped-def]
    """Say whether the value of an attribute holds `word`; its first bytes only."""
    start = span[attribute, 0]
    end = min(span[attribute, 1], start + MAX_LOOKED_BYTES)
    for at in range(start, end - word.size + 1):  # noqa: SIM110
        if lower(page[at]) == word[0] and starts(page, at, end, word):
            return True
    return False


@compiled()
def tag_name(page, at, n):  # type: ignore[no-untyped-def]
    """Return (code, end) of the tag name at `at`: its bytes in lower case as one number, 0 for more than eight."""
    first, code = at, np.uint64(0)
    while at < n:
        c = page[at]
        if c <= 32 or c in (SLASH, GREATER):
            break
        code = (code << np.uint64(8)) | np.uint64(lower(c))
        at += 1
    return code if at - first <= 8 else np.uint64(0), at


@compiled()
def read_attributes(page, at, n, span):  # type: ignore[no-untyped-def]
    """Read the attributes up to the end of a tag; return (which of ATTRIBUTES it has, next offset or -1).

    The spans of those it has go into `span`; -1 means that the page ends within the tag.
    """
    seen = 0
    while True:
        while at < n and (page[at] <= 32 or page[at] == SLASH):
            at += 1
        if at >= n:
            return 0, -1
        if page[at] == GREATER:
            return seen, at + 1
        first = at
        at += 1  # an = here would be part of the name
        while at < n and _NAME_ENDS[page[at]] == 0:
            at += 1
        length, start, end = at - first, 0, 0
        while at < n and page[at] <= 32:
            at += 1
        if at < n and page[at] == EQUALS:
            at += 1
            while at < n and page[at] <= 32:
                at += 1
            if at < n and (page[at] == QUOTE or page[at] == APOSTROPHE):
                quote = page[at]
                at += 1
                start = at
                at = next_of(page, at, n, quote)
                end = at
                at += 1
            else:
                start = at
                while at < n and page[at] > 32 and page[at] != GREATER:
                    at += 1
                end = at
        if length <= _MAX_NAME:
            i = _WHICH[length, page[first]]
            if i >= 0 and not seen >> i & 1 and starts(page, first, n, _WORDS[i, :length]):
                seen |= 1 << i
                span[i, 0], span[i, 1] = start, end


@compiled()
def raw_end(page, at, n, tag):  # type: ignore[no-untyped-def]
    """Return where the end tag of a raw text element begins; the end of the page where there is none."""
    while True:
        at = next_of(page, at, n, LESS)
        if at + 1 >= n:
            return n
        if page[at + 1] == SLASH:
            code, _ = tag_name(page, at + 2, min(n, at + 12))
            if code == tag:
                return at
        at += 1


@compiled()
def declaration_end(page, at, n):  # type: ignore[no-untyped-def]
    """Return the offset after a comment, a doctype or a processing instruction that begins at `at`."""
    if at + 3 < n and page[at + 1] == BANG and page[at + 2] == DASH and page[at + 3] == DASH:
        at += 4
        if at < n and page[at] == GREATER:  # <!-->
            return at + 1
        if at + 1 < n and page[at] == DASH and page[at + 1] == GREATER:  # <!--->
            return at + 2
        first = at
        while True:
            at = next_of(page, at, n, GREATER)
            if at >= n:
                return n
            dash = at - 2 if page[at - 1] == BANG else at - 1  # --!> ends a comment too
            if dash - 1 >= first and page[dash] == DASH and page[dash - 1] == DASH:
                return at + 1
            at += 1
    return next_of(page, at, n, GREATER) + 1
