"""The published rule sets of the `quality` stage, as data: which signal is held against which limit, and why.

Every rule keeps the limit itself. The numbers are those of datatrove 0.10's filters, which follow the papers named
below; the order is the order in which datatrove checks, so the first reason is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """Drop a doc for `reason` where signal / per (or signal alone) lies on the wrong side of the limit."""

    reason: str
    signal: str
    per: str | None
    side: Literal["below", "above"]
    limit: str  # name of the threshold
    default: float


@dataclass(frozen=True)
class RuleSet:
    """Rules in the order they are checked, and thresholds that are applied while measuring."""

    rules: tuple[Rule, ...]
    measuring: Mapping[str, float]

    @property
    def thresholds(self) -> dict[str, float]:
        """All thresholds with their defaults, in the order of the rules."""
        return {**self.measuring, **{rule.limit: rule.default for rule in self.rules}}


WORDS = "n_words__spacy_en"
PLAIN = "n_plain_words__spacy_en"

# Rae et al. 2021 (Gopher, arXiv:2112.11446), appendix A.1.1, as in datatrove's GopherQualityFilter.
GOPHER = RuleSet(
    rules=(
        Rule("too_few_words", PLAIN, None, "below", "min_words", 50),
        Rule("too_many_words", PLAIN, None, "above", "max_words", 100_000),
        Rule("words_too_short", "plain_word_chars__spacy_en", PLAIN, "below", "min_mean_word_chars", 3),
        Rule("words_too_long", "plain_word_chars__spacy_en", PLAIN, "above", "max_mean_word_chars", 10),
        Rule("too_many_hash_signs", "n_hash_signs", WORDS, "above", "max_hash_signs_per_word", 0.1),
        Rule("too_many_ellipses", "n_ellipses", WORDS, "above", "max_ellipses_per_word", 0.1),
        Rule("too_many_bullet_lines", "n_bullet_lines", "n_lines", "above", "max_bullet_line_frac", 0.9),
        Rule("too_many_ellipsis_lines", "n_ellipsis_lines", "n_lines", "above", "max_ellipsis_line_frac", 0.3),
        Rule("too_few_alpha_words", "n_alpha_words__spacy_en", WORDS, "below", "min_alpha_word_frac", 0.8),
        Rule("too_few_stop_words", "n_stop_words__spacy_en", None, "below", "min_stop_words", 2),
    ),
    measuring={},
)

CHARS = "n_text_chars"


def _top(n: int, default: float) -> Rule:
    return Rule(f"frequent_{n}gram", f"top{n}_chars__spacy_en", CHARS, "above", f"max_top{n}_char_frac", default)


def _dup(n: int, default: float) -> Rule:
    signal = f"dup{n}_chars__spacy_en_greedy"
    return Rule(f"repeated_{n}grams", signal, CHARS, "above", f"max_dup{n}_char_frac", default)


# The same paper, table A1, as in datatrove's GopherRepetitionFilter.
GOPHER_REPETITION = RuleSet(
    rules=(
        Rule("repeated_paragraphs", "n_dup_paragraphs", "n_paragraphs", "above", "max_dup_paragraph_frac", 0.3),
        Rule("repeated_paragraph_chars", "dup_paragraph_chars", CHARS, "above", "max_dup_paragraph_char_frac", 0.2),
        Rule("repeated_lines", "n_dup_lines", "n_newline_lines", "above", "max_dup_line_frac", 0.3),
        Rule("repeated_line_chars", "dup_line_chars", CHARS, "above", "max_dup_line_char_frac", 0.2),
        *(_top(n, default) for n, default in ((2, 0.2), (3, 0.18), (4, 0.16))),
        *(_dup(n, default) for n, default in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))),
    ),
    measuring={},
)

# Raffel et al. 2020 (T5, arXiv:1910.10683), section 2.2, as in datatrove's C4QualityFilter: 3 words a line and 5
# sentences a page. The reference code of tensorflow_datasets has 5 words and 3 sentences.
C4 = RuleSet(
    rules=(
        Rule("lorem_ipsum", "c4_lorem_ipsum_lines", None, "above", "max_lorem_ipsum_lines", 0),
        Rule("curly_bracket", "c4_curly_bracket_lines", None, "above", "max_curly_bracket_lines", 0),
        Rule("too_few_sentences", "c4_sentences__spacy_en", None, "below", "min_sentences", 5),
    ),
    measuring={"min_words_per_line": 3, "max_word_chars": 1000},
)

RULE_SETS: Mapping[str, RuleSet] = {"gopher": GOPHER, "gopher_repetition": GOPHER_REPETITION, "c4": C4}
