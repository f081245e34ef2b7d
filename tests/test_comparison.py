"""Mirrors curate/comparison.py and curate/side_by_side.py: one page through all extractors, shown and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import api
from curate.comparison import shared_frac, words_of
from curate.errors import InputError, RecipeError
from curate.extractors import EXTRACTORS
from tests.runs import crawl, curate, said_in_one_line, sentences
from tests.sources.build import PAGE, http_response, members, record

HOSTILE = "evil \x1b]0;owned\x07 [bold]markup[/bold] \u202ereversed"
HTML = PAGE.format(f"<h1>Head</h1><p>{sentences(1)}</p><p>{HOSTILE}</p>")
ARTICLE = f"<article><h1>Head</h1><p>{sentences(0)}</p><p>{sentences(2)}</p></article>"
words = st.lists(st.sampled_from(["a", "bb", "ccc"])).map(Counter)


@pytest.fixture
def warc(tmp_path: Path) -> Path:
    pages = [
        record(http_response(PAGE.format(ARTICLE)), url="https://example.org/first"),
        record(http_response(HTML), url="https://example.org/hostile"),
    ]
    (tmp_path / "in.warc.gz").write_bytes(members(pages))
    return tmp_path / "in.warc.gz"


def test_each_extractor_tells_its_text_its_words_and_its_time(warc: Path) -> None:
    (page,) = api.compare([str(warc)])
    assert page.url == "https://example.org/first"
    assert tuple(made.extractor for made in page.extracted) == EXTRACTORS
    for made in page.extracted:
        assert sentences(0) in made.text
        assert 240 <= made.n_words <= 242
        assert made.shared_frac == pytest.approx(1, abs=0.01)
        assert made.failed is None
        assert made.wall_ms > 0


def test_a_page_is_found_by_its_url_and_each_input_gives_one_without(warc: Path, tmp_path: Path) -> None:
    (page,) = api.compare([str(warc)], url="https://example.org/hostile")
    assert any(sentences(1) in made.text for made in page.extracted)
    crawl(tmp_path / "more", n_files=2)
    found = api.compare([str(warc), str(tmp_path / "more")])
    assert len(found) == 3
    assert len({page.warc_file for page in found}) == 3
    with pytest.raises(InputError, match="no page 'https://example"):
        api.compare([str(warc)], url="https://example.org/none")


def test_a_setting_that_an_engine_lacks_is_left_out_for_it(warc: Path) -> None:
    (page,) = api.compare([str(warc)], keep="precision", format="markdown", url="https://example.org/hostile")
    asked = {made.extractor: (made.keep, made.format) for made in page.extracted}
    assert asked.pop("resiliparse") == ("balanced", "text")
    assert set(asked.values()) == {("precision", "markdown")}
    with pytest.raises(RecipeError, match="keep"):
        api.compare([str(warc)], keep="most")


def test_text_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(InputError, match="holds text, not pages"):
        api.compare([str(tmp_path / "docs.jsonl")])


def test_a_hostile_page_cannot_steer_the_terminal(warc: Path) -> None:
    shown = curate("extract", "--compare", warc, "--url", "https://example.org/hostile", COLUMNS="200")
    assert shown.returncode == 0, shown.stderr
    assert "\x1b]" not in shown.stdout
    assert "\x07" not in shown.stdout
    assert "\u202e" not in shown.stdout
    assert "[bold]markup[/bold]" in shown.stdout
    assert all(name in shown.stdout for name in (*EXTRACTORS, "words", "ms"))
    assert not (warc.parent / "out").exists()


def test_json_has_the_whole_texts(warc: Path) -> None:
    shown = curate("extract", warc, "--compare", "--json", "--keep", "recall")
    (page,) = json.loads(shown.stdout)
    assert [made["keep"] for made in page["extracted"]] == ["recall"] * len(EXTRACTORS)
    assert all(sentences(2) in made["text"] for made in page["extracted"])


def test_url_alone_is_refused_and_extract_is_as_it_was(warc: Path, tmp_path: Path) -> None:
    refused = curate("extract", warc, "--url", "https://example.org/first", "-o", tmp_path / "out")
    assert refused.returncode == 2
    assert "--compare" in said_in_one_line(refused)
    done = curate("extract", warc, "-o", tmp_path / "out", "--extract-format", "text", "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out" / "documents").glob("*.jsonl*"))


@given(words, st.lists(words, min_size=1, max_size=3))
def test_shared_words_are_a_share_and_never_more_than_the_others_have(own: Counter[str], others: list) -> None:
    frac = shared_frac(own, others)
    assert (frac is None) == (not own)
    if frac is not None:
        assert 0 <= frac <= 1
        assert shared_frac(own, [*others, own]) == 1
        assert shared_frac(own, [*others, Counter()]) == frac
        assert frac * own.total() <= sum(other.total() for other in others)


def test_words_of_scripts_without_spaces_are_characters() -> None:
    assert words_of("東京 Tokyo 2020 tokyo, it's") == Counter(
        {"tokyo": 2, "東": 1, "京": 1, "2020": 1, "it": 1, "s": 1}
    )
