"""Mirrors curate/kernels/html/head.py: what a page says of itself, on made pages, real ones and hostile ones."""

import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.kernels.html.head import Head, read_head
from tests.helpers import shared_data

URL = "https://www.example.org/2013/04/05/story.html?id=1"


def head(html: str, headers: Mapping[str, str] | None = None, url: str | None = "https://example.org/a/b.html") -> Head:
    return read_head(html.encode(), headers or {}, url)


def json_ld(**node: Any) -> str:
    return f'<script type="application/ld+json">{json.dumps(node)}</script>'


def test_a_page_that_says_nothing() -> None:
    assert head("<p>Hello</p>") == Head(*[None] * 11)
    assert head("", url=None) == Head(*[None] * 11)


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title>A\n  page </title>", "A page"),
        ("<TITLE lang=en>A page</TITLE >", "A page"),
        ("<title>Q&amp;A &#8211; caf&eacute;</title>", "Q&A – café"),
        ("<title>O&amp;#039;Neill</title>", "O'Neill"),
        ("<title>&amp;lt;b&amp;gt; in HTML</title>", "&lt;b&gt; in HTML"),
        ("<title>A <b>bold</b> one</title>", "A <b>bold</b> one"),  # there are no elements in a title
        ("<title></title><title>second</title>", None),
        ("<title>never closed<p>text", "never closed<p>text"),
        ("<svg><title>a picture</title></svg><title>page</title>", "page"),
        ("<title>page</title><body><svg><title>a picture</title></svg>", "page"),
        ("<!-- <title>old</title> --><title>new</title>", "new"),
        ("<script>'<title>no</title>'</script><title>yes</title>", "yes"),
        ('<div data-x="<title>no</title>"></div><title>yes</title>', "yes"),
        ("<textarea><title>no</title></textarea><title>yes</title>", "yes"),
        ("<title>T</title><meta property=og:title content='Open graph'>", "Open graph"),
        ("<title>T</title><meta property=og:title content='  '>", "T"),
        ("<meta name=twitter:title content=Tweet>", "Tweet"),
        (json_ld(**{"@type": "NewsArticle", "headline": "Head&amp;line"}), "Head&line"),
        (json_ld(**{"@type": "Organization", "headline": "no"}), None),
        ("<title>New Zealand - Example</title>", "New Zealand"),
        ("<title>New Zealand | Example.org</title>", "New Zealand"),
        ("<title>New Zealand » The Site</title><meta property=og:site_name content='The Site'>", "New Zealand"),
        ("<title>New Zealand | A country</title>", "New Zealand | A country"),
        ("<title>Peace - News today</title><h1 class=x><a>Peace</a></h1>", "Peace"),
        ("<title>Peaceful - News today</title><h1>Peace</h1>", "Peaceful - News today"),
    ],
)
def test_title(html: str, title: str | None) -> None:
    assert head(html).title == title


def test_a_long_title_is_cut() -> None:
    title = head(f"<title>{'é' * 100_000}</title>").title
    assert title == "é" * 512


@pytest.mark.parametrize(
    ("html", "published"),
    [
        ("<meta property=article:published_time content=2013-04-05T23:59:59-08:00>", "2013-04-05"),
        ("<meta name=DC.Date content='5 April 2013'>", "2013-04-05"),
        ("<meta itemprop=datePublished content=20130405>", "2013-04-05"),
        ("<span itemprop='datePublished' content='2013-04-05'>yesterday</span>", "2013-04-05"),
        ("<span itemprop='datePublished'><b>April 5, 2013</b></span>", "2013-04-05"),
        ("<time datetime=2013-04-05 pubdate>x</time>", "2013-04-05"),
        ("<time class='entry-date published' datetime=2013-04-05>x</time><time datetime=2014-01-01>", "2013-04-05"),
        ("<time datetime=2013-04-05>x</time>", "2013-04-05"),
        ("<time datetime=2013-04-05>x</time><time datetime=2014-04-05>x</time>", None),  # which one?
        (json_ld(**{"@type": "BlogPosting", "datePublished": "2013-04-05"}), "2013-04-05"),
        (
            json_ld(**{"@graph": [{"@type": "WebSite"}, {"@type": "WebPage", "datePublished": "2013-04-05"}]}),
            "2013-04-05",
        ),
        (
            json_ld(**{"@type": "WebPage", "datePublished": "2001-01-01"})
            + json_ld(**{"@type": ["Article"], "datePublished": "2013-04-05"}),
            "2013-04-05",
        ),
        ('<script type="application/ld+json">{"datePublished": "2013-04-05", broken</script>', "2013-04-05"),
        ("<meta name=date content=2013-02-30>", None),
        ("<meta name=date content=1066-10-14>", None),
        ("<meta name=date content=2999-01-01>", None),
        ("<meta name=date content=04/05/2013>", None),  # April or May?
        ("<meta name=last-modified content=2013-04-05>", None),
        ("<meta name=date content=nonsense><meta name=dc.date content=2013-04-05>", "2013-04-05"),
        ("<p>2013-04-05</p>", None),
    ],
)
def test_published(html: str, published: str | None) -> None:
    assert head(html).published == published


