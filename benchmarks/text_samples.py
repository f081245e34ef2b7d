"""English texts for the benchmarks of text signals: pages of the shared data, and text from elsewhere."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

ENGLISH = {"en", "en-us", "en-gb", "en-au", "en-ca", "eng"}
STOP_WORDS = {"the", "and", "of", "to", "in", "a", "is", "that", "for", "with"}
MIN_STOP_WORD_FRAC = 0.12  # of a page without a label
CUT_CHARS = 8_000  # of a long text from elsewhere, about a page each


def pages(data: Path) -> Iterator[tuple[str | None, str]]:
    """Yield (language label or None, main text) of every page that has one."""
    labels = {}
    with gzip.open(data / "pages" / "web-dev.index.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            labels[row["id"]] = row["lang"] or row["html_lang"]
    for path in sorted((data / "pages").glob("web-dev-*.warc.gz")):
        with path.open("rb") as stream:
            text = None
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response | WarcRecordType.metadata):
                body = record.reader.read()
                if record.record_type == WarcRecordType.response:
                    text = extract_plain_text(bytes_to_str(body, detect_encoding(body)), main_content=True)
                    continue
                fields = dict(line.split(": ", 1) for line in body.decode().splitlines() if ": " in line)
                if text and text.strip():
                    yield labels.get(fields["page-id"]), text
                text = None


def english_pages(data: Path) -> list[str]:
    """Return the pages labelled English, and those without a label whose words are often English stop words."""
    found = []
    for label, text in pages(data):
        words = text.split()
        frac = sum(word in STOP_WORDS for word in words) / max(len(words), 1)
        if label.lower() in ENGLISH if label else frac >= MIN_STOP_WORD_FRAC:
            found.append(text)
    return found


def elsewhere(data: Path) -> dict[str, list[str]]:
    """Return texts that are no web pages, by where they come from."""
    found: dict[str, list[str]] = {}
    for path in sorted((data / "corpora").glob("*.gz")):
        whole = _fields(path, "text") if ".jsonl" in path.name else [gzip.decompress(path.read_bytes()).decode()]
        found[f"corpora/{path.name}"] = [piece for text in whole for piece in _pieces(text)]
    found["dedup/licences"] = list(_fields(data / "dedup" / "licences-docs.jsonl.gz", "text"))
    found["toxicity/wiki-talk"] = list(_fields(data / "toxicity" / "wiki-talk-dev.jsonl.gz", "text"))
    found["lid (all languages)"] = list(_fields(data / "lid" / "lid-dev.jsonl.gz", "text"))
    return {name: [text for text in texts if text.strip()] for name, texts in found.items()}


def _fields(path: Path, name: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)[name]


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), CUT_CHARS):
        yield text[start : start + CUT_CHARS]
