"""Resiliparse and trafilatura as plain functions from a page to its main text."""

from __future__ import annotations

from collections.abc import Callable


def resiliparse(*, keep: str, markdown: bool, comments: bool) -> Callable[[str], str]:
    """Return Resiliparse's extractor (lexbor's parser, written in C).

    keep: balanced is its main-content rule, recall all visible text, menus too. It has no stricter rule and writes
    no Markdown. `comments` keeps sections that look like readers' comments; on labelled pages, dropping them
    raises its word F1 from 0.787 to 0.813 (`benchmarks/extraction_quality.py` measures all of them).
    """
    from resiliparse.extract.html2text import extract_plain_text

    if markdown or keep == "precision":
        raise ValueError("Resiliparse has neither Markdown nor a rule for precision")

    def text_of(page: str) -> str:
        return str(extract_plain_text(page, main_content=keep != "recall", alt_texts=False, comments=comments))

    return text_of


def trafilatura(*, keep: str, markdown: bool, comments: bool) -> Callable[[str], str]:
    """Return trafilatura's extractor (libxml2 and rules in Python).

    keep: `favor_recall`, neither, or `favor_precision`. datatrove's Trafilatura step favours precision and removes
    text that an earlier page of the process had (`deduplicate=True`), so that its result depends on the order of
    pages; here each page stands alone.
    """
    from trafilatura import extract

    def text_of(page: str) -> str:
        found = extract(
            page,
            favor_recall=keep == "recall",
            favor_precision=keep == "precision",
            include_comments=comments,
            output_format="markdown" if markdown else "txt",
            deduplicate=False,
        )
        return found or ""

    return text_of
