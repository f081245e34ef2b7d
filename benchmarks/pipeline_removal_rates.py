"""How much each step of the shipped recipes removes from real pages, beside what their papers tell.

    python benchmarks/pipeline_removal_rates.py ../shared/data/pages/web-dev-00.warc.gz fineweb c4

Inputs are WARC files; without any, those of ../shared/data/pages. Names without a full stop are recipes; without any,
all but `demo`. A step's share is of what came to it, in docs and in bytes of text. Published rates are of other pages,
mostly of whole Common Crawl dumps in all languages, and mostly in tokens: they are a check of the order of size.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import api
from curate.ledger import read_ledger
from curate.rundir import open_run

ROOT = Path(__file__).resolve().parent.parent

# recipe → step → what its source says
PUBLISHED = {
    "c4": {
        "quality": "30 % of tokens by terminal punctuation, 7 % by the other rules, of what FineWeb's base rules kept "
        "of one dump (FineWeb, section 3.5)",
        "bad_words": "7.3 % of docs, 20 % of bytes: `en.noblocklist` beside `en`, data set card of allenai/c4",
    },
    "fineweb": {
        "c4": "7 % of tokens (section 3.5)",
        "fineweb": "22 % of tokens (section 3.6)",
        "dedup": "44 % of tokens: 36 T to 20 T, before C4's and its own rules (section 3.4)",
    },
    "refinedweb": {
        "url_filter": "2.2 % of docs",
        "language": "half of the docs: 48 % of the pages are left",
        "lines": "half of the docs, with Gopher's rules: 23 % of the pages are left",
        "dedup": "half of the docs: 11.67 % of the pages are left",
    },
    "dclm": {"quantile": "90 % of docs, the worst by its classifier (section 4.4)"},
    "redpajama2": {"gopher": "33 % of docs of its head, by Gopher's rules but with another set of words (third party)"},
    "ccnet": {
        "language": "61.7 % of bytes, all languages but English (Dolma, arXiv:2402.00159)",
        "boilerplate": "70 % of paragraphs (section 3.1)",
    },
}


def rows_of(run: Path) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield (step, docs that came, docs dropped, bytes that came, bytes dropped) in the order of the recipe."""
    ledger = pq.read_table(run / "ledger", columns=["step", "outcome", "text_bytes"])
    docs = pq.read_table(run / "documents", columns=["text"])
    n_docs, n_bytes = docs.num_rows, pc.sum(pc.binary_length(docs["text"])).as_py() or 0
    lost = ledger.group_by("step").aggregate([("text_bytes", "sum"), ("text_bytes", "count")]).to_pylist()
    by_step = {row["step"]: (row["text_bytes_count"], row["text_bytes_sum"]) for row in lost}
    found = []
    for step in reversed(api.status(run).phases):
        for name in reversed(step["does"].split(" → ")):
            gone, gone_bytes = by_step.pop(name, (0, 0))
            n_docs, n_bytes = n_docs + gone, n_bytes + gone_bytes
            if gone:
                found.append((name, n_docs, gone, n_bytes, gone_bytes))
    return reversed(found)


def tags_of(run: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (step that tags, docs that came to it, docs it tagged)."""
    ledger, docs = read_ledger(sorted((run / "ledger").glob("*.parquet"))), pq.read_table(run / "documents")
    steps = open_run(run).recipe.steps
    for number, step in enumerate(steps):
        if step.mode == "tag":
            below = pa.array([other.id for other in steps[number + 1 :]], pa.string())
            came = [docs, ledger.filter(pc.is_in(ledger["step"], below))]
            n_tagged = sum(pc.count(table[step.tag_column]).as_py() for table in came)
            yield step.id, sum(table.num_rows for table in came), n_tagged


def main(words: list[str]) -> None:
    inputs = [word for word in words if "." in word]
    inputs = inputs or sorted(map(str, (ROOT.parent / "shared" / "data" / "pages").glob("*.warc.gz")))
    recipes = [word for word in words if "." not in word]
    recipes = recipes or [path.stem for path in sorted((ROOT / "pipelines").glob("*.yaml")) if path.stem != "demo"]
    print(f"{len(inputs)} inputs")
    for recipe in recipes:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / recipe
            done = api.run(recipe, inputs, run, workers=1)
            first, last = done.phases[0]["docs"]["in"], done.phases[-1]["docs"]["kept"]
            print(f"\n{recipe}: {first:,} pages, {last:,} kept ({last / first:.1%})")
            for step, n_docs, gone, n_bytes, gone_bytes in rows_of(run):
                share = f"{gone / n_docs:6.1%} of {n_docs:5,} docs, {gone_bytes / max(n_bytes, 1):6.1%} of bytes"
                print(f"  {step:<12} {share}   {PUBLISHED.get(recipe, {}).get(step, '')}", flush=True)
            for step, n_docs, n_tagged in tags_of(run):
                share = f"{n_tagged / n_docs:6.1%} of {n_docs:5,} docs, tagged only"
                print(f"  {step:<12} {share:<46}   {PUBLISHED.get(recipe, {}).get(step, '')}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
