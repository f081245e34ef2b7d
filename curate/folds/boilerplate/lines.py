"""Sketch rows of texts: one for each page and one for each line, keyed so that pages of a part come before lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import accumulate
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from curate.fold import Position
from curate.sites import host_of, site_of
from curate.sketches import parts_in_order

SCHEMA = pa.schema(
    [
        pa.field("part", pa.int32()),
        pa.field("key", pa.uint64()),  # of a page: below LINE_KEY; of a line: its hash, with that bit set
        pa.field("copy", pa.uint64()),  # of the site and all its lines: the same for pages that hold the same
        pa.field("site", pa.uint64()),
        pa.field("doc", pa.uint64()),  # shard << ROW_BITS | row
        pa.field("text_bytes", pa.uint32()),
        pa.field("start", pa.uint32()),  # of the line in the text's bytes
        pa.field("end", pa.uint32()),  # where the next line that is not blank begins, or the text ends
        pa.field("before", pa.uint32()),  # where the line before ends that is not blank
    ]
)
LINE_KEY = np.uint64(1 << 63)
ROW_BITS = 40

_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")
_FENCE = "```"
_CODE_ENDS = (";", "{", "}")


class Line(NamedTuple):
    """A line that is not blank: what it is compared by (empty: never cut) and where it stands, in bytes."""

    key: str
    start: int
    end: int
    before: int


def sketch_rows(batch: pa.RecordBatch, at: Position, by: Literal["site", "host"]) -> pa.Table:
    """Return the rows of docs that have a host and a text; lines that are never cut have none."""
    columns: list[list[int]] = [[] for _ in SCHEMA.names[1:]]
    for row, (url, text) in enumerate(zip(batch["url"].to_pylist(), batch["text"].to_pylist(), strict=True)):
        host = host_of(url)
        if not text or host is None:
            continue
        lines = list(lines_of(text))
        name = (site_of(host) if by == "site" else host).encode("utf-8", "surrogatepass") + b"\n"
        site = _hash(name)
        copy = _hash(name + "\n".join(line.key for line in lines).encode("utf-8", "surrogatepass"))
        doc, n_bytes = at.shard << ROW_BITS | (at.row + row), lines[-1].end if lines else 0
        rows = [(copy >> 1, copy, site, doc, n_bytes, 0, 0, 0)]
        for line in lines:
            if line.key:
                key = _hash(name + line.key.encode("utf-8", "surrogatepass")) | 1 << 63
                rows.append((key, copy, site, doc, n_bytes, line.start, line.end, line.before))
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(values)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types[1:], strict=True)]
    parts = parts_in_order(arrays[2].to_numpy(), at.n_parts)
    return pa.Table.from_arrays([pa.array(parts, pa.int32()), *arrays], schema=SCHEMA)


def lines_of(text: str) -> Iterator[Line]:
    """Yield the lines of a text that are not blank. Their spans [start, end) follow each other without a gap."""
    raw = text.encode("utf-8", "surrogatepass").split(b"\n")
    folded = [" ".join(line.split()) for line in _DIGITS.sub("0", text.lower()).split("\n")]
    starts = [0, *accumulate(len(line) + 1 for line in raw)]
    shown = [number for number, line in enumerate(folded) if line]
    ends = [*(starts[number] for number in shown[1:]), starts[-1] - 1]
    before, is_code = 0, False
    for number, end in zip(shown, ends, strict=False):  # a text without such a line has an end too
        line = folded[number]
        is_fence = line.startswith(_FENCE)
        is_cut = not (is_code or is_fence or line.endswith(_CODE_ENDS)) and _LETTER.search(line)
        yield Line(line if is_cut else "", starts[number], end, before)
        before = starts[number] + len(raw[number])
        is_code ^= is_fence


def _hash(value: bytes) -> int:
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "big")
