"""Mirrors curate/ngrams/kneser_ney.py: arithmetic by hand, a slow twin, and distributions that sum to one."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.ngrams.arpa import Section, read_arpa
from curate.ngrams.kneser_ney import BEGIN_ID, END_ID, FALLBACK, UNKNOWN_ID, Estimate, estimate

HERE = Path(__file__).parent
Model = dict[tuple[int, ...], tuple[float, float]]


def flat(lines: list[list[int]]) -> np.ndarray:
    return np.array([word for line in lines for word in (BEGIN_ID, *line, END_ID)], np.int32)


def model_of(sections: tuple[Section, ...]) -> Model:
    return {
        tuple(ngram): (float(log10), float(backoff))
        for section in sections
        for ngram, log10, backoff in zip(section.ngrams.tolist(), section.log10, section.backoff, strict=True)
    }


def probability(model: Model, context: tuple[int, ...], word: int) -> float:
    if (*context, word) in model:
        return float(10.0 ** model[(*context, word)][0])
    return float(10.0 ** model.get(context, (0.0, 0.0))[1]) * probability(model, context[1:], word)


def slow(lines: list[list[int]], n_known: int, min_counts: list[int]) -> dict[tuple[int, ...], float]:
    """Return the probability of every listed n-gram, by the definition of Chen and Goodman, with dictionaries."""
    order = 1 + len(min_counts)
    padded = [(BEGIN_ID, *line, END_ID) for line in lines]
    raw = [Counter(line[i : i + n] for line in padded for i in range(len(line) - n + 1)) for n in range(1, order + 1)]
    adjusted = []
    for n in range(1, order + 1):
        left = Counter(gram[1:] for gram in raw[n]) if n < order else raw[n - 1]
        adjusted.append({g: raw[n - 1][g] if g[0] == BEGIN_ID or n == order else left[g] for g in raw[n - 1]})
    adjusted[0][BEGIN_ID,] = 0
    found: dict[tuple[int, ...], float] = {(): 1.0 / (n_known - 1)}
    for n, counts in enumerate(adjusted, 1):
        known = {gram: a for gram, a in counts.items() if max(gram) < n_known}
        of = [0] + [sum(a == k for a in counts.values()) for k in (1, 2, 3, 4)]
        discounts: tuple[float, ...] = FALLBACK
        if all(of[1:4]):
            y = of[1] / (of[1] + 2 * of[2])
            own = tuple(k - (k + 1) * y * of[k + 1] / of[k] for k in (1, 2, 3))
            discounts = own if all(0 < d <= k for k, d in enumerate(own, 1)) else FALLBACK
        kept = {g for g in known if n == 1 or (raw[n - 1][g] >= min_counts[n - 2] and (n == 2 or g[:-1] in found))}
        for gram in {*kept, *([(UNKNOWN_ID,)] if n == 1 else [])}:
            siblings = {g: a for g, a in counts.items() if g[:-1] == gram[:-1]}
            total = sum(siblings.values())
            taken = {g: (0.0, *discounts)[min(a, 3)] for g, a in siblings.items()}
            left_over = sum(taken[g] if g in kept else a for g, a in siblings.items())
            mine = (siblings[gram] - taken[gram]) / total if gram in kept else 0.0
            found[gram] = mine + left_over / total * found[gram[1:]]
    del found[()]
    return found


# 7 and 8 are outside the vocabulary
LINES = st.lists(st.lists(st.sampled_from([3, 3, 4, 5, 6, 7, 8]), min_size=1, max_size=8), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(lines=LINES, min_counts=st.sampled_from([[1], [1, 1], [1, 2], [2, 2], [1, 1, 1], [1, 2, 3]]))
def test_estimates_are_those_of_the_slow_twin(lines: list[list[int]], min_counts: list[int]) -> None:
    model = model_of(estimate(flat(lines), 9, min_counts, 7).sections)
    expected = slow(lines, 7, min_counts)
    assert {gram for gram in model if gram != (BEGIN_ID,)} >= {gram for gram in expected if gram != (BEGIN_ID,)}
    for gram, value in expected.items():
        if gram != (BEGIN_ID,):
            assert 10.0 ** model[gram][0] == pytest.approx(value, rel=1e-5), gram


@settings(max_examples=80, deadline=None)
@given(lines=LINES, min_counts=st.sampled_from([[1], [1, 1], [2, 2], [1, 2, 2]]))
def test_every_distribution_sums_to_one(lines: list[list[int]], min_counts: list[int]) -> None:
    model = model_of(estimate(flat(lines), 9, min_counts, 7).sections)
    words = [word for word in range(7) if word != BEGIN_ID]
    contexts = [(), *((a,) for a in range(7)), *product(range(7), range(7))]
    for context in contexts:
        assert sum(probability(model, context, word) for word in words) == pytest.approx(1.0, abs=1e-5), context


def test_two_lines_by_hand() -> None:
    """Lines `a b` and `a c`, bigrams, with the fallback discounts 0.5, 1, 1.5 (no count of 3)."""
    a, b, c = 3, 4, 5
    found: Estimate = estimate(flat([[a, b], [a, c]]), 6, [1])
    assert found.fell_back == (True, True)
    model = model_of(found.sections)
    # In how many contexts each word was seen: a 1 (<s>), b 1, c 1, </s> 2: 5 in all. Taken: 3 * 0.5 + 1 = 2.5.
    uniform = 2.5 / 5 * (1 / 5)
    assert 10 ** model[UNKNOWN_ID,][0] == pytest.approx(uniform)
    assert 10 ** model[a,][0] == pytest.approx(0.5 / 5 + uniform)
    assert 10 ** model[END_ID,][0] == pytest.approx(1 / 5 + uniform)
    # After a came b once and c once: each keeps 0.5 of 2, the backoff has (0.5 + 0.5) / 2.
    assert 10 ** model[a,][1] == pytest.approx(0.5)
    assert 10 ** model[a, b][0] == pytest.approx(0.5 / 2 + 0.5 * (0.5 / 5 + uniform))
    # After <s> came a twice: 2 - 1 of 2 stays.
    assert 10 ** model[BEGIN_ID, a][0] == pytest.approx(1 / 2 + 1 / 2 * (0.5 / 5 + uniform))
    assert model[BEGIN_ID,][0] == -99.0


def test_discounts_come_from_the_counts_of_counts() -> None:
    """Chen and Goodman's formulas for 4 singletons, 2 doubletons, 1 of three and 1 of four occurrences."""
    lines = [[3], [4], [5], [6], *[[7]] * 2, *[[8]] * 2, *[[9]] * 3, *[[10]] * 4]
    found = estimate(flat(lines), 11, [1])
    # bigrams <s> w and w </s>: from <s> the counts are those of the words, and so are those before </s>
    n1, n2, n3, n4 = 8, 4, 2, 2
    y = n1 / (n1 + 2 * n2)
    assert found.discounts[1] == pytest.approx((1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3))
    assert found.fell_back[1] is False


