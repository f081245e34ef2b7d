"""Mirrors curate/kernels/html/jsonld.py."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.html.jsonld import MAX_BYTES, Description, read_json_ld


def read(*nodes: Any) -> Description:
    return read_json_ld([json.dumps(node).encode() for node in nodes])


def test_an_article_counts_before_its_page_and_its_site() -> None:
    site = {"@type": "WebSite", "author": "site", "headline": "site"}
    page = {"@type": "WebPage", "headline": "page", "datePublished": "2013-01-01"}
    article = {"@type": "NewsArticle", "headline": "article"}
    assert read({"@graph": [site, page, article]}) == Description("article", "2013-01-01")
    assert read(site, [page], article) == Description("article", "2013-01-01")
    assert read(site) == Description()


def test_the_main_entity_of_a_page_is_read() -> None:
    found = read({"@type": "WebPage", "mainEntity": {"@type": "http://schema.org/BlogPosting", "headline": "post"}})
    assert found.headline == "post"


@pytest.mark.parametrize(
    ("author", "names"),
    [
        ("Jane", ("Jane",)),
        ({"@type": "Person", "name": "Jane"}, ("Jane",)),
        ([{"name": "Jane"}, {"name": ["John", 3]}, None, 5, "Jane"], ("Jane", "John")),
        ({"url": "https://example.org"}, ()),
        (7, ()),
    ],
)
def test_authors(author: Any, names: tuple[str, ...]) -> None:
    assert read({"@type": "Article", "author": author}).authors == names


@pytest.mark.parametrize("wrapped", [b"<!-- %s -->", b"%s;", b"\n%s\n", b" %s"])
def test_wrappers_are_taken_off(wrapped: bytes) -> None:
    block = wrapped % b'{"@type": "Article", "headline": "a\nb"}'  # with a line break that JSON does not allow
    assert read_json_ld([block]).headline == "a\nb"


def test_a_broken_block_gives_its_date_and_hides_no_other() -> None:
    broken = b'{"@type": "Article", "datePublished": "2013-04-05", }'
    assert read_json_ld([broken]).published == "2013-04-05"
    assert read_json_ld([broken, b'{"@type": "Article", "headline": "a"}']) == Description("a", "2013-04-05")


@pytest.mark.parametrize(
    "block",
    [
        b'{"author":' * 100_000,
        b'{"@type":"Article","author":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"@type":"Article","headline":"' + b"x" * MAX_BYTES + b'"}',
        b'{"@type":"Article","headline":' + b"9" * 100_000 + b"}",
        b'{"@type":"Article","headline":"\\ud800',
    ],
)
def test_hostile_blocks_say_nothing(block: bytes) -> None:
    assert read_json_ld([block]) == Description()


NODES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["Article", "WebPage"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["@type", "@graph", "author", "name", "headline", "license", "mainEntity"]), inner
        )
    ),
    max_leaves=20,
)


@given(NODES)
def test_any_json_is_read_without_an_error(node: Any) -> None:
    found = read(node)
    assert isinstance(found.headline, str)
    assert all(isinstance(name, str) for name in found.authors)
