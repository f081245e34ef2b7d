"""Mirrors curate/kernels/html/features.py: what the numbers mean, on pages small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.html.feature_columns import FEATURES, N_FEATURES
from curate.kernels.html.features import block_features, make_room
from curate.kernels.html.scan import Scanner

ARTICLE = (
    "<title>A walk in the hills</title><body>"
    "<nav><a href=/>Home</a> <a href=/n>News</a></nav>"
    "<div class=post><h1>A walk in the hills</h1>"
    "<p>We left the village before dawn, and by seven we stood on the ridge above the lake, cold but content.</p>"
    "<p>There was no path to speak of; the map showed one, but sheep had been its only walkers for many years.</p>"
    "<ul><li>bread</li><li>cheese</li></ul></div>"
    "<footer>Copyright 2020</footer>"
)
COMMENTS = "<body><div id=list>" + "<div><b>Ann</b><p>I like it.</p><p>Very much.</p></div>" * 5 + "</div>"


def features_of(html: str, weights: np.ndarray | None = None) -> dict[str, list[float]]:
    page = Scanner(weights).scan(html.encode())
    found = block_features(page, make_room(len(page.counts) + 3, len(page.element_parent) + 3))
    assert found.shape == (len(page.counts), N_FEATURES)
    return dict(zip(FEATURES, found.T.tolist(), strict=True))


def test_names_are_unique() -> None:
    assert len(set(FEATURES)) == N_FEATURES


def test_article_counted_by_hand() -> None:
    found = features_of(ARTICLE)  # nav, h1, p, p, li, li, footer
    assert found["in_nav"] == [1, 0, 0, 0, 0, 0, 0]
    assert found["in_li"] == [0, 0, 0, 0, 1, 1, 0]
    assert found["in_footer"] == [0, 0, 0, 0, 0, 0, 1]
    assert found["link_frac"] == [1, 0, 0, 0, 0, 0, 0]
    assert found["title_frac"][1] == 1
    assert found["has_h1"] == [0, 1, 1, 1, 1, 1, 1]
    assert found["blocks_from_h1"][1:4] == [0, 1, 2]
    assert found["blocks_from_title"] == [-1, 0, 1, 2, 3, 4, 5]
    assert found["in_top"][2:4] == [1, 1]
    assert found["in_top"][0] == found["in_top"][6] == 0
    assert found["ends_with_mark"][2:4] == [1, 1]
    assert found["page_blocks"] == [7] * 7


def test_neighbours_are_the_blocks_beside() -> None:
    found = features_of(ARTICLE)
    assert found["log_units@+1"][:-1] == found["log_units"][1:]
    assert found["log_units@-2"][2:] == found["log_units"][:-2]
    assert found["log_units@-1"][0] == found["log_units@+1"][-1] == -1


def test_alike_siblings_are_a_set() -> None:
    assert features_of(COMMENTS)["siblings"] == [5] * 15
    assert max(features_of(ARTICLE)["siblings"]) <= 1


def test_duplicates_count_texts_that_differ_by_numbers_alone() -> None:
    html = "<p>Reply (1)</p><p>Reply (22)</p><p>Something else</p>"
    found = features_of(html)["duplicates"]
    assert found[2] == 1
    assert features_of("<p>Reply 1</p><p>Reply 7</p><p>x</p>")["duplicates"] == [2, 2, 1]


def test_token_scores_reach_the_features() -> None:
    weights = np.full(1 << 16, 0.5, np.float32)
    found = features_of(ARTICLE, weights)
    assert found["score_sum"][2] > 0
    assert found["score_sum"][0] == 0


def test_no_blocks_no_features() -> None:
    assert features_of("<p></p>")["log_units"] == []


@given(
    st.lists(
        st.sampled_from(
            [
                "<div>",
                "</div>",
                "<p>",
                "<li>x",
                "<a href=y>z</a>",
                "text, text. ",
                "<h1>",
                "<br><br>",
                "<table><td>7",
                "</table>",
                "漢字。",
                "<article>",
                "<b>",
            ]
        ),
        max_size=60,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_markup_gives_finite_numbers_and_the_same_twice(parts: list[str]) -> None:
    scanner = Scanner()
    page = scanner.scan("".join(parts).encode())
    room = make_room(len(page.counts), len(page.element_parent))
    first = block_features(page, room).copy()
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, block_features(page, room))


@pytest.mark.parametrize("n_copies", [1, 50])
def test_a_longer_page_does_not_disturb_the_next_one(n_copies: int) -> None:
    scanner = Scanner()
    room = make_room(4_000, 4_000)
    block_features(scanner.scan((COMMENTS * n_copies).encode()), room)
    again = block_features(scanner.scan(ARTICLE.encode()), room).copy()
    fresh = Scanner().scan(ARTICLE.encode())
    np.testing.assert_array_equal(again, block_features(fresh, make_room(len(fresh.counts), len(fresh.element_parent))))
