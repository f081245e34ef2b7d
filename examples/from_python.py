"""The same from Python: every command is a function of `curate.api`, every step too.

python examples/from_python.py
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from curate import api

HERE = Path(__file__).resolve().parent
OUT = Path("out/from-python")


def main() -> None:
    api.ingest([HERE / "data" / "crawl-0.warc.gz"], OUT / "docs")
    api.language([OUT / "docs"], OUT / "english", keep=["en"])
    summary = api.dedup([OUT / "english"], OUT / "unique", method="minhash")
    docs = pq.read_table(OUT / "unique" / "documents")
    print(f"{docs.num_rows} docs, {summary.phases[-1]['docs']['dropped']} duplicates dropped")
    first = api.why(OUT / "unique", docs["doc_id"][0].as_py())[0]
    print(f"{first.url} was {first.outcome} by {', '.join(first.passed)}")


if __name__ == "__main__":
    main()
