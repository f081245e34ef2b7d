"""Labels the blocks of a page: by its gold where there is one, else by what other engines agree on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.extraction.align import matched_frac
from benchmarks.extraction.engines import Extract
from benchmarks.extraction.pages import FULL_GOLD, Page
from benchmarks.extraction.words import folded, score, words_of

F32 = npt.NDArray[np.float32]

TEACHER, SECOND = "trafilatura_precision", "resiliparse"
MIN_ORACLE_F1 = 0.6  # below, the gold is not in the page
MIN_SILVER_WORDS = 40
MIN_AGREED_F1 = 0.5  # of the two engines on an unlabelled page
MAX_UNLABELLED_OF_SITE = 8
MAX_SILVER_WORDS = 6_000  # of a page; longer ones take too long to align

# A page's labels together weigh about 1 (a block by its share of the words), times these.
SILVER_WEIGHT = 0.5  # of blocks without gold on a page that has some
UNLABELLED_WEIGHT = 0.3  # of pages without any
DISPUTED_WEIGHT = 0.35  # of a silver label that the second engine does not share
SITE_PAGES = 5  # a site's weight grows like the square root of its pages from here on


@dataclass(frozen=True)
class Labels:
    """Of every block of a page: how much of it is main text, -1 unknown; how much that label weighs."""

    main: F32
    weight: F32
    is_gold: npt.NDArray[np.bool_]
    is_comment: F32  # 1 reader's comment, 0 not, -1 unknown


def label_page(page: Page, texts: list[str], engines: Mapping[str, Mapping[str, Extract]]) -> Labels | None:
    """Return the labels of a page's blocks, None where there is nothing to learn from."""
    words = [words_of(text) for text in texts]
    n_words = np.array([len(found) for found in words], np.float32)
    extracts = {name: found[page.id] for name, found in engines.items()}
    if page.kind in FULL_GOLD and page.gold:
        labels = _by_full_gold(page.gold["text"], words, texts, n_words)
    else:
        labels = _by_engines(page, words, texts, n_words, extracts)
    if labels is None:
        return None
    main, weight, is_gold = labels
    sure = np.clip(np.abs(2 * main - 1), 0.1, 1)
    weight = np.where((main >= 0) & (n_words > 0), weight * sure, 0).astype(np.float32)
    return Labels(main, weight, is_gold, _comments(words, extracts, main))


def _share(n_words: F32, of: float, least: float, most: float) -> F32:
    return np.clip(n_words / of, least, most)


def _by_full_gold(gold: str, words: list[list[str]], texts: list[str], n_words: F32) -> Any:
    main = matched_frac(words, gold)
    oracle = "\n".join(text for text, frac in zip(texts, main, strict=True) if frac >= 0.5)
    if score(oracle, gold).f1 < MIN_ORACLE_F1:
        return None
    n_gold = max(len(words_of(gold)), 30)
    return main, _share(n_words, n_gold, 0.002, 0.5), np.ones(len(texts), bool)


def _by_engines(
    page: Page, words: list[list[str]], texts: list[str], n_words: F32, extracts: Mapping[str, Extract]
) -> Any:
    teacher, second = extracts[TEACHER].text, extracts[SECOND].text
    n_teacher = len(words_of(teacher))
    fits = n_teacher >= MIN_SILVER_WORDS and n_words.sum() <= MAX_SILVER_WORDS
    has_silver = fits and (page.gold is not None or score(teacher, second).f1 >= MIN_AGREED_F1)
    if has_silver:
        main, other = matched_frac(words, teacher), matched_frac(words, second)
        weight = _share(n_words, max(n_teacher, 60), 0.002, 0.4) * (SILVER_WEIGHT if page.gold else UNLABELLED_WEIGHT)
        weight *= np.where((main >= 0.5) == (other >= 0.5), 1.0, DISPUTED_WEIGHT)
    elif page.gold:
        main, weight = np.full(len(texts), -1, np.float32), np.zeros(len(texts), np.float32)
    else:
        return None
    is_gold = np.zeros(len(texts), bool)
    for k, verdict in _verdicts(page.gold, words, texts):
        main[k], weight[k], is_gold[k] = verdict, np.clip(n_words[k] / 300, 0.02, 0.4), True
    return main, weight, is_gold


def _verdicts(gold: dict[str, Any] | None, words: list[list[str]], texts: list[str]) -> Iterable[tuple[int, int]]:
    """Yield (block, 1 main text or 0 not) for blocks that hold a snippet, or stand in the known beginning."""
    if gold is None:
        return
    if gold["kind"] == "prefix":
        for k, frac in enumerate(matched_frac(words, gold["text"])):
            if frac >= 0.8 and len(words[k]) >= 4:
                yield k, 1
        return
    wanted = [found for found in map(folded, gold["with"] or []) if found]
    unwanted = [found for found in map(folded, gold["without"] or []) if found]
    for k, text in enumerate(" ".join(found) for found in words):
        if any(snippet in text for snippet in wanted):
            yield k, 1
        elif any(snippet in text for snippet in unwanted):
            yield k, 0


def _comments(words: list[list[str]], extracts: Mapping[str, Extract], main: F32) -> F32:
    """Return what trafilatura takes for readers' comments; unknown where that is main text by the labels."""
    text = extracts["trafilatura"].comments
    if len(words_of(text)) < MIN_SILVER_WORDS:
        return np.where(main >= 0.5, 0, -1).astype(np.float32)
    found = matched_frac(words, text)
    return np.where(found >= 0.5, np.where(main >= 0.5, -1, 1), np.where(found >= 0, 0, -1)).astype(np.float32)


def site_weights(sites: list[str]) -> F32:
    """Return float32[n_pages]: what a page counts for, less where its site has many."""
    n_pages: dict[str, int] = {}
    for site in sites:
        n_pages[site] = n_pages.get(site, 0) + 1
    return np.array([min(1.0, (SITE_PAGES / n_pages[site]) ** 0.5) for site in sites], np.float32)


def sample(pages: Iterable[Page]) -> list[Page]:
    """Return the pages to learn from: all that have gold, and some others of each site and source."""
    pages = list(pages)
    by_site: dict[tuple[str, str], list[Page]] = {}
    for page in pages:
        if page.gold is None:
            by_site.setdefault((page.site, page.source), []).append(page)
    drawn = {
        page.id
        for found in by_site.values()
        for page in sorted(found, key=lambda page: hashlib.sha256(page.id.encode()).digest())[:MAX_UNLABELLED_OF_SITE]
    }
    return [page for page in pages if page.gold is not None or page.id in drawn]
