"""A run with lists of URLs: files and folders, on the command line, by content in the key of the phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate import api
from tests.runs import crawl, curate, documents, ledger, recipe_file, said_in_one_line


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crawl(tmp_path_factory.mktemp("crawl"), n_files=2)  # of site0, site1 and site2.example.org


def hosts(out: Path) -> set[str]:
    return {url.split("/")[2] for url in documents(out)["url"].to_pylist()}


def test_a_changed_list_filters_anew_and_the_same_one_does_not(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "lists" / "ads").mkdir(parents=True)
    (tmp_path / "lists" / "ads" / "domains").write_text("site0.example.org\n")
    (tmp_path / "ours.txt").write_text("site1.example.org\n")
    filtered = {"url_filter": {"blocklist": ["lists", "ours.txt"], "categories": ["ads"]}}
    recipe = recipe_file(tmp_path, filtered, "extract")
    api.run(recipe, [inputs], tmp_path / "out", workers=1)
    assert hosts(tmp_path / "out") == {"site2.example.org"}
    assert {(row["step"], row["reason"]) for row in ledger(tmp_path / "out")} == {("url_filter", "blocked_domain")}
    assert api.verify(tmp_path / "out", deep=True).ok
    assert not api.run(recipe, [inputs], tmp_path / "out", workers=1).wrote_anything
    (tmp_path / "lists" / "ads" / "domains").write_text("site2.example.org\n")  # the same bytes long
    curate_again = curate(
        "run", recipe, inputs, "-o", tmp_path / "out", "--workers", 1
    )  # files are hashed once a process
    assert curate_again.returncode == 0, curate_again.stderr
    assert hosts(tmp_path / "out") == {"site0.example.org"}


def test_lists_on_the_command_line(inputs: Path, tmp_path: Path) -> None:
    for name, text in (("a.txt", "site0.example.org\n"), ("b.txt", "example.org\n"), ("ok.txt", "site1.example.org\n")):
        (tmp_path / name).write_text(text)
    lists = ["--blocklist", "a.txt", "--blocklist", "b.txt", "--allowlist", "ok.txt"]
    done = curate("url-filter", inputs, "-o", "out", *lists, "--workers", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert hosts(tmp_path / "out") == {"site1.example.org"}


def test_what_is_wrong_with_lists_is_said_in_one_line(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "lists" / "ads").mkdir(parents=True)
    (tmp_path / "lists" / "ads" / "domains").write_text("a.com\n")
    failed = curate("url-filter", inputs, "-o", tmp_path / "a", "--blocklist", tmp_path / "gone", "--workers", 1)
    assert failed.returncode == 2
    assert "gone" in said_in_one_line(failed)
    failed = curate("url-filter", inputs, "-o", tmp_path / "b", "--blocklist", tmp_path / "lists", "--workers", 1)
    assert failed.returncode == 2
    assert "has 1 categories, name some as `categories`: ads" in said_in_one_line(failed)
