"""Mirrors curate/kernels/toxicity: the compiled pass against its plain twin, and what a sentence and a word are."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.toxicity import plain
from curate.kernels.toxicity.classes import CLASSES
from curate.kernels.toxicity.features import COMMON, N_BITS
from curate.kernels.toxicity.score import STEPS_A_LOGIT, Linear, score, sentence_spans
from curate.toxicity.linear import word_table

KNOWN = {"women": 1, "niggers": 2, "queer": 3, "idiot": 4, "fuck": 5, "not": 12, "you": 13, "said": 17, "the": COMMON}
# Weights that differ from feature to feature, so that equal sums mean equal features.
WEIGHTS = (np.arange(2 << N_BITS, dtype=np.int64) * 2654435761 % 251 - 125).astype(np.int8).reshape(-1, 2)
MODEL = Linear(WEIGHTS, np.array([0.01, 0.02]), np.array([0.5, -0.5]), *word_table(KNOWN))

ODD = "abz @$*#!1035'\"\u201c\u201d\u2018\u2019.?!)\u2026\n\t\xa0é中ßİı가한🙂\u0301\xad_:/-ＡＢ０９"
chars = st.text(ODD, max_size=60)
words = st.sampled_from(
    [*KNOWN, "f*ck", "@user_1", "http://a.b/c", "a$$", "b!tch", "f u c k", "looove", "don't", "'quoted'", '"quoted"',
     "f***", "**bold**", "3rd", "h3llo", "U.S.", "中文", "한국어", "end.", "what?!", "\n"]
)  # fmt: skip
texts = chars | st.lists(words | chars, max_size=12).map(" ".join)


def plain_steps(text: str) -> list[tuple[int, int, int, int]]:
    """Return (start, end, label, steps) as the definition has it."""
    sentences = plain.sentences_of(text)
    sets = [0, *(_classes(sentence.words) for sentence in sentences), 0]
    found = []
    for i, sentence in enumerate(sentences):
        features = plain.features_of(sentence, sets[i] | sets[i + 2], KNOWN)
        for label in range(2):
            total = int(WEIGHTS[features, label].astype(np.int64).sum())
            logit = MODEL.bias[label] + MODEL.scale[label] * total / np.sqrt(len(features))
            found.append((sentence.start, sentence.end, label, int(np.floor(logit * STEPS_A_LOGIT + 0.5))))
    return found


def _classes(said: list[str]) -> int:
    bits = 0
    for word in said:
        if KNOWN.get(word, 0) not in (0, COMMON):
            bits |= 1 << KNOWN[word]
    return bits


def compiled_steps(text: str) -> list[tuple[int, ...]]:
    found = score(pa.array([text], pa.string()), MODEL, [-30000, -30000], spans=True)
    return [tuple(row[1:]) for row in found.spans.tolist()]


@settings(max_examples=200, deadline=None)
@given(texts)
def test_the_compiled_pass_scores_what_its_plain_twin_scores(text: str) -> None:
    assert compiled_steps(text) == plain_steps(text)


@pytest.mark.parametrize("unit", ["a", "word ", "x. ", "中", "a b ", "@", "*", "f*"])
def test_long_runs_are_cut_alike(unit: str) -> None:
    text = "f" + unit * (6000 // len(unit))
    assert compiled_steps(text) == plain_steps(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Don't STOP", ["dont", "stop"]),
        ("f*ck F**K f***", ["f*ck", "f*k", "f*"]),
        ("sh1t n1gg3r a$$ b!tch", ["shit", "nigger", "ass", "bitch"]),
        ("mp3 covid19 1984 3rd", ["mp3", "covid19", "0", "3rd"]),
        ("fuuuuck sooo cool", ["fuck", "so", "cool"]),
        ("an i d i o t here", ["an", "idiot", "here"]),
        ("so a b it is", ["so", "a", "b", "it", "is"]),
        ("@some_body1 me@home", ["@", "meahome"]),
        ("see http://x.org/fuck?a=1 now", ["see", "now"]),
        ("**bold** #tag nigg\u00aders n\u00efgg\u0115r", ["bold", "tag", "niggers", "nigger"]),
        ("\uff46\uff55\uff43\uff4b", ["fuck"]),
    ],
)
def test_words_by_hand(text: str, said: list[str]) -> None:
    assert plain.words_of(text) == said


def test_sentences_end_at_stops_and_lines_and_keep_what_closes_with_them() -> None:
    text = 'One. "Two?" (Three!) four\nfive 3.5 six... seven'
    found = [text.encode()[start:end].decode() for start, end in sentence_spans(pa.array([text])).tolist()]
    assert found == ["One. ", '"Two?" ', "(Three!) ", "four\n", "five 3.5 six... ", "seven"]


def test_groups_of_people_are_one_word() -> None:
    known = {word: CLASSES.index("group") for word in ("women", "muslims", "gays")}
    model = MODEL._replace(**dict(zip(("keys", "values"), word_table(known), strict=True)))
    found = score(pa.array([f"I saw some {word} there." for word in known]), model, [0, 0])
    assert len({tuple(row) for row in found.best.tolist()}) == 1


def test_nulls_and_empty_texts_have_no_sentences() -> None:
    found = score(pa.array([None, "", " ... \n", "one"], pa.string()), MODEL, [0, 0])
    assert found.n_sentences.tolist() == [0, 0, 0, 1]
    assert score(pa.array([], pa.string()), MODEL, [0, 0]).best.shape == (0, 2)


@pytest.mark.parametrize("unit", ["fuck you. ", "a", "*", "\u0301", "\x00", "@x ", "a\n", "中", '"'])
def test_time_is_linear_whatever_repeats(unit: str) -> None:
    def cost(n_bytes: int) -> float:
        text = pa.array([unit * (n_bytes // len(unit.encode()))])
        costs = []
        for _ in range(3):
            began = time.process_time()
            score(text, MODEL, [0, 0])
            costs.append(time.process_time() - began)
        return min(costs)

    cost(1000)
    assert cost(800_000) < 2.6 * cost(400_000) + 0.02
