"""Read token shards, first with numpy alone, then with the reader that traces a token to its page.

python examples/read_tokens.py RUN
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from curate.shards import TokenShards


def main(run: Path) -> None:
    # By hand: a shard is a flat file of ids; the index says where each document ends.
    folder = run / "tokens"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    shard = manifest["shards"][0]
    ids = np.memmap(folder / shard["file"], manifest["dtype"], "r")
    ends = np.fromfile(folder / f"{shard['file']}.index", "<u8")
    print(f"{shard['file']}: {len(ends)} docs, {len(ids)} tokens; the first doc: {ids[: int(ends[0])][:8].tolist()} …")
    assert ids[int(ends[0]) - 1] == manifest["eos_id"]

    # With the reader: every file is checked against the manifest first.
    shards = TokenShards.open(run)
    place = shards.stream(shard["source"], shard["split"]).locate(len(ids) // 2)
    page = place.provenance()
    print(f"token {len(ids) // 2} of the shard is token {place.offset} of {page['url']}")
    print(f"which came from {page['warc_file']} at byte {page['offset_bytes']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