def test_the_date_in_the_url_is_the_last_resort() -> None:
    assert head("", url=URL).published == "2013-04-05"
    assert head("<meta name=date content=2013-04-04>", url=URL).published == "2013-04-04"
    assert head("", {"last-modified": "Fri, 05 Apr 2013 00:00:00 GMT"}).published is None


@pytest.mark.parametrize(
    ("html", "author"),
    [
        ("<meta name=author content='By Jane Doe'>", "Jane Doe"),
        ("<meta name=author content=admin>", None),
        ("<meta property=article:author content=https://www.facebook.com/jane>", None),
        ("<meta name=author content=Jane><meta name=author content=John><meta name=author content=Jane>", "Jane; John"),
        ("<meta name=author content=''>" + json_ld(**{"@type": "Article", "author": {"name": "Jane"}}), "Jane"),
        (json_ld(**{"@type": "Article", "author": [{"name": "Jane"}, "John", {"name": ["Jo"]}]}), "Jane; John; Jo"),
        ("<a rel=author href=/jane><span>Jane</span></a>", "Jane"),
        ("<p itemprop=author itemscope>By <span itemprop=name>Jane</span></p>", "Jane"),
        ("<meta name=author content='" + "long " * 60 + "'>", None),  # a sentence is no name
    ],
)
def test_author(html: str, author: str | None) -> None:
    assert head(html).author == author


@pytest.mark.parametrize(
    ("html", "headers", "url"),
    [
        ("<link rel=canonical href=https://example.org/x>", {}, "https://example.org/x"),
        ("<link href='/x' rel='foo CANONICAL'>", {}, "https://example.org/x"),
        ("<base href=https://other.org/y/><link rel=canonical href=x>", {}, "https://other.org/y/x"),
        ("<link rel=canonical href=''><meta property=og:url content=https://o.org/>", {}, "https://o.org/"),
        ("<link rel=canonical href='javascript:alert(1)'>", {}, None),
        ("<link rel=canonical href='http://[broken/'>", {}, None),
        ("", {"link": '<https://example.org/p>; rel="prev", </c>; rel="canonical"'}, "https://example.org/c"),
        ("<meta property=og:url content='/relative?a=1&amp;b=2'>", {}, "https://example.org/relative?a=1&b=2"),
        ("<!--<link rel=canonical href=https://no.org/>--><a rel=canonical href=https://no.org/>", {}, None),
    ],
)
def test_canonical_url(html: str, headers: dict[str, str], url: str | None) -> None:
    assert head(html, headers).canonical_url == url


@pytest.mark.parametrize(
    ("html", "headers", "language"),
    [
        ("<html lang=EN-us>", {}, "en-us"),
        ("<html xml:lang=pt_BR>", {}, "pt-BR"),
        ("<html lang=''><meta http-equiv=Content-Language content=de>", {}, "de"),
        ("<html lang=Deutsch><meta name=language content=de>", {}, "de"),
        ("<meta http-equiv=content-language content='de, en'>", {"content-language": "fr"}, "fr"),
        ("", {"content-language": "fr, en"}, None),
        ("<meta property=og:locale content=fr_FR>", {}, "fr-FR"),
        ("<p lang=fr>", {}, None),
        ("<html lang={{lang}}>", {}, None),
    ],
)
def test_declared_language(html: str, headers: dict[str, str], language: str | None) -> None:
    assert head(html, headers).declared_language == language


