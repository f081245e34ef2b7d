"""Mirrors curate/stages/perplexity.py; the stage laws run in tests/laws, scores in tests/ngrams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.errors import InputError
from curate.stages.perplexity import Perplexity
from tests.helpers import batch_of
from tests.laws.specs import NGRAMS

PROSE = "The president said that the government of the country would make peace with its neighbours in the next year."
LIST = "Home | Log in | Cart (0) | Shop now! | +1 555 0100 | Cookies | Sitemap | XXL | Sale %"


def values(stage: Perplexity, texts: list[str | None]) -> list[Any]:
    return list(stage(batch_of(text=texts)).columns[stage.column].to_pylist())


def test_the_bundled_model_finds_prose_less_surprising_than_menus_and_other_languages() -> None:
    prose, menu, german, none = values(Perplexity(), [PROSE, LIST, "Der Zug fährt um acht Uhr nach Köln ab.", "\n"])
    assert prose < 200 < 2000 < min(menu, german)
    assert none is None


def test_limits_themselves_are_kept_and_docs_without_tokens_too() -> None:
    batch = batch_of(text=[PROSE, LIST, None])
    prose, menu, _ = values(Perplexity(), [PROSE, LIST, None])
    verdicts = [
        Perplexity(max_perplexity=menu, min_perplexity=prose)(batch),
        Perplexity(max_perplexity=menu - 1.0)(batch),
        Perplexity(min_perplexity=prose + 1.0)(batch),
    ]
    assert [v.drop_reason.to_pylist() for v in verdicts if v.drop_reason is not None] == [
        [None, None, None],
        [None, "perplexity_too_high", None],
        ["perplexity_too_low", None, None],
    ]


def test_decisions_are_made_again_from_the_column() -> None:
    stage = Perplexity(max_perplexity=1000.0, min_perplexity=100.0, column="surprise")
    verdict = stage(batch_of(text=[PROSE, LIST, None]))
    assert stage.decide(pa.RecordBatch.from_pydict(dict(verdict.columns))).equals(verdict.drop_reason)
    assert stage.decides_by == ("surprise",)


def test_a_long_text_is_read_as_far_as_the_limit() -> None:
    text = "the end .\n" * 100_000  # 1,000,000 characters
    assert values(Perplexity(model=Path(NGRAMS)), [text, text + LIST * 100])[0] is not None
    assert len(set(values(Perplexity(model=Path(NGRAMS)), [text, text + LIST * 100]))) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"max_perplexity": 0.5}, {"min_perplexity": float("nan")}, {"max_perplexity": float("inf")},
        {"column": "a-b"}, {"tokenizer": Path("tokenizer.json")},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Perplexity(**given)


def test_a_model_that_cannot_be_read_is_said_before_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.arpa").write_text("nothing")
    with pytest.raises(InputError, match="not an ARPA file"):
        Perplexity(model=tmp_path / "m.arpa").checks_columns({})


def test_each_language_is_asked_of_its_own_model(tmp_path: Path) -> None:
    (tmp_path / "en.arpa").write_bytes(Path(NGRAMS).read_bytes())
    german = "\\data\\\nngram 1=4\n\n\\1-grams:\n-1.0\t<unk>\n-99\t<s>\n-0.5\t</s>\n-0.2\tder\n\n\\end\\\n"
    (tmp_path / "de.arpa").write_text(german)
    (tmp_path / "card.md").write_text("no model")
    stage = Perplexity(models=tmp_path)
    assert stage.reads == ("text", "language")
    stage.checks_columns({})
    batch = batch_of(text=["Der", PROSE, PROSE, PROSE, ""], language=["de", "en", "fr", None, "en"])
    der, english, *rest = stage(batch).columns["perplexity"].to_pylist()
    assert der == pytest.approx(10 ** ((0.2 + 0.5) / 2), abs=0.05)
    assert english == values(Perplexity(model=Path(NGRAMS)), [PROSE])[0]
    assert rest == [None, None, None]


def test_a_folder_of_models_must_have_one_for_a_language(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        Perplexity(models=tmp_path / "none").checks_columns({})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no file such as en\.arpa\.gz"):
        Perplexity(models=tmp_path / "empty").checks_columns({})
    (tmp_path / "two").mkdir()
    for name in ("en.arpa", "en.bin"):
        (tmp_path / "two" / name).write_text("")
    with pytest.raises(InputError, match="are both for en"):
        Perplexity(models=tmp_path / "two").checks_columns({})
    with pytest.raises(InputError, match="give one of them"):
        Perplexity(model=Path(NGRAMS), models=tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"column": "text"}, "every doc has"),
        ({"column": "reason"}, "every doc has"),
        ({"column": "a b"}, "letters, digits and _ only"),
        ({"min_perplexity": 100.0, "max_perplexity": 10.0}, "nothing is kept"),
    ],
)
def test_parameters_that_cannot_work_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Perplexity(**given)
