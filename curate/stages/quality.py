"""Measure text signals and drop docs by a published set of rules: Gopher, Gopher's repetition rules, C4."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.registry import nearest, stage
from curate.stage import Verdict, first_reason, flag
from curate.stages.rules import RULE_SETS, Rule

WORDS = "n_words__spacy_en"


@stage(version=1, reads=["text"], assets=["text_tables.npz"], uses=["numba"])
class Quality:
    """Drop docs that break a rule of the set `rules`; the reason names the first rule broken.

    Shapes: reads text[n_docs]; writes int64[n_docs] signals, null where the text is null or too long to measure. `c4`
    also drops lines, so it rewrites `text` (of kept docs only). Raises InputError for a threshold no rule has.
    Sources: Rae et al. 2021 (Gopher, arXiv:2112.11446) appendix A.1.1 and table A1; Raffel et al. 2020 (T5,
    arXiv:1910.10683) section 2.2; the variants and numbers are datatrove's (`curate.stages.rules`).

    Words are spaCy's English words, as in datatrove; sentences those of its rule-based sentencizer. Gopher's stop words
    are English: other languages lose nearly all docs to `too_few_stop_words`, so put `language` before, or set
    `min_stop_words: 0`.
    Differs from datatrove: a blank text is `empty` (its repetition filter keeps white space); a doc of more than
    1,048,576 words is `too_many_words` under every set; a page with both faults is `lorem_ipsum` before `curly_bracket`
    whichever stands first; a threshold of 0 is a limit, not a rule switched off (use .inf for a maximum); case is
    folded in ASCII only when C4's phrases are looked for.
    """

    rules: Annotated[Literal["gopher", "gopher_repetition", "c4"], "the set of rules"]
    thresholds: Annotated[Mapping[str, float] | None, "other limits than the published ones, by name"] = None
    terminal_punctuation: Annotated[bool, "c4: keep only lines that end in . ? ! or a quotation mark"] = True

    def __post_init__(self) -> None:
        if self.rules not in RULE_SETS:
            raise InputError(f"quality: unknown rules {self.rules!r}{nearest(self.rules, RULE_SETS)}")
        known = RULE_SETS[self.rules].thresholds
        for name, value in (self.thresholds or {}).items():
            if name not in known:
                raise InputError(f"quality: {self.rules} has no threshold {name!r}{nearest(name, known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
                raise InputError(f"quality: threshold {name} must be a number, not {value!r}")

    @property
    def limits(self) -> dict[str, float]:
        """Every threshold of the set by name, the given ones in place of the published."""
        return {**RULE_SETS[self.rules].thresholds, **(self.thresholds or {})}

    @property
    def writes(self) -> Mapping[str, pa.DataType]:
        rules = RULE_SETS[self.rules].rules
        names = [WORDS, *(rule.signal for rule in rules), *(rule.per for rule in rules if rule.per)]
        signals = dict.fromkeys([*names, *_ALSO_WRITES[self.rules]], pa.int64())
        return {"text": pa.string(), **signals} if self.rules == "c4" else signals

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(["empty", "too_many_words", *(rule.reason for rule in RULE_SETS[self.rules].rules)]))

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        text = batch["text"]
        columns, rewritten = self._measure(text)
        n_words = columns[WORDS]
        reason = first_reason(
            flag(pc.or_kleene(pc.is_null(text), pc.equal(n_words, 0)), "empty"),
            flag(pc.is_null(n_words), "too_many_words"),
            *(_broken(rule, columns, self.limits[rule.limit]) for rule in RULE_SETS[self.rules].rules),
        )
        if rewritten is not None:
            columns["text"] = pc.if_else(pc.is_null(reason), rewritten, text.cast(pa.string()))
        return Verdict(columns, reason)

    def explain(self, reason: str, signals: Mapping[str, int]) -> str:
        """Return the numbers behind a reason: `n_ellipses / n_words__spacy_en = 0.2 > 0.1 (max_ellipses_per_word)`."""
        for rule in RULE_SETS[self.rules].rules:
            if rule.reason == reason and rule.signal in signals and (rule.per is None or signals.get(rule.per)):
                value = signals[rule.signal] / signals[rule.per] if rule.per else signals[rule.signal]
                name = f"{rule.signal} / {rule.per}" if rule.per else rule.signal
                sign = "<" if rule.side == "below" else ">"
                limit = self.limits[rule.limit]
                if (value < limit) if rule.side == "below" else (value > limit):  # a reason may have two rules
                    return f"{name} = {value:.4g} {sign} {limit:g} ({rule.limit})"
        return ""

    def _measure(self, text: pa.Array) -> tuple[dict[str, pa.Array], pa.Array | None]:
        from curate.kernels.text import signals  # imports numba

        if self.rules == "gopher":
            return signals.gopher_signals(text), None
        if self.rules == "gopher_repetition":
            return signals.repetition_signals(text), None
        limits = self.limits
        return signals.c4_signals(
            text,
            min_words=limits["min_words_per_line"],
            max_word_chars=limits["max_word_chars"],
            terminal_punctuation=self.terminal_punctuation,
        )


# Signals that no rule uses, but that an audit wants.
_ALSO_WRITES = {"gopher": (), "gopher_repetition": (), "c4": ("c4_lines", "c4_kept_lines")}


def _broken(rule: Rule, columns: Mapping[str, pa.Array], limit: float) -> pa.Array:
    """Return string[n]: the rule's reason where it is broken; 0 / 0 breaks nothing."""
    value = columns[rule.signal].cast(pa.float64())
    if rule.per is not None:
        value = pc.divide(value, columns[rule.per].cast(pa.float64()))
    return flag((pc.less if rule.side == "below" else pc.greater)(value, limit), rule.reason)
