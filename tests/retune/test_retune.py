"""Deciding again from stored signals gives what a full run with those limits gives, and says what changed."""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from curate import api
from curate.errors import InputError
from curate.recipe import parse_recipe
from curate.retune.scope import parse_settings, retuned
from tests.retune.conftest import TAGGING, dropping, write_texts
from tests.runs import contents, curate, documents, ledger, recipe_file, said_in_one_line, tree

Tagged = tuple[Path, list[Path]]
LIMITS = {
    "quality.min_words": (0, 20, 49, 50, 80, 150),
    "quality.min_stop_words": (0, 1, 5),
    "quality.max_hash_signs_per_word": (0, 0.1, 0.5),
    "quality.max_bullet_line_frac": (0.1, 0.9, 1),
    "repetition.max_dup_line_frac": (0, 0.3, 0.5, 0.9),
    "repetition.max_dup5_char_frac": (0.01, 0.15, 1),
    "language.min_score": (0, 0.3, 0.5, 0.9),
    "language.keep": (["en"], ["de"], ["en", "de"]),
}


def decisions(out: Path) -> dict[str, dict[str, Any]]:
    rows = pa.concat_tables([pq.read_table(f) for f in sorted((out / "decisions").glob("*.parquet"))]).to_pylist()
    return {row["doc_id"]: row for row in rows}


def steps_with(settings: dict[str, Any]) -> list[Any]:
    """Return the recipe's steps, dropping, with these limits."""
    steps = {
        (given.get("id") or name): (name, copy.deepcopy(given)) for s in dropping(TAGGING) for name, given in s.items()
    }
    for key, value in settings.items():
        step, _, name = key.partition(".")
        given = steps[step][1]
        if step == "language":
            given[name] = value
        else:
            given.setdefault("thresholds", {})[name] = value
    return [{name: given} for name, given in steps.values()]


@pytest.mark.parametrize("seed", range(6))
def test_it_decides_as_a_full_run_with_these_limits_does(tmp_path: Path, tagged: Tagged, seed: int) -> None:
    run, files = tagged
    draw = random.Random(seed)
    settings = {key: draw.choice(LIMITS[key]) for key in sorted(draw.sample(sorted(LIMITS), 3))}
    found = api.retune(run, [f"{key}={json.dumps(value)}" for key, value in settings.items()], tmp_path / "again")
    assert found.ran_again is None
    api.run(recipe_file(tmp_path, *steps_with(settings)), files, tmp_path / "full", workers=1, shard_bytes=20_000)
    left = {row["doc_id"]: (row["step"], row["reason"]) for row in ledger(tmp_path / "full")}
    kept = set(documents(tmp_path / "full")["doc_id"].to_pylist())
    made = decisions(tmp_path / "again")
    assert {doc: (row["step"], row["reason"]) for doc, row in made.items() if not row["kept"]} == left
    assert {doc for doc, row in made.items() if row["kept"]} == kept
    again = {row["doc_id"]: (row["step"], row["reason"]) for row in ledger(tmp_path / "again")}
    assert again == left
    assert found.totals["docs_after"] == len(kept)


def test_what_was_before_is_what_the_tags_say(tmp_path: Path, tagged: Tagged) -> None:
    run, _ = tagged
    api.retune(run, ["quality.min_words=20"], tmp_path / "again")
    made = decisions(tmp_path / "again")
    rows = documents(run).to_pylist()
    assert len(made) == len(rows)
    for row in rows:
        tags = [
            (name, row[f"{name}_reason"]) for name in ("language", "repetition", "quality") if row[f"{name}_reason"]
        ]
        before = made[row["doc_id"]]
        assert (before["step_before"], before["reason_before"]) == (tags[0] if tags else (None, None))
        assert before["kept_before"] == (not tags)


