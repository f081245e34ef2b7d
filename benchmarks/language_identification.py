"""Language identification: `language` against plain lid.176 on the whole text, quality and documents per second.

    taskset -c 0 python benchmarks/language_identification.py [--pages N] [--spans]

Quality is the macro-F1 of the model's label (`language_raw`) on labelled texts, by kind, over the languages that
lid.176 has; texts of other languages are left out. The same texts are shown once more in capitals. Limits (what counts
as a script that is there, as capitals) were chosen on these texts; fortunes and verses were not looked at before.
Speed is that of both on the main texts of web pages, in turns on one core: CPU time, best of three, documents per
CPU-second. `--spans` glues sentences of two and more languages together and tells how many bytes the spans of the stage
get right, against the label of the whole.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from curate.languages import code_of, languages  # noqa: E402
from curate.models import LABEL, LID_176, LID_176_LANGUAGES, asset, load_fasttext  # noqa: E402
from curate.stages.language import Language  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
BATCH_DOCS = 64  # as the runner reads them
BOOKS = {"english-web": "en", "finnish": "fi", "french": "fr", "german": "de", "portuguese": "pt", "swedish": "sv"}
# Codes of the data that mean another language elsewhere, or whose group only lid.176 has.
SPECIAL = {"nb": "no", "nob": "no", "lnc": "oc", "prv": "oc", "mly": "ms"}


class Labelled(NamedTuple):
    """A text, its language as lid.176 calls it, and its kind."""

    text: str
    language: str
    kind: str


def language_of(code: str, of_declaration: bool) -> str | None:
    """Return what lid.176 calls a language of the data; None for one that it does not have."""
    if of_declaration:
        code = code.split("_")[0]  # aka_akuapem
        if code == "als":  # ISO 639-3 here, Tosk Albanian; lid.176 has the code of the Alemannic Wikipedia
            return "sq"
    code = SPECIAL.get(code, code)
    for name in (code, code_of(code), *(filter(None, [languages()[code].group] if code in languages() else []))):
        if name in LID_176_LANGUAGES and name != "als":
            return name
    return None


def labelled_texts() -> list[Labelled]:
    found = []
    with gzip.open(DATA / "lid" / "lid-dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        for doc in map(json.loads, lines):
            language = language_of(doc["lang"], doc["source"] == "udhr2")
            if language is not None:
                found.append(Labelled(doc["text"], language, doc["kind"]))
    return found


def other_texts() -> list[Labelled]:
    """Return fortunes in three languages, and stretches of five lines of a book in six."""
    found = []
    with gzip.open(DATA / "corpora" / "fortunes.jsonl.gz", "rt", encoding="utf-8") as lines:
        found += [Labelled(doc["text"], doc["lang"], "fortune") for doc in map(json.loads, lines)]
    with gzip.open(DATA / "corpora" / "genesis.jsonl.gz", "rt", encoding="utf-8") as books:
        for book in map(json.loads, books):
            language = BOOKS.get(book["id"].split("/")[1].split(".")[0])
            rows = book["text"].splitlines() if language else []
            found += [Labelled("\n".join(rows[n : n + 5]), str(language), "verse") for n in range(0, len(rows), 5)]
    return [text for text in found if any(map(str.isalpha, text.text))]


def macro_f1(truths: Sequence[str], answers: Sequence[str | None]) -> float:
    """Return the mean F1 of the languages of `truths`."""
    right = Counter(truth for truth, answer in zip(truths, answers, strict=True) if truth == answer)
    wanted, given = Counter(truths), Counter(answers)
    return sum(2 * right[name] / (wanted[name] + given[name]) for name in wanted) / len(wanted)


def batches(texts: Sequence[str]) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = pa.table({"text": pa.array(texts, pa.string())}).to_batches(max_chunksize=BATCH_DOCS)
    return found


def ours(texts: Sequence[str]) -> list[str | None]:
    stage = Language()
    return [label for batch in batches(texts) for label in stage(batch).columns["language_raw"].to_pylist()]


def plain(texts: Sequence[str]) -> list[str | None]:
    """Return what fastText itself says of the whole texts."""
    model = load_fasttext(asset(LID_176))
    found: list[str | None] = []
    for text in texts:
        answers = model.f.predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict")
        found.append(answers[0][1].removeprefix(LABEL) if answers else None)
    return found


def print_quality(texts: Sequence[Labelled], title: str) -> None:
    kinds = [*dict.fromkeys(text.kind for text in texts), "all"]
    n_languages = len({text.language for text in texts})
    print(f"macro-F1 of the raw label, {len(texts):,} {title} in {n_languages} languages that lid.176 has")
    for case, change in (("as they are", str), ("in capitals", str.upper)):
        for who, identify in (("plain", plain), ("ours", ours)):
            answers = identify([change(text.text) for text in texts])
            cells = []
            for kind in kinds:
                rows = [n for n, text in enumerate(texts) if kind in (text.kind, "all")]
                score = macro_f1([texts[n].language for n in rows], [answers[n] for n in rows])
                cells.append(f"{kind} {score:.4f}")
            print(f"  {case} {who:6} {'  '.join(cells)}")


def main_texts(n: int) -> list[tuple[str, str | None]]:
    """Return the main text and the labelled language, where there is one, of up to n pages spread over the files."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from curate.stages.extract import Extract

    with gzip.open(DATA / "pages" / "web-dev.index.jsonl.gz", "rt", encoding="utf-8") as lines:
        index = [json.loads(line) for line in lines]
    language = {row["url"]: row["lang"] for row in index}
    every, extract = max(1, len(index) // n), Extract()
    found: list[tuple[str, str | None]] = []
    number = 0
    for path in sorted((DATA / "pages").glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                number += 1
                if number % every:
                    continue
                row: dict[str, Any] = {"url": record.headers["WARC-Target-URI"], "html": record.reader.read()}
                verdict = extract(page_batch({**row, "http_charset": record.http_charset, "http_headers": []}))
                text = verdict.columns["text"][0].as_py()
                if text:
                    code = language.get(row["url"])
                    found.append((text, code.lower().split("-")[0] if code else None))
    return found


def page_batch(row: dict[str, Any]) -> pa.RecordBatch:
    from curate.schema import HTML_SCHEMA

    fields = [field for field in HTML_SCHEMA if field.name in row]
    return pa.RecordBatch.from_pylist([row], schema=pa.schema(fields))


def cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def print_speed(n_pages: int) -> None:
    pages = main_texts(n_pages)
    texts = [text for text, _ in pages]
    mega = sum(len(text.encode()) for text in texts) / 1e6
    stage, parts = Language(), batches(texts)
    spans = Language(spans=True)
    runs: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain(texts),
        "ours": lambda: [stage(part) for part in parts],
        "ours, spans": lambda: [spans(part) for part in parts],
    }
    for run in runs.values():
        run()  # compiled code is loaded here
    seconds = {name: float("inf") for name in runs}
    for _ in range(3):
        for name, run in runs.items():
            seconds[name] = min(seconds[name], cpu_seconds(run))
    print(f"{len(texts)} main texts of web pages, {mega:.1f} MB, one core, in turns, best of three")
    for name, spent in seconds.items():
        ratio = seconds["plain"] / spent
        print(f"  {name:12} {len(texts) / spent:8.0f} documents/s {mega / spent:7.1f} MB/s {ratio:6.1f} x plain")
    whole, sampled = plain(texts), ours(texts)
    same = sum(a == b for a, b in zip(whole, sampled, strict=True))
    known = [n for n, (_, language) in enumerate(pages) if language]
    truths = [str(pages[n][1]) for n in known]
    print(f"  the label of the whole text is found for {same / len(texts):.2%}")
    for name, answers in (("plain", whole), ("ours", sampled)):
        score = macro_f1(truths, [answers[n] for n in known])
        print(f"  {name:6} macro-F1 on {len(known)} pages with a labelled language: {score:.4f}")


def glued(draw: random.Random, by_language: dict[str, list[str]]) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield texts of two to four stretches, and for each stretch where it ends in bytes and its language."""
    names = sorted(by_language)
    for _ in range(400):
        text, stretches, last = "", [], ""
        for _ in range(draw.randint(2, 4)):
            language = draw.choice([name for name in names if name != last])
            text += "".join(draw.choice(by_language[language]) + "\n" for _ in range(draw.randint(2, 6)))
            stretches.append((len(text.encode()), language))
            last = language
        yield text, stretches


def print_spans() -> None:
    by_language: dict[str, list[str]] = {}
    for doc in labelled_texts():
        if doc.kind == "sentence":
            by_language.setdefault(doc.language, []).append(doc.text.replace("\n", " "))
    texts, truths = zip(*glued(random.Random(0), by_language), strict=True)
    columns = Language(spans=True)(batches(texts)[0].slice(0, 0)).columns  # compiled code is loaded here
    right = whole = total = n_spans = n_stretches = 0
    for batch, first in ((b, 64 * i) for i, b in enumerate(batches(texts))):
        columns = Language(spans=True)(batch).columns
        rows = zip(columns["language_spans"].to_pylist(), columns["language"].to_pylist(), strict=True)
        for (spans, language), stretches in zip(rows, truths[first : first + 64], strict=True):
            n_spans, n_stretches = n_spans + len(spans), n_stretches + len(stretches)
            for start, (end, truth) in zip([0, *(end for end, _ in stretches)], stretches, strict=False):
                total += end - start
                whole += (end - start) * (language == truth)
                right += sum(
                    max(0, min(end, span["end_bytes"]) - max(start, span["start_bytes"]))
                    for span in spans
                    if span["language"] == truth
                )
    print(f"{len(texts)} texts glued from sentences of {len(by_language)} languages, {n_stretches} stretches")
    by_span, by_document = right / total, whole / total
    print(f"  bytes in the right language: {by_span:.1%} by spans ({n_spans} spans), {by_document:.1%} by document")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--spans", action="store_true")
    given = parser.parse_args()
    if given.spans:
        print_spans()
        return
    print_quality(labelled_texts(), "labelled texts")
    print_quality(other_texts(), "fortunes and verses")
    print_speed(given.pages)


if __name__ == "__main__":
    main()
