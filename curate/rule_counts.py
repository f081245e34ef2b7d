"""How often each rule of a step fires: added up over batches and shards, and told where one never or always does.

A rule that never fires may ask for a signal that is never large, or for nothing at all; one that always fires drops the
corpus. Neither shows in the numbers of docs dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MIN_DOCS = 1000  # fewer docs through a step say little of a rule that none of them broke

# step → {"docs": docs the step looked at, "broken": rule → docs that break it, "first": … and no rule before it}
RuleCounts = dict[str, dict[str, Any]]


def count_fired(counts: RuleCounts, step: str, n_docs: int, fired: Mapping[str, tuple[int, int]]) -> None:
    """Add what a step said of n docs: by rule, how many break it and for how many it is the first."""
    if not fired:
        return
    row = counts.setdefault(step, {"docs": 0, "broken": {}, "first": {}})
    row["docs"] += n_docs
    for rule, (n_broken, n_first) in fired.items():
        row["broken"][rule] = row["broken"].get(rule, 0) + n_broken
        row["first"][rule] = row["first"].get(rule, 0) + n_first


def add_counts(counts: RuleCounts, more: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the counts of a receipt, or of a phase."""
    for step, row in more.items():
        fired = {rule: (n, row["first"][rule]) for rule, n in row["broken"].items()}
        count_fired(counts, step, row["docs"], fired)


def count_lines(counts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield, per step, how many docs break each rule, for how many it is the first, and which never or always fire."""
    for step, row in counts.items():
        fired = ", ".join(f"{rule} {n:,} ({row['first'][rule]:,})" for rule, n in row["broken"].items() if n)
        yield f"{step}, rules broken by (first for) of {row['docs']:,} docs: {fired or 'none'}"
        for what, wanted in (("no", 0), ("every", row["docs"])):
            if row["docs"] and (rules := [rule for rule, n in row["broken"].items() if n == wanted]):
                yield f"{step}, rules that {what} doc broke: {', '.join(rules)}"


def odd_rules(counts: Iterable[Mapping[str, Mapping[str, Any]]]) -> str:
    """Return one line on the rules that never, or always, fired in steps of at least MIN_DOCS docs; "" if none did."""
    found = []
    for step, row in ((step, row) for phase in counts for step, row in phase.items()):
        if row["docs"] < MIN_DOCS:
            continue
        for what, wanted in (("none", 0), ("all", row["docs"])):
            if rules := [rule for rule, n in row["broken"].items() if n == wanted]:
                found.append(f"{what} of {row['docs']:,} docs broke {', '.join(rules)} of {step}")
    return "; ".join(found)
