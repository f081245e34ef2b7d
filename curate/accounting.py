"""The two equations every run must keep: of input bytes, and of docs and text bytes from step to step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from curate.errors import AccountingError
from curate.phases import Phase
from curate.receipts import Receipt, read_receipt
from curate.rule_counts import RuleCounts, add_counts
from curate.rundir import Run


def check_shard(receipt: Receipt) -> None:
    """Raise AccountingError unless every byte and every doc of a shard is accounted for."""
    where = f"phase {receipt['phase']}, shard {receipt['shard']}"
    docs, text = receipt["docs"], receipt["text_bytes"]
    n_dropped = sum(sum(reasons.values()) for reasons in docs["dropped"].values())
    left = docs["kept"] + n_dropped + sum(docs["quarantined"].values())
    if docs["in"] != left:
        raise AccountingError(f"{where}: {docs['in']} docs in, {left} accounted for")
    left = text["kept"] + text["dropped"] + text["quarantined"]
    if text["in"] + text["rewritten"] != left:
        raise AccountingError(f"{where}: {text['in'] + text['rewritten']} text bytes in, {left} accounted for")
    if receipt["docs_file"] is not None and receipt["docs_file"]["rows"] != docs["kept"]:
        raise AccountingError(f"{where}: {docs['kept']} docs kept, {receipt['docs_file']['rows']} written")
    read: dict[str, int] = {}
    for slice_name, tally in receipt["inputs"].items():
        name = slice_name.rpartition("[")[0]
        read[name] = read.get(name, 0) + tally["bytes_ok"] + tally["bytes_bad"] + tally["bytes_padding"]
    for name, n_bytes in receipt["input_bytes"].items():
        if read.get(name) != n_bytes:
            raise AccountingError(f"{where}: {name} has {n_bytes} bytes, {read.get(name, 0)} accounted for")


def check_chain(run: Run, phase: Phase, receipts: Iterable[Receipt]) -> None:
    """Raise AccountingError unless a phase was given exactly the docs that the one above it kept."""
    if phase.upstream is None:
        return
    above = run.phases[phase.upstream]
    for shard, receipt in zip(run.plan.shards, receipts, strict=True):
        kept = read_receipt(run.shard_receipt(above, shard))["docs"]["kept"]
        if receipt["docs"]["in"] != kept:
            raise AccountingError(
                f"phase {phase.folder}, shard {shard.name}: {receipt['docs']['in']} docs in, {kept} kept above"
            )


def totals(receipts: Iterable[Receipt]) -> dict[str, Any]:
    """Add up the counts of receipts: docs, drops by step and reason, what rules fired, records by kind, bytes."""
    docs = {"in": 0, "kept": 0, "dropped": 0, "quarantined": 0}
    dropped: dict[str, dict[str, int]] = {}
    quarantined: dict[str, int] = {}
    records: dict[str, int] = {}
    n_bytes = {"ok": 0, "bad": 0, "padding": 0}
    damaged: list[dict[str, Any]] = []
    rules: RuleCounts = {}
    for receipt in receipts:
        add_counts(rules, receipt.get("rules", {}))  # older receipts have none
        docs["in"] += receipt["docs"]["in"]
        docs["kept"] += receipt["docs"]["kept"]
        for step, reasons in receipt["docs"]["dropped"].items():
            for reason, n in reasons.items():
                docs["dropped"] += n
                dropped.setdefault(step, {})[reason] = dropped.setdefault(step, {}).get(reason, 0) + n
        for step, n in receipt["docs"]["quarantined"].items():
            docs["quarantined"] += n
            quarantined[step] = quarantined.get(step, 0) + n
        for slice_name, tally in receipt["inputs"].items():
            for kind in n_bytes:
                n_bytes[kind] += tally[f"bytes_{kind}"]
            for kind, n in tally["records"].items():
                records[kind] = records.get(kind, 0) + n
            damaged += [{"input": slice_name.rpartition("[")[0], **span} for span in tally["bad_spans"]]
    return {
        "docs": docs,
        "dropped": dropped,
        "quarantined": quarantined,
        "rules": rules,
        "records": dict(sorted(records.items())),
        "input_bytes": n_bytes,
        "damaged": damaged,
    }
