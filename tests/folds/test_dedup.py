"""Mirrors curate/folds/dedup: what is kept does not depend on cuts or order, and every cluster adds up."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from itertools import permutations as permuted
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import AccountingError, InputError
from curate.fold import Position
from curate.folds.dedup import Dedup
from curate.folds.dedup.candidates import BUCKETS_FILE, DOCS, DOCS_FILE
from curate.folds.dedup.rows import parts_of
from curate.kernels.shingles import band_keys_of, permutations, shingle_hashes_of
from curate.sketches import Part
from tests.folds.drive import run_fold, verdicts_of
from tests.helpers import batch_of


class Doc(NamedTuple):
    doc_id: str
    text: str | None


class Fate(NamedTuple):
    drop_reason: str | None
    cluster_id: str
    cluster_size: int


def doc_of(number: int, text: str | None) -> Doc:
    return Doc(f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}", text)


def fates(fold: Dedup, shards: Sequence[Sequence[Doc]], n_parts: int = 1, batch_docs: int = 64) -> dict[str, Fate]:
    """Return the fate of each doc that has a verdict."""
    batches = [
        [
            batch_of(
                doc_id=[d.doc_id for d in shard[i : i + batch_docs]], text=[d.text for d in shard[i : i + batch_docs]]
            )
            for i in range(0, len(shard), batch_docs)
        ]
        for shard in shards
    ]
    with tempfile.TemporaryDirectory() as folder:
        verdicts = verdicts_of(run_fold(fold, batches, Path(folder), n_parts))
    return {shards[s][row].doc_id: Fate(**verdict) for (s, row), verdict in verdicts.items()}  # type: ignore[arg-type]


def edited(seed: int, n_words: int, n_edits: int) -> str:
    """Return a text of `n_words` that depends on `seed` alone, with `n_edits` of its words replaced."""
    words = [Random(seed * 1000 + i).choice("abcdefghij") * 3 + chr(97 + i % 26) for i in range(n_words)]
    for edit in range(n_edits):
        words[Random(seed + edit * 7919).randrange(n_words)] = f"edit{chr(97 + edit)}"
    return " ".join(words)


FAMILIES = st.builds(edited, st.integers(0, 4), st.sampled_from([3, 30, 60]), st.integers(0, 5))
CORPORA = st.lists(st.one_of(FAMILIES, FAMILIES, st.sampled_from([None, "", "... !", "one", "One!"])), max_size=24).map(
    lambda texts: [doc_of(i, text) for i, text in enumerate(texts)]
)
FOLDS = st.sampled_from(
    [Dedup(), Dedup(method="exact"), Dedup(verify=True, min_jaccard=0.6, rows_per_band=2, n_bands=6), Dedup(seed=9)]
)


@settings(max_examples=60, deadline=None)
@given(FOLDS, CORPORA, st.integers(1, 5), st.integers(1, 7), st.randoms(use_true_random=False), st.data())
def test_fates_depend_on_no_cut_order_or_number_of_parts(
    fold: Dedup, docs: list[Doc], n_parts: int, batch_docs: int, random: Random, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(docs)))
    shuffled = random.sample(docs, len(docs))
    assert fates(fold, [shuffled[:cut], shuffled[cut:]], n_parts, batch_docs) == fates(fold, [docs])


@settings(max_examples=30, deadline=None)
@given(CORPORA, st.integers(1, 5), st.data())
def test_first_is_kept_wherever_shards_are_cut(docs: list[Doc], n_parts: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(docs)))
    found = fates(Dedup(keep="first"), [docs[:cut], docs[cut:]], n_parts)
    assert found == fates(Dedup(keep="first"), [docs])
    order = [doc.doc_id for doc in docs]
    for cluster_id in {fate.cluster_id for fate in found.values()}:
        members = [doc_id for doc_id, fate in found.items() if fate.cluster_id == cluster_id]
        assert cluster_id == min(members, key=order.index)


@settings(max_examples=40, deadline=None)
@given(FOLDS, CORPORA)
def test_each_cluster_keeps_its_longest_doc_and_adds_up(fold: Dedup, docs: list[Doc]) -> None:
    found = fates(fold, [docs])
    texts = {doc.doc_id: doc.text or "" for doc in docs}
    sizes = Counter(fate.cluster_id for fate in found.values())
    for doc_id, fate in found.items():
        members = [other for other, its in found.items() if its.cluster_id == fate.cluster_id]
        assert fate.cluster_id == min(members, key=lambda member: (-len(texts[member]), member))
        assert fate.cluster_size == sizes[fate.cluster_id] >= 2
        assert (fate.drop_reason is None) == (doc_id == fate.cluster_id)
        assert fate.drop_reason in (None, "exact_duplicate" if fold.method == "exact" else "near_duplicate")


@settings(max_examples=40, deadline=None)
@given(CORPORA)
def test_minhash_clusters_are_those_of_its_definition(docs: list[Doc]) -> None:
    """Plain Python: docs that share a band key are one cluster, transitively."""
    drawn = permutations(8 * 3, 5)
    hashes = {doc.doc_id: shingle_hashes_of(doc.text or "", 4) for doc in docs}
    keys = {doc_id: set(band_keys_of(h, drawn, 3)) for doc_id, h in hashes.items() if h}
    pairs = [(a, b) for a, b in combinations(keys, 2) if keys[a] & keys[b]]
    found = fates(Dedup(n_bands=8, rows_per_band=3, shingle_words=4, seed=5), [docs])
    assert clusters(found) == components(pairs)


@settings(max_examples=30, deadline=None)
@given(CORPORA)
def test_exact_clusters_are_equal_texts(docs: list[Doc]) -> None:
    pairs = [(a.doc_id, b.doc_id) for a, b in combinations(docs, 2) if a.text and a.text == b.text]
    assert clusters(fates(Dedup(method="exact"), [docs])) == components(pairs)


@settings(max_examples=40, deadline=None)
@given(CORPORA, st.sampled_from([0.3, 0.6, 0.9, 1.0]))
def test_verified_clusters_hold_together_by_true_pairs(docs: list[Doc], min_jaccard: float) -> None:
    """One row a band proposes nearly any two docs with a shingle in common: what is joined is then up to verify."""
    fold = Dedup(n_bands=40, rows_per_band=1, shingle_words=2, verify=True, min_jaccard=min_jaccard)
    found = clusters(fates(fold, [docs]))
    sets = {doc.doc_id: set(shingle_hashes_of(doc.text or "", 2)) for doc in docs}
    for cluster in found:
        pairs = [(a, b) for a, b in combinations(sorted(cluster), 2) if jaccard(sets[a], sets[b]) >= min_jaccard]
        assert components(pairs) == {cluster}


def test_verify_undoes_a_false_merge() -> None:
    docs = [doc_of(1, edited(1, 60, 0)), doc_of(2, edited(1, 60, 5)), doc_of(3, edited(1, 60, 0) + " end")]
    proposed = Dedup(n_bands=40, rows_per_band=1)
    checked = Dedup(n_bands=40, rows_per_band=1, verify=True, min_jaccard=0.9)
    assert {fate.cluster_size for fate in fates(proposed, [docs]).values()} == {3}
    assert clusters(fates(checked, [docs])) == {frozenset({docs[0].doc_id, docs[2].doc_id})}


def test_the_limit_itself_joins() -> None:
    docs = [doc_of(1, "a b c d"), doc_of(2, "a b c d e")]  # 4 of 5 words
    found = [
        len(fates(Dedup(n_bands=40, rows_per_band=1, shingle_words=1, verify=True, min_jaccard=least), [docs]))
        for least in (0.8, 0.81)
    ]
    assert found == [2, 0]


def test_repeated_shingles_count_once() -> None:
    docs = [doc_of(1, "aa bb aa bb aa bb cc"), doc_of(2, "aa bb cc")]
    assert len(fates(Dedup(shingle_words=1, verify=True, min_jaccard=1.0), [docs])) == 2


@pytest.mark.parametrize("fold", [Dedup(), Dedup(method="exact"), Dedup(verify=True)])
@pytest.mark.parametrize("texts", [[], [None], ["", ""], ["only one doc here"], [None, "", None]])
def test_nothing_to_cluster(fold: Dedup, texts: list[str | None]) -> None:
    docs = [doc_of(i, text) for i, text in enumerate(texts)]
    assert fates(fold, [docs, []], n_parts=3) == {}
    assert fates(fold, [], n_parts=2) == {}


def test_docs_without_a_word_are_never_near_duplicates() -> None:
    docs = [doc_of(i, "... !") for i in range(3)]
    assert fates(Dedup(), [docs]) == {}
    assert len(fates(Dedup(method="exact"), [docs])) == 3


@pytest.mark.parametrize("verify", [False, True])
def test_ten_thousand_equal_docs_take_linear_work(
    verify: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.folds.dedup import clusters as module

    compared = Counter[str]()
    monkeypatch.setattr(module, "alike", lambda a, b, least: compared.update(["pairs"]) or _plain_alike(a, b, least))
    n = 10_000
    batches = [
        batch_of(doc_id=[f"{i:032x}" for i in range(s, s + 500)], text=["all are one"] * 500) for s in range(0, n, 500)
    ]
    verdicts = verdicts_of(run_fold(Dedup(verify=verify), [batches[:7], batches[7:]], tmp_path, 2))
    assert len(verdicts) == n
    assert {verdict["cluster_size"] for verdict in verdicts.values()} == {n}
    assert sum(verdict["drop_reason"] is None for verdict in verdicts.values()) == 1
    assert compared["pairs"] <= n
    assert sum(_n_members(tmp_path / f"part-{index}") for index in range(2)) == n * Dedup().n_bands


def test_a_bucket_of_unlike_docs_takes_linear_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.folds.dedup import clusters as module

    compared = Counter[str]()
    monkeypatch.setattr(module, "alike", lambda a, b, least: compared.update(["pairs"]) or _plain_alike(a, b, least))
    monkeypatch.setattr(module, "MAX_LEADERS", 3)
    # One band of one row: a bucket holds all docs whose least shingle is the same, here one of 12 words.
    texts = [" ".join(Random(i).sample([c * 3 for c in "abcdefghijkl"], 3)) for i in range(300)]
    batch = batch_of(doc_id=[f"{i:032x}" for i in range(300)], text=texts)
    run_fold(Dedup(n_bands=1, rows_per_band=1, shingle_words=1, verify=True, min_jaccard=1.0), [[batch]], tmp_path, 1)
    assert 300 < compared["pairs"] <= 300 * 3


def test_what_verify_joins_depends_on_no_order_within_a_bucket() -> None:
    """The shortest doc is like the two others, which are not like each other: it joins them in any order."""
    words = ["ten", "words", "that", "all", "of", "the", "three", "docs", "have", "here"]
    docs = [doc_of(i, " ".join([*words, *more])) for i, more in enumerate((["longest"], ["long"], []))]
    fold = Dedup(n_bands=1, rows_per_band=1, shingle_words=1, verify=True, min_jaccard=0.85, seed=2)
    unverified = fates(replace(fold, verify=False, min_jaccard=0.8), [docs])
    assert {fate.cluster_size for fate in unverified.values()} == {3}  # one bucket
    for order in permuted(docs):
        assert clusters(fates(fold, [order])) == {frozenset(doc.doc_id for doc in docs)}


@pytest.mark.parametrize("verify", [False, True])
@settings(max_examples=15, deadline=None)
@given(docs=CORPORA)
def test_parts_read_in_many_blocks_or_sorted_on_disk_give_the_same_fates(verify: bool, docs: list[Doc]) -> None:
    fold = Dedup(verify=verify, min_jaccard=0.6 if verify else 0.8, rows_per_band=2, n_bands=6)
    expected = fates(fold, [docs], 2)
    whole = Part.sorted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curate.sketches.BLOCK_ROWS", 4)
        assert fates(fold, [docs], 2) == expected
        patch.setattr(Part, "sorted", lambda part, key, *, then=(): whole(part, key, then=then, budget_bytes=1))
        assert fates(fold, [docs[:5], docs[5:9], docs[9:]], 2) == expected


def test_parts_are_in_key_order() -> None:
    """Then the buckets of all parts come in one order, whatever the number of parts."""
    keys = np.sort(
        np.array([0, 1, 2**32, 2**63, 2**64 - 1, *(Random(1).getrandbits(64) for _ in range(500))], np.uint64)
    )
    for n_parts in (1, 3, 4096):
        parts = parts_of(keys, n_parts)
        assert parts[0] == 0
        assert parts[-1] == n_parts - 1
        assert (np.diff(parts) >= 0).all()


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    batch = batch_of(doc_id=["0" * 32, "1" * 32], text=["one and the same", "one and the same"])
    run_fold(Dedup(), [[batch]], tmp_path, 2)
    parts = [tmp_path / "part-0", tmp_path / "part-1"]
    for part in parts:
        with pa.ipc.new_file(part / DOCS_FILE, DOCS):
            pass
    (tmp_path / "again").mkdir()
    with pytest.raises(AccountingError, match="2 docs stand in buckets, but 0"):
        Dedup().finish(parts, tmp_path / "again")


def test_sketch_rows_have_one_schema_whatever_the_batch() -> None:
    at = Position(shard=2, row=7, n_parts=4)
    for fold in (Dedup(), Dedup(method="exact"), Dedup(verify=True)):
        tables = [
            fold.sketch(batch_of(doc_id=["0" * 32] * len(texts), text=texts), at)
            for texts in ([], [None], ["one", "two words"])
        ]
        assert tables[0].schema == tables[1].schema == tables[2].schema
        assert [table.num_rows == 0 for table in tables] == [True, True, False]
        assert all(0 <= part < 4 for part in tables[2]["part"].to_pylist())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "fuzzy"}, "method"),
        ({"keep": "last"}, "keep"),
        ({"n_bands": 0}, "n_bands"),
        ({"rows_per_band": -1}, "rows_per_band"),
        ({"shingle_words": 0}, "shingle_words"),
        ({"seed": -1}, "seed"),
        ({"min_jaccard": 0.0}, "min_jaccard"),
        ({"min_jaccard": 0.9}, "min_jaccard has no effect without verify"),
        ({"method": "exact", "n_bands": 20}, "n_bands has no effect without method minhash"),
        ({"min_jaccard": 1.1}, "min_jaccard"),
        ({"method": "exact", "verify": True}, "verify"),
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Dedup(**wrong)


def test_importing_the_fold_imports_nothing_heavy() -> None:
    code = "import sys, curate.folds.dedup; print([m for m in ('numba', 'torch', 'datasketch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def clusters(found: dict[str, Fate]) -> set[frozenset[str]]:
    return {frozenset(d for d, f in found.items() if f.cluster_id == c) for c in {f.cluster_id for f in found.values()}}


def components(pairs: Sequence[tuple[str, str]]) -> set[frozenset[str]]:
    found: list[set[str]] = []
    for pair in pairs:
        touched = [component for component in found if component & set(pair)]
        found = [component for component in found if component not in touched]
        found.append(set(pair).union(*touched))
    return {frozenset(component) for component in found}


def jaccard(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def _plain_alike(a: Any, b: Any, least: float) -> bool:
    return jaccard(set(a.tolist()), set(b.tolist())) >= least


def _n_members(part: Path) -> int:
    with pa.memory_map(str(part / BUCKETS_FILE)) as mapped:
        return len(pa.ipc.open_file(mapped).read_all()["docs"].combine_chunks().flatten())
