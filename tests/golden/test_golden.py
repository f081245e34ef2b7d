"""The output of every step on a small input, by digest: whoever changes it must raise the step's `version`.

After a change on purpose: raise `version`, then run with CURATE_REGENERATE_GOLDEN=1 and commit steps.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.recipe import Step
from curate.source import Slice, Tally
from curate.sources import source_of
from tests.folds.drive import run_fold, verdicts_of
from tests.helpers import ROOT, measured_for
from tests.laws.specs import PARAMETERS, TEXTS, byte_tokenizer, docs, made, read_by, sweep, title

GOLDEN = Path(__file__).with_name("steps.json")
REGENERATE = "CURATE_REGENERATE_GOLDEN"
CRAWL = ROOT / "examples" / "data" / "crawl-0.warc.gz"
STEPS = [*sweep("stage"), *sweep("fold")]
EVERY = pytest.mark.parametrize(("name", "params"), STEPS, ids=[title(*row) for row in STEPS])
# pyarrow's bytes may change with its version, so may the manifest, which has their checksums; looks may change too
NOT_COMPARED = (".parquet", ".html", "manifest.json")


@cache
def _input() -> pa.RecordBatch:
    """Return the docs made for the laws, and 24 pages of the crawl in examples/ with their source as text."""
    size = CRAWL.stat().st_size
    batches = source_of("warc").batches(Slice(str(CRAWL), CRAWL.name, "warc", "web", 0, size, size), Tally())
    pages = pa.Table.from_batches(islice(batches, 1)).slice(0, 24)
    text = pa.array([html.decode("utf-8", "replace") for html in pages["html"].to_pylist()], pa.string())
    pages = pages.append_column("text", text).append_column("language", pa.nulls(pages.num_rows, pa.string()))
    made_docs = pa.Table.from_batches([docs(range(2 * len(TEXTS)))])
    both = pa.concat_tables([made_docs, pages], promote_options="default").select(made_docs.column_names)
    return both.combine_chunks().to_batches()[0]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _of_stage(step: Step) -> str:
    verdict = step.spec(measured_for(step, _input()))
    columns = {name: (str(column.type), column.to_pylist()) for name, column in verdict.columns.items()}
    return _digest([columns, None if verdict.drop_reason is None else verdict.drop_reason.to_pylist()])


def _of_fold(step: Step, folder: Path) -> str:
    batch = read_by(step, _input())
    if step.spec.sees == "all":
        nothing = pa.nulls(batch.num_rows, pa.string())
        batch = batch.append_column("step", nothing).append_column("reason", nothing)
    (folder / "run").mkdir()
    out = run_fold(step.spec, [[batch.slice(0, 20)], [batch.slice(20)]], folder / "run")
    files = {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*"))
        if file.is_file()
        and file.suffix not in (".parquet", ".html")  # pyarrow's bytes and the page's looks may change
    }
    return _digest([files, sorted((*place, verdict) for place, verdict in verdicts_of(out).items())])


def _found(name: str, params: dict[str, Any], folder: Path) -> dict[str, Any]:
    if name == "tokenize":
        params = {**params, "tokenizer": str(byte_tokenizer(folder))}
    step = made(name, params)
    digest = _of_fold(step, folder) if step.is_fold else _of_stage(step)
    uses = {used: version(used) for used in step.spec.uses}
    return {"version": step.spec.version, "uses": uses, "sha256": digest}


@EVERY
def test_the_output_of_a_step_changes_with_its_version_only(name: str, params: dict[str, Any], tmp_path: Path) -> None:
    key = title(name, params)
    found = _found(name, params, tmp_path)
    golden: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get(REGENERATE):
        GOLDEN.write_text(json.dumps({**golden, key: found}, indent=1, sort_keys=True) + "\n")
        return
    hint = f"run with {REGENERATE}=1 and commit {GOLDEN.name}"
    assert key in golden, f"no golden digest of `{key}`; {hint}"
    known = golden[key]
    if found["uses"] != known["uses"]:
        pytest.skip(f"the digest is that of {known['uses']}, here are {found['uses']}")
    if found["version"] != known["version"]:
        pytest.fail(f"`{name}` has version {found['version']}, its golden digest {known['version']}; {hint}")
    assert found["sha256"] == known["sha256"], f"the output of `{key}` changed: raise its `version`, then {hint}"


def test_nothing_is_kept_of_steps_that_are_gone() -> None:
    known = {title(name, given) for name, all_given in PARAMETERS.items() for given in all_given}
    golden = json.loads(GOLDEN.read_text())
    if os.environ.get(REGENERATE):
        golden = {key: found for key, found in golden.items() if key in known}
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
    assert set(golden) == known
