"""From sketch rows to spans: lines are counted within a site, then the spans of each doc are put together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.fold import write_verdicts
from curate.folds.boilerplate.lines import LINE_KEY, ROW_BITS
from curate.schema import SPANS, SPANS_TYPE
from curate.sketches import Part, SketchWriter

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CUTS = pa.schema(
    [
        pa.field("part", pa.int32()),  # always 0: the file is sorted anew by `finish`
        pa.field("doc", pa.uint64()),
        pa.field(SPANS, SPANS_TYPE),
        pa.field("n_boilerplate_lines", pa.int32()),
        pa.field("boilerplate_frac", pa.float32()),
    ]
)
CUTS_FILE, TOTALS_FILE = "cuts.arrow", "boilerplate.json"


class Lines(NamedTuple):
    """Lines to cut, n of them; see `lines.SCHEMA`."""

    doc: I64
    text_bytes: I64
    start: I64
    end: I64
    before: I64


@dataclass(frozen=True)
class Limits:
    """When a line is cut, and how much of a doc."""

    min_docs: int
    min_frac: float
    max_cut_frac: float


def write_cuts(part: Part, out: Path, limits: Limits) -> None:
    """Write the spans of a part's docs and its sums. Memory: one batch, its sites, and the lines that are cut."""
    sites = _Sites()
    held: list[list[I64]] = [[np.empty(0, np.int64)] for _ in Lines._fields]
    for batch in part.sorted("key", then=("copy", "doc", "start")):
        key, copy, site = (batch[name].to_numpy() for name in ("key", "copy", "site"))
        is_new = _changes(key) | _changes(copy)  # one page of those that hold the same lines
        is_line = key >= LINE_KEY
        sites.add(site[is_new & ~is_line])
        group = np.cumsum(_changes(key)) - 1
        n_copies = np.bincount(group[is_new], minlength=1)[group]
        n_docs = sites.n_docs(site)
        chosen = is_line & (n_copies >= limits.min_docs) & (n_copies >= limits.min_frac * n_docs)
        for column, name in zip(held, Lines._fields, strict=True):
            column.append(batch[name].to_numpy()[chosen].astype(np.int64))
    cuts, totals = _cuts(Lines(*map(np.concatenate, held)), limits.max_cut_frac)
    writer = SketchWriter(out / CUTS_FILE)
    writer.add(cuts)
    writer.close()
    (out / TOTALS_FILE).write_text(json.dumps({"n_docs": sites.n_all, "n_sites": len(sites), **totals}))


class _Sites:
    """How many different pages each site has; they all come before the first line."""

    def __init__(self) -> None:
        self._counted: Counter[int] = Counter()
        self._known: tuple[U64, I64] | None = None

    def __len__(self) -> int:
        return len(self._counted)

    @property
    def n_all(self) -> int:
        return self._counted.total()

    def add(self, sites: U64) -> None:
        if len(sites):
            values, counts = np.unique(sites, return_counts=True)
            self._counted.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
            self._known = None

    def n_docs(self, sites: U64) -> I64:
        """Return int64[n]: the pages of each site."""
        if self._known is None:
            numbers = np.array(sorted(self._counted), np.uint64)
            self._known = numbers, np.array([self._counted[n] for n in numbers.tolist()], np.int64)
        numbers, counts = self._known
        found: I64 = counts[np.searchsorted(numbers, sites)]
        return found


def _changes(values: U64 | I64) -> Bools:
    """Return bool[n]: whether a value is the first, or another than the one before."""
    return np.concatenate([[True], values[1:] != values[:-1]])[: len(values)]


