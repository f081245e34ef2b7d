"""Text of real pages for the tests of text signals."""

import functools

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from tests.helpers import ROOT, shared_data


@functools.cache
def example_texts() -> list[str]:
    """Return the main text of some pages of every file in examples/data."""
    paths = sorted((ROOT / "examples" / "data").glob("*.warc.gz"))
    assert paths, "examples/data has no WARC files"
    return [text for path in paths for text in texts_of(str(path), 6)]


def shared_texts(n: int) -> list[str]:
    """Return the main text of `n` pages of the larger data set; skips the test where it is absent."""
    return texts_of(str(shared_data("pages", "web-dev-01.warc.gz")), n)


@functools.cache
def texts_of(path: str, n: int) -> list[str]:
    """Return the non-empty main texts of the first `n` pages of a WARC file."""
    found = []
    with open(path, "rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            html = record.reader.read()
            text = extract_plain_text(bytes_to_str(html, detect_encoding(html)), main_content=True)
            if text.strip():
                found.append(text)
            if len(found) == n:
                break
    return found
