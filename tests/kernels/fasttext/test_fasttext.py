"""Mirrors curate/kernels/fasttext: fastText's own C++ is the oracle."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.kernels.fasttext.model_file import FastText, read, word_hash
from curate.kernels.fasttext.score import probabilities
from curate.models import LID_176, asset, load_fasttext

TOLERANCE = 2e-6  # C++ may fuse a multiplication with an addition
LABEL = "__label__"
LINES = [
    "The committee met on Tuesday.", "Der Ausschuß trat\tam Dienstag zusammen", "委員会は火曜日に会合を開き",
    "", "   ", "a", "\x00b\x0bc\x0cd", "word\u00a0word\u3000word", "é e\u0301 \u0301", "🎈 " * 20, "<a> <b", "x" * 3000,
]  # fmt: skip

TRAINED: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "softmax": ({"loss": "softmax", "minn": 2, "maxn": 4}, None),
    "tree": ({"loss": "hs", "minn": 3, "maxn": 3}, None),
    "one against all": ({"loss": "ova", "minn": 1, "maxn": 3, "wordNgrams": 3}, None),
    "negative samples": ({"loss": "ns", "wordNgrams": 2}, None),
    "words only": ({"loss": "softmax", "bucket": 0}, None),
    "quantised": ({"loss": "softmax", "minn": 2, "maxn": 3, "wordNgrams": 2}, {"dsub": 2}),
    "pruned": ({"loss": "softmax", "minn": 2, "maxn": 3}, {"dsub": 3, "cutoff": 400, "qnorm": True}),
    "quantised outputs": ({"loss": "softmax", "minn": 2, "maxn": 2}, {"qnorm": True, "qout": True}),
}


def oracle(path: Path, line: str) -> dict[str, float]:
    """Return what C++ says: the labels it does not list have less than 1e-5."""
    return {label: score for score, label in load_fasttext(path).f.predict(line + "\n", -1, 0.0, "strict")}


def check(path: Path, fasttext: FastText, line: str) -> None:
    theirs = oracle(path, line)
    ours = dict(zip(fasttext.labels, probabilities(fasttext, line.encode()).tolist(), strict=True))
    for label, score in ours.items():
        assert abs(theirs.get(LABEL + label, 1e-5) - score) <= TOLERANCE + 2e-5 * (LABEL + label not in theirs)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of 300 made-up classes, so that outputs can be quantised."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("fasttext") / "lines.txt"
    alphabets = ["abcdeé", "fghijü", "абвгд"]
    words = [["".join(draw.choices(alphabet, k=draw.randint(1, 8))) for _ in range(150)] for alphabet in alphabets]
    lines = [f"{LABEL}c{n % 300} " + " ".join(draw.choices(words[n % 3], k=8)) for n in range(6000)]
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.mark.parametrize("name", TRAINED)
def test_the_probabilities_are_those_of_fasttext(name: str, examples: Path, tmp_path: Path) -> None:
    import fasttext

    how, quantised = TRAINED[name]
    how = {"dim": 20, "epoch": 3, "lr": 0.05, "bucket": 3000, "thread": 10, "verbose": 0, **how}
    model = fasttext.train_supervised(str(examples), **how)
    if quantised is not None:
        model.quantize(str(examples), verbose=0, **quantised)
    path = tmp_path / "model.bin"
    model.save_model(str(path))
    found = read(path)
    assert len(found.labels) == 300
    for line in [*LINES, *(line.split(" ", 1)[1] for line in examples.read_text("utf-8").splitlines()[:40])]:
        check(path, found, line)


@given(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])) | st.sampled_from(LINES))
@settings(deadline=None)
def test_lid_176_says_what_fasttext_says_of_it(line: str) -> None:
    if LABEL in line or "</s>" in line:
        return  # read as words here, as fastText's own marks there
    check(asset(LID_176), read_bundled(), line)


def test_marks_of_fasttext_in_a_text_are_words() -> None:
    model = read_bundled()
    plain = probabilities(model, b"Das ist ein deutscher Satz")
    marked = probabilities(model, b"</s> Das ist ein deutscher Satz __label__en")
    assert model.labels[int(plain.argmax())] == model.labels[int(marked.argmax())] == "de"


@given(st.binary(max_size=64))
@settings(deadline=None)
def test_bytes_that_are_no_text_are_scored_too(line: bytes) -> None:
    found = probabilities(read_bundled(), line)
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1, abs=0.05)  # fastText adds 1e-5 to each step down its tree


def test_a_file_that_was_cut_is_no_model(tmp_path: Path) -> None:
    whole, path = asset(LID_176).read_bytes(), tmp_path / "cut.ftz"
    draw = random.Random(1)
    sizes = [0, 1, 7, 8, 60, len(whole) - 1, len(whole) - 4, *(draw.randrange(len(whole)) for _ in range(25))]
    for size in sizes:
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="is not a fastText model"):
            read(path)
        with pytest.raises(InputError, match="is not a fastText model"):
            load_fasttext(path)  # fastText's own reader waits for ever at the end of some


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        read(tmp_path / "none.bin")
    whole = bytearray(asset(LID_176).read_bytes())
    for at, value in ((0, 1), (4, 99), (32, 7), (36, 1)):  # magic, version, loss, kind
        path = tmp_path / f"at-{at}.bin"
        changed = bytearray(whole)
        changed[at : at + 4] = value.to_bytes(4, "little")
        path.write_bytes(changed)
        with pytest.raises(InputError, match="is not a fastText model"):
            read(path)


def test_the_hash_takes_bytes_as_signed() -> None:
    assert word_hash(b"a") == 0xE40C292C  # FNV-1a of its authors' tables
    assert word_hash("é".encode()) != word_hash(b"e")


def read_bundled() -> FastText:
    from curate.models import language_identifier

    return language_identifier(None).fasttext