@pytest.mark.parametrize(
    ("html", "headers", "robots"),
    [
        ("<meta name=ROBOTS content='NoIndex, NOAI'>", {}, "noai,noindex"),
        ("<meta content=noai name=robots>", {}, "noai"),
        ("<meta name=robots content=noai /><meta name=robots content=index>", {}, "index,noai"),
        ("<body><div><meta name='robots' content='noai'></div>", {}, "noai"),
        ("<meta name=ccbot content=none>", {}, "ccbot:nofollow,ccbot:noindex"),
        ("<meta name=robots content=index>", {"x-robots-tag": "noai, noimageai"}, "index,noai,noimageai"),
        ("<!-- <meta name=robots content=noai> -->", {}, None),
        ("<!--><meta name=robots content=noai>-->", {}, "noai"),  # <!--> is a whole comment
        ("<!-- a --!><meta name=robots content=noai>", {}, "noai"),
        ("<script><!-- <meta name=robots content=noai> --></script>", {}, None),
        ("<style><meta name=robots content=noai></style>", {}, None),
        ("<iframe><meta name=robots content=noai></iframe>", {}, None),
        ("<noscript><meta name=robots content=noai></noscript>", {}, "noai"),  # a crawler runs no scripts
        ("<img alt='><meta name=robots content=noai>'>", {}, None),
        ("<img alt=\"<meta name='robots' content='noai'>\">", {}, None),
        ("<p title='a > b' <meta name=robots content=noai>", {}, None),  # < inside a tag is a wrong attribute
        ("<meta name=robots content='noai", {}, None),  # cut off: no tag
        ("<meta name=robots name=description content=noai content=index>", {}, "noai"),  # the first of each counts
        ("<meta name=robots>", {}, None),
        ("<![CDATA[<meta name=robots content=noai>]]>", {}, None),
        ("<?php <meta ?><meta name=robots content=noai>", {}, "noai"),
        ("<metadata name=robots content=noai>", {}, None),
        ("<my-textarea><meta name=robots content=noai></my-textarea>", {}, "noai"),  # no textarea
        ("<textarea></my-textarea><meta name=robots content=noai>", {}, None),
        ("<meta\n\tname\n=\n'robots'\ncontent\n=\nnoai\n>", {}, "noai"),
        ("<meta/name=robots/content=noai>", {}, None),  # unquoted, name is `robots/content=noai`
    ],
)
def test_robots(html: str, headers: dict[str, str], robots: str | None) -> None:
    assert head(html, headers).robots == robots


@pytest.mark.parametrize(
    ("html", "headers", "reserved"),
    [
        ("<meta name=TDM-Reservation content=1>", {}, True),
        ("<meta name=tdm-reservation content=' 0 '>", {}, False),
        ("", {"tdm-reservation": "1"}, True),
        ("<meta name=tdm-reservation content=1>", {"tdm-reservation": "0"}, True),
        ("<meta name=tdm-reservation content=0>", {"tdm-reservation": "1"}, True),
        ("<meta name=tdm-reservation content=yes>", {}, None),
        ("<meta name=description content=tdm-reservation>", {}, None),
    ],
)
def test_tdm_reservation(html: str, headers: dict[str, str], reserved: bool | None) -> None:
    assert head(html, headers).tdm_reservation is reserved


def test_tdm_policy_of_the_header_goes_first() -> None:
    html = "<meta name=tdm-policy content=/policy.json>"
    assert head(html).tdm_policy == "https://example.org/policy.json"
    assert head(html, {"tdm-policy": "https://p.org/1"}).tdm_policy == "https://p.org/1"


CC_BY = "https://creativecommons.org/licenses/by/4.0/"
CC_SA = "http://creativecommons.org/licenses/by-sa/3.0/de/"


