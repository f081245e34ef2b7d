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

    A doc whose signal `empty` is 0 has nothing written. `lines` names the line edits that go with the rules: their
    signals begin with it. A changed definition has a new `version`.
    """

    rules: tuple[Rule, ...]
    source: str
    empty: str | None
    measuring: Mapping[str, float] = field(default_factory=dict)
    lines: str = ""
    version: int = 1

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


CHARS = "n_text_chars"
A11 = "Rae et al. 2021 (Gopher, arXiv:2112.11446), appendix A.1.1"
TABLE_A1 = "Rae et al. 2021 (Gopher, arXiv:2112.11446), table A1"
TOP = ((2, 0.2), (3, 0.18), (4, 0.16))
DUP = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))


def _below(reason: str, signal: str, per: str | None, limit: str, default: float, scale: int = 1) -> Rule:
    return Rule(reason, signal, per, "below", limit, default, scale)


def _above(reason: str, signal: str, per: str | None, limit: str, default: float, scale: int = 1) -> Rule:
    return Rule(reason, signal, per, "above", limit, default, scale)


def _gopher_datatrove() -> RuleSet:
    words, plain = "n_words__spacy_en", "n_plain_words__spacy_en"
    return RuleSet(
        (
            _below("too_few_words", plain, None, "min_words", 50),
            _above("too_many_words", plain, None, "max_words", 100_000),
            _below("words_too_short", "plain_word_chars__spacy_en", plain, "min_mean_word_chars", 3),
            _above("words_too_long", "plain_word_chars__spacy_en", plain, "max_mean_word_chars", 10),
            _above("too_many_hash_signs", "n_hash_signs", words, "max_hash_signs_per_word", 0.1),
            _above("too_many_ellipses", "n_ellipses", words, "max_ellipses_per_word", 0.1),
            _above("too_many_bullet_lines", "n_bullet_lines", "n_lines", "max_bullet_line_frac", 0.9),
            _above("too_many_ellipsis_lines", "n_ellipsis_lines", "n_lines", "max_ellipsis_line_frac", 0.3),
            _below("too_few_alpha_words", "n_alpha_words__spacy_en", words, "min_alpha_word_frac", 0.8),
            _below("too_few_stop_words", "n_stop_words__spacy_en", None, "min_stop_words", 2),
        ),
        f"{A11}; datatrove 0.10, GopherQualityFilter",
        words,
    )


def _gopher_dclm() -> RuleSet:
    words, counted, lines = "n_words__whitespace", "n_alnum_words__whitespace", "n_lines_dclm"
    return RuleSet(
        (
            _below("too_few_words", counted, None, "min_words", 50),
            _above("too_many_words", counted, None, "max_words", 100_000),
            _below("words_too_short", "word_chars__whitespace", words, "min_mean_word_chars", 3),
            _above("words_too_long", "word_chars__whitespace", words, "max_mean_word_chars", 10),
            _above("too_many_symbols", "n_symbols_dclm", words, "max_symbols_per_word", 0.1),
            _above("too_many_bullet_lines", "n_bullet_lines_dclm", lines, "max_bullet_line_frac", 0.9),
            _above("too_many_ellipsis_lines", "n_ellipsis_lines_dclm", lines, "max_ellipsis_line_frac", 0.3),
            _above("too_few_alpha_words", "n_non_alpha_words__whitespace", words, "max_non_alpha_word_frac", 0.2),
            _below("too_few_stop_words", "n_stop_word_uses_any_case__whitespace", None, "min_stop_words", 2),
        ),
        f"{A11}; DCLM, baselines_configs/dclm_baseline_refinedweb.yaml and content_filters.py",
        words,
    )


def _gopher_dolma() -> RuleSet:
    words, lines, median = "n_words__whitespace", "n_lines_dolma", "twice_median_word_chars__whitespace"
    return RuleSet(
        (
            _below("too_few_words", words, None, "min_words", 50),
            _above("too_many_words", words, None, "max_words", 100_000),
            _below("words_too_short", median, None, "min_median_word_chars", 3, 2),
            _above("words_too_long", median, None, "max_median_word_chars", 10, 2),
            _above("too_many_symbol_words", "n_symbol_words__whitespace", words, "max_symbol_word_frac", 0.1),
            _below("too_few_alpha_words", "n_alpha_words__whitespace", words, "min_alpha_word_frac", 0.8),
            _below("too_few_stop_words", "n_stop_word_uses__whitespace", None, "min_stop_words", 2),
            _above("too_many_bullet_lines", "n_bullet_lines_dolma", lines, "max_bullet_line_frac", 0.9),
            _above("too_many_ellipsis_lines", "n_ellipsis_lines_dolma", lines, "max_ellipsis_line_frac", 0.3),
        ),
        f"{A11}; dolma, taggers/gopher.py and configs/dolma-v1_5/mixing/cc-head.yaml",
        words,
    )


def _ngrams(top: str, dup: str, chars: str, dup_chars: str = "") -> tuple[Rule, ...]:
    """Return the rules of table A1 on n-grams: the names of signals with {n} for the order."""
    return (
        *(_above(f"frequent_{n}gram", top.format(n=n), chars, f"max_top{n}_char_frac", limit) for n, limit in TOP),
        *(
            _above(
                f"repeated_{n}grams", dup.format(n=n), (dup_chars or chars).format(n=n), f"max_dup{n}_char_frac", limit
            )
            for n, limit in DUP
        ),
    )


def _repetition_datatrove() -> RuleSet:
    return RuleSet(
        (
            _above("repeated_paragraphs", "n_dup_paragraphs", "n_paragraphs", "max_dup_paragraph_frac", 0.3),
            _above("repeated_paragraph_chars", "dup_paragraph_chars", CHARS, "max_dup_paragraph_char_frac", 0.2),
            _above("repeated_lines", "n_dup_lines", "n_newline_lines", "max_dup_line_frac", 0.3),
            _above("repeated_line_chars", "dup_line_chars", CHARS, "max_dup_line_char_frac", 0.2),
            *_ngrams("top{n}_chars__spacy_en", "dup{n}_chars__spacy_en_greedy", CHARS),
        ),
        f"{TABLE_A1}; datatrove 0.10, GopherRepetitionFilter",
        "n_words__spacy_en",
    )


def _repetition_dclm() -> RuleSet:
    pieces, chars = "n_paragraphs_dclm", "paragraph_chars_dclm"
    return RuleSet(
        (
            _above("repeated_lines", "n_dup_lines_dclm", "n_lines_dclm", "max_dup_line_frac", 0.3),
            _above("repeated_paragraphs", "n_dup_paragraphs_dclm", pieces, "max_dup_paragraph_frac", 0.3),
            _above("repeated_line_chars", "dup_line_chars_dclm", "line_chars_dclm", "max_dup_line_char_frac", 0.2),
            _above("repeated_paragraph_chars", "dup_paragraph_chars_dclm", chars, "max_dup_paragraph_char_frac", 0.2),
            *_ngrams("top{n}_chars__unicode_longest", "dup{n}_chars__unicode_all", "word_chars__unicode"),
        ),
        f"{TABLE_A1}; DCLM, content_filters.py, massive_web_repetition_filters",
        "n_lines_dclm",
    )


def _repetition_dolma() -> RuleSet:
    chars = "word_chars__whitespace"
    dup, of = "dup{n}_chars__whitespace_overlapping", "ngram{n}_chars__whitespace"
    return RuleSet(
        (
            _above("repeated_lines", "n_dup_lines_dolma", "n_lines_dolma", "max_dup_line_frac", 0.3),
            # 0.3, where the paper has 0.2.
            _above("repeated_line_chars", "dup_line_chars_dolma", chars, "max_dup_line_char_frac", 0.3),
            # dolma's configuration asks for names its tagger never wrote, so there these three rules never fired.
            *_ngrams("top{n}_chars__whitespace_first", dup, chars, of),
        ),
        f"{TABLE_A1}; dolma, taggers/gopher.py and configs/dolma-v1_5/mixing/cc-head.yaml",
        "n_words__whitespace",
    )


def _c4(variant: str, source: str, min_words: int, min_sentences: int, *more: Rule) -> RuleSet:
    return RuleSet(
        (
            *more,
            _above("lorem_ipsum", f"{variant}_lorem_ipsum_lines", None, "max_lorem_ipsum_lines", 0),
            _above("curly_bracket", f"{variant}_curly_bracket_lines", None, "max_curly_bracket_lines", 0),
            _below("too_few_sentences", f"{variant}_sentences__spacy_en", None, "min_sentences", min_sentences),
        ),
        f"Raffel et al. 2020 (T5, arXiv:1910.10683), section 2.2; {source}",
        "n_words__spacy_en",
        measuring={"min_words_per_line": min_words, "max_word_chars": 1000},
        lines=variant,
    )


def _c4_tfds() -> RuleSet:
    """Return C4 as it was made: 5 words a line, 3 sentences a page; an early text of the paper has 3 and 5."""
    too_long = _above("too_many_chars", CHARS, None, "max_chars", 190_000)
    return _c4("c4_tfds", "tensorflow_datasets, text/c4_utils.py, without its bad words", 5, 3, too_long)


def _fineweb() -> RuleSet:
    lines, words = "n_filled_lines", "n_words__spacy_en"
    return RuleSet(
        (
            _below("too_few_terminal_lines", "n_terminal_lines", lines, "min_terminal_line_frac", 0.12),
            _above("too_many_short_lines", "n_short_lines", lines, "max_short_line_frac", 0.67),
            # The paper's text says 0.1; the code that made FineWeb, and FineWeb-2's notes, say 0.01.
            _above(
                "repeated_line_chars",
                "dup_filled_line_chars",
                "n_chars_without_newlines",
                "max_dup_line_char_frac",
                0.01,
            ),
            _above("too_many_newlines", "n_newlines", words, "max_newlines_per_word", 0.3),  # not in the paper
        ),
        "Penedo et al. 2024 (FineWeb, arXiv:2406.17557), section 3.6; datatrove 0.10, FineWebQualityFilter",
        lines,
    )


RPS = "Weber et al. 2024 (RedPajama-V2, arXiv:2411.12372); the rules of its dataset card"


def _gopher_redpajama2() -> RuleSet:
    words, raw, lines = "rps_doc_word_count", "rps_doc_raw_words", "rps_lines"
    return RuleSet(
        (
            _below("too_few_words", words, None, "min_words", 50),
            _above("too_many_words", words, None, "max_words", 10_000),  # the paper of Gopher: 100,000
            _below("words_too_short", "rps_doc_word_chars", words, "min_mean_word_chars", 3),
            _above("words_too_long", "rps_doc_word_chars", words, "max_mean_word_chars", 10),
            _above("too_many_symbols", "rps_doc_symbols", raw, "max_symbols_per_word", 0.1),
            _above("too_many_bullet_lines", "rps_lines_start_with_bulletpoint", lines, "max_bullet_line_frac", 0.9),
            _above("too_many_ellipsis_lines", "rps_lines_ending_with_ellipsis", lines, "max_ellipsis_line_frac", 0.3),
            _above("too_few_alpha_words", "rps_doc_no_alph_words", raw, "max_non_alpha_word_frac", 0.2),
        ),
        f"{A11}; {RPS}",  # two of Gopher's stop words are no signal of RedPajama-V2
        words,
    )


def _repetition_redpajama2() -> RuleSet:
    rules = _ngrams("rps_doc_chars_top_{n}gram", "rps_doc_chars_dupe_{n}grams", "rps_doc_word_chars")
    return RuleSet(rules, f"{TABLE_A1}; {RPS}", "rps_doc_word_count")  # it has no signal of repeated lines


def _redpajama2() -> RuleSet:
    return RuleSet(
        (*_gopher_redpajama2().rules, *_repetition_redpajama2().rules),
        f"{A11} and {TABLE_A1}; {RPS}",
        "rps_doc_word_count",
    )


def _ccnet() -> RuleSet:
    return RuleSet(
        (_below("too_few_chars", CHARS, None, "min_chars", 300),),
        "Wenzek et al. 2020 (CCNet, arXiv:1911.00359); cc_net, minify and mine.py: min_len",
        None,
    )


RuleSetName = Literal[
    "gopher", "gopher/datatrove", "gopher/dclm", "gopher/dolma", "gopher/redpajama2",
    "gopher_repetition", "gopher_repetition/datatrove", "gopher_repetition/dclm", "gopher_repetition/dolma",
    "gopher_repetition/redpajama2", "redpajama2", "c4", "c4/datatrove", "c4/tfds", "fineweb", "ccnet",
]  # fmt: skip

# A bare name is short for the variant of datatrove.
RULE_SETS: Mapping[str, RuleSet] = {
    "gopher": _gopher_datatrove(),
    "gopher/datatrove": _gopher_datatrove(),
    "gopher/dclm": _gopher_dclm(),
    "gopher/dolma": _gopher_dolma(),
    "gopher/redpajama2": _gopher_redpajama2(),
    "gopher_repetition": _repetition_datatrove(),
    "gopher_repetition/datatrove": _repetition_datatrove(),
    "gopher_repetition/dclm": _repetition_dclm(),
    "gopher_repetition/dolma": _repetition_dolma(),
    "gopher_repetition/redpajama2": _repetition_redpajama2(),
    "redpajama2": _redpajama2(),
    "c4": _c4("c4_datatrove", "datatrove 0.10, C4QualityFilter", 3, 5),
    "c4/datatrove": _c4("c4_datatrove", "datatrove 0.10, C4QualityFilter", 3, 5),
    "c4/tfds": _c4_tfds(),
    "fineweb": _fineweb(),
    "ccnet": _ccnet(),
}

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
    return RuleSet(tuple(rules), "rules of one's own", None)


def check_limit(value: object, what: str) -> None:
    """Raise InputError unless a limit is a number; infinity switches a rule off."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise InputError(f"{what} must be a number, not {value!r}")


def rule_set(rules: str | Sequence[Mapping[str, object]]) -> RuleSet:
    """Return the set of that name, or the rules given as a set. Raises InputError."""
    if not isinstance(rules, str):
        return own_rules(rules)
    if rules not in RULE_SETS:
        raise InputError(f"quality: unknown rules {rules!r}{nearest(rules, RULE_SETS)}")
    return RULE_SETS[rules]
