"""Documents in files of a bounded size: the same whatever the workers, shown anew when the size changes, readable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate import api
from curate.recipe import RecipeError, parse_recipe
from tests.runs import contents, crawl, recipe_file, tree

N_DOCS = 3 * 40
BOUNDS = {"parquet": 24_000, "jsonl": 6_000}  # a Parquet file of one doc has 13,000 bytes
FORMS = pytest.mark.parametrize("form", BOUNDS)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crawl(tmp_path_factory.mktemp("crawl"), n_files=3, n_pages=40)


def ingest(inputs: Path, out: Path, **options: Any) -> Any:
    return api.ingest([inputs], out, shard_bytes=40_000, **options)


def documents(out: Path) -> list[dict[str, Any]]:
    """Return id and text of all documents in the order of their files."""
    rows: list[dict[str, Any]] = []
    for file in sorted((out / "documents").iterdir()):
        if file.suffix == ".parquet":
            rows += [{"id": r["doc_id"], "text": r["text"]} for r in pq.read_table(file).to_pylist()]
        else:
            with pa.input_stream(str(file), compression="zstd") as lines:
                rows += [{k: r[k] for k in ("id", "text")} for r in map(json.loads, lines.read().decode().splitlines())]
    return rows


@pytest.fixture(scope="module")
def whole(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    ingest(inputs, out, workers=1)
    return out


@FORMS
def test_files_are_bounded_named_in_order_and_the_same_for_any_workers(
    inputs: Path, whole: Path, tmp_path: Path, form: str
) -> None:
    ingest(inputs, tmp_path / "one", workers=1, format=form, max_file_bytes=BOUNDS[form])
    ingest(inputs, tmp_path / "two", workers=2, format=form, max_file_bytes=BOUNDS[form])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    files = sorted((tmp_path / "one" / "documents").iterdir())
    shards = {file.name[:5] for file in files}
    assert len(files) > len(shards) > 1
    assert {file.name[5:12] for file in files} >= {"-00000.", "-00001."}
    assert max(file.stat().st_size for file in files) <= BOUNDS[form]
    assert documents(tmp_path / "one") == documents(whole)
    assert len(documents(whole)) == N_DOCS


@FORMS
def test_a_run_run_again_writes_nothing_and_a_new_bound_only_shows_anew(
    inputs: Path, whole: Path, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"workers": 1, "format": form}
    ingest(inputs, out, max_file_bytes=BOUNDS[form], **options)
    before = tree(out)
    assert not ingest(inputs, out, max_file_bytes=BOUNDS[form], **options).wrote_anything
    assert {k: v for k, v in tree(out).items() if k != ".lock"} == {k: v for k, v in before.items() if k != ".lock"}
    work = tree(out / "phases")
    first = contents(out)
    for bound in (BOUNDS[form] * 2, None, 1, BOUNDS[form]):
        assert ingest(inputs, out, max_file_bytes=bound, **options).wrote_anything
        assert tree(out / "phases").keys() == work.keys()
        assert {k: v for k, v in tree(out / "phases").items() if k.endswith((".parquet", ".json"))} == {
            k: v for k, v in work.items() if k.endswith((".parquet", ".json"))
        }
        assert documents(out) == documents(whole)
        assert api.verify(out, deep=True).ok
        if bound == 1:
            assert len(list((out / "documents").iterdir())) == N_DOCS
    assert contents(out) == first
    assert api.status(out).finished
    assert api.gc(out).paths == []
    shutil.rmtree(out / "documents")
    assert ingest(inputs, out, max_file_bytes=BOUNDS[form], **options).wrote_anything
    assert contents(out) == first


def test_a_run_with_cut_documents_is_an_input(inputs: Path, whole: Path, tmp_path: Path) -> None:
    for form in BOUNDS:
        ingest(inputs, tmp_path / form, workers=1, format=form, max_file_bytes=BOUNDS[form])
        api.run_step("normalize", [tmp_path / form], tmp_path / f"{form}-again", workers=1)
        found = {row["text"] for row in documents(tmp_path / f"{form}-again")}
        assert found == {row["text"] for row in documents(whole)}
        assert len(documents(tmp_path / f"{form}-again")) == N_DOCS


def test_what_is_wrong_with_cut_files_is_found(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for form in BOUNDS:
        ingest(inputs, out, workers=1, format=form, max_file_bytes=BOUNDS[form])
        first, second = sorted((out / "documents").iterdir())[:2]
        held = first.read_bytes()
        first.write_bytes(second.read_bytes())
        assert any("does not hold docs [0, " in problem for problem in api.verify(out, deep=True).problems)
        first.write_bytes(held[: len(held) // 2])
        assert not api.verify(out, deep=True).ok
        first.unlink()
        assert any(f"{first.name}: missing" in problem for problem in api.verify(out).problems)
        first.write_bytes(held + b"\0" * BOUNDS[form])
        assert any(f"bytes, {BOUNDS[form]} allowed" in problem for problem in api.verify(out).problems)
        first.write_bytes(held)
        assert api.verify(out, deep=True).ok
        listing = json.loads((out / "published.json").read_text())
        del listing[f"documents/{second.name}"]
        (out / "published.json").write_text(json.dumps(listing))
        assert any("do not hold each of its" in problem for problem in api.verify(out).problems)


def test_pieces_of_a_run_that_was_killed_are_cut_again(inputs: Path, tmp_path: Path) -> None:
    form = "parquet"
    ingest(inputs, tmp_path / "out", workers=1, max_file_bytes=BOUNDS[form])
    first = contents(tmp_path / "out")
    listing = tmp_path / "out" / "published.json"
    shown = json.loads(listing.read_text())
    name = "documents/00001-00001.parquet"
    listing.write_text(json.dumps({**shown, name: ""}))  # as it is while the file is placed
    (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / "documents" / ".0123456789ab").write_bytes(b"half")
    assert ingest(inputs, tmp_path / "out", workers=1, max_file_bytes=BOUNDS[form]).wrote_anything
    assert json.loads(listing.read_text()) == shown
    assert api.gc(tmp_path / "out").paths == ["documents/.0123456789ab"]
    assert contents(tmp_path / "out") == first


def test_libraries_open_the_files(inputs: Path, whole: Path, tmp_path: Path) -> None:
    texts = sorted(row["text"] for row in documents(whole))
    for form in BOUNDS:
        ingest(inputs, tmp_path / form, workers=1, format=form, max_file_bytes=BOUNDS[form])
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    datasets = pytest.importorskip("datasets")
    readers = pytest.importorskip("datatrove.pipeline.readers")
    for form, many in (("parquet", "parquet/documents/*.parquet"), ("jsonl", "jsonl/documents/*.jsonl.zst")):
        where = str(tmp_path / many)
        read = "read_parquet" if form == "parquet" else "read_json_auto"
        assert sorted(r[0] for r in duckdb.sql(f"select text from {read}('{where}')").fetchall()) == texts
        frame = polars.read_parquet(where) if form == "parquet" else polars.scan_ndjson(where).collect()
        assert sorted(frame["text"].to_list()) == texts
        kind = "parquet" if form == "parquet" else "json"
        loaded = datasets.load_dataset(kind, data_files=where, split="train", cache_dir=str(tmp_path / "cache"))
        assert sorted(loaded["text"]) == texts
    lines = readers.JsonlReader(str(tmp_path / "jsonl" / "documents"), compression="zstd", glob_pattern="*.zst")
    assert sorted(doc.text for doc in lines.run()) == texts


def test_the_recipe_has_the_key(inputs: Path, tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, "extract", max_file_bytes=BOUNDS["parquet"], shard_bytes=40_000)
    api.run(recipe, [inputs], tmp_path / "out", workers=1)
    assert max(file.stat().st_size for file in (tmp_path / "out" / "documents").iterdir()) <= BOUNDS["parquet"]
    with pytest.raises(RecipeError, match="at least 1"):
        parse_recipe("steps: [normalize]\nmax_file_bytes: 0\n")