@pytest.mark.parametrize(
    ("name", "min_counts", "vocab_size"), [("pruned", [1, 2], 1 << 20), ("limited", [2, 3, 3], 150)]
)
def test_models_are_those_of_lmplz(name: str, min_counts: list[int], vocab_size: int) -> None:
    """The files are what KenLM 0.3.0 made of lmplz.txt, three inaugural addresses.

    `lmplz -o 3 --prune 0 0 1`, and `lmplz -o 4 --prune 0 1 2 2 --limit_vocab_file` with the 150 most frequent words.
    """
    lines = [line.split() for line in (HERE / "lmplz.txt").read_text("utf-8").splitlines()]
    counts = Counter(word for line in lines for word in line)
    words = ["<unk>", "<s>", "</s>", *sorted(counts, key=lambda word: (-counts[word], word))]
    numbers = {word: number for number, word in enumerate(words)}
    n_known = min(len(words), 3 + vocab_size)
    tokens = flat([[numbers[word] for word in line] for line in lines])
    ours = model_of(estimate(tokens, len(words), min_counts, n_known).sections)
    arpa = read_arpa(HERE / f"lmplz_{name}.arpa.gz")
    theirs = {tuple(numbers[arpa.words[n]] for n in gram): entry for gram, entry in model_of(arpa.sections).items()}
    assert set(ours) == set(theirs)
    for gram, (log10, backoff) in theirs.items():
        if gram != (BEGIN_ID,):  # 0 there, where SRILM writes -99
            assert ours[gram][0] == pytest.approx(log10, abs=5e-6), gram
        assert ours[gram][1] == pytest.approx(backoff, abs=5e-6), gram
