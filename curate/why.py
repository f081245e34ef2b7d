"""The life of one page: found again by URL or doc_id, with every signal, decision and reason."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.dataset import read_docs
from curate.errors import InputError
from curate.ledger import BASE
from curate.phases import Phase
from curate.receipts import read_receipt
from curate.rundir import Run, open_run
from curate.seen import seen_by

MAX_MATES = 20
DOC_ID = re.compile(r"[0-9a-f]{32}")


@dataclass
class Life:
    """What became of one doc."""

    doc_id: str
    url: str | None
    where: dict[str, Any]  # source, warc_file, offset_bytes
    outcome: str  # "kept", "dropped" or "quarantined"
    step: str | None  # that dropped it
    reason: str | None
    detail: str | None
    passed: list[str]  # ids of the steps it came through
    signals: dict[str, Any]
    rule: dict[str, Any] = field(default_factory=dict)  # parameters of the step that dropped it
    because: str = ""  # the numbers behind the reason, where the step can tell them
    cluster: list[dict[str, Any]] = field(default_factory=list)  # other docs of its duplicate cluster
    text: str | None = None  # first characters, of kept docs


def why(run: str | Path, page: str) -> list[Life]:
    """Return the life of every doc with this URL or doc_id, in input order; of a retune, as it decided.

    Raises InputError if the run has no such doc.
    """
    mark = Path(run) / "retune.json"
    if mark.is_file() and not (Path(run) / "run.json").is_file():
        from curate.retune.lives import lives_of

        return lives_of(Path(run), mark, page)
    opened = open_run(Path(run))
    page = page.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # as sources read a URL's bytes
    column = "doc_id" if DOC_ID.fullmatch(page) else "url"
    lives = [_life(opened, phase, row) for phase, row in _rows(opened, column, [page])]
    if not lives:
        raise InputError(f"{run} has no doc with the {column} {page!r}{_hint(opened, page)}")
    return sorted(lives, key=lambda life: (str(life.where["warc_file"]), life.where["offset_bytes"] or 0))


def _rows(run: Run, column: str, values: list[str]) -> Iterator[tuple[Phase | None, dict[str, Any]]]:
    """Yield (phase it left in, row) for docs in ledgers, and (None, row) for kept docs."""
    wanted = pa.array(values, pa.string())
    last = [phase for phase in run.phases if phase.writes_docs][-1:]
    for phase in run.phases:
        for shard in run.plan.shards:
            file = run.shard_receipt(phase, shard)
            if not file.exists():
                continue
            receipt = read_receipt(file)
            for entry, left in ((receipt["ledger_file"], True), (receipt["docs_file"], False)):
                if entry is None or (not left and phase not in last) or entry["rows"] == 0:
                    continue
                for batch in read_docs(run.phase_folder(phase) / entry["path"]):
                    if column in batch.schema.names:
                        found = batch.filter(pc.is_in(batch[column], wanted))
                        yield from ((phase if left else None, row) for row in found.to_pylist())


def _life(run: Run, phase: Phase | None, row: dict[str, Any]) -> Life:
    order = [step.id for step in run.recipe.steps]
    step = row.get("step") if phase is not None else None
    passed = order[: order.index(step)] if step in order else order
    hidden = {*BASE.names, "text", "fetched_at", "id"}
    signals = {k: v for k, v in row.items() if k not in hidden and v is not None}
    if row.get("language") is not None:
        signals = {"language": row["language"], **signals}
    rule, because = {}, ""
    for spec, found in ((s.spec, s) for s in run.recipe.steps if s.id == step):
        rule = {f.name: v for f in dataclasses.fields(spec) if (v := getattr(spec, f.name)) is not None and v != ""}
        if hasattr(spec, "explain") and row.get("outcome") == "dropped":
            because = spec.explain(row["reason"], *((row, seen_by(run, found)) if found.is_fold else (signals,)))
    text = row.get("text")
    return Life(
        doc_id=row["doc_id"],
        url=row["url"],
        where={k: row.get(k) for k in ("source", "warc_file", "offset_bytes")},
        outcome=row.get("outcome") or "kept",
        step=step,
        reason=row.get("reason") if phase is not None else None,
        detail=row.get("detail") if phase is not None else None,
        passed=passed,
        signals=signals,
        rule=rule,
        because=because,
        cluster=_mates(run, row),
        text=text[:280] if text else None,
    )


def _mates(run: Run, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return other docs of the same duplicate cluster, the keeper first."""
    cluster = row.get("cluster_id")
    if cluster is None:
        return []
    mates = []
    for phase, mate in _rows(run, "cluster_id", [cluster]):
        if mate["doc_id"] != row["doc_id"]:
            mates.append(
                {"doc_id": mate["doc_id"], "url": mate["url"], "outcome": "kept" if phase is None else mate["outcome"]}
            )
    mates.sort(key=lambda m: (m["doc_id"] != cluster, m["doc_id"]))
    return mates[:MAX_MATES]


def _hint(run: Run, page: str) -> str:
    """Say what else the URL may be: records that are not pages have no doc."""
    bare = page.rstrip("/")
    for variant in (bare, bare + "/", bare.replace("http://", "https://"), bare.replace("https://", "http://")):
        if variant != page and next(_rows(run, "url", [variant]), None):
            return f"; did you mean {variant!r}?"
    said = "records that are not pages (images, redirects, errors) are counted, and damaged spans listed"
    return f"; {said}, in `curate status`"
