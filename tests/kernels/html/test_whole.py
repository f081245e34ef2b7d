"""Mirrors curate/kernels/html/whole.py: lists and data tables are kept whole or left as they were."""

from __future__ import annotations

import numpy as np
import pytest

from curate.kernels.html.scan import Scanner
from curate.kernels.html.whole import MIN_MEAN_SCORE, keep_whole

ROWS = "".join(f"<tr><td>%{c}</td><td>What {c} stands for in a line of the log</td></tr>" for c in "ABCD")
HEAD = "<tr><th>Format</th><th>Description</th></tr>"
ITEMS = "".join(f"<li>The thing number {n} of this list</li>" for n in range(5))


def kept_of(html: str, own: float, first_kept: str) -> list[str]:
    """Return the texts kept where all blocks score `own`, and the one that holds `first_kept` is kept by itself."""
    page = Scanner().scan(html.encode())
    texts = page.texts()
    kept = np.array([first_kept in text for text in texts])
    assert kept.sum() == 1
    scores = np.where(kept, np.float32(0.9), np.float32(own)).astype(np.float32)
    whole = keep_whole(page, scores, kept)
    assert not (kept & ~whole).any()  # nothing is taken away
    return [text for text, keep in zip(texts, whole, strict=True) if keep]


def test_a_data_table_of_which_a_cell_is_kept_is_kept_whole() -> None:
    found = kept_of(f"<p>Before it.</p><table>{HEAD}{ROWS}</table><p>After it.</p>", 0.4, "%B")
    assert found[:2] == ["Format", "Description"]
    assert len(found) == 10
    assert "Before it." not in found


def test_a_table_without_header_cells_may_lay_out_the_page() -> None:
    assert kept_of(f"<table>{ROWS}</table>", 0.4, "%B") == ["%B"]


@pytest.mark.parametrize("tag", ["ul", "ol"])
def test_a_list_is_kept_whole(tag: str) -> None:
    assert len(kept_of(f"<p>x</p><{tag}>{ITEMS}</{tag}>", 0.4, "number 3")) == 5


def test_a_list_that_looks_like_none_of_the_text_stays_as_it_was() -> None:
    assert kept_of(f"<ul>{ITEMS}</ul>", MIN_MEAN_SCORE / 4, "number 3") == ["The thing number 3 of this list"]


def test_a_menu_is_not_filled_up() -> None:
    links = ITEMS.replace("<li>", "<li><a href=x>").replace("</li>", "</a></li>")
    assert len(kept_of(f"<ul>{links}</ul>", 0.4, "number 3")) == 1


def test_a_list_with_an_article_in_an_item_is_no_list_of_its_own() -> None:
    article = "<li>" + "A long item goes on and on. " * 40 + "</li>"
    assert len(kept_of(f"<ul>{ITEMS}{article}</ul>", 0.4, "number 3")) == 1


def test_what_is_inside_another_list_is_decided_there() -> None:
    html = f"<ul><li>One of the outer<ul>{ITEMS}</ul></li><li>Two of the outer</li><li>Three of the outer</li></ul>"
    assert len(kept_of(html, 0.4, "number 3")) == 5
