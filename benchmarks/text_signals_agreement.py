"""Decisions, rules and first reasons against datatrove's four filters, on English pages and on text from elsewhere.

    python -m benchmarks.text_signals_agreement [--data ../shared/data] [--pages N] [--each N] [--quiet]

For every text and each of Gopher repetition, Gopher quality, C4 (with and without its rule on line ends) and FineWeb:
the first reason of datatrove's filter against ours; then each rule alone, datatrove's filter with only that rule
against ours. A text agrees if everything does. Exits 1 below 99.9 %. Each text that differs is printed with the
difference.
datatrove's words of a text are cut once and kept, which changes nothing but its speed.
"""

from __future__ import annotations

import argparse
import functools
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.word_tokenizers import load_word_tokenizer

from benchmarks.text_samples import elsewhere, english_pages
from curate.kernels.text.measure import measure
from curate.rules import RULE_SETS
from curate.signals import SETS

MIN_AGREEMENT = 0.999
NEVER = 1e9
REPETITION: dict[str, Any] = {
    "dup_line_frac": None, "dup_para_frac": None, "dup_line_char_frac": None, "dup_para_char_frac": None,
    "top_n_grams": (), "dup_n_grams": (),
}  # fmt: skip
QUALITY: dict[str, Any] = dict.fromkeys(
    (
        "min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length", "max_symbol_word_ratio",
        "max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "max_non_alpha_words_ratio", "min_stop_words",
    )
)  # fmt: skip
FINEWEB = {"line_punct_thr": -1, "short_line_thr": NEVER, "char_duplicates_ratio": NEVER, "new_line_ratio": NEVER}

# datatrove's options that leave one rule, by ours; in our order, which is datatrove's.
ONLY: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "gopher_repetition/datatrove": {
        "repeated_paragraphs": {"dup_para_frac": 0.3},
        "repeated_paragraph_chars": {"dup_para_char_frac": 0.2},
        "repeated_lines": {"dup_line_frac": 0.3},
        "repeated_line_chars": {"dup_line_char_frac": 0.2},
        **{f"frequent_{n}gram": {"top_n_grams": ((n, f),)} for n, f in ((2, 0.2), (3, 0.18), (4, 0.16))},
        **{f"repeated_{n}grams": {"dup_n_grams": ((n, round(0.2 - n / 100, 2)),)} for n in range(5, 11)},
    },
    "gopher/datatrove": {
        "too_few_words": {"min_doc_words": 50},
        "too_many_words": {"max_doc_words": 100_000},
        "words_too_short": {"min_avg_word_length": 3},
        "words_too_long": {"max_avg_word_length": 10},
        "too_many_hash_signs": {"max_symbol_word_ratio": 0.1},
        "too_many_ellipses": {"max_symbol_word_ratio": 0.1},
        "too_many_bullet_lines": {"max_bullet_lines_ratio": 0.9},
        "too_many_ellipsis_lines": {"max_ellipsis_lines_ratio": 0.3},
        "too_few_alpha_words": {"max_non_alpha_words_ratio": 0.8},
        "too_few_stop_words": {"min_stop_words": 2},
    },
    "fineweb": {
        "too_few_terminal_lines": {"line_punct_thr": 0.12},
        "too_many_short_lines": {"short_line_thr": 0.67},
        "repeated_line_chars": {"char_duplicates_ratio": 0.01},
        "too_many_newlines": {"new_line_ratio": 0.3},
    },
}
REASONS: Mapping[str, Mapping[str, str]] = {
    "gopher_repetition/datatrove": {
        "dup_para_frac": "repeated_paragraphs", "dup_para_char_frac": "repeated_paragraph_chars",
        "dup_line_frac": "repeated_lines", "dup_line_char_frac": "repeated_line_chars",
        **{f"top_{n}_gram": f"frequent_{n}gram" for n in range(2, 5)},
        **{f"duplicated_{n}_n_grams": f"repeated_{n}grams" for n in range(5, 11)},
    },
    "gopher/datatrove": {
        "gopher_short_doc": "too_few_words", "gopher_long_doc": "too_many_words",
        "gopher_below_avg_threshold": "words_too_short", "gopher_above_avg_threshold": "words_too_long",
        "gopher_too_many_hashes": "too_many_hash_signs", "gopher_too_many_ellipsis": "too_many_ellipses",
        "gopher_too_many_bullets": "too_many_bullet_lines", "gopher_too_many_end_ellipsis": "too_many_ellipsis_lines",
        "gopher_below_alpha_threshold": "too_few_alpha_words", "gopher_enough_stop_words": "too_few_stop_words",
    },
    "c4": {name: name for name in ("lorem_ipsum", "curly_bracket", "too_few_sentences")},
    "fineweb": {
        "line_punct_ratio": "too_few_terminal_lines", "short_line_ratio": "too_many_short_lines",
        "char_dup_ratio": "repeated_line_chars", "list_ratio": "too_many_newlines", "empty": "empty",
    },
}  # fmt: skip


