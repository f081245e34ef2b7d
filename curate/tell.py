"""How answers read on a terminal: the life of a page, the state of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from curate.inspection import RunStatus
from curate.retune import Retuned
from curate.retune.page import unit_name
from curate.rule_counts import count_lines
from curate.verify import Verdict
from curate.why import Life

MAX_ROWS = 8  # of a table on the terminal
MAX_EXAMPLES = 5


def life_lines(life: Life) -> Iterator[str]:
    """Yield the lines of one page's life."""
    yield f"{life.url or '(no URL)'}   doc {life.doc_id}"
    yield f"  from      {life.where['warc_file']} at {life.where['offset_bytes']} (source {life.where['source']})"
    if life.outcome == "kept":
        yield f"  outcome   kept by {' → '.join(life.passed)}"
    else:
        came = f", after {' → '.join(life.passed)}" if life.passed else ""
        yield f"  outcome   {life.outcome} at {life.step}: {life.reason}{came}"
    if life.detail:
        yield f"  detail    {life.detail}"
    if life.because:
        yield f"  because   {life.because}"
    if life.rule:
        yield f"  rule      {', '.join(f'{k}={v}' for k, v in life.rule.items())}"
    for name, value in life.signals.items():
        yield f"  {name:<34} {value:.4g}" if isinstance(value, float) else f"  {name:<34} {value}"
    for mate in life.cluster:
        yield f"  same cluster: {mate['outcome']} {mate['url']} ({mate['doc_id']})"
    if life.text:
        yield "  text      " + life.text.replace("\n", " ⏎ ") + "…"


def status_lines(found: RunStatus) -> Iterator[str]:
    """Yield the state of a run, phase by phase."""
    state = "finished" if found.finished else "not finished"
    yield f"{found.recipe} in {found.run}: {state}, {found.n_shards} shards"
    for phase in found.phases:
        docs = phase["docs"]
        shards = f"{phase['shards_done']}/{found.n_shards} shards"
        left = f"{docs['dropped']:,} dropped, {docs['quarantined']:,} quarantined"
        yield f"  {phase['phase'][:2]} {phase['does']}: {shards}, {docs['in']:,} in, {docs['kept']:,} kept, {left}"
        if phase["records"]:
            yield f"       records: {_counts(phase['records'])}"
        if sum(phase["input_bytes"].values()):
            yield f"       bytes: {_counts(phase['input_bytes'])}"
        for step, reasons in phase["dropped"].items():
            yield f"       {step}: {_counts(reasons)}"
        for line in count_lines(phase["rules"]):
            yield f"       {line}"
        for span in phase["damaged"]:
            n_bytes = f", {span['n_bytes']:,} bytes" if span["n_bytes"] else ""  # none: see docs/inputs.md, Damage
            where = f"{span['input']} at {span['offset_bytes']:,}{n_bytes}"
            yield f"       damaged: {where}: {span['cause']}"


def verdict_lines(found: Verdict) -> Iterator[str]:
    """Yield what a check found wrong, and its result."""
    for name in found.unfinished:
        yield f"unfinished: {name}"
    yield from found.problems
    kind = "deep check" if found.deep else "check"
    result = "ok" if found.ok else f"{len(found.problems)} problems, {len(found.unfinished)} unfinished"
    yield f"{kind} of {found.n_shards} shards, {found.n_files} files: {result}"
    if found.deep and found.ok:
        yield f"{found.n_docs_in:,} docs in = {found.n_docs_kept:,} kept + {found.n_docs_left:,} in the ledger"


def retune_lines(found: Retuned) -> Iterator[str]:
    """Yield what a retune changes: totals, the rules, languages and sites that change most, some docs."""
    unit = unit_name(found.unit)
    if found.ran_again:
        yield f"the recipe ran again: {found.ran_again}"
    yield f"kept: {_before_and_now(found.totals, unit)}"
    groups = (
        ("rules: docs dropped", found.rules),
        ("languages: docs kept", found.languages),
        ("sites: docs kept", found.sites),
    )
    for title, rows in groups:
        changed = [row for row in rows if row["docs_before"] != row["docs_after"]]
        if changed:
            yield title
        for row in changed[:MAX_ROWS]:
            yield f"  {row['key'] or '(none)':<40} {_before_and_now(row, unit)}"
        if len(changed) > MAX_ROWS:
            yield f"  and {len(changed) - MAX_ROWS} more in the report"
    for kind, docs in found.examples.items():
        yield f"{kind}, such as"
        for doc in docs[:MAX_EXAMPLES]:
            numbers = doc["because_before"] if kind == "kept again" else doc["because_after"]
            because = f"   {numbers}" if numbers else ""
            yield f"  {doc['url'] or doc['doc_id']}   {doc['before']} → {doc['after']}{because}"
    if not any(row["docs_before"] != row["docs_after"] for row in found.rules):
        yield "no doc changes"
    yield f"→ {found.out}" if found.wrote_anything else f"nothing to do, {found.out} holds this retune"


def _before_and_now(row: Mapping[str, int], unit: str | None) -> str:
    change = row["docs_after"] - row["docs_before"]
    sizes = f"; {row['units_before']:,} → {row['units_after']:,} {unit}" if unit else ""
    return f"{row['docs_before']:,} → {row['docs_after']:,} docs ({change:+,}){sizes}"


def plan_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a plan: inputs, shards, phases."""
    yield (
        f"{found['recipe']}: {found['n_inputs']} inputs, {found['input_bytes']:,} bytes, {found['n_shards']} shards, "
        f"{found['n_parts']} part(s) per fold"
    )
    for row in found["phases"]:
        note = "" if row["writes_docs"] else "   (writes no docs)"
        yield f"  {row['phase'][:2]}  reads {row['reads']:<10} {row['does']}{note}"
        for step, names in row["measures"].items():
            line = f"{step} measures {len(names)}: {', '.join(names)}"
            yield from textwrap.wrap(line, 118, initial_indent=" " * 6, subsequent_indent=" " * 10)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())