def test_the_report_counts_what_the_decisions_say(tmp_path: Path, tagged: Tagged) -> None:
    run, _ = tagged
    api.retune(run, ["quality.min_words=20"], tmp_path / "again")
    report = json.loads((tmp_path / "again" / "report" / "report.json").read_text())
    made, docs = decisions(tmp_path / "again"), {row["doc_id"]: row for row in documents(run).to_pylist()}
    kept = [docs[doc] for doc, row in made.items() if row["kept"]]
    assert report["totals"]["docs_after"] == len(kept) > report["totals"]["docs_before"] > 0
    assert report["unit"].startswith("n_words")
    assert report["totals"]["units_after"] == sum(row[report["unit"]] or 0 for row in kept)
    for axis, key in (("languages", lambda row: row["language"]), ("sites", lambda row: row["url"].split("/")[2][4:])):
        assert sum(row["docs_after"] for row in report[axis]) == len(kept)
        for row in report[axis]:
            assert row["docs_after"] == sum(key(doc) == row["key"] for doc in kept)
    rules = {row["key"]: row["docs_after"] for row in report["rules"]}
    assert sum(rules.values()) == len(made) - len(kept)
    example = report["examples"]["kept again"][0]
    assert made[example["doc_id"]]["kept"]
    assert "min_words" in example["because_before"]
    page = (tmp_path / "again" / "report" / "report.html").read_text()
    assert "<script" not in page
    assert example["url"] in page


def test_no_text_is_read_unless_documents_are_asked_for(
    tmp_path: Path, tagged: Tagged, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[set[str]] = []
    real = pq.ParquetFile.iter_batches

    def spied(self: Any, *args: Any, columns: Any = None, **more: Any) -> Any:
        read.append(set(columns))
        return real(self, *args, columns=columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spied)
    api.retune(tagged[0], ["quality.min_words=20"], tmp_path / "again")
    assert read
    assert all("text" not in columns for columns in read)
    assert not (tmp_path / "again" / "documents").exists()


def test_documents_holds_the_docs_that_are_kept_now(tmp_path: Path, tagged: Tagged) -> None:
    run, _ = tagged
    api.retune(run, ["quality.min_words=20"], tmp_path / "again", documents=True)
    made = decisions(tmp_path / "again")
    found = documents(tmp_path / "again")
    texts = dict(zip(*(documents(run)[name].to_pylist() for name in ("doc_id", "text")), strict=True))
    assert set(found["doc_id"].to_pylist()) == {doc for doc, row in made.items() if row["kept"]}
    assert all(
        texts[doc] == text for doc, text in zip(*(found[n].to_pylist() for n in ("doc_id", "text")), strict=True)
    )
    assert found["quality_reason"].null_count == found.num_rows
    api.normalize([tmp_path / "again" / "documents"], tmp_path / "next", workers=1)  # a data set like any other
    assert documents(tmp_path / "next").num_rows == found.num_rows


def test_why_tells_what_is_decided_now_and_by_which_numbers(tmp_path: Path, tagged: Tagged) -> None:
    run, _ = tagged
    api.retune(run, ["quality.min_words=20", "quality.max_hash_signs_per_word=0.01"], tmp_path / "again")
    made = decisions(tmp_path / "again")
    back = next(doc for doc, row in made.items() if row["kept"] and not row["kept_before"])
    (life,) = api.why(tmp_path / "again", back)
    assert (life.outcome, life.step, life.passed[-1]) == ("kept", None, "quality")
    gone = next(doc for doc, row in made.items() if row["reason"] == "too_many_hash_signs")
    (life,) = api.why(tmp_path / "again", gone)
    assert (life.outcome, life.step, life.reason) == ("dropped", "quality", "too_many_hash_signs")
    assert "> 0.01" in life.because
    with pytest.raises(InputError, match="no doc with the url"):
        api.why(tmp_path / "again", "https://nowhere.example/")


def test_asked_for_again_it_does_nothing_and_the_same_bytes_come_out(tmp_path: Path, tagged: Tagged) -> None:
    first = api.retune(tagged[0], ["quality.min_words=20"], tmp_path / "a")
    before = tree(tmp_path / "a")
    second = api.retune(tagged[0], ["quality.min_words=20"], tmp_path / "a")
    assert (first.wrote_anything, second.wrote_anything) == (True, False)
    assert second.totals == first.totals
    assert tree(tmp_path / "a") == before
    api.retune(tagged[0], ["quality.min_words=20"], tmp_path / "b")
    folders = ("decisions", "ledger", "report")
    assert contents(tmp_path / "a", *folders) == contents(tmp_path / "b", *folders)
    with pytest.raises(InputError, match="holds no such retune"):
        api.retune(tagged[0], ["quality.min_words=30"], tmp_path / "a")
    assert tree(tmp_path / "a") == before


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("quality", "write ID.PARAM=VALUE"),
        ("qualty.min_words=3", "did you mean 'quality'"),
        ("quality.min_wrds=3", "did you mean 'min_words'"),
        ("quality.min_words=many", "min_words"),
        ("language.min_score=7", "allowed: 0 to 1"),
        ("language.keep=[xx]", "'xx'"),
        ("quality.min_words=[", "cannot be read as YAML"),
        ("language.id=other", "keeps its name"),
        ("quality.rules=[{signal: n_wrods__unicode, max: 9, reason: long}]", "did you mean 'n_words__unicode'"),
        ("quality.rules=[{signal: url, max: 9, reason: long}]", "'url' is string; a rule needs numbers"),
    ],
)
def test_settings_the_recipe_cannot_have_are_refused(tmp_path: Path, tagged: Tagged, setting: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as error:
        api.retune(tagged[0], [setting], tmp_path / "again")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "again").exists()


