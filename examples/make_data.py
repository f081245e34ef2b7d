"""Build the eight small crawl files of examples/data from freely licensed pages; see examples/data/README.md.

    python examples/make_data.py ../shared/data -o examples/data

The first argument is a folder with `pages/` (pages of the Debian packages apache2-doc and debian-handbook, packed as
WARC, with an index `*.index.jsonl.gz`) and `corpora/` (texts in the public domain, JSONL). The same input gives the
same bytes: nothing is drawn at random, record ids follow from URLs, and gzip members carry no time.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import re
import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from made_pages import MADE_AT, Page, contact_pages, files_that_are_no_pages, html_page, link_pages, thin_pages
from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

N_FILES = 8
WRAPPED = "text in the public domain, wrapped as a page"

# Small pages only: the examples must stay a few MB. Bytes are those of the page after deflate.
MAX_APACHE_BYTES = {"en": 8_500, "de": 7_000, "es": 7_000, "fr": 3_200, "ja": 4_000, "ko": 3_200, "tr": 4_000}
MAX_APACHE_OTHER_BYTES = 5_000
MAX_HANDBOOK_BYTES = 7_000
MAX_ENGLISH_PER_HANDBOOK_PAGE = 2  # many translations still show the English text: near-duplicates that nobody made
MAX_PAGES_PER_HANDBOOK_LOCALE = 3
MAX_SPEECH_CHARS = 30_000
PLAYS = ("hamlet", "macbeth")
GENESIS = {"english-kjv": 48, "english-web": 48, "german": 10, "french": 10}  # how many parts of each


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a gzip-compressed JSONL file."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def packed_pages(folder: Path) -> Iterator[tuple[dict[str, Any], Page]]:
    """Yield (index row, page) of the two Debian packages, ordered by id."""
    rows = [row for path in sorted(folder.glob("*.index.jsonl.gz")) for row in rows_of(path)]
    wanted = {"debian:apache2-doc", "debian:debian-handbook"}
    for row in sorted((row for row in rows if row["source"] in wanted), key=lambda row: row["id"]):
        with (folder / row["warc"]).open("rb") as file:
            file.seek(row["offset"])
            inflate, record = zlib.decompressobj(31), b""
            while not inflate.eof:
                record += inflate.decompress(file.read(1 << 16))
        warc, http, body = record.split(b"\r\n\r\n", 2)
        date = re.search(rb"WARC-Date: (\S+)", warc)
        lines = (line.decode("latin-1").partition(": ") for line in http.split(b"\r\n")[1:])
        headers = tuple((name, value) for name, _, value in lines if name != "Content-Length")
        yield row, Page(row["url"], body[:-4], headers, date[1].decode() if date else MADE_AT)


def apache_pages(pages: Iterable[tuple[dict[str, Any], Page]]) -> Iterator[Page]:
    """Yield the small pages of the Apache manual, English ones with the widest limit."""
    for row, page in pages:
        limit = MAX_APACHE_BYTES.get(row["lang"], MAX_APACHE_OTHER_BYTES)
        if row["source"] == "debian:apache2-doc" and len(zlib.compress(page.body, 9)) <= limit:
            yield page


def handbook_pages(pages: Iterable[tuple[dict[str, Any], Page]]) -> Iterator[Page]:
    """Yield pages of the Debian handbook: a few per language, and English ones with their untranslated twins."""
    n_english, n_locale = Counter[str](), Counter[str]()
    for row, page in pages:
        if row["source"] != "debian:debian-handbook" or len(zlib.compress(page.body, 9)) > MAX_HANDBOOK_BYTES:
            continue
        locale, name = page.url.split("/")[-2:]
        if is_english(page.body):
            n_english[name] += 1
            keep = n_english[name] <= MAX_ENGLISH_PER_HANDBOOK_PAGE
        else:
            n_locale[locale] += 1
            keep = n_locale[locale] <= MAX_PAGES_PER_HANDBOOK_LOCALE
        if keep:
            yield page


def is_english(body: bytes) -> bool:
    """Say whether at least 2 % of the words of a page are `the`: enough to tell the handbook's languages apart."""
    words = re.sub(rb"<[^>]*>", b" ", body).lower().split()
    return words.count(b"the") >= 0.02 * len(words)


