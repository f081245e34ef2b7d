"""Text and Markdown of kept blocks."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.html.markdown import MAX_INDENT
from curate.kernels.html.render import render
from curate.kernels.html.tags import ID
from tests.kernels.html.scan_samples import hostile_pages, mutations, real_pages, shared_scanner


def rendered(html: str, *, markdown: bool, drop: tuple[int, ...] = ()) -> str:
    page = shared_scanner().scan(html.encode())
    keep = np.ones(len(page.block_text), np.bool_)
    keep[list(drop)] = False
    return render(page, keep, markdown=markdown)


@pytest.mark.parametrize(
    ("html", "text", "markdown"),
    [
        ("", "", ""),
        ("<h1>A</h1><p>b<p>c", "A\nb\nc", "# A\n\nb\n\nc"),
        ("<h3>A<br>B</h3>", "A\nB", "### A B"),
        ("a<br>b", "a\nb", "a  \nb"),
        ("<ul><li>a<li>b</ul><p>c", "a\nb\nc", "- a\n- b\n\nc"),
        ("<ol><li>a<li>b<p>c</ol>", "a\nb\nc", "1. a\n2. b\n\n   c"),
        ("<ol><li>a<ul><li>b<li>c</ul><li>d</ol>", "a\nb\nc\nd", "1. a\n   - b\n   - c\n2. d"),
        ("<ul><li>a</ul><ul><li>b</ul>", "a\nb", "- a\n\n- b"),
        ("<li>a<li>b", "a\nb", "- a\n- b"),
        ("<blockquote>a<p>b<blockquote>c", "a\nb\nc", "> a\n\n> b\n\n> > c"),
        ("<blockquote>a<br>b<ul><li>c", "a\nb\nc", "> a  \n> b\n\n> - c"),
        ("<pre> a\n  b</pre>", " a\n  b", "```\n a\n  b\n```"),
        ("<pre><div>a</div><div>b</div></pre><pre>c</pre>", "a\nb\nc", "```\na\nb\n```\n\n```\nc\n```"),
        ("<pre>a ```` b</pre>", "a ```` b", "`````\na ```` b\n`````"),
        ("<ul><li>a<pre>b\nc</pre></ul>", "a\nb\nc", "- a\n\n  ```\n  b\n  c\n  ```"),
        ("<table><tr><th>a<th>b<tr><td>c<td>d</table>", "a\tb\nc\td", "| a | b |\n| --- | --- |\n| c | d |"),
        ("<table><tr><td>a|b<br>c<td>d</table>", "a|b c\td", "| a\\|b c | d |\n| --- | --- |"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "a\tb\nc", "| a | b |\n| --- | --- |\n| c |"),
        ("<table><td><table><tr>a<td>b</table></table>", "a\nb", "a\n\nb"),
        ("<table><tr><td>a<tr><td>b</table>", "a\nb", "a\n\nb"),
        ("<table><tr><td><p>a<p>b<td>c</table>", "a\nb\nc", "a\n\nb\n\nc"),
        ("<table><tr><td>a<td><table><tr><td>b<td>c</table></table>", "a\nb\tc", "a\n\n| b | c |\n| --- | --- |"),
        ("# a", "# a", "\\# a"),
        ("- a<br>2. b<br>&gt; c<br>---", "- a\n2. b\n> c\n---", "\\- a  \n2\\. b  \n\\> c  \n\\---"),
        ("-a 1.5 #b * c", "-a 1.5 #b * c", "-a 1.5 #b * c"),
        ("&lt;b&gt; 1 &lt; 2", "<b> 1 < 2", "\\<b> 1 < 2"),
        ("<a href=x>a</a> <b>b</b>", "a b", "a b"),
        ("a&NewLine;b&Tab;c", "a b\tc", "a b\tc"),
    ],
)
def test_forms(html: str, text: str, markdown: str) -> None:
    assert rendered(html, markdown=False) == text
    assert rendered(html, markdown=True) == markdown


def test_only_kept_blocks_are_shown() -> None:
    html = "<ol><li>a<li>b<li>c</ol><table><tr><td>1<td>2<td>3</table><pre>x</pre>"
    assert rendered(html, markdown=False, drop=(0, 4, 6)) == "b\nc\n1\t3"
    assert rendered(html, markdown=True, drop=(0, 4, 6)) == "2. b\n3. c\n\n| 1 | 3 |\n| --- | --- |"
    assert rendered(html, markdown=True, drop=tuple(range(7))) == ""


def test_a_row_with_two_blocks_in_a_cell_becomes_one_if_only_one_is_kept() -> None:
    html = "<table><tr><td><p>a<p>b<td>c</table>"
    assert rendered(html, markdown=False, drop=(0,)) == "b\tc"


def test_flags_must_fit() -> None:
    with pytest.raises(ValueError, match="2 flags for 1 blocks"):
        render(shared_scanner().scan(b"x"), np.ones(2, np.bool_), markdown=False)


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.replace("_", " ")))


def same_words(html: bytes) -> None:
    page = shared_scanner().scan(html)
    keep = np.ones(len(page.block_text), np.bool_)
    text, markdown = render(page, keep, markdown=False), render(page, keep, markdown=True)
    more = words(markdown) - words(text)
    assert not words(text) - words(markdown)
    assert all(word.isdigit() for word in more)  # of ordered lists
    assert more.total() <= int((page.element_tag == ID["li"]).sum())
    assert ID["ol"] in page.element_tag or not more
    for result in (text, markdown):
        assert result.encode("utf-8").decode() == result
        assert "\x00" not in result


def test_both_forms_say_the_same_words() -> None:
    for html in real_pages(150):
        same_words(html)
    for html in mutations(150, seed=5):
        same_words(html.decode("utf-8", "replace").encode())


TAGS = "p div ul ol li table tr td th blockquote pre h2 br a b code dl dd span"
SOUP = st.lists(
    st.one_of(
        st.sampled_from(TAGS.split()).flatmap(lambda tag: st.sampled_from([f"<{tag}>", f"</{tag}>"])),
        st.sampled_from(["word", " ", "\n", "# x", "- y", "12. z", "&lt;i", "&amp;", "```", "|", "日本", "*"]),
    ),
    max_size=40,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(SOUP)
def test_any_soup_of_tags_gives_the_same_words(html: str) -> None:
    same_words(html.encode())


def test_no_hostile_page_grows_out_of_bounds() -> None:
    for name, html in hostile_pages(30_000).items():
        page = shared_scanner().scan(html)
        keep = np.ones(len(page.block_text), np.bool_)
        text = render(page, keep, markdown=False)
        bound = 2 * len(text) + (text.count("\n") + keep.size) * (2 * MAX_INDENT + 12)
        assert len(render(page, keep, markdown=True)) <= bound + 100, name


def test_the_same_bytes_every_time() -> None:
    for html in real_pages(20):
        page = shared_scanner().scan(html)
        keep = np.arange(len(page.block_text)) % 3 != 0
        for markdown in (False, True):
            assert render(page, keep, markdown=markdown) == render(page, keep, markdown=markdown)
