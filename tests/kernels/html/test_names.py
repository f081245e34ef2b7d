"""Mirrors curate/kernels/html/names.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.html.names import MAX_AUTHOR_CHARS, author_names, without_site


@pytest.mark.parametrize(
    ("title", "sites", "url", "headings", "expected"),
    [
        ("Peace - The Times", ["The Times"], None, [], "Peace"),
        ("Peace | the times", ["The Times!"], None, [], "Peace"),
        ("Peace – Aktuálně.cz", [], "https://www.aktualne.cz/x", [], "Peace"),
        ("Peace - Wikipedia", [], "https://en.wikipedia.org/wiki/Peace", [], "Peace"),
        ("War - Peace - Wikipedia", [], "http://user:pw@en.wikipedia.org:80/", [], "War - Peace"),
        ("Peace: Example", ["Example"], None, [], "Peace"),
        ("Self-Example", ["Example"], None, [], "Self-Example"),
        ("10:30", ["30"], None, [], "10:30"),
        ("Example", ["Example"], None, [], "Example"),
        ("Peace - Other", ["Example"], "https://example.org/", [], "Peace - Other"),
        ("Peace - Other words", [], None, ["War", "Peace"], "Peace"),
        ("Peacetime - Other words", [], None, ["Peace"], "Peacetime - Other words"),
        ("Peace - Other", [], "http://[broken", [None, ""], "Peace - Other"),
        ("| Example", ["Example"], None, [], "| Example"),  # nothing would be left
    ],
)
def test_the_name_of_the_site_is_left_out(
    title: str, sites: list[str], url: str | None, headings: list[str | None], expected: str
) -> None:
    assert without_site(title, sites, url, headings) == expected


@given(st.text(min_size=1).map(str.strip).filter(bool), st.lists(st.text(), max_size=2), st.none() | st.text())
def test_what_is_left_begins_the_title(title: str, sites: list[str], url: str | None) -> None:
    left = without_site(title, sites, url, sites)
    assert left
    assert title.startswith(left)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["Jane Doe"], "Jane Doe"),
        (["by Jane", "von Jane", "JANE"], "Jane; JANE"),
        (["Bytes Magazine"], "Bytes Magazine"),
        (["https://example.org/jane", "www.example.org", "@jane", "admin", "By:", "12", "", None], None),
        (["<a class=x", "Copyright 2013 Example"], None),
        (["山田太郎"], "山田太郎"),
        ([f"Jane {chr(97 + i)}" for i in range(20)], "; ".join(f"Jane {chr(97 + i)}" for i in range(8))),
    ],
)
def test_author_names(values: list[str | None], names: str | None) -> None:
    assert author_names(values) == names


@given(st.lists(st.none() | st.text(max_size=120), max_size=12))
def test_names_are_bounded(values: list[str | None]) -> None:
    names = author_names(values)
    assert names is None or 0 < len(names) <= MAX_AUTHOR_CHARS
