"""The `dedup` fold: clusters of equal or near-equal docs, of which one doc each is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa

from curate.errors import InputError
from curate.fold import Position, Seen
from curate.folds.dedup import exact, minhash
from curate.folds.dedup.candidates import write_candidates
from curate.registry import fold
from curate.sketches import Part


@fold(
    version=1,
    reads=("doc_id", "text"),
    writes={"cluster_id": pa.string(), "cluster_size": pa.int32()},
    absent={"cluster_size": 1},
    reasons=("exact_duplicate", "near_duplicate"),
)
class Dedup:
    """Keep one doc of each cluster of (near-)duplicates; `cluster_id` is the doc_id of the one that is kept.

    `exact` clusters docs whose raw text has the same 128-bit BLAKE2b. `minhash` clusters docs that share a band
    of a MinHash signature, and transitively what they share one with (Broder 1997). Docs without text (minhash:
    without a single word) are never clustered. The kept doc is the least of a total order: `longest` means most
    code points, then the smallest doc_id, so it depends on no order of the input; `first` means the first in the
    order of the plan (shard, then row), so it depends on no cut of the input into shards.

    With `verify`, a cluster is held together only by pairs whose shingle sets have a Jaccard index of at least
    `min_jaccard`: every dropped doc has such a partner in its cluster, and a chain of such pairs to the doc that
    is kept. The sets are compared in full, as 32-bit hashes; chance collisions add less than n / 2**32 to the
    index, n the shingles of the longer doc.

    Defaults: 14 bands of 8 rows over 5-word shingles, seed 1 (FineWeb, arXiv 2406.17557, section 3.4, and
    datatrove's default), which finds a pair of Jaccard 0.8 with p = 0.92 and one of 0.5 with p = 0.05;
    min_jaccard 0.8 is that of Lee et al. 2022 (arXiv 2107.06499, section 4.2). Differs from datatrove: 32-bit
    permutations instead of 64-bit ones, words without a tokenizer per language (see `curate.kernels.shingles`),
    and datatrove keeps whichever doc its union-find met first.

    Raises InputError for parameters out of range.
    """

    method: Annotated[Literal["exact", "minhash"], "equal raw text, or near-duplicates by MinHash"] = "minhash"
    n_bands: Annotated[int, "bands of the MinHash signature; more find more"] = 14
    rows_per_band: Annotated[int, "rows of a band; more demand more likeness"] = 8
    shingle_words: Annotated[int, "words of a shingle"] = 5
    seed: Annotated[int, "chooses the permutations"] = 1
    keep: Annotated[Literal["longest", "first"], "which doc of a cluster to keep"] = "longest"
    verify: Annotated[bool, "check the true Jaccard index of the pairs that MinHash proposes"] = False
    min_jaccard: Annotated[float, "with verify: least Jaccard index of a pair that joins a cluster"] = 0.8

    def __post_init__(self) -> None:
        if self.method not in ("exact", "minhash"):
            raise InputError(f"dedup: method is {self.method!r}; allowed: exact, minhash")
        if self.keep not in ("longest", "first"):
            raise InputError(f"dedup: keep is {self.keep!r}; allowed: longest, first")
        for name in ("n_bands", "rows_per_band", "shingle_words"):
            if not 1 <= getattr(self, name) <= 1024:
                raise InputError(f"dedup: {name} is {getattr(self, name)}; allowed: 1 to 1024")
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"dedup: seed is {self.seed}; allowed: 0 to 2**64 - 1")
        if not 0 < self.min_jaccard <= 1:
            raise InputError(f"dedup: min_jaccard is {self.min_jaccard}; allowed: above 0, up to 1")
        if self.verify and self.method == "exact":
            raise InputError("dedup: verify checks near-duplicates; equal texts need no check (method: exact)")
        idle = {"min_jaccard": "verify"} if not self.verify else {}
        if self.method == "exact":
            idle |= dict.fromkeys(("n_bands", "rows_per_band", "shingle_words"), "method minhash")
        for field in dataclasses.fields(self):
            if field.name in idle and getattr(self, field.name) != field.default:
                raise InputError(f"dedup: {field.name} has no effect without {idle[field.name]}")

    def sketch(self, batch: pa.RecordBatch, at: Position) -> pa.Table:
        """Return one row per doc (exact) or per band of a doc (minhash)."""
        if self.method == "exact":
            return exact.sketch_rows(batch, at)
        bands = minhash.Bands(self.n_bands, self.rows_per_band, self.shingle_words, self.seed, self.verify)
        return minhash.sketch_rows(batch, at, bands)

    def reduce(self, part: Part, out: Path) -> None:
        """Write the buckets of this part, and what `finish` must know of its docs."""
        write_candidates(part, out, key=("key", "key_low") if self.method == "exact" else ("key",))

    def finish(self, parts: Sequence[Path], out: Path) -> None:
        """Join buckets into clusters; write a verdict for every doc of a cluster of two or more."""
        from curate.folds.dedup.clusters import write_clusters  # imports numba

        reason = "exact_duplicate" if self.method == "exact" else "near_duplicate"
        write_clusters(parts, out, reason, self.keep, self.min_jaccard if self.verify else None)

    def explain(self, reason: str, doc: Mapping[str, Any], seen: Seen) -> str:
        """Return which doc was kept instead, and how alike the two are; their texts are compared anew."""
        kept_id = doc.get("cluster_id")
        if kept_id is None:
            return ""
        docs = seen.docs([doc["doc_id"], kept_id], ["url", "text"])
        kept = docs.get(kept_id, {})
        name = (
            f"{kept.get('url') or 'a doc without URL'} (doc {kept_id}), kept of a cluster of {doc.get('cluster_size')}"
        )
        if reason == "exact_duplicate":
            return f"equal text: {name}"
        text, other = (docs.get(each, {}).get("text") for each in (doc["doc_id"], kept_id))
        if text is None or other is None:
            return f"alike by MinHash, itself or through others: {name}"
        return f"Jaccard index {self._jaccard(text, other):.4g} of {self.shingle_words}-word shingles: {name}"

    def _jaccard(self, text: str, other: str) -> float:
        """Return how alike two texts are. Two docs of a cluster may be less alike than two neighbours in it."""
        from curate.kernels.shingles import shingle_hashes  # imports numba

        hashes, offsets = shingle_hashes(pa.array([text, other], pa.string()), self.shingle_words)
        a, b = set(hashes[: offsets[1]].tolist()), set(hashes[offsets[1] :].tolist())
        return len(a & b) / max(1, len(a | b))
