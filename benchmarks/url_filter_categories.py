"""What the words of `url_filter` drop, category by category, of 131,706 domains that UT1's editors sorted.

    python benchmarks/url_filter_categories.py [ut1-domains.tsv.gz]

The words look for pornography in names alone. Recall is the share dropped of the categories that hold some;
precision is told by what is dropped of all others: each such domain is shown with `--show CATEGORY`. Where datatrove
is installed its words judge the same names, and a sample of the block list that it ships is one more category: most
of that list is pornography, so words that find more of it, and as little of the others, are the better ones.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from curate.stages.url_filter import UrlFilter  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "urls" / "ut1-domains.tsv.gz"
ADULT = ("mixed_adult",)  # pornography among other things; the data has no category of pornography alone
NEAR = ("dating", "lingerie", "sexual_education", "agressif", "celebrity")  # may use the words, must not be lost
LISTED, LISTED_EVERY = "(datatrove's list)", 40
WORD_REASONS = ("strict_word", "hard_word", "soft_words")


def our_reasons(urls: Sequence[str]) -> list[str | None]:
    verdict = UrlFilter()(pa.RecordBatch.from_pydict({"url": pa.array(urls, pa.string())}))
    found: list[str | None] = verdict.drop_reason.to_pylist()  # type: ignore[union-attr]
    return found


def datatrove_judge() -> tuple[Callable[[str], bool], list[str]] | None:
    """Return whether datatrove's words drop a URL, and a sample of the domains it lists."""
    try:
        from datatrove.data import Document
        from datatrove.pipeline.filters import URLFilter
        from datatrove.utils.logging import logger
        from tldextract import TLDExtract
    except ImportError:
        return None
    logger.remove()
    made = URLFilter()
    made.download_data()  # it unpacks what its package holds
    made.tldextractor = TLDExtract(suffix_list_urls=(), cache_dir=None)
    listed = sorted(made.block_listed_domains)[::LISTED_EVERY]
    made.block_listed_domains, made.block_listed_url = set(), set()
    return lambda url: made.filter(Document(text="", id="", metadata={"url": url})) is not True, listed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?", default=DATA)
    parser.add_argument("--show", metavar="CATEGORY", help="list the domains of a category that are dropped")
    given = parser.parse_args()
    with gzip.open(given.table, "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    judge = datatrove_judge()
    if judge is not None:
        rows += [[LISTED, domain] for domain in judge[1]]
    urls = [f"http://{domain}/" for _, domain in rows]
    reasons = our_reasons(urls)
    others = [judge is not None and judge[0](url) for url in urls]
    if given.show:
        shown = [(d, r) for (c, d), r in zip(rows, reasons, strict=True) if c == given.show and r]
        print("\n".join(f"{reason:<12} {domain}" for domain, reason in shown))
        return
    table: dict[str, Counter[str]] = {}
    for (category, _), reason, other in zip(rows, reasons, others, strict=True):
        counts = table.setdefault(category, Counter())
        counts["n"] += 1
        counts[reason or "kept"] += 1
        counts["other"] += other
    print(
        f"{'category':<22}{'domains':>8}{'strict':>8}{'hard':>6}{'soft':>6}{'bad_url':>8}{'dropped':>9}{'datatrove':>11}"
    )
    groups = [(name, [name]) for name in sorted(table, key=lambda c: -table[c]["n"])]
    groups.append(("ALL but adult and near", [c for c in table if c not in (*ADULT, *NEAR, LISTED)]))
    for name, members in groups:
        sums = sum((table[c] for c in members), Counter())
        dropped = sum(sums[r] for r in WORD_REASONS)
        other = f"{sums['other'] / sums['n']:>10.3%}" if judge else "         -"
        print(
            f"{name:<22}{sums['n']:>8,}{sums['strict_word']:>8}{sums['hard_word']:>6}{sums['soft_words']:>6}"
            f"{sums['bad_url']:>8}{dropped / sums['n']:>9.3%} {other}"
        )


if __name__ == "__main__":
    main()