def _cuts(lines: Lines, max_cut_frac: float) -> tuple[pa.Table, dict[str, int]]:
    """Return a row for each doc that has such lines, and sums."""
    order = np.lexsort((lines.start, lines.doc))
    lines = Lines(*(column[order] for column in lines))
    begins = np.flatnonzero(_changes(lines.doc))
    n_lines = np.diff(np.append(begins, len(order)))
    n_bytes, text_bytes = _sums(lines.end - lines.start, begins), lines.text_bytes[begins]
    is_whole = n_bytes > max_cut_frac * text_bytes
    n_cut = np.where(is_whole, 0, n_lines)
    spans, offsets = _spans(Lines(*(column[np.repeat(~is_whole, n_lines)] for column in lines)), n_cut)
    columns = [
        pa.array(np.zeros(len(begins), np.int32), pa.int32()),
        pa.array(lines.doc[begins].astype(np.uint64), pa.uint64()),
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), spans, type=SPANS_TYPE),
        pa.array(n_cut, pa.int32()),
        pa.array(n_bytes / np.maximum(text_bytes, 1), pa.float32()),
    ]
    totals = {
        "n_docs_cut": int((n_cut > 0).sum()),
        "n_docs_left_whole": int(is_whole.sum()),
        "n_lines_cut": int(n_cut.sum()),
        "bytes_cut": int((spans.field("end").to_numpy() - spans.field("start").to_numpy()).sum()),
    }
    return pa.Table.from_arrays(columns, schema=CUTS), totals


def _spans(lines: Lines, n_cut: I64) -> tuple[pa.StructArray, I64]:
    """Return the spans of all lines, and where those of each doc begin. Lines next to each other become one span.

    `lines` are ordered by doc and start; `n_cut` has how many each doc has. A span that ends with its text begins
    where the line before it ends, so that no line break is left at the end.
    """
    is_first = _changes(lines.doc)
    is_first[1:] |= lines.start[1:] != lines.end[:-1]
    is_last = np.append(is_first[1:], True)[: len(is_first)]
    end = lines.end[is_last]
    start = np.where(end == lines.text_bytes[is_last], lines.before[is_first], lines.start[is_first])
    spans = pa.StructArray.from_arrays(
        [pa.array(start, pa.int64()), pa.array(end, pa.int64())], fields=list(SPANS_TYPE.value_type)
    )
    n_before = np.concatenate([[0], np.cumsum(is_first)])  # spans that begin before a line
    return spans, n_before[np.concatenate([[0], np.cumsum(n_cut)])]


def _sums(values: I64, begins: I64) -> I64:
    """Return the sum of each group of values; no group is empty."""
    sums: I64 = np.add.reduceat(values, begins) if len(begins) else np.zeros(0, np.int64)
    return sums


def write_spans(parts: Sequence[Path], out: Path) -> None:
    """Write the verdicts of all parts, one shard after the other. Memory: one shard's, and what a sort holds."""
    held: list[pa.Table] = []
    for shard, rows in _by_shard(Part([part / CUTS_FILE for part in parts], 0, 1)):
        if held and held[0]["shard"][0].as_py() != shard:
            write_verdicts(out, pa.concat_tables(held))
            held = []
        held.append(rows)
    write_verdicts(out, pa.concat_tables(held) if held else pa.table({"shard": pa.array([], pa.int32())}))


def _by_shard(cuts: Part) -> Iterator[tuple[int, pa.Table]]:
    """Yield (shard, verdict rows) in order; a shard may come several times in a row."""
    for batch in cuts.sorted("doc"):
        docs = batch["doc"].to_numpy()
        shards, rows = (docs >> np.uint64(ROW_BITS)).astype(np.int32), docs & np.uint64((1 << ROW_BITS) - 1)
        starts = np.flatnonzero(_changes(shards)).tolist()
        table = pa.Table.from_batches([batch]).drop_columns(["part", "doc"])
        table = table.add_column(0, "shard", pa.array(shards, pa.int32()))
        table = table.add_column(1, "row", pa.array(rows.astype(np.int64), pa.int64()))
        for start, end in zip(starts, [*starts[1:], len(docs)], strict=True):
            yield int(shards[start]), table.slice(start, end - start)


def add_totals(parts: Sequence[Path]) -> dict[str, int]:
    """Return the sums of all parts."""
    sums: Counter[str] = Counter()
    for part in parts:
        sums.update(json.loads((part / TOTALS_FILE).read_text()))
    return dict(sorted(sums.items()))
