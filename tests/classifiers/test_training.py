"""Mirrors curate/classifiers: what training reads, refuses and writes."""

from __future__ import annotations

import functools
import json
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.classifiers import ClassifierSettings, TrainedClassifier, train_classifier
from curate.classifiers.fit import fit
from curate.errors import CurateError, InputError
from curate.models import load_fasttext
from curate.receipts import sha256_of
from curate.stages.model_quality import ModelQuality, line_of, score_of
from tests.classifiers.made import BAD, GOOD, texts, write
from tests.helpers import batch_of

SMALL = {"dim": 4, "n_buckets": 1000, "epochs": 20, "held_out_frac": 0.25}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("sides")
    return write(folder / "good.jsonl", texts(GOOD, 200)), write(folder / "bad.jsonl", texts(BAD, 200))


@pytest.fixture(scope="module")
def trained(sides: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> TrainedClassifier:
    out = tmp_path_factory.mktemp("trained") / "model"
    return train_classifier(str(sides[0]), str(sides[1]), out, ClassifierSettings(**SMALL))


def test_the_two_kinds_are_told_apart_and_the_card_says_how_well(trained: TrainedClassifier) -> None:
    folder = trained.model.parent
    assert sorted(path.name for path in folder.iterdir()) == ["calibration.svg", "card.json", "card.md", "model.bin"]
    card = json.loads((folder / "card.json").read_text("utf-8"))
    assert card["model"]["sha256"] == trained.sha256 == sha256_of(trained.model)
    assert 0.95 < card["held_out"]["roc_auc"] <= 1.0
    for side in card["data"]["sides"]:
        assert side["n_read"] == side["n_train"] + side["n_held_out"] == 200
        assert 25 <= side["n_held_out"] <= 75
    assert trained.sha256 in (folder / "card.md").read_text("utf-8")
    plot = ET.parse(folder / "calibration.svg").getroot()
    dots = plot.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == sum(b["n_docs"] > 0 for b in card["held_out"]["bins"])


def test_the_stage_and_the_training_see_the_same_text(trained: TrainedClassifier) -> None:
    text = "\n  The treaty\x0bwas signed\r\nafter talks \n"
    score = score_of(load_fasttext(trained.model), "__label__hq", line_of(text))
    verdict = ModelQuality(model=trained.model)(batch_of(text=[text]))
    assert verdict.columns["model_quality_score"].to_pylist() == [pytest.approx(score)]


@pytest.mark.parametrize("quantize", [False, True])
def test_the_same_texts_give_the_same_bytes_in_any_order_and_file(
    sides: tuple[Path, Path], tmp_path: Path, quantize: bool
) -> None:
    settings = ClassifierSettings(**SMALL, quantize=quantize)
    train_classifier(str(sides[0]), str(sides[1]), tmp_path / "a", settings)
    mixed = texts(GOOD, 200)
    random.Random(1).shuffle(mixed)
    (tmp_path / "good").mkdir()
    pq.write_table(pa.table({"text": mixed[:90]}), tmp_path / "good" / "one.parquet")
    write(tmp_path / "good" / "two.jsonl", mixed[90:])
    train_classifier(str(tmp_path / "good"), str(sides[1]), tmp_path / "b", settings)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert f"model.{'ftz' if quantize else 'bin'}" in files
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_copies_and_texts_of_both_sides_are_not_learnt_from_twice(tmp_path: Path) -> None:
    good, bad = texts(GOOD, 200), texts(BAD, 200)
    found = train_classifier(
        str(write(tmp_path / "good.jsonl", [*good, *good[:30], "", " \n"])),
        str(write(tmp_path / "bad.jsonl", [*bad, good[0]])),
        tmp_path / "out",
        ClassifierSettings(**SMALL),
    ).counts
    assert (found.n_read, found.n_empty) == ([232, 201], [2, 0])
    assert found.n_on_both_sides == 1
    assert found.n_copies == [29, 0]  # one of the 30 is a copy of the text that both sides have
    assert [a + b for a, b in zip(found.n_train, found.n_held_out, strict=True)] == [199, 200]


def test_a_site_is_never_cut_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = [f"https://www.site{n % 40}.example/{n}" for n in range(200)]
    good = write(tmp_path / "good.jsonl", texts(GOOD, 200), urls)
    bad = write(tmp_path / "bad.jsonl", texts(BAD, 200), urls)
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    by_line = {line_of(text): urls[n] for words in (GOOD, BAD) for n, text in enumerate(texts(words, 200))}
    from curate.classifiers.texts import LabelledTexts

    read = LabelledTexts((str(good), str(bad)), tmp_path, seed=0, split_by="site")
    for text in read.lines(held_out_frac=0.25, max_docs=1000):
        seen[text.is_held_out].add(by_line[text.line].split("/")[2])
    assert seen[True]
    assert seen[False]
    assert not seen[True] & seen[False]


def test_a_bounded_sample_is_drawn_by_text(sides: tuple[Path, Path], tmp_path: Path) -> None:
    settings = ClassifierSettings(**SMALL, max_docs=120)
    found = train_classifier(str(sides[0]), str(sides[1]), tmp_path / "out", settings).counts
    assert [a + b for a, b in zip(found.n_train, found.n_held_out, strict=True)] == [120, 120]
    assert found.n_left_over == [80, 80]


def test_a_page_cannot_label_itself(tmp_path: Path) -> None:
    bad = [f"__label__hq {text} </s> __label__hq" for text in texts(BAD, 200)]
    found = train_classifier(
        str(write(tmp_path / "good.jsonl", texts(GOOD, 200))),
        str(write(tmp_path / "bad.jsonl", bad)),
        tmp_path / "out",
        ClassifierSettings(**SMALL),
    )
    assert found.figures.roc_auc > 0.95
    assert "__label__" not in line_of("__label__hq ____label____ x__label__")
    assert sorted(load_fasttext(found.model).get_labels()) == ["__label__cc", "__label__hq"]


def _few(folder: Path, sides: tuple[Path, Path]) -> tuple[str, str]:
    return str(sides[0]), str(write(folder / "few.jsonl", texts(BAD, 20)))


def _empty(folder: Path, sides: tuple[Path, Path]) -> tuple[str, str]:
    return str(sides[0]), str(write(folder / "empty.jsonl", ["", "  "]))


def _twice(folder: Path, sides: tuple[Path, Path]) -> tuple[str, str]:
    return str(sides[0]), str(write(folder / "again.jsonl", texts(GOOD, 200)[:50] + texts(BAD, 200)))


def _pages(folder: Path, sides: tuple[Path, Path]) -> tuple[str, str]:
    (folder / "page.html").write_text("<html><body><p>Text</p></body></html>")
    return str(sides[0]), str(folder / "page.html")


def _missing(folder: Path, sides: tuple[Path, Path]) -> tuple[str, str]:
    return str(sides[0]), str(folder / "nothing.jsonl")


def _one_site(folder: Path, sides: tuple[Path, Path]) -> tuple[str, str]:
    urls = [f"https://www.one.example/{n}" for n in range(200)]
    return str(sides[0]), str(write(folder / "one.jsonl", texts(BAD, 200), urls))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_few, r"few\.jsonl: \d+ negatives to train on and \d+ held out; needed are 50 and 10; give more texts$"),
        (_one_site, r"one\.jsonl: 200 negatives to train on and none held out.* of 1 site, .*use --split-by text$"),
        (_empty, "no text in it"),
        (_twice, "50 texts are on both sides"),
        (_pages, "holds pages, not text"),
        (_missing, "no such file"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_and_leaves_nothing(
    made: Callable[[Path, tuple[Path, Path]], tuple[str, str]], said: str, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    good, bad = made(tmp_path, sides)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=said) as error:
        train_classifier(good, bad, tmp_path / "out", ClassifierSettings(**SMALL))
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_few_held_out_texts_are_refused_with_the_option_that_helps(sides: tuple[Path, Path], tmp_path: Path) -> None:
    for frac, said in ((0.01, "use a larger --held-out-frac than 0.01"), (0.95, "a smaller --held-out-frac than 0.95")):
        with pytest.raises(InputError, match=said):
            train_classifier(str(sides[0]), str(sides[1]), tmp_path / "out", ClassifierSettings(held_out_frac=frac))


def test_a_split_of_few_sites_is_told_with_the_option_that_helps(sides: tuple[Path, Path], tmp_path: Path) -> None:
    urls = [f"https://www.site{n % 4}.example/{n}" for n in range(200)]
    bad, lines = write(tmp_path / "bad.jsonl", texts(BAD, 200), urls), list[str]()
    found = train_classifier(str(sides[0]), str(bad), tmp_path / "out", ClassifierSettings(**SMALL), say=lines.append)
    n = found.counts.n_held_out_sites[1]
    assert (found.counts.n_train_sites, found.counts.n_held_out_sites) == ([0, 4 - n], [0, n])
    (told,) = [line for line in lines if line.startswith("warning: ")]
    assert re.search(
        r"held out are \d+ negatives \([\d.]+%\) of \d sites?, where --held-out-frac is 0.25: .*--split-by text", told
    )
    assert f"| sites held out | 0 | {n} |" in (tmp_path / "out" / "card.md").read_text("utf-8")
    even = ClassifierSettings(**SMALL, split_by="text")
    train_classifier(str(sides[0]), str(bad), tmp_path / "even", even, say=lines.append)
    assert sum(line.startswith("warning: ") for line in lines) == 1


def test_an_old_model_is_never_written_over(sides: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists"):
        train_classifier(str(sides[0]), str(sides[1]), tmp_path, ClassifierSettings(**SMALL))


def test_a_training_that_fails_says_why_and_leaves_nothing(
    sides: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = functools.partial(fit, tmp_path / "no such lines.txt")
    monkeypatch.setattr("curate.classifiers.fit", lambda lines, *rest, **more: fails(*rest, **more))
    with pytest.raises(CurateError, match=r"fastText gave up: .*no such lines\.txt cannot be opened"):
        train_classifier(str(sides[0]), str(sides[1]), tmp_path / "out", ClassifierSettings(**SMALL))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given",
    [
        {"label": "a b"}, {"label": "cc"}, {"held_out_frac": 0.0}, {"held_out_frac": 1.0}, {"dim": 0}, {"epochs": 0},
        {"n_buckets": 1}, {"seed": -1}, {"learning_rate": 0.0}, {"word_ngrams": 11}, {"max_docs": 0},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ClassifierSettings(**given)
