"""Drop docs by their URL alone: sites and pages on a block list, and words of pornographic pages."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import pyarrow as pa

from curate.errors import InputError
from curate.registry import stage
from curate.stage import Verdict

_SCHEME = re.compile(r"\A[a-z][a-z0-9+.-]*:/*")
_WORD = re.compile(r"[^\W_]+")
_IGNORED = str.maketrans("", "", "-.")


@stage(
    version=1,
    reads=["url"],
    writes={},
    reasons=["blocked_domain", "blocked_url", "strict_word", "hard_word", "soft_words"],
    assets=["url_words.txt", "public_suffix_list.dat.gz"],
)
class UrlFilter:
    """Drop docs whose URL is on a block list or speaks of pornography. A null URL is kept.

    Shapes: reads url[n_docs], writes nothing. The first reason that holds, in this order:

    - blocked_domain: the host or a domain above it is in `blocklist` (`a.com` blocks `www.a.com` and `b.a.com`);
    - blocked_url: the URL begins with a URL of `blocklist`, up to a `/`, `?`, `#` or its end;
    - strict_word: a strict word anywhere in the URL, hyphens and full stops ignored;
    - hard_word: a hard word as a whole word, that is a run of letters and digits;
    - soft_words: at least `min_soft_words` different soft words as whole words.

    Method: RefinedWeb (Penedo et al. 2023, arXiv:2306.01116). Their lists (4.6 million domains) and datatrove's
    are not ours: `curate/assets/url_words.txt` is short, and chosen so that no place called Scunthorpe or Essex is
    lost. Of 3,414 press sites it drops none, of the 10,000 most used sites 15, all pornographic; but a hard word in
    the headline of a news story drops that story. No block list is bundled; UT1's (Université Toulouse Capitole)
    fits. Unlike datatrove, URLs are percent-decoded first, and a strict word does not match across other signs
    than - and full stop.
    """

    blocklist: Annotated[Path | None, "a file of domains, hosts and URLs: plain, UT1 or hosts format"] = None
    words: Annotated[Path | None, "a file of words under [strict], [hard], [soft] instead of the bundled one"] = None
    min_soft_words: Annotated[int, "how many different soft words drop a doc"] = 2

    def __post_init__(self) -> None:
        if self.min_soft_words < 1:
            raise InputError(f"url_filter: min_soft_words is {self.min_soft_words}, allowed: 1 or more")

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        reasons = [None if url is None else self._reason(url) for url in batch["url"].to_pylist()]
        return Verdict({}, pa.array(reasons, pa.string()))

    def _reason(self, url: str) -> str | None:
        from curate.models import load_url_words

        if self.blocklist is not None and (blocked := _blocked(url, self.blocklist)):
            return blocked
        words = load_url_words(self.words)
        lower = _SCHEME.sub("", unquote(url).lower())
        if _strict_pattern(self.words).search(lower.translate(_IGNORED)):
            return "strict_word"
        found = set(_WORD.findall(lower))
        if not words["hard"].isdisjoint(found):
            return "hard_word"
        return "soft_words" if len(words["soft"] & found) >= self.min_soft_words else None


def _blocked(url: str, path: Path) -> str | None:
    from curate.models import load_url_blocklist
    from curate.sites import host_of

    blocklist = load_url_blocklist(path)
    host = host_of(url)
    if host is None:
        return None
    labels = host.split(".")
    if any(".".join(labels[at:]) in blocklist.hosts for at in range(len(labels))):
        return "blocked_domain"
    beginnings = blocklist.paths.get(host.removeprefix("www."))
    if beginnings:
        rest = "/" + url.split("//", 1)[-1].partition("/")[2]
        if any(
            rest.startswith(b) and (b[-1] in "/?=" or rest[len(b) :][:1] in ("", "/", "?", "#")) for b in beginnings
        ):
            return "blocked_url"
    return None


@functools.cache
def _strict_pattern(path: Path | None) -> re.Pattern[str]:
    from curate.models import load_url_words

    strict = sorted(load_url_words(path)["strict"])
    return re.compile("|".join(map(re.escape, strict)) if strict else r"(?!)")
