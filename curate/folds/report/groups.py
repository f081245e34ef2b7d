"""The sums of one key over the whole corpus, and which keys are worth keeping by name.

Every key lives in one part, so a key among the first k of all parts is among the first k of its own:
each part keeps a small pool of named groups and the totals of all, and nothing is lost by merging them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from curate.folds.report.counters import MEASURES, add_up

ROWS_HELD = 1 << 20  # rows added up at once; bounds memory beside the number of distinct keys of a part


class Sums(NamedTuple):
    """What a set of docs adds up to. `tokens` and `words` are 0 for docs that have none."""

    docs: int = 0
    tokens: int = 0
    words: int = 0
    chars: int = 0
    bytes: int = 0

    def plus(self, other: Sums) -> Sums:
        return Sums(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: Sums) -> Sums:
        return Sums(*(a - b for a, b in zip(self, other, strict=True)))


NO_DOCS = Sums()


@dataclass(frozen=True)
class Group:
    """One key of an axis: its kept docs, and its lost docs by step."""

    key: str
    kept: Sums = NO_DOCS
    lost: Mapping[str, Sums] = field(default_factory=dict)

    @property
    def seen(self) -> Sums:
        return add_sums([self.kept, *self.lost.values()])


NO_KEY = Group("")


def add_sums(sums: Iterable[Sums]) -> Sums:
    """Return the sum of sums."""
    total = NO_DOCS
    for each in sums:
        total = total.plus(each)
    return total


def share(part: int, whole: int) -> float | None:
    """Return part / whole to six places; None where there is no whole."""
    return round(part / whole, 6) if whole else None


def in_order(steps: Sequence[str], found: Iterable[str]) -> list[str]:
    """Return `steps`, then those found beside them by name."""
    return [*steps, *sorted(set(found) - set(steps))]


def reached(group: Group, steps: Sequence[str]) -> dict[str, Sums]:
    """Return what of the group came as far as each of `steps`, and each step beside them that lost some of it."""
    left, found = group.seen, {}
    for step in in_order(steps, group.lost):
        found[step] = left
        left = left.minus(group.lost.get(step, NO_DOCS))
    return found


def groups_of(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, Group]]:
    """Yield (axis, group) for one part's sketch rows, ordered by axis and key."""
    held: list[pa.Table] = []
    n_rows, flush_at = 0, ROWS_HELD
    for batch in batches:
        held.append(pa.table(batch).drop_columns(["part"]))
        n_rows += batch.num_rows
        if n_rows > flush_at:
            held = [add_up(pa.concat_tables(held))]
            n_rows, flush_at = held[0].num_rows, 2 * held[0].num_rows + ROWS_HELD
    if not held:
        return
    table = add_up(pa.concat_tables(held)).sort_by([("axis", "ascending"), ("key", "ascending")])
    axis, key, kept, lost = "", "", NO_DOCS, dict[str, Sums]()
    for rows in table.to_batches(max_chunksize=1 << 16):
        columns = [rows[name].to_pylist() for name in ("axis", "key", "step", *MEASURES)]
        for row_axis, row_key, step, *values in zip(*columns, strict=True):
            if (row_axis, row_key) != (axis, key):
                if axis:
                    yield axis, Group(key, kept, lost)
                axis, key, kept, lost = row_axis, row_key, NO_DOCS, {}
            if step:
                lost[step] = Sums(*values)
            else:
                kept = Sums(*values)
    if axis:
        yield axis, Group(key, kept, lost)


def first(groups: Iterable[Group], limit: int, rank: Callable[[Group], float]) -> list[Group]:
    """Return up to `limit` groups by falling rank, ties by key; groups of rank 0 are left out."""
    return heapq.nsmallest(limit, (g for g in groups if rank(g) > 0), key=lambda g: (-rank(g), g.key))


def loss_rate(step: str, steps: Sequence[str], min_docs: int) -> Callable[[Group], float]:
    """Return a rank: lost at `step` / reached `step`, 0 for groups with fewer than `min_docs` docs there."""

    def rank(group: Group) -> float:
        if step not in group.lost:
            return 0.0
        came = reached(group, steps)[step].docs
        return group.lost[step].docs / came if came >= min_docs else 0.0

    return rank


@dataclass
class Axis:
    """One axis of a part or of the corpus: totals over all keys, and a pool of named groups."""

    limit: int
    n_keys: int = 0  # with kept docs
    n_keys_seen: int = 0
    kept: Sums = NO_DOCS
    lost: dict[str, Sums] = field(default_factory=dict)
    squares: Sums = NO_DOCS  # of each key's kept sums, for the Herfindahl–Hirschman index
    unknown: Group = NO_KEY  # docs without a key; in none of the figures above
    pool: list[Group] = field(default_factory=list)

    def add(self, group: Group) -> None:
        """Count a whole group. The caller prunes the pool."""
        if group.key == "":
            self.unknown = group
            return
        self.n_keys += group.kept.docs > 0
        self.n_keys_seen += 1
        self._add_totals(group.kept, group.lost, Sums(*(value * value for value in group.kept)))
        self.pool.append(group)

    def merge(self, other: Axis) -> None:
        """Take in the same axis of another part: their keys are disjoint."""
        self.n_keys += other.n_keys
        self.n_keys_seen += other.n_keys_seen
        self._add_totals(other.kept, other.lost, other.squares)
        self.pool += other.pool
        if other.unknown.seen.docs:
            self.unknown = other.unknown

    def _add_totals(self, kept: Sums, lost: Mapping[str, Sums], squares: Sums) -> None:
        self.kept, self.squares = self.kept.plus(kept), self.squares.plus(squares)
        for step, sums in lost.items():
            self.lost[step] = self.lost.get(step, NO_DOCS).plus(sums)

    def prune(self, steps: Sequence[str], min_docs: int) -> None:
        """Keep the groups that some table of the report may name: the first `limit` by each ranking."""
        ranks: list[Callable[[Group], float]] = [
            lambda g: g.seen.docs, lambda g: g.kept.docs, lambda g: g.kept.tokens, lambda g: g.kept.words
        ]  # fmt: skip
        ranks += [loss_rate(step, steps, min_docs) for step in self.lost]
        named = {group.key: group for rank in ranks for group in first(self.pool, self.limit, rank)}
        self.pool = [named[key] for key in sorted(named)]

    def to_json(self) -> dict[str, Any]:
        return {
            "limit": self.limit, "n_keys": self.n_keys, "n_keys_seen": self.n_keys_seen, "kept": self.kept,
            "lost": self.lost, "squares": self.squares, "unknown": _group_json(self.unknown),
            "pool": [_group_json(group) for group in self.pool],
        }  # fmt: skip

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Axis:
        return cls(
            found["limit"], found["n_keys"], found["n_keys_seen"], Sums(*found["kept"]),
            {step: Sums(*sums) for step, sums in found["lost"].items()}, Sums(*found["squares"]),
            _group(found["unknown"]), [_group(group) for group in found["pool"]],
        )  # fmt: skip


def _group_json(group: Group) -> list[Any]:
    return [group.key, group.kept, group.lost]


def _group(found: Sequence[Any]) -> Group:
    return Group(found[0], Sums(*found[1]), {step: Sums(*sums) for step, sums in found[2].items()})
