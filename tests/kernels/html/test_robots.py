"""Mirrors curate/kernels/html/robots.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.html.robots import AGENTS, DIRECTIVES, MAX_OTHERS, RESTRICTIONS, directives_of


@pytest.mark.parametrize(
    ("content", "directives"),
    [
        ("noai", "noai"),
        ("NOINDEX,  NoFollow", "nofollow,noindex"),
        ("none", "nofollow,noindex"),
        ("noindex nofollow", "nofollow,noindex"),
        ("noindex;nofollow", "nofollow,noindex"),
        ("max-snippet: -1, max-image-preview:large", "max-image-preview:large,max-snippet:-1"),
        (
            "unavailable_after: Wed, 25 Jun 2030 15:00:00 GMT, noai",
            "noai,unavailable_after:wed 25 jun 2030 15:00:00 gmt",
        ),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST", "unavailable_after:25 jun 2030 15:00:00 pst"),
        ("noai, noai", "noai"),
        ("noopd", "noopd"),  # what is not known stays
        ("two words", None),
        ("<script>", None),
        (" , ;", None),
    ],
)
def test_meta_elements(content: str, directives: str | None) -> None:
    assert directives_of([("robots", content)], None) == directives


@pytest.mark.parametrize(
    ("header", "directives"),
    [
        ("noindex", "noindex"),
        ("googlebot: nofollow", "googlebot:nofollow"),
        ("otherbot: noindex, nofollow", "otherbot:nofollow,otherbot:noindex"),
        ("googlebot: noindex, ccbot: noai", "ccbot:noai,googlebot:noindex"),
        ("googlebot: noindex, noai", "googlebot:noai,googlebot:noindex,noai"),  # two lines, joined by their reader?
        ("googlebot: noindex\nnoai", "googlebot:noindex,noai"),  # a line of its own speaks to all
        ("*: noai", None),
        ("robots: noai", "noai"),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST", "unavailable_after:25 jun 2030 15:00:00 pst"),
        ("googlebot: unavailable_after: Wed, 25-Jun-2030", "googlebot:unavailable_after:wed 25-jun-2030"),
        ("max-snippet:20, noai", "max-snippet:20,noai"),
    ],
)
def test_headers(header: str, directives: str | None) -> None:
    assert directives_of([], header) == directives


def test_crawlers_named_by_a_meta_element_keep_their_name() -> None:
    assert directives_of([("robots", "index"), ("ccbot", "none")], None) == "ccbot:nofollow,ccbot:noindex,index"


def test_restrictions_are_directives() -> None:
    assert set(RESTRICTIONS) < DIRECTIVES
    assert all(agent == agent.lower() for agent in AGENTS)


def test_a_flood_of_unknown_words_hides_no_known_one() -> None:
    metas = [("robots", f"a{i}") for i in range(1000)] + [("robots", "noai")]
    found = (directives_of(metas, None) or "").split(",")
    assert "noai" in found
    assert len(found) == MAX_OTHERS + 1


@given(
    st.lists(st.tuples(st.sampled_from(["robots", "ccbot"]), st.text(max_size=80)), max_size=4), st.text(max_size=200)
)
def test_directives_are_sorted_distinct_words_whatever_is_said(metas: list[tuple[str, str]], header: str) -> None:
    found = directives_of(metas, header)
    if found is not None:
        words = found.split(",")
        assert words == sorted(set(words))
        assert all(word and word == word.strip() for word in words)
        assert directives_of([("robots", word) for word in words if ":" not in word], None) in (
            None,
            ",".join(word for word in words if ":" not in word),
        )
