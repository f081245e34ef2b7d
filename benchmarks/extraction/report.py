"""Tables of scores: the mean over pages of precision, recall and F1 per engine, source and language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from benchmarks.extraction.pages import FULL_GOLD, Page
from benchmarks.extraction.words import Score, score, snippet_counts, words_of

MIN_LANGUAGE_PAGES = 20
MIN_GOLD_WORDS = 25  # shorter golds of newspaper's are notes of its annotator ("MISSED ENTIRE ARTICLE"), not text


class Row(NamedTuple):
    """The scores of an engine on a slice of the pages."""

    n_pages: int
    n_empty: int
    precision: float
    recall: float
    f1: float


def slices_of(page: Page) -> Iterable[str]:
    """Yield the names of the slices a page with full gold counts in."""
    yield "all"
    yield f"kind {page.kind}"
    yield f"source {page.source}"
    yield f"language {page.language}"
    if page.source == "codelucas/newspaper" and page.gold and len(words_of(page.gold["text"])) >= MIN_GOLD_WORDS:
        yield f"source {page.source}, gold of >= {MIN_GOLD_WORDS} words"


def rows_of(pages: list[Page], texts: Mapping[str, str]) -> dict[str, Row]:
    """Return the rows by slice for the texts that an engine gave, by page id; pages without full gold do not count."""
    found: dict[str, list[tuple[Score, bool]]] = {}
    for page in pages:
        if page.kind in FULL_GOLD and page.gold:
            text = texts[page.id]
            of_page = score(text, page.gold["text"]), not text.strip()
            for name in slices_of(page):
                found.setdefault(name, []).append(of_page)
    return {
        name: Row(
            len(scores),
            sum(empty for _, empty in scores),
            *(sum(of_page[k] for of_page, _ in scores) / len(scores) for k in range(3)),
        )
        for name, scores in found.items()
        if not name.startswith("language") or len(scores) >= MIN_LANGUAGE_PAGES
    }


def snippet_row(pages: list[Page], texts: Mapping[str, str]) -> Row:
    """Return the scores over all snippets of all pages: those wanted are to be found, those unwanted are not."""
    n_pages = n_empty = n_hits = n_false = n_missing = 0
    for page in pages:
        if page.kind == "snippets" and page.gold and page.gold["without"]:
            hits, false, missing = snippet_counts(texts[page.id], page.gold["with"] or [], page.gold["without"])
            n_pages, n_empty = n_pages + 1, n_empty + (not texts[page.id].strip())
            n_hits, n_false, n_missing = n_hits + hits, n_false + false, n_missing + missing
    precision, recall = n_hits / max(n_hits + n_false, 1), n_hits / max(n_hits + n_missing, 1)
    return Row(n_pages, n_empty, precision, recall, 2 * n_hits / max(2 * n_hits + n_false + n_missing, 1))


def markdown_table(by_engine: Mapping[str, Mapping[str, Row]]) -> list[str]:
    """Return the lines of a table: a line a slice, P / R / F1 of each engine."""
    lines = [f"| slice | pages | {' | '.join(by_engine)} |", f"|---|---:|{'---:|' * len(by_engine)}"]
    for name, first in next(iter(by_engine.values())).items():
        cells = [
            f"{row.precision:.3f} / {row.recall:.3f} / **{row.f1:.3f}**"
            for row in (rows[name] for rows in by_engine.values())
        ]
        lines.append(f"| {name} | {first.n_pages} | {' | '.join(cells)} |")
    empty = [str(rows["all"].n_empty) for rows in by_engine.values()]
    lines.append(f"| empty extracts | | {' | '.join(empty)} |")
    return lines
