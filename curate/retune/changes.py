"""What a retune changes: docs and their size before and after, by language, site and rule, and docs as examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from curate.sites import host_of, site_of

N_EXAMPLES = 20  # of each kind: come back, now dropped, dropped for another reason
KINDS = ("kept again", "dropped now", "another reason")
SUMS = ("docs_before", "docs_after", "units_before", "units_after")
# A host that needs nothing done, so that most URLs are cut by Arrow; `curate.sites` does the others.
_HOST = r"^https?://(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]+)(?:[/?#]|$)"


class Because(Protocol):
    """Tells the numbers behind a reason; `before` asks for the limits that held before."""

    def __call__(self, step: str, reason: str, signals: Mapping[str, Any], *, before: bool) -> str: ...


class Changes:
    """Adds up batches of decisions. What it holds grows with the languages, sites and rules, not with the docs."""

    def __init__(self) -> None:
        self._sums: dict[str, list[pa.Table]] = {"all": [], "language": [], "site": [], "rule": []}
        self._examples: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}

    def add(self, docs: pa.RecordBatch, decisions: pa.RecordBatch, unit: str | None, because: Because) -> None:
        """Count docs; `because` is asked about examples."""
        n = docs.num_rows
        sizes = pc.fill_null(pc.cast(docs[unit], pa.int64()), 0) if unit in docs.schema.names else _zeros(n)
        sums = {}
        for when, kept in (("before", decisions["kept_before"]), ("after", decisions["kept"])):
            sums[f"docs_{when}"] = pc.cast(kept, pa.int64())
            sums[f"units_{when}"] = pc.if_else(kept, sizes, 0)
        keys = {
            "all": _same("", n),
            "language": pc.fill_null(_strings(docs, "language"), ""),
            "site": _sites(_strings(docs, "url")),
        }
        for axis, key in keys.items():
            self._fold(axis, pa.table({"key": key, **{name: sums[name] for name in SUMS}}))
        for when, step, reason in (("before", "step_before", "reason_before"), ("after", "step", "reason")):
            rule = pc.binary_join_element_wise(decisions[step], decisions[reason], ": ")
            lost = pc.cast(pc.is_valid(rule), pa.int64())
            counted = {name: _zeros(n) for name in SUMS} | {
                f"docs_{when}": lost, f"units_{when}": pc.if_else(pc.is_valid(rule), sizes, 0)
            }  # fmt: skip
            self._fold("rule", pa.table({"key": rule, **counted}).filter(pc.is_valid(rule)))
        self._keep_examples(docs, decisions, because)

    def summary(self, unit: str | None, top: int) -> dict[str, Any]:
        """Return plain values: totals, the `top` languages and sites that change most, all rules, the examples."""
        totals = dict.fromkeys(SUMS, 0) | next(iter(self._rows("all")), {})
        totals.pop("key", None)
        return {
            "unit": unit,
            "totals": totals,
            "rules": sorted(
                self._rows("rule"), key=lambda row: (-max(row["docs_before"], row["docs_after"]), row["key"])
            ),
            "languages": self._rows("language")[:top],
            "sites": self._rows("site")[:top],
            "n_languages": len(self._rows("language")),
            "n_sites": len(self._rows("site")),
            "examples": {kind: found for kind, found in self._examples.items() if found},
        }

    def _fold(self, axis: str, table: pa.Table) -> None:
        """Join a table's sums to those held; few tables are held at a time."""
        held = self._sums[axis]
        held.append(_added_up(table))
        if len(held) > 16:
            held[:] = [_added_up(pa.concat_tables(held))]

    def _rows(self, axis: str) -> list[dict[str, Any]]:
        """Return the sums of an axis, largest change of docs first."""
        if not self._sums[axis]:
            return []
        self._sums[axis][:] = [_added_up(pa.concat_tables(self._sums[axis]))]
        rows: list[dict[str, Any]] = self._sums[axis][0].to_pylist()
        return sorted(rows, key=lambda r: (-abs(r["docs_after"] - r["docs_before"]), -r["docs_before"], r["key"]))

    def _keep_examples(self, docs: pa.RecordBatch, decisions: pa.RecordBatch, because: Because) -> None:
        """Keep the docs with the lowest ids of each kind: ids are hashes, so they are a fair draw, always the same."""
        kept, before = decisions["kept"], decisions["kept_before"]
        other = pc.or_(
            pc.fill_null(pc.not_equal(decisions["step"], decisions["step_before"]), False),
            pc.fill_null(pc.not_equal(decisions["reason"], decisions["reason_before"]), False),
        )
        masks = (pc.and_not(kept, before), pc.and_not(before, kept), other)
        for kind, mask in zip(KINDS, masks, strict=True):
            rows = pc.indices_nonzero(mask)
            if not len(rows):
                continue
            rows = rows.take(pc.array_sort_indices(docs["doc_id"].take(rows))[:N_EXAMPLES])
            for doc, decision in zip(docs.take(rows).to_pylist(), decisions.take(rows).to_pylist(), strict=True):
                self._examples[kind].append(_example(doc, decision, because))
            self._examples[kind] = sorted(self._examples[kind], key=lambda found: found["doc_id"])[:N_EXAMPLES]


def _example(doc: Mapping[str, Any], decision: Mapping[str, Any], because: Because) -> dict[str, Any]:
    found = {name: doc.get(name) for name in ("doc_id", "url", "language")}
    for when, suffix in (("before", "_before"), ("after", "")):
        step, reason = decision[f"step{suffix}"], decision[f"reason{suffix}"]
        found[when] = "kept" if step is None else f"{step}: {reason}"
        found[f"because_{when}"] = "" if step is None else because(step, reason, doc, before=when == "before")
    return found


def _added_up(table: pa.Table) -> pa.Table:
    grouped = table.group_by("key", use_threads=False).aggregate([(name, "sum") for name in SUMS])
    return grouped.select(["key", *(f"{name}_sum" for name in SUMS)]).rename_columns(["key", *SUMS])


def _strings(docs: pa.RecordBatch, name: str) -> pa.Array:
    return docs[name] if name in docs.schema.names else pa.nulls(docs.num_rows, pa.string())


def _zeros(n: int) -> pa.Array:
    return pa.repeat(pa.scalar(0, pa.int64()), n)


def _same(value: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), n)


def _sites(urls: pa.Array) -> pa.Array:
    """Return string[n]: the site of each URL, "" where it has none."""
    hosts = pc.struct_field(pc.extract_regex(urls, _HOST), "host")
    unusual = [host_of(url) or "" for url in urls.filter(pc.is_null(hosts)).to_pylist()]
    hosts = pc.replace_with_mask(hosts, pc.is_null(hosts), pa.array(unusual, pa.string())).dictionary_encode()
    sites = [site_of(host_of(f"http://{host}/") or host) if host else "" for host in hosts.dictionary.to_pylist()]
    return pa.array(sites, pa.string()).take(hosts.indices)
