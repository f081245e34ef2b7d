"""Texts of any size and make: time grows with the length, memory has a cap, and what was not measured is null."""

import subprocess
import sys
import time

import pyarrow as pa
import pytest

from curate.kernels.text.measure import _new_room, measure
from curate.kernels.text.passes import MAX_CITED_BYTES
from curate.signals import MAX_LINES, MAX_WORDS, SIGNALS, UNMEASURED
from tests.helpers import ROOT
from tests.kernels.text.test_measure import NAMES

MAX_SCRATCH_MB = 128
UNITS = [
    "a", "a-", "@x", ".", ")(", ":)", "'s", "x.y@", "[1]", "日", "1.", "é,", "http://a.", "\n",
    "{\n", "…", "\u0301", "\x00",
    "word ", "word\n", "\u200d", "🇩", "a\u0301.", "_", ". ", "1,", "Mr.",
]  # fmt: skip


def seconds(text: str, names: list[str]) -> float:
    column = pa.array([text])
    best = 1e9
    for _ in range(3):
        start = time.process_time()
        measure(column, names)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_time_grows_with_the_text_not_faster(unit: str) -> None:
    n = 30_000 // len(unit.encode())
    small, large = seconds(unit * n, NAMES), seconds(unit * (8 * n), NAMES)
    assert large < 8 * small * 3 + 0.05  # a quadratic loop would take 64 times as long


def test_a_doc_with_too_many_words_has_no_word_signals() -> None:
    words = "a " * (MAX_WORDS + 1) + "\n- b"
    column = pa.array([words, "two words", words[: 2 * MAX_WORDS]])
    found = pa.RecordBatch.from_pydict(measure(column, NAMES)).to_pylist()
    for name, value in found[0].items():
        assert (value is None) == (UNMEASURED.get(SIGNALS[name].family) == "too_many_words"), name
    assert None not in found[1].values()
    assert None not in found[2].values()  # the limit itself is measured
    assert found[2]["n_words__unicode"] == MAX_WORDS
    assert found[0]["n_bullet_lines"] == 1


def test_a_doc_with_too_many_lines_has_no_signals_of_repeated_lines() -> None:
    column = pa.array(["\n" * MAX_LINES, "\n" * (MAX_LINES - 1)])
    found = pa.RecordBatch.from_pydict(measure(column, NAMES)).to_pylist()
    assert found[0]["n_dup_lines"] is None
    assert found[0]["n_dup_lines_dclm"] is None
    assert found[0]["n_newlines"] == MAX_LINES
    for name, value in found[0].items():
        assert value is not None or UNMEASURED[SIGNALS[name].family] == "too_many_lines", name
    assert None not in found[1].values()
    assert found[1]["n_dup_lines_dolma"] == MAX_LINES


def test_cited_lines_too_long_to_copy_are_not_measured() -> None:
    line = "longish " * (MAX_CITED_BYTES // 8)
    column = pa.array([line + "[1]", line])
    kept = measure(column, ["c4_datatrove_any_end_kept_lines"])["c4_datatrove_any_end_kept_lines"]
    assert kept.to_pylist() == [None, 1]


def test_scratch_memory_has_a_cap() -> None:
    for n_bytes in (1 << 16, 100 << 20, 1 << 31):
        room, words = _new_room(n_bytes, 1)
        arrays = [*room.grams, *room.copies, room.chars, room.ends, room.line_words, *words]
        assert sum(array.nbytes for array in arrays) < MAX_SCRATCH_MB * 10**6


PEAK = """
import resource, sys
import pyarrow as pa
from curate.kernels.text.measure import measure
names = {names}
measure(pa.array(["warm"]), names)
unit = {unit!r}
text = pa.array([unit * ({n_bytes} // len(unit.encode()))], pa.large_string())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = measure(text, names)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, sum(column.null_count for column in found.values()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["word ", "a different line of words\n", "\u0301", "\x00", "12 ", "x" * 99 + " "], ids=ascii
)
def test_a_doc_of_100_mb_needs_no_more_memory(unit: str) -> None:
    code = PEAK.format(names=list(NAMES), unit=unit, n_bytes=100_000_000)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    peak_kb, _ = map(int, done.stdout.split())
    assert peak_kb * 1024 < MAX_SCRATCH_MB * 10**6
