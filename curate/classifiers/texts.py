"""Texts to learn from: read from any source, each text once, shuffled, split into train and held-out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from curate.errors import InputError
from curate.plan import Plan, make_plan
from curate.recipe import SHARD_BYTES, SourceSpec
from curate.sites import host_of, site_of
from curate.sketches import Part, SketchWriter
from curate.source import Tally
from curate.sources import source_of
from curate.stages.model_quality import line_of

ROWS_AT_A_TIME = 256  # as Python objects
SITE = "site "  # begins a unit that is one; digests of texts have no blank
SCHEMA = pa.schema(
    [
        pa.field("part", pa.int32()),
        pa.field("key", pa.uint64()),
        pa.field("digest", pa.binary()),
        pa.field("side", pa.int32()),
        pa.field("unit", pa.string()),  # what is never cut in two by the split: a site, or the text itself
        pa.field("line", pa.large_string()),
    ]
)


class Labelled(NamedTuple):
    """A text as the model sees it (see `prepare`). `side` is its place in the sides that were given."""

    side: int
    line: str
    is_held_out: bool


@dataclass
class Counts:
    """What became of the docs that were read; one number for each side."""

    n_read: list[int]
    n_empty: list[int]
    n_copies: list[int]  # equal to another text of the same side
    n_left_over: list[int]  # past `max_docs`
    n_train: list[int]
    n_held_out: list[int]
    n_train_sites: list[int]  # 0 where texts are split one by one
    n_held_out_sites: list[int]
    n_on_both_sides: int = 0  # texts that stand on more than one; they are used on none
    digests: list[str] = field(default_factory=list)  # sha256 over the texts that were used, in order

    @staticmethod
    def of(n_sides: int) -> Counts:
        zeros = [[0] * n_sides for _ in range(8)]
        return Counts(zeros[0], zeros[1], zeros[2], zeros[3], zeros[4], zeros[5], zeros[6], zeros[7])


class LabelledTexts:
    """The texts of one or more sides in a folder of their own, in an order that no order of the input changes.

    The order is that of a keyed hash of the text, so it is a shuffle, copies meet, and the first `max_docs` of a side
    are a fair sample. Memory: one shard of the input, a bounded sort, and the names of the sites.
    """

    def __init__(
        self,
        sides: Sequence[str],
        folder: Path,
        *,
        seed: int,
        split_by: Literal["site", "text"],
        prepare: Callable[[str | None], str] = line_of,
        text_column: str | None = None,
        url_column: str | None = None,
    ) -> None:
        self.counts = Counts.of(len(sides))
        self._files: list[Path] = []
        self._seed, self._by_site, self._prepare = seed, split_by == "site", prepare
        specs = [SourceSpec("side", (text,), text_column=text_column, url_column=url_column) for text in sides]
        for side, (text, plan) in enumerate([(text, _plan(spec)) for text, spec in zip(sides, specs, strict=True)]):
            for shard in plan.shards:
                self._files.append(folder / f"{len(self._files):05d}.arrow")
                writer = SketchWriter(self._files[-1])
                for piece in shard.slices:
                    for batch in source_of(piece.kind).batches(piece, Tally()):
                        writer.add(self._rows(batch, side))
                writer.close()
            if self.counts.n_read[side] == self.counts.n_empty[side]:
                raise InputError(f"{text}: no text in it")

    def lines(self, *, held_out_frac: float, max_docs: int) -> Iterator[Labelled]:
        """Yield each text once, and fill `counts`."""
        counts = self.counts
        used = [sha256() for _ in counts.n_read]
        sites: list[set[str]] = [set() for _ in counts.n_read]
        for batch in Part(self._files, 0, 1).sorted("key", then=("digest", "side", "unit")):
            for rows in _equal(batch):
                sides = Counter(row["side"] for row in rows)
                if len(sides) > 1:
                    counts.n_on_both_sides += 1
                    continue
                side, line = rows[0]["side"], rows[0]["line"]
                counts.n_copies[side] += len(rows) - 1
                if counts.n_train[side] + counts.n_held_out[side] == max_docs:
                    counts.n_left_over[side] += 1
                    continue
                unit = rows[0]["unit"]
                is_held_out = self._hash("split", unit.encode()) < held_out_frac * 2.0**64
                (counts.n_held_out if is_held_out else counts.n_train)[side] += 1
                if unit.startswith(SITE) and unit not in sites[side]:
                    sites[side].add(unit)
                    (counts.n_held_out_sites if is_held_out else counts.n_train_sites)[side] += 1
                used[side].update(rows[0]["digest"])
                yield Labelled(side, line, is_held_out)
        counts.digests = [digest.hexdigest() for digest in used]

    def _rows(self, batch: pa.RecordBatch, side: int) -> pa.Table:
        lines = [self._prepare(text) for text in batch["text"].to_pylist()]
        urls = batch["url"].to_pylist() if self._by_site else [None] * len(lines)
        rows = []
        for line, url in zip(lines, urls, strict=True):
            if line:
                digest = blake2b(line.encode(), digest_size=16).digest()
                host = host_of(url)
                unit = f"{SITE}{site_of(host)}" if host else digest.hex()
                rows.append((0, self._hash("order", digest), digest, side, unit, line))
        self.counts.n_read[side] += len(lines)
        self.counts.n_empty[side] += len(lines) - len(rows)
        columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
        return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)

    def _hash(self, purpose: str, value: bytes) -> int:
        key = f"{purpose} {self._seed}".encode()
        return int.from_bytes(blake2b(value, digest_size=8, key=key).digest(), "little")


def _plan(spec: SourceSpec) -> Plan:
    """Return the plan of one side. Raises InputError for inputs that are pages and not text."""
    plan = make_plan([spec], SHARD_BYTES)
    for shard in plan.shards:
        for piece in shard.slices:
            if "text" not in source_of(piece.kind).schema.names:
                raise InputError(f"{piece.path}: holds pages, not text; run `curate ingest` on it first")
    return plan


def _equal(batch: pa.RecordBatch) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each text; all rows of a key are in one batch, sorted by digest."""
    held: list[dict[str, Any]] = []
    for start in range(0, batch.num_rows, ROWS_AT_A_TIME):
        for row in batch.slice(start, ROWS_AT_A_TIME).to_pylist():
            if held and held[0]["digest"] != row["digest"]:
                yield held
                held = []
            held.append(row)
    if held:
        yield held