def test_one_entry_of_a_mapping_can_be_set(tmp_path: Path, tagged: Tagged) -> None:
    run, _ = tagged
    found = [
        api.retune(run, settings, tmp_path / str(k))
        for k, settings in enumerate([["language.min_scores.en=0.999"], ["language.min_scores={en: 0.999}"]])
    ]
    assert found[0].totals == found[1].totals
    assert found[0].totals["docs_after"] < found[0].totals["docs_before"]


def test_limits_of_own_rules_are_set_by_their_names(tmp_path: Path) -> None:
    rules = [{"signal": "n_words__unicode", "min": 5, "max": 5000, "reason": "length"}]
    own = {"quality": {"id": "own", "mode": "tag", "rules": rules}}
    api.run(recipe_file(tmp_path, own), write_texts(tmp_path / "in", 30), tmp_path / "run", workers=1)
    short, long = (
        api.retune(tmp_path / "run", [f"{name}=60"], tmp_path / str(k))
        for k, name in enumerate(["own.length.max", "own.thresholds.length.max"])
    )
    assert short.totals == long.totals
    assert short.totals["docs_after"] < short.totals["docs_before"]
    with pytest.raises(InputError, match="the same threshold"):
        api.retune(tmp_path / "run", ["own.length.max=60", "own.thresholds.length.max=70"], tmp_path / "both")


def test_an_unfinished_run_is_refused(tmp_path: Path, tagged: Tagged) -> None:
    import shutil

    shutil.copytree(tagged[0], tmp_path / "half")
    next((tmp_path / "half").glob("phases/*/receipts/*.json")).unlink()
    with pytest.raises(InputError, match="not finished"):
        api.retune(tmp_path / "half", ["quality.min_words=20"], tmp_path / "again")


