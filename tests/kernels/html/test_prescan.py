"""Mirrors curate/kernels/html/prescan.py: the bounds against a plain count, and against lexbor's own tree."""

from __future__ import annotations

import re
from collections import Counter

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from curate.kernels.html import prescan as kernel
from tests.helpers import shared_data
from tests.sources.build import read, whole

FLAT = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "dt",
        "dd",
        "rb",
        "rt",
        "rp",
        "option",
        "optgroup",
        "tr",
        "td",
        "th",
        "thead",
        "tbody",
        "tfoot",
        "colgroup",
    ]
)
TAGS = [
    "<div>",
    "</div>",
    "<B>",
    "</b>",
    "<p>",
    "</p>",
    "<br>",
    "<span x=1>",
    "</span\n>",
    "<li>",
    "a < b",
    "<",
    "</",
    "<1>",
    "x",
]


def nests_deeper(page: bytes, max_depth: int) -> bool:
    return kernel.nests_deeper(page, kernel.tag_starts(page), max_depth)


def has_more_attributes(page: bytes, max_attributes: int) -> bool:
    return kernel.has_more_attributes(page, kernel.tag_starts(page), max_attributes)


def _depth(html: str) -> int:
    """The definition: per element name, the largest surplus of start tags over end tags; summed."""
    level: Counter[str] = Counter()
    lowest: Counter[str] = Counter()
    surplus: Counter[str] = Counter()
    for end, name in re.findall(r"<(/?)([a-zA-Z][^\s/>]*)", html):
        name = name.lower()[:8]
        if name not in FLAT:
            level[name] += -1 if end else 1
            lowest[name] = min(lowest[name], level[name])
            surplus[name] = max(surplus[name], level[name] - lowest[name])
    return surplus.total()


@given(st.lists(st.sampled_from(TAGS), max_size=60))
def test_depth_is_the_plain_count(parts: list[str]) -> None:
    html = " ".join(parts)
    depth = _depth(html)
    assert not nests_deeper(html.encode(), depth)
    assert depth == 0 or nests_deeper(html.encode(), depth - 1)


def test_depth_is_not_under_that_of_a_parsed_tree() -> None:
    table, _ = read(whole(shared_data("warc", "iana.warc.gz")))
    for html in table["html"].to_pylist():
        depth, deepest = 0, 0
        for event, node in etree.iterwalk(lxml.html.document_fromstring(html), events=("start", "end")):
            if isinstance(node.tag, str) and node.tag not in FLAT:
                depth += 1 if event == "start" else -1
                deepest = max(deepest, depth)
        assert deepest > 5
        assert nests_deeper(html, deepest - 3)  # html, head and body may be implied


@pytest.mark.parametrize(
    ("tag", "n"),
    [
        (b"<a>", 0),
        (b"<a b>", 1),
        (b"<a b=c d='e f=g' h=\"i>j\" k>", 4),
        (b"<a/b/c>", 2),
        (b"<a b = c d = e>", 2),
        (b"text <br x><i y z", 2),
    ],
)
def test_attributes_are_counted(tag: bytes, n: int) -> None:
    page = tag + b" " * 100
    assert not has_more_attributes(page, max(n, 1))
    assert n < 2 or has_more_attributes(page, n - 1)


def test_text_and_scripts_between_tags_are_no_attributes() -> None:
    page = b"<p>" + b"word " * 5000 + b"</p><script>" + b"a = b; " * 5000 + b"</script>"
    assert not has_more_attributes(page, 10)


@pytest.mark.timeout(20)
def test_hostile_pages_are_looked_at_in_linear_time() -> None:
    for page in (b"<a " * 300_000, b"<a b='" * 200_000, b"<a" + b' b="' * 300_000, b"<" * 2_000_000, b"</a" * 500_000):
        nests_deeper(page, 100)
        has_more_attributes(page, 100)
