"""The published rule sets of the `quality` stage, as data: which signal is held against which limit, and why.

Every rule keeps the limit itself. A set is named after the text that describes it and the code that fixes its
definitions (`gopher/dclm`): the papers leave open what a word is, and tools with the same rules drop different docs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from curate.errors import InputError
from curate.registry import nearest


@dataclass(frozen=True)
class Rule:
    """Drop a doc for `reason` where signal / per (or signal alone) lies on the wrong side of the limit."""

    reason: str
    signal: str
    per: str | None
    side: Literal["below", "above"]
    limit: str  # name of the threshold
    default: float
    scale: int = 1  # the signal is this many times the number that is held against the limit

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.signal,) if self.per is None else (self.signal, self.per)


@dataclass(frozen=True)
class RuleSet:
    """Rules in the order they are checked, and thresholds that are applied while measuring.

    A doc whose signal `words` is 0 is `empty`. `lines` names the line edits that go with the rules: their signals
    begin with it.
    """

    rules: tuple[Rule, ...]
    source: str
    words: str | None = "n_words__spacy_en"
    measuring: Mapping[str, float] = field(default_factory=dict)
    lines: str = ""

    @property
    def thresholds(self) -> dict[str, float]:
        """All thresholds with their defaults, in the order of the rules."""
        return {**self.measuring, **{rule.limit: rule.default for rule in self.rules}}

    def counted_by(self, lines: str) -> RuleSet:
        """Return the set with its rules held against the signals of other line edits."""
        rules = tuple(
            replace(rule, signal=rule.signal.replace(f"{self.lines}_", f"{lines}_", 1)) for rule in self.rules
        )
        return replace(self, rules=rules, lines=lines)


WORDS = "n_words__spacy_en"
PLAIN = "n_plain_words__spacy_en"
CHARS = "n_text_chars"

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
    source="Rae et al. 2021 (arXiv:2112.11446), appendix A.1.1; definitions of datatrove 0.10, GopherQualityFilter",
)


def _top(n: int, default: float) -> Rule:
    return Rule(f"frequent_{n}gram", f"top{n}_chars__spacy_en", CHARS, "above", f"max_top{n}_char_frac", default)


def _dup(n: int, default: float) -> Rule:
    signal = f"dup{n}_chars__spacy_en_greedy"
    return Rule(f"repeated_{n}grams", signal, CHARS, "above", f"max_dup{n}_char_frac", default)


TOP = ((2, 0.2), (3, 0.18), (4, 0.16))
DUP = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))

# The same paper, table A1, as in datatrove's GopherRepetitionFilter.
GOPHER_REPETITION = RuleSet(
    rules=(
        Rule("repeated_paragraphs", "n_dup_paragraphs", "n_paragraphs", "above", "max_dup_paragraph_frac", 0.3),
        Rule("repeated_paragraph_chars", "dup_paragraph_chars", CHARS, "above", "max_dup_paragraph_char_frac", 0.2),
        Rule("repeated_lines", "n_dup_lines", "n_newline_lines", "above", "max_dup_line_frac", 0.3),
        Rule("repeated_line_chars", "dup_line_chars", CHARS, "above", "max_dup_line_char_frac", 0.2),
        *(_top(n, default) for n, default in TOP),
        *(_dup(n, default) for n, default in DUP),
    ),
    source="Rae et al. 2021 (arXiv:2112.11446), table A1; definitions of datatrove 0.10, GopherRepetitionFilter",
)


def _c4(variant: str, source: str, min_words: int, min_sentences: int, *more: Rule) -> RuleSet:
    return RuleSet(
        rules=(
            *more,
            Rule("lorem_ipsum", f"{variant}_lorem_ipsum_lines", None, "above", "max_lorem_ipsum_lines", 0),
            Rule("curly_bracket", f"{variant}_curly_bracket_lines", None, "above", "max_curly_bracket_lines", 0),
            Rule("too_few_sentences", f"{variant}_sentences__spacy_en", None, "below", "min_sentences", min_sentences),
        ),
        source=f"Raffel et al. 2020 (T5, arXiv:1910.10683), section 2.2; {source}",
        measuring={"min_words_per_line": min_words, "max_word_chars": 1000},
        lines=variant,
    )


# An early text of the paper has lines of 3 words and pages of 5 sentences, the code that made C4 has 5 and 3.
C4 = _c4("c4_datatrove", "definitions of datatrove 0.10, C4QualityFilter", 3, 5)
C4_TFDS = _c4(
    "c4_tfds",
    "definitions of tensorflow_datasets, text/c4_utils.py; its list of bad words left out",
    5,
    3,
    Rule("too_many_chars", CHARS, None, "above", "max_chars", 190_000),
)

RULE_SETS: Mapping[str, RuleSet] = {
    "gopher": GOPHER,
    "gopher/datatrove": GOPHER,
    "gopher_repetition": GOPHER_REPETITION,
    "gopher_repetition/datatrove": GOPHER_REPETITION,
    "c4": C4,
    "c4/datatrove": C4,
    "c4/tfds": C4_TFDS,
}
RuleSetName = Literal[
    "gopher", "gopher/datatrove", "gopher_repetition", "gopher_repetition/datatrove", "c4", "c4/datatrove", "c4/tfds",
]  # fmt: skip

OWN_KEYS = ("signal", "per", "min", "max", "reason")
A_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}")
RESERVED = ("empty", "too_many_words", "not_measured", "error")  # what the stage and the runner say themselves


def own_rules(given: Sequence[Mapping[str, Any]]) -> RuleSet:
    """Return rules of one's own, each `{signal, per, min, max, reason}`, as a set.

    The limits are called `<reason>.min` and `<reason>.max`. Raises InputError for a rule that is malformed.
    """
    if not given:
        raise InputError("quality: `rules` is empty; name a set, or give a list of rules")
    rules: list[Rule] = []
    for number, row in enumerate(given, 1):
        where = f"quality: rule {number}"
        if not isinstance(row, Mapping):
            raise InputError(f"{where} is a mapping such as {{signal: n_text_chars, min: 200, reason: short}}")
        for key in row:
            if key not in OWN_KEYS:
                raise InputError(f"{where} has the unknown key {key!r}{nearest(str(key), OWN_KEYS)}")
        reason = row.get("reason")
        if not isinstance(reason, str) or not A_REASON.fullmatch(reason) or reason in RESERVED:
            raise InputError(f"{where}: `reason` is a word of a-z, 0-9 and _, none of {', '.join(RESERVED)}")
        if reason in {rule.reason for rule in rules}:
            raise InputError(f"{where}: the reason {reason!r} is taken; each rule has its own")
        for key in ("signal", "per"):
            name = row.get(key)
            if (name is None and key == "signal") or not (name is None or isinstance(name, str)):
                raise InputError(f"{where}: `{key}` is the name of a signal or of a column of numbers; got {name!r}")
        limits = {key: row[key] for key in ("min", "max") if row.get(key) is not None}
        if not limits:
            raise InputError(f"{where} needs `min` or `max`")
        for key, value in limits.items():
            check_limit(value, f"{where}: `{key}`")
        if limits.get("min", -math.inf) > limits.get("max", math.inf):
            raise InputError(f"{where}: min {limits['min']} is above max {limits['max']}, so no doc would be kept")
        for key, side in (("min", "below"), ("max", "above")):
            if key in limits:
                rules.append(Rule(reason, row["signal"], row.get("per"), side, f"{reason}.{key}", limits[key]))  # type: ignore[arg-type]
    return RuleSet(tuple(rules), "rules of one's own", words=None)


def check_limit(value: object, what: str) -> None:
    """Raise InputError unless a limit is a number; infinity switches a rule off."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise InputError(f"{what} must be a number, not {value!r}")


def rule_set(rules: str | Sequence[Mapping[str, Any]]) -> RuleSet:
    """Return the set of that name, or the rules given as a set. Raises InputError."""
    if not isinstance(rules, str):
        return own_rules(rules)
    if rules not in RULE_SETS:
        raise InputError(f"quality: unknown rules {rules!r}{nearest(rules, RULE_SETS)}")
    return RULE_SETS[rules]