MIXED: list[Any] = [
    {"language": {"keep": ["en"], "min_letters": 1}},
    {"quality": {"rules": "gopher", "mode": "tag"}},
    {"toxicity": {"method": "classifier", "mode": "tag"}},
    {"toxicity": {"method": "classifier", "mode": "tag", "id": "again", "min_sentence_score": 0.9}},
    {"quality": {"rules": "c4", "id": "c4", "mode": "tag"}},
    {"quality": {"rules": "ccnet", "id": "below", "mode": "tag"}},  # its signals are those of the rewritten text
    "dedup",
]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (
            "signals.measure=[gopher, n_upper_chars]",
            "signals.measure changes what is measured, not only what is decided",
        ),
        ("language.min_letters=9", "language.min_letters changes what is measured"),
        ("language.min_score=0.9", "language drops docs, and what it dropped was measured no further"),
        ("toxicity.min_sentence_score=0.9", "toxicity.min_sentence_score changes what is measured"),
        ("c4.min_sentences=2", "c4 rewrites the text of the docs it keeps"),
        ("quality.rules=fineweb", "quality decides by dup_filled_line_chars, which the run did not store"),
        ("dedup.keep=first", "dedup is a fold: what it says of a doc depends on the others"),
        (
            "toxicity.min_toxic_sentences=3",
            "again writes n_nsfw_sentences anew, so what toxicity decided by was not kept",
        ),
        ("again.min_toxic_sentences=3", None),
        ("below.min_chars=3", None),
    ],
)
def test_why_a_change_reaches_past_stored_signals(setting: str, why: str | None) -> None:
    run = SimpleNamespace(recipe=parse_recipe(yaml.safe_dump({"steps": MIXED})))
    stored = frozenset(name for step in run.recipe.steps for name in step.spec.writes)
    found = retuned(run, parse_settings([setting]), stored)  # type: ignore[arg-type]
    assert (found.beyond is None) if why is None else str(found.beyond).startswith(why)


def test_a_run_without_languages_runs_again_too(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "short"}\n{"text": "' + 40 * "a longer text " + '"}\n')
    steps = {"quality": {"rules": "ccnet", "mode": "tag"}}
    api.run(recipe_file(tmp_path, steps), [tmp_path / "in.jsonl"], tmp_path / "run", workers=1)
    found = api.retune(tmp_path / "run", ["quality.mode=drop", "quality.min_chars=3"], tmp_path / "again", workers=1)
    assert "quality drops docs" in str(found.ran_again)
    assert (found.totals["docs_before"], found.totals["docs_after"]) == (1, 2)


@pytest.mark.slow
def test_a_change_that_is_measured_runs_again_from_the_first_phase_that_differs(tmp_path: Path, tagged: Tagged) -> None:
    _, files = tagged
    steps = [{"normalize": {"save": True}}, {"language": {"keep": ["en"], "min_score": 0.3}}, *TAGGING[1:], "report"]
    run = tmp_path / "run"
    api.run(recipe_file(tmp_path, *steps), files, run, workers=1)
    found = api.retune(run, ["language.min_score=0.6"], tmp_path / "again", workers=1)
    assert "drops docs" in str(found.ran_again)
    steps[1] = {"language": {"keep": ["en"], "min_score": 0.6}}
    api.run(recipe_file(tmp_path, *steps), files, tmp_path / "full", workers=1)
    assert contents(tmp_path / "again") == contents(tmp_path / "full")
    first = sorted(path.name for path in (run / "phases").iterdir())[0]
    shared = next((run / "phases" / first / "docs").glob("*.parquet"))
    assert (tmp_path / "again" / "phases" / first / "docs" / shared.name).samefile(shared)
    assert api.verify(tmp_path / "again", deep=True).ok
    made = json.loads((tmp_path / "again" / "retune" / "report.json").read_text())
    kept = documents(tmp_path / "full")
    tags = [kept[name] for name in ("repetition_reason", "quality_reason")]
    assert made["totals"]["docs_after"] == sum(
        a is None and b is None for a, b in zip(*(t.to_pylist() for t in tags), strict=True)
    )


def test_the_command_shows_what_changes_and_answers_in_json(tmp_path: Path, tagged: Tagged) -> None:
    words = ("retune", tagged[0], "--set", "quality.min_words=20", "--set", "language.min_score=0.5")
    done = curate(*words, "-o", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert "kept: " in done.stdout
    assert "quality: too_few_words" in done.stdout
    refused = curate("retune", tagged[0], "--set", "qualty.min_words=3", "-o", tmp_path / "b")
    assert (refused.returncode, "did you mean 'quality'" in said_in_one_line(refused)) == (2, True)
    asked = curate(*words, "-o", tmp_path / "b", "--json")
    assert json.loads(asked.stdout)["totals"]["docs_after"] > 0
