"""C4's edit of a page: the lines that one set of C4's rules keeps, without citation marks, joined by newlines."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.kernels.compiled import inner, kernel
from curate.kernels.text.c4 import (
    COUNTS,
    HAS_BRACKET,
    Limits,
    LineRules,
    copy_without_citations,
    counting,
    ends_sentence,
    find_faults,
    keeps,
    spaced_words,
)
from curate.kernels.text.lines import next_line
from curate.kernels.text.measure import docs_of, run_passes
from curate.kernels.text.passes import Docs, Ints, Kernel, Pass, doc_of, read_only, source_digest
from curate.kernels.text.primitives import Bytes, Int, strip

NEWLINE = ord("\n")


def c4_counts(text: pa.Array, rules: LineRules) -> dict[str, pa.Array]:
    """Return int64[n_docs] for each of `c4.COUNTS` under line rules that nobody published; null as in `measure`."""
    return run_passes(text, [Pass("spacy_en", COUNTS, counting([rules]))])


def c4_text(text: pa.Array, rules: LineRules) -> pa.Array:
    """Return string[n_docs]: the text with the lines that C4 keeps; null where the text is null.

    Needs no words, so it works on texts of any size, at the speed of reading.
    """
    docs = docs_of(text)
    kept = np.empty(int(docs.offsets[-1] - docs.offsets[0]), np.uint8)
    ends = np.zeros(len(text) + 1, np.int64)
    edit_kernel()(docs, kept, read_only(kept), np.array(rules, np.float64), ends)
    buffers = [pa.py_buffer(ends), pa.py_buffer(kept)]
    edited = pa.LargeStringArray.from_buffers(len(text), *buffers).cast(pa.string())
    return pc.if_else(pa.array(docs.valid), edited, pa.scalar(None, pa.string()))


@inner
def edit(doc: Bytes, kept: Bytes, kept_read: Bytes, begin: Int, rules: Limits) -> Int:
    """Write the lines of `doc` that stay to kept[begin:]; return where they end.

    A line is copied before it is judged, since what stands around a citation mark may make a phrase.
    """
    at = begin
    i = 0
    while i < doc.size:
        start, end, i = next_line(doc, i)
        n_words, longest = spaced_words(doc, start, end)
        if n_words < rules[0] or longest > rules[2]:
            continue
        line = at + 1 if at > begin else at
        line_end = copy_without_citations(doc, start, end, kept, line)
        n_clean, _ = spaced_words(kept_read, line, line_end)
        ending = ends_sentence(kept_read, line, line_end)
        faults = find_faults(kept_read, line, line_end) & ~HAS_BRACKET
        if not faults and keeps(rules, n_words, n_clean, longest, ending):
            if line > at:
                kept[at] = NEWLINE
            at = line_end
    start, end = strip(kept_read[:at], begin, at)
    for k in range(start, end):
        kept[begin + k - start] = kept[k]
    return begin + end - start


@functools.cache
def edit_kernel() -> Kernel:
    """Write the kept text of all docs to `kept`, and where each ends to `ends`."""
    digest = source_digest()

    @kernel
    def run(docs: Docs, kept: Bytes, kept_read: Bytes, rules: Limits, ends: Ints) -> None:
        if digest == 0:
            return
        for d in range(docs.valid.size):
            ends[d + 1] = ends[d]
            if docs.valid[d]:
                ends[d + 1] = edit(doc_of(docs, d), kept, kept_read, ends[d], rules)

    return run
