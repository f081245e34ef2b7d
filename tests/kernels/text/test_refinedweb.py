"""Mirrors curate/kernels/text/refinedweb*: the kernel against its twin and against DCLM's steps, written as regexes."""

import re
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.text.measure import run_passes
from curate.kernels.text.refinedweb import MAX_EDITED_BYTES, PASSES, refinedweb_text
from curate.kernels.text.refinedweb_plain import refinedweb_of
from tests.kernels.text_samples import example_texts, shared_texts

PIECES = [
    "items in cart", "Items In Cart", "3 items in cart now", "read more...", "Read More... ", "read more..",
    "sign-in", "Sign-in to see", "sign-in ", "3 likes", "1.2K views", "٣ shares", "12,345 followers.",
    "(4 comments)", "4m quotes 5", "3likes", "5 LIKES", "SHOUT AT", "SHOUTED at", "123", "12 34", "²", "a",
    "two words", "one line of more than ten words " "stands here as it is, read more...", "\xa0", " ", " ",
    "\n", "\n\n", "\n \n", "\r", "\t", "\x1c", "\u2028", "É É", "日本 語",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=14).map("\n".join),
    st.lists(st.sampled_from(PIECES), max_size=14).map(" \n ".join),
    st.text(max_size=60),
)


def rows(texts: list[str | None]) -> list[dict[str, int | None]]:
    found: list[dict[str, int | None]] = pa.RecordBatch.from_pydict(
        run_passes(pa.array(texts, pa.string()), PASSES)
    ).to_pylist()
    return found


def check_twin(texts: list[str]) -> None:
    twins = [refinedweb_of(text) for text in texts]
    assert rows(list(texts)) == [counts for counts, _ in twins]
    assert refinedweb_text(pa.array(texts, pa.string())).to_pylist() == [left for _, left in twins]


@settings(max_examples=400, deadline=None)
@given(texts)
def test_kernel_equals_its_twin(text: str) -> None:
    check_twin([text])


def test_kernel_equals_its_twin_on_real_pages() -> None:
    check_twin(example_texts())


def test_kernel_equals_its_twin_on_pages_in_many_languages() -> None:
    check_twin(shared_texts(60))


# DCLM's seven modifiers, from their description: each looks at the whole text, and an empty page is given up.
COUNTED = "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|followers"


def dclm(text: str) -> str:
    def lines_that(keep, text: str) -> str:  # type: ignore[no-untyped-def]
        return "\n".join(line for line in text.split("\n") if not line or keep(line))

    text = lines_that(lambda line: sum(c.isupper() for c in line) / len(line) <= 0.5, text).strip()
    text = lines_that(lambda line: sum(c.isdigit() for c in line) / len(line) <= 0.999999, text).strip()
    counter = re.compile(rf"^\W*\d(?:,|\.|\d)*(?:K|k|M|m|B|b)?\s+(?:{COUNTED})\W*$")
    text = lines_that(lambda line: not counter.search(line.lower()), text).strip()
    text = lines_that(lambda line: len(line.split()) >= 2, text)
    for pattern in (r"\s?items in cart", r"\s?read more\.\.\.$", r"^sign-in\s?"):
        kept = []
        for line in text.split("\n"):
            new = re.sub(pattern, "", line, flags=re.IGNORECASE) if len(line.split()) <= 10 else line
            if not line or new.strip():
                kept.append(new)
        text = "\n".join(kept).strip()
    return text


@settings(max_examples=400, deadline=None)
@given(texts.filter(lambda text: not set(text) & set("ıſİK")))  # letters that only a regex takes for i, s and k
def test_what_remains_is_what_dclm_leaves(text: str) -> None:
    assert refinedweb_text(pa.array([text], pa.string())).to_pylist() == [dclm(text)]


def test_what_remains_of_real_pages_is_what_dclm_leaves() -> None:
    texts = [*example_texts(), *shared_texts(60)]
    assert refinedweb_text(pa.array(texts, pa.string())).to_pylist() == list(map(dclm, texts))


def test_counted_by_hand() -> None:
    text = (
        "Sign-in now, please\nMENU AND MORE\n2024\n1.5K views\nHome\n\nA story of five words.\n2 items in cart\n"
        "See all. Read more...\n"
    )
    (row,) = rows([text])
    assert row == {
        "refinedweb_words": 23,
        "refinedweb_removed_words": 1 + 3 + 1 + 2 + 1 + 3 + 2,
        "refinedweb_lines": 8,
        "refinedweb_uppercase_lines": 1,
        "refinedweb_digit_lines": 1,
        "refinedweb_counter_lines": 1,
        "refinedweb_short_lines": 1,
        "refinedweb_edited_lines": 3,
    }
    left = "now, please\n\nA story of five words.\n2\nSee all."
    assert refinedweb_text(pa.array([text])).to_pylist() == [left]


def test_nulls_slices_and_no_docs() -> None:
    column = pa.array(["before", None, "", "two words\nmenu"], pa.large_string())[1:]
    assert refinedweb_text(column).to_pylist() == [None, "", "two words"]
    assert refinedweb_text(column).type == pa.string()
    assert refinedweb_text(pa.array([], pa.string())).to_pylist() == []
    got = pa.RecordBatch.from_pydict(run_passes(column, PASSES)).to_pylist()
    assert got == rows([None, "", "two words\nmenu"])
    assert set(got[0].values()) == {None}


def test_a_very_long_line_of_few_words_stays() -> None:
    long = "x" * MAX_EDITED_BYTES + " items in cart"
    check_twin([long, long[15:]])
    assert refinedweb_text(pa.array([long, long[14:]])).to_pylist() == [long, "x" * (MAX_EDITED_BYTES - 14)]


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a ",
        "1 ",
        "items in cart",
        "read more... \n",
        "a b read more... \n",
        "items in cart \n",
        "sign-in",
        "\n",
        " \n",
        "İ",
    ],
)
def test_time_grows_with_the_text_not_faster(unit: str) -> None:
    def seconds(n: int) -> float:
        column = pa.array([unit * n])
        best = 1e9
        for _ in range(2):
            start = time.process_time()
            run_passes(column, PASSES)
            refinedweb_text(column)
            best = min(best, time.process_time() - start)
        return best

    seconds(10)  # compiled
    small, large = seconds(5_000), seconds(40_000)
    assert large < 8 * small * 4 + 0.05  # a quadratic loop would take 64 times as long