def filters_of(name: str) -> tuple[Any, dict[str, Any]]:
    """Return datatrove's filter of a set, as published, and one with each rule alone."""
    kinds = {
        "gopher_repetition/datatrove": (GopherRepetitionFilter, REPETITION),
        "gopher/datatrove": (GopherQualityFilter, QUALITY),
        "fineweb": (FineWebQualityFilter, FINEWEB),
    }
    kind, none = kinds[name]
    return kind(), {reason: kind(**{**none, **only}) for reason, only in ONLY[name].items()}


def reason_of(judge: Any, text: str, names: Mapping[str, str]) -> str | None:
    outcome = judge.filter(Document(text=text, id=""))
    return None if outcome is True else names[outcome[1]]


def broken(name: str, row: Mapping[str, int], signals: str = "") -> list[str]:
    """Return our reasons for a text, in the order of the rules; `signals` stand for those of C4's own set."""
    rules = RULE_SETS[name]
    if signals:
        rules = rules.counted_by(signals)
    found = []
    for rule in rules.rules:
        value = row[rule.signal] / rule.scale
        if rule.per is not None:
            if row[rule.per] == 0:
                continue
            value = row[rule.signal] / row[rule.per] / rule.scale
        if value < rule.default if rule.side == "below" else value > rule.default:
            found.append(rule.reason)
    return found


def differences(text: str, row: Mapping[str, int], judges: Mapping[str, tuple[Any, dict[str, Any]]]) -> list[str]:
    """Return what differs for a text, in words."""
    found = []
    for name, (whole, alone) in judges.items():
        mine = broken(name, row)
        theirs = reason_of(whole, text, REASONS[name])
        if theirs != (mine[0] if mine else None):
            found.append(f"{name}: first reason {theirs} in datatrove, {mine[:1]} here")
        for reason, judge in alone.items():
            fired = reason_of(judge, text, REASONS[name]) == reason
            if fired != (reason in mine):
                found.append(f"{name}: {reason} {'fires' if fired else 'does not fire'} in datatrove")
    for ends in (True, False):
        theirs = reason_of(C4QualityFilter(filter_no_terminal_punct=ends), text, REASONS["c4"])
        mine = broken("c4/datatrove", row, "c4_datatrove" if ends else "c4_datatrove_any_end")
        if theirs != (mine[0] if mine else None):
            found.append(f"c4 {ends=}: first reason {theirs} in datatrove, {mine[:1]} here")
    return found


def compare(texts: Sequence[str], show: bool) -> tuple[int, int]:
    """Return (texts, those in which anything differs)."""
    sets = [*ONLY, "c4/datatrove", "c4/datatrove_any_end"]
    names = list(dict.fromkeys(signal for name in sets for signal in SETS[name]))
    rows = pa.RecordBatch.from_pydict(measure(pa.array(texts), names)).to_pylist()
    judges = {name: filters_of(name) for name in ONLY}
    n_different = 0
    for text, row in zip(texts, rows, strict=True):
        found = differences(text, row, judges)
        n_different += bool(found)
        for line in found if show else ():
            print(f"    {text[:60]!r}: {line}")
    return len(texts), n_different


def keep_words() -> None:
    """Let datatrove remember the words of the text that it cut last."""
    tokenizer = load_word_tokenizer("en")
    tokenizer.word_tokenize = functools.lru_cache(4)(tokenizer.word_tokenize)


def spread(texts: Sequence[str], n: int) -> Sequence[str]:
    return texts[:: max(1, len(texts) // n)][:n]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--pages", type=int, default=100_000, help="English pages at most")
    parser.add_argument("--each", type=int, default=300, help="texts of every other source at most")
    parser.add_argument("--quiet", action="store_true", help="do not print what differs")
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # numpy's mean of no words
    keep_words()
    sources = {"English pages": spread(english_pages(options.data), options.pages)}
    sources |= {name: spread(texts, options.each) for name, texts in elsewhere(options.data).items()}
    total = different = 0
    for name, texts in sources.items():
        n, n_different = compare(texts, not options.quiet)
        print(
            f"{name:32s} {n:6d} texts, {n_different:3d} differ, {100 * (1 - n_different / n):.3f} % agree", flush=True
        )
        total, different = total + n, different + n_different
    print(f"{'all':32s} {total:6d} texts, {different:3d} differ, {100 * (1 - different / total):.3f} % agree")
    sys.exit(int(different > (1 - MIN_AGREEMENT) * total))


if __name__ == "__main__":
    main()
