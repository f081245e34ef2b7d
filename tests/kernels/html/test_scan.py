"""What the scanner makes of a page, rule by rule."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from curate.kernels.html import state
from curate.kernels.html.scan import COUNTS, Page, Scanner
from curate.kernels.html.tags import ANCESTOR_BIT, NAMES
from tests.kernels.html.scan_samples import check, scan_texts, shared_scanner


def scan(html: str, **options: bool) -> Page:
    page = shared_scanner().scan(html.encode(), **options)
    check(page, valid=True)
    return page


def count(html: str, name: str, block: int = 0) -> float:
    return float(scan(html).counts[block, COUNTS.index(name)])


def has(page: Page, ancestor: str, block: int = 0) -> bool:
    return bool(int(page.ancestors[block]) >> ANCESTOR_BIT[ancestor] & 1)


def path(page: Page, block: int) -> list[str]:
    """Return the names of the elements that a block stands in, the innermost first."""
    element, names = int(page.counts[block, COUNTS.index("element")]), []
    while element:
        names.append(NAMES[page.element_tag[element]])
        element = int(page.element_parent[element])
    return names


@pytest.mark.parametrize(
    ("html", "texts"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("  a \n\t b  ", ["a b"]),
        ("a&nbsp;\u00a0&#160;&#32;b\u3000c", ["a b c"]),
        ("<p>a</p> <div>b<div>c</div>d</div>", ["a", "b", "c", "d"]),
        ("a<b>b</b>c <i> d </i> e", ["abc d e"]),
        ("a<br>b", ["a\nb"]),
        ("a <br/> b</br>c", ["a\nb\nc"]),
        ("a<br> <br>b<br><br><br>c", ["a", "b", "c"]),
        ("<br>a<br>", ["a"]),
        ("<ul><li>a<li>b</ul>", ["a", "b"]),
        ("<table><tr><td>a<td>b<tr><th>c</table>", ["a", "b", "c"]),
        ("a<hr>b", ["a", "b"]),
        ("<o:p>a</o:p><my-tag>b</my-tag>", ["ab"]),
        ("a < b <3 c <", ["a < b <3 c <"]),
        ("a</>b</3>c</ x>d", ["abcd"]),
        ("&lt;p&gt; &amp;amp; &#38;lt; &eacute; &unknown; AT&T", ["<p> &amp; &lt; é &unknown; AT&T"]),
        ("caf&eacute &copy2024", ["café ©2024"]),
        ("x\x00y\x07z\ufeff\x85w", ["xyz w"]),
        ("&#0;&#xD800;&#1114112;&#128;", ["\ufffd\ufffd\ufffd€"]),
        ("<DIV CLASS=x>a</DIV>b", ["a", "b"]),
    ],
)
def test_blocks(html: str, texts: list[str]) -> None:
    check(shared_scanner().scan(html.encode()), valid=True)
    assert scan_texts(html) == texts


@pytest.mark.parametrize(
    "html",
    [
        "a<!-- x -->b",
        "a<!-->b",
        "a<!--->b",
        "a<!---->b",
        "a<!-- x --!>b",
        "a<!-- <p> > -- > -->b",
        "a<!doctype x>b",
        "a<?php echo 1 ?>b",
        "a<script>if (1 < 2) { '<p>' }</script>b",
        "a<SCRIPT>x</Script >b",
        "a<script>x</scriptx></script>b",
        "a<style>p { }</style>b",
        "a<svg><title>t</title><p>x</svg>b",
        "a<svg/>b",
        "a<template><p>x</template>b",
        "a<noscript><p>x</noscript>b",
        "a<iframe><p>x</iframe>b",
        "a<select><option>x</select>b",
        "a<textarea><p>x</textarea>b",
        "a<video>x</video>b",
        "a<object><embed>x</object>b",
        "<title>x <b> y</title>ab",
        "a<img alt=x title='<p>'>b",
        'a<i title="> <p>">b</i>',
        "a<i title='> <p>' x=y/>b",
        "a<i =x>b",
        "a<math><semantics><annotation>x</annotation></semantics></math>b",
        "a<span hidden>x</span>b",
        "a<span style='color:red; DISPLAY : none'>x <b>y</b></span>b",
        "a<i style=visibility:hidden>x</i>b",
    ],
)
def test_what_is_no_text(html: str) -> None:
    assert scan_texts(html) == ["ab"]


@pytest.mark.parametrize(
    ("html", "texts"),
    [
        ("a<!-- x <p>y", ["a"]),
        ("a<script>x<p>y", ["a"]),
        ("a<style>x<p>y", ["a"]),
        ("a<textarea>x<p>y", ["a"]),
        ("a<svg>x<p>y", ["ax", "y"]),
        ("a<select>x<p>y<select>z", ["ax", "yz"]),
        ("<title>x<p>y", ["x", "y"]),
        ("<div>a<video>x</div>b<p>c<video>y</video>", ["a", "b", "c"]),
        ("a<p title='b>c", ["a", "c"]),
        ("a<p title='b", ["a"]),
        ("a<p", ["a"]),
        ("a<![CDATA[b > c]]>", ["a c]]>"]),
    ],
)
def test_what_never_ends(html: str, texts: list[str]) -> None:
    assert scan_texts(html) == texts


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<pre>\n  a\n\tb  c\r\nd\re \n</pre>", "  a\n\tb  c\nd\ne"),
        ("<pre><code>  x\n    y</code></pre>", "  x\n    y"),
        ("<pre>a<br>b<br><br>c</pre>", "a\nb\n\nc"),
        ("<pre>a&#10;b&nbsp;&nbsp;c</pre>", "a\nb  c"),
        ("<pre><textarea>  a\n <b>b</textarea></pre>", "  a\n <b>b"),
        ("<xmp>a\n <p>b</xmp>", "a\n <p>b"),
        ("<plaintext>a\n <p>b</plaintext>", "a\n <p>b</plaintext>"),
        ("<listing>a\n b</listing>", "a\n b"),
    ],
)
def test_code_keeps_its_lines(html: str, text: str) -> None:
    assert scan_texts(html) == [text]
    assert has(scan(html), "pre")


@pytest.mark.parametrize(
    ("html", "texts", "ancestor"),
    [
        ("<div style='display:none'>a<p>b</div>", ["a", "b"], "hidden"),
        ("<div hidden><span hidden>a</span></div>", ["a"], "hidden"),
        ("<span style='display:none'><p>a</span>", ["a"], "hidden"),
        ("<span style='display: none'><math><mi>a</mi></math></span>", ["a"], "hidden"),
        ("<p aria-hidden=true>a", ["a"], "aria_hidden"),
        ("<template shadowrootmode=open><p>a</template>", ["a"], "p"),
    ],
)
def test_what_is_hidden_is_kept_where_a_script_may_show_it(html: str, texts: list[str], ancestor: str) -> None:
    assert scan_texts(html) == texts
    page = scan(html)
    assert all(has(page, ancestor, k) for k in range(len(texts)))


@pytest.mark.parametrize("style", ["display:block", "display:nonexistent", "x-display:none", "visibility:visible", ":"])
def test_other_styles_hide_nothing(style: str) -> None:
    page = scan(f'<p style="{style}">a<i style="{style}">b</i>')
    assert page.texts() == ["ab"]
    assert not has(page, "hidden")


@pytest.mark.parametrize(
    ("html", "paths"),
    [
        ("<p>a<p>b", [["p"], ["p"]]),
        ("<p>a<div>b</div>c", [["p"], ["div"], []]),
        ("<p>a<button>b</button>c", [["p"], ["button", "p"], ["p"]]),
        ("<ul><li>a<ul><li>b</ul>c<li>d", [["li", "ul"], ["li", "ul", "li", "ul"], ["li", "ul"], ["li", "ul"]]),
        ("<ul><li><div>a<li>b", [["div", "li", "ul"], ["li", "ul"]]),
        ("<dl><dt>a<dd>b<dt>c", [["dt", "dl"], ["dd", "dl"], ["dt", "dl"]]),
        (
            "<table><tr><td><p>a<td>b<tr><td>c",
            [["p", "td", "tr", "table"], ["td", "tr", "table"], ["td", "tr", "table"]],
        ),
        (
            "<table><td>a<table><td>b</table>c<tr>d",
            [["td", "table"], ["td", "table"] * 2, ["td", "table"], ["tr", "table"]],
        ),
        ("<div><table><td>a</div>b</table>c", [["td", "table", "div"], ["td", "table", "div"], ["div"]]),
        ("<div><b>a</div>c", [["b", "div"], []]),
        ("<div>a</p></span></li>b</div>c", [["div"], ["div"], []]),  # </p> and </li> end the line, but no element
        ("<h1>a<h2>b</h1>c", [["h1"], ["h2"], []]),
        ("<head><div>a", [["div"]]),
        ("<head><title>x</title>a", [[]]),
        ("<body><div>a<body><html>b", [["div", "body"], ["div", "body"]]),
        ("<i/>a<div/>b", [[], ["div"]]),
    ],
)
def test_which_elements_are_open(html: str, paths: list[list[str]]) -> None:
    page = scan(html)
    assert [path(page, k) for k in range(len(page.block_text))] == paths


@pytest.mark.parametrize(
    ("html", "link_units", "links"),
    [
        ("<a href=x>ab</a>c", 2, 1),
        ("<a name=x>ab</a>c", 0, 0),
        ("<a href=x>ab<a href=y>c</a>d", 3, 2),
        ("<a href=x><b>ab</a>c</b>", 2, 1),
        ("<a href=x>a<div>b</a>c</div>", 1, 1),
    ],
)
def test_links(html: str, link_units: int, links: int) -> None:
    assert count(html, "link_units") == link_units
    assert count(html, "links") == links


def test_a_link_ends_inside_a_block_that_it_holds() -> None:
    page = scan("<a href=x>a<div>b</a>c</div>d")
    assert page.counts[:, COUNTS.index("link_units")].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Hello, a World 42!", {"units": 15, "words": 4, "digits": 2, "commas": 1, "sentence_marks": 1, "capitals": 2}),
        ("Hello, a World 42!", {"ends_with_mark": 1, "short_words": 2, "word_chars": 13, "cjk": 0, "breaks": 0}),
        ('He said "no."', {"ends_with_mark": 1}),
        ("no. 7", {"ends_with_mark": 0, "sentence_marks": 1}),
        ("日本語、です。", {"cjk": 5, "words": 5, "units": 17, "commas": 1, "sentence_marks": 1, "ends_with_mark": 1}),
        ("Zażółć gęślą", {"words": 2, "units": 11, "capitals": 1}),
        ("Привет Мир", {"words": 2, "capitals": 2}),
        ("w<b>or</b>d", {"words": 1, "word_chars": 4}),
        ("w&#111;rd", {"words": 1, "word_chars": 4, "units": 4}),
        ("a<br>b<br>", {"breaks": 2, "words": 2}),
        ("don’t — yes", {"words": 3}),
        ("\U0001f600 x", {"words": 1, "units": 2}),
        ("\U00020000\U00020001", {"words": 2, "cjk": 2, "units": 6}),
        ("١٢٣", {"digits": 3, "words": 1}),
    ],
)
def test_counts(text: str, counts: dict[str, int]) -> None:
    assert {name: count(f"<p>{text}", name) for name in counts} == counts


@pytest.mark.parametrize("mark", list("؟۔؛।॥։՞።፧။។๚།᠃‼…。．！？：；｡\u037e׃"))
def test_sentence_marks_of_many_scripts(mark: str) -> None:
    assert count(f"word{mark}", "sentence_marks") == count(f"word{mark}", "ends_with_mark") == 1
    assert count(f"word&#{ord(mark)};", "ends_with_mark") == 1
    assert count(f"word{mark}word", "words") == 2


@pytest.mark.parametrize("mark", list("،、，՝፣၊"))
def test_commas_of_many_scripts(mark: str) -> None:
    assert count(f"word{mark}", "commas") == 1
    assert count(f"word{mark}", "ends_with_mark") == 0


def test_words_of_the_title_are_known_again() -> None:
    page = scan("<title>A Large &#66;ook</title><p>The large dog</p><h1>ONE BOOK, A 日</h1>")
    assert page.counts[:, COUNTS.index("title_words")].tolist() == [1, 2]
    assert page.texts() == ["The large dog", "ONE BOOK, A 日"]


def test_where_a_block_stands() -> None:
    page = scan("<body> <div><p> <i>text</i></p></div>")
    names = dict(zip(COUNTS, page.counts[0].tolist(), strict=True))
    assert NAMES[int(names["tag"])] == "p"
    assert NAMES[page.element_tag[int(names["element"])]] == "i"
    assert names["depth"] == 4
    assert names["offset_bytes"] == 19


def weights_of(html: str) -> tuple[Page, np.ndarray]:
    weights = np.random.default_rng(1).normal(size=1 << 16).astype(np.float32)
    return Scanner(weights).scan(html.encode(), want_tokens=True), weights


def test_scores_are_the_weights_of_the_tokens() -> None:
    page, weights = weights_of("<div class='mainContent main'><p id=c1-text><b role=note>x</b>y<!-- --><p>z")
    check(page, valid=True)
    bounds = list(pairwise(page.element_first_token.tolist()))
    assert [end - start for start, end in bounds] == [0, 5, 2, 2, 0]
    own = [float(weights[page.token_ids[start:end]].sum(dtype=np.float32)) for start, end in bounds]
    chain = own[1:4]
    assert page.token_scores[0] == pytest.approx([sum(chain), max(0, *chain), min(0, *chain), own[3]], rel=1e-5)
    assert page.token_scores[1] == pytest.approx([own[1], max(0, own[1]), min(0, own[1]), 0], rel=1e-5)


def test_pieces_and_whole_names_are_tokens() -> None:
    def tokens(html: str) -> list[int]:
        return sorted(scan(html, want_tokens=True).token_ids.tolist())

    assert tokens("<p class='post-body'>") == tokens("<p class='Post-Body'>") != tokens("<p class='postBody'>")
    assert len(tokens("<p class='postBody'>")) == 3
    assert tokens("<p class='post12'>") == tokens("<p class='post3'>")  # digits do not count
    assert tokens("<p class=post>") == tokens("<p id=post>") != tokens("<p role=post>") == tokens("<p itemprop=post>")
    assert tokens("<p class='a b c 1 2'>") == []
    assert tokens("<script class=post></script><img class=post></p class=post>") == []
    assert shared_scanner().scan(b"<p class=post>").token_ids.size == 0  # not wanted


def test_weights_must_cover_all_tokens() -> None:
    with pytest.raises(ValueError, match="65536"):
        Scanner(np.zeros(10, np.float32))


@pytest.mark.parametrize(
    ("html", "caps"),
    [
        (b"<p>x" * (state.MAX_BLOCKS + 5), ("blocks",)),
        (b"<div></div>" * (state.MAX_ELEMENTS + 5), ("elements",)),
        (b"<div>" * 600 + b"x", ("depth",)),
        (b"<i>" * 60 + b"x", ("depth",)),
        (b"<p class='ab cd ef gh ij'>" * (state.MAX_TOKENS // 5 + 5), ("tokens",)),
    ],
)
def test_limits_that_are_hit_are_named(html: bytes, caps: tuple[str, ...]) -> None:
    page = Scanner().scan(html, want_tokens=True)
    check(page, valid=True)
    assert page.caps_hit == caps
    assert len(page.block_text) <= state.MAX_BLOCKS
    assert len(page.element_parent) <= state.MAX_ELEMENTS
    assert page.token_ids.size <= state.MAX_TOKENS


def test_what_was_too_deep_does_not_disturb_what_follows() -> None:
    page = scan("<div>" * 600 + "x" + "</div>" * 600 + "<p>y")
    assert page.texts() == ["x", "y"]
    assert path(page, 1) == ["p"]


def test_buffers_shrink_after_a_large_page() -> None:
    scanner = Scanner()
    scanner.scan(b"<p>x" * 3_000_000)
    large = sum(array.nbytes for array in scanner._room)
    assert scanner.scan(b"<p>x").texts() == ["x"]
    small = sum(array.nbytes for array in scanner._room)
    assert small < 15_000_000 < large < 60_000_000
