"""Mirrors curate/extractors/blocks.py: the shipped model on real pages, its knobs, and its file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.extractors.blocks import (
    ASSET,
    ASSET_SHA256,
    BlockExtractor,
    BlockModel,
    load_block_model,
    pack_forest,
    shipped_model,
    unpack_forest,
)
from curate.kernels.html.choose import LEAST_SCORE, choose
from curate.kernels.html.feature_columns import FEATURES
from curate.kernels.html.trees import forest_of
from curate.models import asset
from tests.helpers import ROOT

STORY = (
    "<html><head><title>The lake froze over</title></head><body class=home>"
    "<nav class=menu><ul>" + "<li><a href=/x>Section</a></li>" * 8 + "</ul></nav>"
    "<div class='article-body content'><h1>The lake froze over</h1>"
    + "".join(
        f"<p>On day {day} the ice had grown again, thick enough that the ferrymen, who had grumbled all week, took out "
        "their sledges and carried flour, lamp oil and letters across to the other shore.</p>"
        for day in range(1, 6)
    )
    + "</div><div class=sidebar><h3>Most read</h3><ul>"
    + "<li><a href=/y>Ten things about geese you did not know</a></li>" * 5
    + "</ul></div><div class='comments' id=comments><h3>2 comments</h3>"
    + "<div class='comment'><cite class=comment-author>Ann</cite> <p class=comment-text>I crossed it as a child too, "
    "and my grandmother would not speak to me for a week.</p></div>"
    * 3
    + "</div><footer class=footer>Copyright 2020 The Daily Ferry. All rights reserved.</footer></body></html>"
)


def pages(n: int) -> list[bytes]:
    """Return UTF-8 pages of the small crawl."""
    warcio = pytest.importorskip("warcio")
    found: list[bytes] = []
    with (ROOT / "examples" / "data" / "crawl-0.warc.gz").open("rb") as stream:
        for record in warcio.ArchiveIterator(stream):
            if record.rec_type == "response" and "html" in (record.http_headers.get_header("Content-Type") or ""):
                html = record.content_stream().read()
                try:
                    html.decode("utf-8")
                except UnicodeDecodeError:
                    continue
                found.append(html)
            if len(found) == n:
                break
    return found


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_main_text_is_found_and_the_frame_left_out() -> None:
    text = BlockExtractor()(STORY.encode()).text
    for day in range(1, 6):
        assert f"On day {day} the ice had grown again" in text
    assert "Copyright 2020" not in text
    assert "Section" not in text
    assert "Ten things about geese" not in text


def test_each_shipped_page_of_prose_keeps_its_paragraphs() -> None:
    """On real pages: what is kept is part of what the page shows, and holds most long sentences outside of links."""
    extractor = BlockExtractor()
    n_kept = n_paragraphs = 0
    for html in pages(60):
        text = " ".join(extractor(html).text.split())
        for paragraph in re.findall(rb"<p>([^<>&]{200,})</p>", html):
            n_paragraphs += 1
            n_kept += " ".join(paragraph.decode().split()) in text
    assert n_paragraphs > 50
    assert n_kept > 0.8 * n_paragraphs


def test_recall_keeps_what_balanced_keeps_and_that_what_precision_keeps() -> None:
    precision, balanced, recall = (BlockExtractor(keep=keep) for keep in ("precision", "balanced", "recall"))
    for html in [STORY.encode(), *pages(40)]:
        least, middle, most = (set(words(engine(html).text)) for engine in (precision, balanced, recall))
        assert least <= middle <= most


def test_comments_only_add() -> None:
    without, with_them = BlockExtractor(comments=False), BlockExtractor(comments=True)
    assert "my grandmother would not speak" not in without(STORY.encode()).text
    assert "my grandmother would not speak" in with_them(STORY.encode()).text
    for html in pages(20):
        assert set(words(without(html).text)) <= set(words(with_them(html).text))


@pytest.mark.parametrize(
    "html", [b"", b"<p></p>", b"<html><head><title>x</title></head></html>", b"<script>a()</script>"]
)
def test_page_without_text_is_empty(html: bytes) -> None:
    assert BlockExtractor()(html).text == ""


def test_small_page_of_low_scores_is_not_left_empty() -> None:
    scores = np.array([0.02, 0.3, 0.28, 0.1], np.float32)
    units = np.array([30, 40, 40, 40], np.float32)
    assert choose(scores, units, "balanced").tolist() == [False, True, True, False]
    assert not choose(scores / 10, units, "balanced").any()  # nothing reaches LEAST_SCORE
    assert (scores / 10).max() < LEAST_SCORE


def test_enough_text_needs_no_second_chance() -> None:
    scores = np.array([0.45, 0.9], np.float32)
    assert choose(scores, np.array([100, 1_000], np.float32), "balanced").tolist() == [False, True]
    assert choose(scores, np.array([100, 1_000], np.float32), "recall").tolist() == [True, True]


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(1, 300)), min_size=1, max_size=30))
def test_less_precision_never_loses_a_block(blocks: list[tuple[float, int]]) -> None:
    scores, units = (np.array(column, np.float32) for column in zip(*blocks, strict=True))
    least, middle, most = (choose(scores, units, keep) for keep in ("precision", "balanced", "recall"))
    assert (least <= middle).all()
    assert (middle <= most).all()


def test_an_extractor_gives_the_same_text_whatever_it_read_before() -> None:
    used = BlockExtractor()
    for html in pages(10):
        used(html)
    used(b"<div><p>filler " * 30_000)  # larger buffers, given back later
    for html in [STORY.encode(), *pages(5)]:
        assert used(html) == BlockExtractor()(html)


def test_markdown_says_the_same_words() -> None:
    assert "# The lake froze over" in BlockExtractor(markdown=True)(STORY.encode()).text
    assert words(BlockExtractor(markdown=True)(STORY.encode()).text) == words(BlockExtractor()(STORY.encode()).text)


def test_caps_are_told() -> None:
    assert "depth" in BlockExtractor()(b"<div>" * 600 + b"deep").caps_hit


def test_unknown_keep_is_refused() -> None:
    with pytest.raises(InputError, match="allowed: recall, balanced, precision"):
        BlockExtractor(keep="most")  # type: ignore[arg-type]


def test_shipped_file_is_the_pinned_one_and_small() -> None:
    packed = asset(ASSET).read_bytes()
    assert hashlib.sha256(packed).hexdigest() == ASSET_SHA256
    assert len(packed) < 200_000


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with pytest.raises(InputError, match="not a file"):
        load_block_model(path)
    path.write_bytes(asset(ASSET).read_bytes() + b" ")
    with pytest.raises(InputError, match="expected"):
        load_block_model(path, ASSET_SHA256)


def test_model_of_other_features_is_refused(tmp_path: Path) -> None:
    with np.load(asset(ASSET), allow_pickle=False) as arrays:
        parts = dict(arrays)
    np.savez(tmp_path / "model.npz", **{**parts, "features": np.array(FEATURES[1:])})
    with pytest.raises(InputError, match="other features"):
        load_block_model(tmp_path / "model.npz")


def test_node_that_leads_outside_its_tree_is_refused() -> None:
    parts = pack_forest(shipped_model().main, "main")
    parts["main_left"] = parts["main_left"].copy()
    parts["main_left"][0] = 60_000
    with pytest.raises(InputError, match="outside"):
        unpack_forest(parts, "main")


def test_forest_survives_packing() -> None:
    forest = shipped_model().main
    again = unpack_forest(pack_forest(forest, "main"), "main")
    for one, other in zip(forest, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_decides() -> None:
    """A model that keeps nothing, by its base score alone, leaves nothing, and one that keeps all leaves all."""
    leaf = [(-1, 0.0, 0, 0, 0.0)]
    for base, n_words in ((-20.0, 0), (20.0, 2)):
        forest = forest_of([leaf], base)
        model = BlockModel(np.zeros(1 << 16, np.float32), forest, forest)
        assert len(words(BlockExtractor(model=model)(b"<p>Two words</p>").text)) == n_words


def test_model_card_tells_its_figures() -> None:
    card = (asset(ASSET).with_suffix(".md")).read_text("utf-8")
    assert ASSET_SHA256 in card
    for part in ("rundimeco/waddle", "mozilla/readability", "language el", "out of fold", "trafilatura", "Resiliparse"):
        assert part in card
