"""Mirrors curate/rule_counts.py: a rule that never or always fires is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate import api
from curate.accounting import totals
from curate.receipts import read_receipt
from curate.rule_counts import RuleCounts, add_counts, count_fired, count_lines, odd_rules
from tests.runs import sentences
from tests.test_cli import ask


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over 40 docs in several shards: half of them too short, one of them without a text."""
    folder = tmp_path_factory.mktemp("counts")
    texts = [sentences(n, 80) if n % 2 else sentences(n, 5) for n in range(39)] + [""]
    (folder / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "r.yaml").write_text(
        "shard_bytes: 5000\nsteps:\n"
        "  - quality: {rules: [{signal: n_words__whitespace, min: 50, reason: short},"
        " {signal: n_text_chars, max: 1, reason: never_so_short}, {signal: n_hash_signs, min: 1, reason: no_hash}]}\n"
    )
    api.run(folder / "r.yaml", [folder / "in.jsonl"], folder / "out")
    return folder / "out"


def test_a_run_counts_every_rule_alone_and_first(run: Path) -> None:
    counted = api.status(run).phases[0]["rules"]
    assert counted == {
        "quality": {
            "docs": 40,
            "broken": {"short.min": 21, "never_so_short.max": 39, "no_hash.min": 40},
            "first": {"short.min": 20, "never_so_short.max": 19, "no_hash.min": 0},
        }
    }
    dropped = api.status(run).phases[0]["dropped"]["quality"]
    assert dropped == {"empty": 1, "short": 20, "never_so_short": 19}


def test_status_tells_them(run: Path) -> None:
    code, out, _ = ask("status", run)
    assert code == 0
    assert "quality, rules broken by (first for) of 40 docs: never_so_short.max 39 (19), no_hash.min 40 (0)" in out
    assert "quality, rules that every doc broke: no_hash.min\n" in out


def test_the_report_shows_them(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a page", "url": "https://a.example/"}\n')
    (tmp_path / "r.yaml").write_text("steps:\n  - quality: {rules: ccnet}\n  - report\n")
    api.run(tmp_path / "r.yaml", [tmp_path / "in.jsonl"], tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert report["rules"] == {"quality": {"docs": 1, "broken": {"min_chars": 1}, "first": {"min_chars": 1}}}
    assert "<td>1, always</td>" in (tmp_path / "out" / "report" / "report.html").read_text()


def test_receipts_without_counts_are_of_older_runs(run: Path) -> None:
    receipts = [read_receipt(file) for file in sorted(run.glob("phases/*/receipts/*.json"))]
    assert len(receipts) > 1
    older = [{key: value for key, value in receipt.items() if key != "rules"} for receipt in receipts]
    assert totals(older)["rules"] == {}
    assert {**totals(older), "rules": totals(receipts)["rules"]} == totals(receipts)


def test_counts_add_up() -> None:
    counts: RuleCounts = {}
    count_fired(counts, "quality", 3, {"min_words": (2, 1), "max_words": (0, 0)})
    add_counts(counts, {"quality": {"docs": 2, "broken": {"min_words": 1}, "first": {"min_words": 1}}})
    count_fired(counts, "language", 9, {})  # a step without rules
    assert counts == {
        "quality": {"docs": 5, "broken": {"min_words": 3, "max_words": 0}, "first": {"min_words": 2, "max_words": 0}}
    }
    assert list(count_lines(counts)) == [
        "quality, rules broken by (first for) of 5 docs: min_words 3 (2)",
        "quality, rules that no doc broke: max_words",
    ]


def test_rules_that_never_or_always_fire_are_named_once_there_are_docs_enough() -> None:
    row = {"docs": 1000, "broken": {"a": 0, "b": 1000, "c": 4}, "first": {"a": 0, "b": 1000, "c": 0}}
    assert odd_rules([{"q": row}]) == "none of 1,000 docs broke a of q; all of 1,000 docs broke b of q"
    assert odd_rules([{"q": {**row, "docs": 999}}]) == ""
    assert odd_rules([{}]) == ""


def test_a_run_ends_with_a_warning_on_such_rules(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": f"page {n}"}) + "\n" for n in range(1000))
    (tmp_path / "in.jsonl").write_text(rows)
    code, _, err = ask("quality", tmp_path / "in.jsonl", "--rules", "ccnet", "-o", tmp_path / "out", "--mode", "tag")
    assert code == 0
    assert "warning: all of 1,000 docs broke min_chars of quality" in err
    code, _, err = ask("quality", tmp_path / "in.jsonl", "--rules", "ccnet", "-o", tmp_path / "out", "--mode", "tag")
    assert "warning" not in err  # nothing was done