@pytest.mark.parametrize(
    ("html", "license"),
    [
        (f"<link rel=license href={CC_BY}>", "cc-by-4.0"),
        (f"<p><a rel='nofollow License' href='{CC_SA}deed.de'>CC</a>", "cc-by-sa-3.0-de"),
        (f"<area rel=license href={CC_BY}>", "cc-by-4.0"),
        (f"<a property=dct:license href={CC_BY}>", "cc-by-4.0"),
        (f"<a itemprop=license href={CC_BY}>", "cc-by-4.0"),
        (f"<meta name=dcterms.license content={CC_BY}>", "cc-by-4.0"),
        ("<meta name=dc.rights content='CC BY-NC-SA 4.0'>", "cc-by-nc-sa-4.0"),
        ("<meta name=dc.rights content='Copyright Example'>", None),
        (json_ld(**{"@type": "WebPage", "license": CC_BY}), "cc-by-4.0"),
        (json_ld(**{"@type": "ImageObject", "license": CC_BY}), None),  # a picture's
        ("<link rel=license href=/terms>", "other"),
        ("<a rel=license href=#top>", None),
        (f"<link rel=license href=/terms><a rel=license href={CC_BY}>", "cc-by-4.0"),
        (f"<a rel=license href={CC_BY}><a rel=license href={CC_SA}>", "other"),  # of which of them is the page?
        (f"<link rel=license href={CC_BY}><a rel=license href={CC_SA}>", "cc-by-4.0"),
        (f"<p>Content is under <a href={CC_BY}>CC BY</a>.</p>", "cc-by-4.0"),
        (f"<p>Photo: Jane, <a href={CC_BY}>CC BY</a></p>" + "<p>text</p>" * 99, None),
        (f"<p>see <a href={CC_BY}>this</a></p>" + "<p>text</p>" * 99, None),  # neither words nor place
        ("<p>text</p>" * 99 + f"<footer><a href={CC_BY}><img></a></footer>", "cc-by-4.0"),
        (f"<aside><a href={CC_BY}> <img src=88x31.png></a></aside>" + "<p>text</p>" * 99, "cc-by-4.0"),  # a badge
        (f"<p>Flickr: <a href={CC_BY}><img src=88x31.png></a></p>" + "<p>text</p>" * 99, None),
        (f"<p>Content: <a href={CC_BY}>1</a> <a href={CC_SA}>2</a>", None),
        ("<p>Licensed under <a href=https://www.gnu.org/licenses/gpl-3.0.html>GPL</a>", None),  # software's
        ("<p>Text under the licence <a href=https://www.gnu.org/copyleft/fdl.html>GFDL</a>", "gfdl"),
        (f"<!-- <a rel=license href={CC_BY}> -->", None),
    ],
)
def test_license(html: str, license: str | None) -> None:
    assert head(html).license == license


def test_license_of_the_link_header() -> None:
    found = head("", {"link": f"<{CC_BY}>; rel=license"})
    assert (found.license, found.license_url) == ("cc-by-4.0", CC_BY)


@pytest.mark.parametrize(
    ("html", "copyright"),
    [
        ("<p>x</p><footer>&copy; 2013 <a href=/>Example</a> Ltd.</footer>", "© 2013 Example Ltd."),
        ("<div>Copyright © 2013\n Example</div>", "Copyright © 2013 Example"),
        ("<div>All content copyright &#169; Example<br>Imprint</div>", "All content copyright © Example"),
        ("<p>Photo: © Reuters</p><p>(c) 2013 Example</p>", "(c) 2013 Example"),
        ("<p>© 2013 Example</p><p>Map © People</p>", "© 2013 Example"),  # a year is what a page's own line has
        ("<p>© <script>document.write(new Date().getFullYear())</script> Example</p>", "© Example"),
        ("<meta name=copyright content='Example Ltd.'>", "Example Ltd."),
        ("<script>/* © 2013 jQuery */</script>", None),
        ("<!-- © 2013 Example -->", None),
        ("<img alt='© 2013 Example'>", None),
        ("<p>The right to copy</p>", None),
        (f"<p>© 2013 {'word ' * 200}</p>", "© 2013 " + ("word " * 200)[:193].rstrip()),
    ],
)
def test_copyright(html: str, copyright: str | None) -> None:
    assert head(html).copyright == copyright


def test_real_pages_against_a_dom() -> None:
    """Every title element and every robots meta element that Resiliparse's parser finds is found, and no other."""
    from resiliparse.parse.html import HTMLTree

    n_titles = n_robots = 0
    with shared_data("pages", "web-dev-01.warc.gz").open("rb") as stream:
        for n_pages, record in enumerate(ArchiveIterator(stream, record_types=WarcRecordType.response)):
            html = record.reader.read().decode("utf-8", "replace")
            tree = HTMLTree.parse(html)
            found = head(html, url=None)
            metas = tree.head.query_selector_all("meta[name][content]") if tree.head else []
            said = [m["content"] for m in metas if m["name"].strip().lower() == "robots"]
            said = [
                d
                for c in said
                for d in re.split(r"[,;\s]+", c.lower())
                if d in ("noindex", "nofollow", "noarchive", "index")
            ]
            ours = (found.robots or "").split(",")
            assert set(said) <= set(ours), record.headers["WARC-Target-URI"]
            title = " ".join((tree.title or "").split())
            if title and found.title is None:
                raise AssertionError(record.headers["WARC-Target-URI"])
            n_titles += bool(title)
            n_robots += bool(said)
            if n_pages == 600:
                break
    assert n_titles > 500
    assert n_robots > 50