def speeches(folder: Path, corpus: str, site: str) -> Iterator[Page]:
    """Yield one page per speech; a line of the text is a paragraph of the page."""
    for row in rows_of(folder / f"{corpus}.jsonl.gz"):
        if len(row["text"]) <= MAX_SPEECH_CHARS:
            name = Path(row["id"]).stem
            year, _, speaker = name.partition("-")
            title = f"{speaker}, {corpus.replace('_', ' ')} address, {year}"
            paragraphs = [line.strip() for line in row["text"].splitlines() if line.strip()]
            body = html_page(title, paragraphs, "Text in the public domain.", ("Home", "Speeches", "About"))
            yield Page(
                f"https://{site}/{corpus.replace('_', '-')}/{name.lower()}.html", body, origin=f"corpus:{corpus}"
            )


def scenes(folder: Path) -> Iterator[Page]:
    """Yield one page per scene of a play; a speech is a paragraph."""
    for row in rows_of(folder / "shakespeare.jsonl.gz"):
        play = Path(row["id"]).stem
        if play not in PLAYS:
            continue
        for n, scene in enumerate(re.split(r"\n(?=SCENE [IVX]+\.)", row["text"].replace("\r", ""))[1:], 1):
            speeches = [re.sub(r"\n\s*", "\n", speech.strip()) for speech in re.split(r"\n\s*\n", scene)]
            body = html_page(f"{play.title()}, scene {n}", filter(None, speeches), "Text in the public domain.")
            yield Page(f"https://plays.example/{play}/{n:02}.html", body, origin=WRAPPED)


def genesis_parts(folder: Path) -> Iterator[Page]:
    """Yield pages of about 4,000 characters; sentences are joined to paragraphs of about 500."""
    for row in rows_of(folder / "genesis.jsonl.gz"):
        name = Path(row["id"]).stem
        paragraphs = [""]
        for line in row["text"].split("\n"):
            paragraphs[-1] = f"{paragraphs[-1]} {' '.join(line.split())}".strip()
            if len(paragraphs[-1]) > 500 and paragraphs[-1].endswith("."):
                paragraphs.append("")
        parts = [paragraphs[n : n + 8] for n in range(0, len(paragraphs), 8)]
        for n, part in enumerate(parts[: GENESIS.get(name, 0)], 1):
            body = html_page(f"Genesis, part {n}", filter(None, part), "Text in the public domain.")
            yield Page(f"https://scripture.example/{name}/genesis-{n:02}.html", body, origin=WRAPPED)


def copies(pages: list[Page]) -> Iterator[Page]:
    """Yield made duplicates of English pages: exact ones under a second URL, and mirrored ones slightly changed."""
    manual = [page for page in pages if "/docs/2.4/en/" in page.url]
    for page in manual[3::9]:
        url = page.url.replace("https://httpd.apache.org/", "http://www.example.org/mirror/")
        yield replace(page, url=url, origin=f"copy of {page.url}")
    for page in manual[5::9]:
        note = b"</h1><p>This copy of the page was made by a mirror. It may be older than the original.</p>"
        body = page.body.replace(b"</h1>", note, 1).replace(b"<title>", b"<title>Mirror: ", 1)
        url = page.url.replace("httpd.apache.org/docs", "docs-mirror.example.net/apache")
        yield replace(page, url=url, body=body, origin=f"changed copy of {page.url}")
    for page in [page for page in pages if page.url.startswith("https://speeches.example/")][::9]:
        paragraphs = page.body.split(b"<p>")
        body = b"<p>".join(paragraphs[:-2] + paragraphs[-1:])  # the last but one is missing in print
        body = body.replace(b"<nav>", b"<p>Print version. Close this window to return.</p><nav>", 1)
        url = page.url.replace(".html", ".print.html")
        yield replace(page, url=url, body=body, origin=f"changed copy of {page.url}")


def coded(pages: Iterable[Page]) -> Iterator[Page]:
    """Store some payloads as servers send them: gzip, chunked."""
    for n, page in enumerate(pages):
        if n % 23 == 7:
            body, header = gzip.compress(page.body, 9, mtime=0), ("Content-Encoding", "gzip")
        elif n % 97 == 50:
            cuts = [page.body[at : at + 4096] for at in range(0, len(page.body), 4096)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(cut), cut) for cut in cuts) + b"0\r\n\r\n"
            header = ("Transfer-Encoding", "chunked")
        else:
            yield page
            continue
        yield replace(page, body=body, headers=(*page.headers, header))


