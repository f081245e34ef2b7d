"""Pages of WARC files as valid UTF-8, for the benchmarks of the scanner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from curate.charset import decode_html

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data" / "pages"


def warc_files() -> list[Path]:
    """Return the WARC files of the larger data set beside the repository, else those of the examples."""
    folder = SHARED if SHARED.is_dir() else ROOT / "examples" / "data"
    return sorted(folder.glob("*.warc.gz"))


def utf8_pages(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield (URL, page as UTF-8) of every response."""
    for path in files:
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                html = record.reader.read()
                if html:
                    yield record.headers.get("WARC-Target-URI") or "", decode_html(html, record.http_charset).utf8
