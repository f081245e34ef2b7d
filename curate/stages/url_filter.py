"""Drop docs by their URL alone: what is no web page, sites and pages on lists, and words of pornography."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import pyarrow as pa

from curate.errors import InputError
from curate.models import asset, load_url_words
from curate.registry import stage
from curate.stage import Verdict

_SCHEME = re.compile(r"\A[a-z][a-z0-9+.-]*:/*")
_WORD = re.compile(r"[^\W_]+")
_IGNORED = str.maketrans("", "", "-.")
_WEB = ("http://", "https://")
CURATED_HOSTS = "curated_hosts.txt"


@stage(
    version=2,
    reads=["url"],
    writes={},
    reasons=["bad_url", "curated_host", "blocked_domain", "blocked_url", "strict_word", "hard_word", "soft_words"],
    assets=["url_words.txt", "public_suffix_list.dat.gz", CURATED_HOSTS],
)
class UrlFilter:
    """Drop docs by their URL: what is no web page, curated sites, block lists, words of pornography.

    Shapes: reads url[n_docs], writes nothing. A null or empty URL is kept. The first reason that holds, in this order:

    - bad_url: no http or https URL, however it is spelt (`data:`, `urn:`, `javascript:`, a host that cannot be one);
    - curated_host: with `exclude_curated`, sites that corpora take from better copies than web pages (see below);
    - blocked_domain: the host or a domain above it is in `blocklist` (`a.com` blocks `www.a.com` and `b.a.com`);
    - blocked_url: the URL begins with a URL of `blocklist`, up to a `/`, `?` or its end;
    - strict_word: a strict word anywhere in the URL, hyphens and full stops ignored;
    - hard_word: a hard word as a whole word, that is a run of letters and digits;
    - soft_words: at least `min_soft_words` different soft words as whole words.

    What `allowlist` names is kept, whatever the lists and the words say. Lists are matched with the canonical
    spelling of a URL (`curate.urls.canonical_url`, tracking parameters left in); names end where the bundled
    snapshot of the Public Suffix List of 2026-07-24 says.

    Method: RefinedWeb (Penedo et al. 2023, arXiv:2306.01116, appendix G.1): a block list of domains, strict words
    as parts of words, hard words whole, two or more soft words, and hosts of curated sources; min_soft_words 2 is
    theirs. Their lists (4.6 million domains) and datatrove's are not ours: `curate/assets/url_words.txt` is short,
    and chosen so that no place called Scunthorpe or Essex is lost. Of 3,414 press sites it drops none, of the
    10,000 most used sites 18, all pornographic; but a hard word in the headline of a news story drops that story.
    No block list is bundled; UT1's (Université Toulouse Capitole) fits. `exclude_curated` drops the hosts in
    `curate/assets/curated_hosts.txt`. Unlike datatrove, URLs are percent-decoded first, and a strict word does not
    match across other signs than - and full stop.
    """

    blocklist: Annotated[tuple[Path, ...], "files of domains, hosts and URLs, plain or .gz; UT1 folders"] = ()
    allowlist: Annotated[tuple[Path, ...], "the same for what is to be kept whatever the other rules say"] = ()
    categories: Annotated[tuple[str, ...], "of a UT1 folder of many categories: those to block"] = ()
    exclude_curated: Annotated[bool, "drop sites that are better taken from curated sources"] = False
    words: Annotated[Path | None, "a file of words under [strict], [hard], [soft] instead of the bundled one"] = None
    min_soft_words: Annotated[int, "how many different soft words drop a doc"] = 2

    def __post_init__(self) -> None:
        if self.min_soft_words < 1:
            raise InputError(f"url_filter: min_soft_words is {self.min_soft_words}, allowed: 1 or more")
        if self.categories and not self.blocklist:
            raise InputError("url_filter: categories pick from a blocklist, and none is given")

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        from curate.sites import host_of

        urls: list[str | None] = [url or None for url in batch["url"].to_pylist()]
        hosts = [host_of(url) if url is None or url.startswith(_WEB) else _odd_host(url) for url in urls]
        allowed = _named(self.allowlist, (), urls, hosts)
        curated = _named((asset(CURATED_HOSTS),) if self.exclude_curated else (), (), urls, hosts)
        blocked = _named(self.blocklist, self.categories, urls, hosts)
        reasons: list[str | None] = []
        texts = [_SCHEME.sub("", unquote(url).lower()) if url else "" for url in urls]
        speaks = self._speaks("\n".join(texts))
        for url, text, host, is_allowed, is_curated, is_blocked in zip(
            urls, texts, hosts, allowed, curated, blocked, strict=True
        ):
            if url is None or is_allowed:
                reasons.append(None)
            elif host is None:
                reasons.append("bad_url")
            elif is_curated:
                reasons.append("curated_host")
            elif is_blocked:
                reasons.append(f"blocked_{is_blocked}")
            else:
                reasons.append(self._word_reason(text) if speaks else None)
        return Verdict({}, pa.array(reasons, pa.string()))

    def _speaks(self, texts: str) -> bool:
        """Say whether any of the lists' words is in these texts: most batches are done with one look at them all."""
        words = load_url_words(self.words)
        if _strict_pattern(self.words).search(texts.translate(_IGNORED)):
            return True
        found = set(_WORD.findall(texts))
        return not (words["hard"].isdisjoint(found) and words["soft"].isdisjoint(found))

    def _word_reason(self, text: str) -> str | None:
        words = load_url_words(self.words)
        if _strict_pattern(self.words).search(text.translate(_IGNORED)):
            return "strict_word"
        found = set(_WORD.findall(text))
        if not words["hard"].isdisjoint(found):
            return "hard_word"
        return "soft_words" if len(words["soft"] & found) >= self.min_soft_words else None


def _odd_host(url: str) -> str | None:
    """Return the host of a URL that does not begin as most do; None where it is no web page's."""
    from curate.urls import split_url

    parts = split_url(url)
    return parts.host if parts else None


def _named(
    paths: tuple[Path, ...], categories: tuple[str, ...], urls: Sequence[str | None], hosts: Sequence[str | None]
) -> list[str | None]:
    """Return for each URL whether lists name its domain or the URL."""
    if not paths:
        return [None] * len(urls)
    from curate.url_lists import load_url_set

    return load_url_set(paths, categories).match(urls, hosts)


@functools.cache
def _strict_pattern(path: Path | None) -> re.Pattern[str]:
    strict = sorted(load_url_words(path)["strict"])
    return re.compile("|".join(map(re.escape, strict)) if strict else r"(?!)")