def record_id(*parts: str) -> str:
    """Return the record id that belongs to these parts, always the same."""
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(parts))}>"


def records_of(writer: WARCWriter, page: Page, file: str) -> Iterator[ArcWarcRecord]:
    """Yield what a crawler writes for one fetch: request, response, and metadata where there is something to say."""
    make = writer.create_warc_record
    host, _, path = page.url.partition("://")[2].partition("/")
    response_id = record_id(page.url, "response", file)
    headers = [*page.headers, ("Content-Length", str(len(page.body)))]
    yield make(
        page.url, "request",
        http_headers=StatusAndHeaders(f"GET /{path} HTTP/1.1", [("Host", host), ("User-Agent", "example-crawler")]),
        warc_headers_dict={"WARC-Record-ID": record_id(page.url, "request", file), "WARC-Date": page.date,
                           "WARC-Concurrent-To": response_id},
    )  # fmt: skip
    yield make(
        page.url, "response", payload=BytesIO(page.body), length=len(page.body),
        http_headers=StatusAndHeaders(page.status, headers, "HTTP/1.1"),
        warc_headers_dict={"WARC-Record-ID": response_id, "WARC-Date": page.date},
    )  # fmt: skip
    if not page.origin:
        return
    note = f"origin: {page.origin}\r\n".encode()
    yield make(
        page.url, "metadata", payload=BytesIO(note), length=len(note), warc_content_type="application/warc-fields",
        warc_headers_dict={"WARC-Record-ID": record_id(page.url, "metadata", file), "WARC-Date": page.date,
                           "WARC-Concurrent-To": response_id},
    )  # fmt: skip


def revisit_of(writer: WARCWriter, page: Page, file: str) -> ArcWarcRecord:
    """Return the record a crawler writes when a page is unchanged since its last visit."""
    digest = "sha1:" + base64.b32encode(hashlib.sha1(page.body).digest()).decode()
    return writer.create_revisit_record(
        page.url, digest, page.url, page.date,
        http_headers=StatusAndHeaders("200 OK", list(page.headers), "HTTP/1.1"),
        warc_headers_dict={"WARC-Record-ID": record_id(page.url, "revisit", file), "WARC-Date": "2025-03-19T09:30:00Z"},
    )  # fmt: skip


def write_file(path: Path, pages: list[Page]) -> None:
    """Write one crawl file: warcinfo, the records of every page, and one revisit."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True, warc_version="WARC/1.1")
        info = {"software": "examples/make_data.py", "format": "WARC File Format 1.1", "isPartOf": "curate-examples"}
        warcinfo = writer.create_warcinfo_record(path.name, info)
        warcinfo.rec_headers.replace_header("WARC-Record-ID", record_id(path.name))
        warcinfo.rec_headers.replace_header("WARC-Date", MADE_AT)
        writer.write_record(warcinfo)
        for page in pages:
            for record in records_of(writer, page, path.name):
                writer.write_record(record)
        writer.write_record(revisit_of(writer, pages[0], path.name))


def all_pages(data: Path) -> list[Page]:
    """Return everything that goes into the files, in an order that mixes the sources."""
    packed = list(packed_pages(data / "pages"))
    texts = data / "corpora"
    pages = [*apache_pages(packed), *handbook_pages(packed)]
    pages += [*speeches(texts, "inaugural", "speeches.example"), *speeches(texts, "state_union", "speeches.example")]
    pages += [*scenes(texts), *genesis_parts(texts)]
    pages += [*copies(pages), *link_pages(), *thin_pages(), *contact_pages(), *files_that_are_no_pages()]
    pages.sort(key=lambda page: hashlib.blake2b(page.url.encode(), digest_size=8).digest())
    return list(coded(pages))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with pages/ and corpora/")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent / "data")
    args = parser.parse_args()
    pages = all_pages(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    for n in range(N_FILES):
        write_file(args.out / f"crawl-{n}.warc.gz", pages[n::N_FILES])
    n_bytes = sum(path.stat().st_size for path in args.out.glob("crawl-*.warc.gz"))
    print(f"{len(pages)} responses, {n_bytes / 1e6:.2f} MB")
    for host, count in Counter(page.url.split("/")[2] for page in pages).most_common():
        print(f"{count:5} {host}")


if __name__ == "__main__":
    main()
