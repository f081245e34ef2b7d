"""Mirrors curate/ngrams/arpa.py: what is read, what is refused, and that writing leads back."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from curate.errors import InputError
from curate.ngrams.arpa import Arpa, read_arpa, write_arpa
from tests.laws.specs import NGRAMS

TINY = """
# tokens: words
\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.5
-0.7\t</s>
-0.3\tword\t-0.25

\\2-grams:
-0.1\t<s> word
-0.2\tword </s>

\\end\\
"""


def written(folder: Path, text: str, name: str = "m.arpa") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def same(a: Arpa, b: Arpa) -> bool:
    pairs = zip(a.sections, b.sections, strict=True)
    arrays = ((getattr(x, name), getattr(y, name)) for x, y in pairs for name in ("ngrams", "log10", "backoff"))
    return a.words == b.words and dict(a.notes) == dict(b.notes) and all(np.array_equal(x, y) for x, y in arrays)


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    found = read_arpa(written(tmp_path, TINY))
    assert (found.order, found.words) == (2, ("<unk>", "<s>", "</s>", "word"))
    assert found.notes == {"tokens": "words"}
    assert found.sections[0].backoff.tolist() == [0.0, -0.5, 0.0, -0.25]
    assert found.sections[1].ngrams.tolist() == [[1, 3], [3, 2]]
    assert found.sections[1].log10.tolist() == pytest.approx([-0.1, -0.2])


@pytest.mark.parametrize("name", ["m.arpa", "m.arpa.gz"])
def test_what_is_written_is_read_back_and_has_the_same_bytes(tmp_path: Path, name: str) -> None:
    model = read_arpa(Path(NGRAMS))
    write_arpa(model, tmp_path / name)
    (tmp_path / "again").mkdir()
    write_arpa(read_arpa(tmp_path / name), tmp_path / "again" / name)
    assert same(read_arpa(tmp_path / name), model)
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")


def test_windows_line_ends_are_no_words(tmp_path: Path) -> None:
    (tmp_path / "m.arpa").write_bytes(TINY.replace("\n", "\r\n").encode())
    assert read_arpa(tmp_path / "m.arpa").words == ("<unk>", "<s>", "</s>", "word")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\\data\\", "data", "not an ARPA file"),
        ("# tokens", "tokens", "not an ARPA file"),
        ("ngram 1=4\nngram 2=2", "", "lists no counts"),
        ("ngram 2=2", "ngram 2=3", "2 2-grams, .* lists 3"),
        ("\\2-grams:", "\\3-grams:", "no whole section of 2-grams"),
        ("\\end\\", "", "no whole section of 2-grams"),
        ("\\end\\", "\\fin\\", "cut off"),
        ("-0.3\tword", "0.3\tword", "probability above 1"),
        ("-0.3\tword", "nan\tword", "probability above 1"),
        ("-0.3\tword", "abc\tword", "abc"),
        ("-0.3\tword\t-0.25", "-0.3 word -0.25", "tabs between"),
        ("word </s>", "ward </s>", "no unigram"),
        ("word </s>", "word word </s>", "another number of words"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TINY
    with pytest.raises(InputError, match=said) as error:
        read_arpa(written(tmp_path, TINY.replace(old, new)))
    assert "\n" not in str(error.value)


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.arpa.gz").write_bytes(gzip.compress(TINY.encode())[:-20])
    with pytest.raises(InputError, match="damaged gzip"):
        read_arpa(tmp_path / "m.arpa.gz")
