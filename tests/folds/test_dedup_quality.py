"""What dedup finds on real texts, against exact pair lists and against datasketch."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH

from curate.folds.dedup import Dedup
from curate.kernels.shingles import shingle_hashes, shingle_hashes_of
from tests.folds.drive import run_fold, verdicts_of
from tests.helpers import batch_of, shared_data

SHARD_DOCS = 800


class Licences(NamedTuple):
    """Licence texts, and every pair of a word-5-gram Jaccard index of at least 0.4."""

    texts: dict[str, str]
    pairs: dict[tuple[str, str], float]

    def best_partner(self) -> dict[str, float]:
        best: dict[str, float] = {}
        for pair, jaccard in self.pairs.items():
            for name in pair:
                best[name] = max(best.get(name, 0.0), jaccard)
        return best

    def share_found(self, dropped: set[str], min_jaccard: float) -> float:
        """Return the share of pairs of at least `min_jaccard` that lose a side."""
        high = [pair for pair, jaccard in self.pairs.items() if jaccard >= min_jaccard]
        return sum(bool(dropped & set(pair)) for pair in high) / len(high)


@pytest.fixture(scope="module")
def licences() -> Licences:
    docs = _lines(shared_data("dedup", "licences-docs.jsonl.gz"))
    pairs = _lines(shared_data("dedup", "licences-pairs.jsonl.gz"))
    return Licences(
        {doc["id"]: doc["text"] for doc in docs}, {(pair["a"], pair["b"]): pair["jaccard5"] for pair in pairs}
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def dropped_by(fold: Dedup, texts: dict[str, str], tmp_path: Path) -> set[str]:
    names = list(texts)
    batches: list[list[pa.RecordBatch]] = []
    for start in range(0, len(names), SHARD_DOCS):
        shard = names[start : start + SHARD_DOCS]
        ids = [f"{start + i:032x}" for i in range(len(shard))]
        batches.append([batch_of(doc_id=ids, text=[texts[name] for name in shard])])
    verdicts = verdicts_of(run_fold(fold, batches, tmp_path, 3))
    return {names[s * SHARD_DOCS + row] for (s, row), verdict in verdicts.items() if verdict["drop_reason"]}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pairs_above_0_8_lose_a_side_and_few_docs_go_without_cause(
    licences: Licences, seed: int, tmp_path: Path
) -> None:
    dropped = dropped_by(Dedup(seed=seed), licences.texts, tmp_path)
    best = licences.best_partner()
    assert licences.share_found(dropped, 0.8) >= 0.92
    assert sum(best.get(name, 0.0) < 0.5 for name in dropped) <= 0.02 * len(dropped)


def test_verified_docs_all_go_with_cause(licences: Licences, tmp_path: Path) -> None:
    dropped = dropped_by(Dedup(verify=True), licences.texts, tmp_path)
    assert licences.share_found(dropped, 0.8) >= 0.92
    # The list's words keep their digits, ours write 0: our index is at most a little higher (0.06 here).
    best = licences.best_partner()
    assert min(best[name] for name in dropped) >= 0.7
    sets = {name: set(shingle_hashes_of(licences.texts[name], 5)) for name in sorted(dropped)[::40]}
    for name, own in sets.items():
        others = [b if a == name else a for a, b in licences.pairs if name in (a, b)]
        jaccards = [_jaccard(own, set(shingle_hashes_of(licences.texts[other], 5))) for other in others]
        assert max(jaccards) >= 0.8, name


def test_exact_drops_equal_texts_and_nothing_else(licences: Licences, tmp_path: Path) -> None:
    dropped = dropped_by(Dedup(method="exact"), licences.texts, tmp_path)
    kept = {text for name, text in licences.texts.items() if name not in dropped}
    assert kept == set(licences.texts.values())
    assert len(kept) == len(licences.texts) - len(dropped)


def test_finds_what_datasketch_finds(licences: Licences, tmp_path: Path) -> None:
    """Both take the same shingles in the same 14 bands of 8 rows; they differ in their permutations alone."""
    sure = {name for pair, jaccard in licences.pairs.items() if jaccard >= 0.95 for name in pair}
    texts = {name: text for i, (name, text) in enumerate(licences.texts.items()) if i % 4 == 0 or name in sure}
    hashes, ends = shingle_hashes(pa.array(texts.values(), pa.string()), 5)
    lsh = MinHashLSH(num_perm=112, params=(14, 8))
    sketches = {}
    for i, name in enumerate(texts):
        sketches[name] = MinHash(num_perm=112, seed=1)
        sketches[name].update_batch([hashed.tobytes() for hashed in np.unique(hashes[ends[i] : ends[i + 1]])])
        lsh.insert(name, sketches[name])
    alone = {name for name in texts if len(lsh.query(sketches[name])) == 1}
    ours = _clustered(Dedup(), texts, tmp_path)
    assert len(sure) > 30
    assert sure <= ours
    assert sure.isdisjoint(alone)
    theirs = set(texts) - alone
    assert len(ours & theirs) >= 0.85 * len(ours | theirs)  # near the knee of the curve, chance decides
    assert abs(len(ours) - len(theirs)) <= 0.1 * len(theirs)


@pytest.mark.parametrize("language", ["th", "ja", "zh", "tha", "khm", "mya", "lao"])
def test_unrelated_texts_without_spaces_stay_apart(language: str) -> None:
    """Five characters are a short shingle; still, two halves of a collection of sentences share few of them."""
    texts = [line["text"] for line in _lines(shared_data("lid", "lid-dev.jsonl.gz")) if line["lang"] == language]
    halves = [set(shingle_hashes_of("\n".join(texts[start::2]), 5)) for start in (0, 1)]
    assert min(map(len, halves)) >= 100
    assert _jaccard(*halves) <= 0.1


def _clustered(fold: Dedup, texts: dict[str, str], tmp_path: Path) -> set[str]:
    names = list(texts)
    batch = batch_of(doc_id=[f"{i:032x}" for i in range(len(names))], text=list(texts.values()))
    return {names[row] for _, row in verdicts_of(run_fold(fold, [[batch]], tmp_path))}


def _jaccard(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b)