def test_titles_people_expect() -> None:
    """Most titles that Readability expects come out word for word, nearly all but for the name of a site."""
    index = shared_data("pages", "web-dev.index.jsonl.gz")
    with gzip.open(index) as lines:
        where = {row["id"]: row for row in map(json.loads, lines)}
    same = within = n = 0
    with gzip.open(shared_data("pages", "web-dev.gold.jsonl.gz")) as lines:
        for gold in map(json.loads, lines):
            if "title" not in gold:
                continue
            row = where[gold["id"]]
            with shared_data("pages", row["warc"]).open("rb") as stream:
                stream.seek(row["offset"])
                record = next(iter(ArchiveIterator(stream, record_types=WarcRecordType.response)))
                title = read_head(record.reader.read(), {}, row["url"]).title or ""
            expected = " ".join(gold["title"].split()).lower()
            n += 1
            same += title.lower() == expected
            within += title.lower() in expected or expected in title.lower()
    assert n == 130
    assert same >= 105
    assert within >= 122


FRAGMENTS = st.sampled_from(
    (
        "<", ">", "<!--", "-->", "--!>", "<!", "</", "/>", "'", '"', "=", "&", "&copy;", "©", "&#", ";", "\n", "\x00",
        "<meta ", "<meta name=robots content=", "property=og:title ", "content=", "name=author ", "itemprop=author ",
        "<link rel=canonical href=", "<a rel=license href=", "//creativecommons.org/licenses/by/4.0/", "http://[",
        "<title>", "</title", "<svg>", "</svg>", "<script>", "</script>", "<script type=application/ld+json>", "noai",
        '{"@type":"Article","author":', '"datePublished":"', "[" * 100, "}", "]", "<time datetime=", "2013-04-05",
        "Copyright 2013", "(c)", "<p>", "</p>", "x" * 50, "<h1>", "<base href=", "<html lang=", "\ud7ff",
    )
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(FRAGMENTS, max_size=40).map(lambda parts: "".join(parts).encode())))
@example(b"<meta")
@example(b"</")
@example(b"<!--->")
@example(b"<a href=//")
def test_no_bytes_raise_and_fields_are_bounded_text(html: bytes) -> None:
    found = read_head(html, {"link": html.decode("latin-1"), "x-robots-tag": html.decode("latin-1")}, URL)
    for value in found:
        if isinstance(value, str):
            assert 0 < len(value) <= 2048
            value.encode("utf-8")  # no lone surrogates
            assert "\x00" not in value
            assert value == value.strip()
    if found.published:
        assert re.fullmatch(r"(?:19|20|21)\d\d-\d\d-\d\d", found.published)
    for url in (found.canonical_url, found.license_url, found.tdm_policy):
        assert url is None or url.lower().startswith(("http://", "https://"))


@pytest.mark.parametrize(
    "piece",
    [
        "<meta ", '<meta name="', "<", "<!", "<!-- -", "</", "<title>", "<svg>", "&copy;", "'\"", " a=b", "<a href=//",
        "[{", "<meta name=author content=x>", "<meta name=robots content='a: b;'>", f"<a href={CC_BY}>x",
        "<script type=application/ld+json>[", "<a rel=author href=x><",
        "<time datetime=2013-04-05 itemprop=datePublished>",
    ],
)  # fmt: skip
def test_two_megabytes_of_one_thing_are_read(piece: str) -> None:
    """It ends, without an error; that the time is linear is measured in benchmarks/head_metadata.py."""
    html = (piece * (2_000_000 // len(piece))).encode()
    read_head(html, {}, URL)
    read_head(b'<meta name="x" content="' + html + b'">' + html, {}, URL)


def test_what_stands_before_a_flood_is_kept() -> None:
    html = "<meta name=robots content=noai>" + "<meta name=robots content=index>" * 50_000
    assert head(html).robots == "index,noai"
