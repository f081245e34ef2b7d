"""Mirrors curate/kernels/html/marks.py and tag_reader.py: the compiled pass against plain Python, a DOM and floods."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from curate.kernels.html import marks
from curate.kernels.html.marks import MAX_MARKS, MAX_SIGNS, find_marks
from tests.helpers import ROOT
from tests.runs import environment

PIECES = (
    "<", ">", "</", "<!--", "-->", "--!>", "<!-->", "<!", "<?", "/>", "'", '"', "=", " ", "\n", "x", "<p ", "</p>", "©",
    "&copy", "<meta name=robots content=noai>", "<META Content='a b' NAME=\"Author\" ", "itemprop=author", "pubdate",
    "<link rel=canonical href=", "<a rel='license' href=", "<a href=//creativecommons.org/licenses/by/4.0/", "<h1>",
    "<title>", "</title>", "</titlex>", "<svg>", "<svg/>", "</svg>", "<script type='application/ld+json'>",
    "</script >", "<textarea>", "</textarea>", "<my-textarea>", "<time ", "<html lang=en>", "<base href=/x>", "(c)",
    "http-equiv=Content-Language content=de", "class=published", "property='dct:license'", "<noframes", "<a\x00b",
    "datetime=2013", "Copyright", "&#xA9;", "é",
)  # fmt: skip


def made_pages(n: int) -> list[str]:
    rng = random.Random(7)
    return ["".join(rng.choice(PIECES) for _ in range(rng.randint(0, 25))) for _ in range(n)]


def test_plain_python_finds_the_same_with_every_index_checked() -> None:
    """The kernels run as Python where numba is told not to compile; there an index beyond the page is an error."""
    script = (
        "import json, sys, warnings\n"
        "warnings.simplefilter('error', RuntimeWarning)\n"
        "from curate.kernels.html.marks import find_marks\n"
        "print(json.dumps([find_marks(page.encode()) for page in json.load(sys.stdin)]))\n"
    )
    pages = made_pages(600)
    pages += [path.read_text("utf-8") for path in sorted((ROOT / "tests" / "kernels" / "html").glob("test_h*.py"))]
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(pages),
        env=environment(NUMBA_DISABLE_JIT="1"),
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain = json.loads(done.stdout)
    assert sum(len(rows) for rows, _ in plain) > 400
    for page, (rows, signs) in zip(pages, plain, strict=True):
        found = find_marks(page.encode())
        assert (found.rows, found.signs) == (rows, signs), page


def test_spans_lie_within_the_page_and_in_its_order() -> None:
    for page in map(str.encode, made_pages(2000)):
        found = find_marks(page)
        for _, key_start, key_end, start, end in found.rows:
            assert 0 <= key_start <= key_end <= len(page)
            assert 0 <= start <= end <= len(page)
        assert found.signs == sorted(found.signs, reverse=True)
        page.decode()
        for _, key_start, key_end, start, _ in found.rows:
            page[key_start:key_end].decode("utf-8", "ignore")
            page[:start].decode()  # a value starts at a character's first byte


def test_attributes_are_those_of_a_browser() -> None:
    def metas(html: bytes) -> list[tuple[bytes, bytes]]:
        return [(html[a:b], html[c:d]) for kind, a, b, c, d in find_marks(html).rows if kind == marks.META]

    assert metas(b"<meta name=a content=b>") == [(b"a", b"b")]
    assert metas(b"<META NAME='a' content = \"b > c\">") == [(b"a", b"b > c")]
    assert metas(b"<meta name=a/content=b>") == []
    assert metas(b"<meta name=a content=b/>") == [(b"a", b"b/")]
    assert metas(b"<meta/name=a/ content=b >") == [(b"a/", b"b")]
    assert metas(b"<meta =name=a name=x content=b>") == [(b"x", b"b")]
    assert metas(b"<meta name=a name=b content=c content=d>") == [(b"a", b"c")]
    assert metas(b"<meta name content=c>") == [(b"", b"c")]
    assert metas(b"<meta name=a property=b content=c>") == [(b"a", b"c"), (b"b", b"c")]
    assert metas(b"<meta name=a content='b>") == []


def test_links_titles_and_bases_against_a_dom(example_pages: list[bytes]) -> None:
    from resiliparse.parse.html import HTMLTree

    n = 0
    for html in example_pages:
        tree = HTMLTree.parse_from_bytes(html)
        links = [html[s:e] for kind, _, _, s, e in find_marks(html).rows if kind == marks.CANONICAL]
        assert tree.document is not None
        expected = [e["href"].encode() for e in tree.document.query_selector_all("link[rel~=canonical][href]")]
        assert [link.replace(b"&amp;", b"&") for link in links] == expected
        n += len(expected)
    assert n > 30


@pytest.fixture(scope="module")
def example_pages() -> list[bytes]:
    found = []
    for path in sorted(Path(ROOT, "examples", "data").glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                if "html" in str(record.http_content_type):
                    body = record.reader.read()
                    try:
                        body.decode()
                    except UnicodeDecodeError:
                        continue
                    found.append(body)
    return found


def test_floods_are_bounded() -> None:
    found = find_marks(b"<meta name=a content=b>\xc2\xa9 2013" * 100_000)
    assert len(found.rows) == MAX_MARKS
    assert len(found.signs) == MAX_SIGNS
