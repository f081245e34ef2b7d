"""Drop docs by rules over columns: a published set such as Gopher's, FineWeb's or C4's, or rules of one's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.registry import BY_RECIPE, nearest, stage
from curate.rules import CHARS, Rule, RuleSet, RuleSetName, check_limit, rule_set
from curate.signals import SIGNALS, UNMEASURED
from curate.stage import Verdict

Columns = Mapping[str, pa.Array]
Numbers = Mapping[str, npt.NDArray[np.float64]]
Mask = npt.NDArray[np.bool_]
OWN_LINES = "c4"  # begins the names of what is counted by limits of one's own; the published have c4_tfds, c4_datatrove


@stage(version=2)
class Quality:
    """Drop docs that break a rule of the set `rules`; the reason names the first rule broken.

    Decides by arithmetic over int64[n_docs] signals that a `signals` step above measured, and touches no text: a
    threshold may be changed without measuring again. The sets c4 and refinedweb also drop lines, so they rewrite
    `text`, of kept docs only.

    Sets: gopher, gopher_repetition (Rae et al. 2021, arXiv:2112.11446, A.1.1 and table A1; as datatrove, DCLM, dolma
    and RedPajama-V2 read them), c4 (Raffel et al. 2020, arXiv:1910.10683, section 2.2), fineweb (Penedo et al. 2024,
    arXiv:2406.17557, section 3.6), refinedweb (Penedo et al. 2023, arXiv:2306.01116, G.2), redpajama2 (Weber et al.
    2024, arXiv:2411.12372), bigscience (Laurençon et al. 2022, arXiv:2303.03915, section 3), ccnet (Wenzek et al. 2020,
    arXiv:1911.00359). Every rule, its limit and where it comes from: `curate.rules` and docs/quality.md. Words and stop
    words of most sets are English: put `language` above.

    Rules of one's own are `{signal, per, min, max, reason}`: a doc is dropped for `reason` where signal / per (or
    signal alone) is below `min` or above `max`. A signal is one of `curate.signals`, or a column of numbers that a step
    above or the input has; a doc for which such a column is null or NaN is `not_measured`. A limit itself is kept;
    0 / 0 breaks no rule; a limit of .inf switches a maximum off.

    Raises InputError for a set, a signal or a threshold that is not there, and for a limit that is no number.
    Differs from the code that the sets follow: a blank text is `empty`; a doc of more than 1,048,576 words is
    `too_many_words` and one of more than 1,048,576 lines `too_many_lines`, where the rules look at words or lines; of
    two faults in a page of C4 the first is `lorem_ipsum`, whichever stands first.
    """

    rules: Annotated[
        RuleSetName | tuple[Mapping[str, object], ...], "a set of rules by name; in recipes also a list of one's own"
    ]
    thresholds: Annotated[Mapping[str, float] | None, "other limits than the published ones, by name"] = None
    terminal_punctuation: Annotated[bool, "c4: keep only lines that end like a sentence"] = True
    suffix: Annotated[str, "behind the names of the signals, where the text was rewritten above", BY_RECIPE] = ""

    def __post_init__(self) -> None:
        known = self.rule_set.thresholds
        which = self.rules if isinstance(self.rules, str) else "this list of rules"
        if not self.terminal_punctuation and not self.rule_set.lines.startswith("c4"):
            raise InputError(f"quality: terminal_punctuation is a switch of c4 and c4/tfds; {which} has no such rule")
        for name, value in (self.thresholds or {}).items():
            if name not in known:
                raise InputError(f"quality: {which} has no threshold {name!r}{nearest(name, known)}")
            check_limit(value, f"quality: threshold {name}")

    @cached_property
    def rule_set(self) -> RuleSet:
        """The rules, held against the signals that fit the parameters."""
        found = rule_set(self.rules)
        if not found.lines.startswith("c4"):
            return found
        given = self.thresholds or {}
        if any(given.get(name, value) != value for name, value in found.measuring.items()):
            return found.counted_by(OWN_LINES)
        return found if self.terminal_punctuation else found.counted_by(f"{found.lines}_any_end")

    @property
    def decides(self) -> tuple[str, ...]:
        """What may change without a look at text: line edits depend on the limits too."""
        return () if self.rule_set.lines else ("rules", "thresholds")

    @cached_property
    def limits(self) -> dict[str, float]:
        """Every threshold of the set by name, the given ones in place of the published."""
        return {**rule_set(self.rules).thresholds, **(self.thresholds or {})}

    @property
    def identity(self) -> list[Any]:
        """What else makes the output what it is: the rules behind the name."""
        rules = [[r.reason, r.signal, r.per, r.side, r.default, r.scale] for r in self.rule_set.rules]
        return [self.rule_set.version, rules]

    @property
    def uses(self) -> tuple[str, ...]:
        return ("numba",) if self.rule_set.lines else ()

    @property
    def compile_shares(self) -> tuple[str, ...]:
        """The line edits: each has kernels of its own, see `curate.compiling`."""
        return (self.rule_set.lines,)

    @property
    def assets(self) -> tuple[str, ...]:
        """The tables of characters that line edits look at."""
        lines = self.rule_set.lines
        return () if not lines else ("redpajama_tables.npz",) if lines == "refinedweb" else ("text_tables.npz",)

    @property
    def measures(self) -> tuple[str, ...]:
        """The signals of the text that a step above must measure."""
        return tuple(name for name in self._names if name in SIGNALS)

    @property
    def reads(self) -> tuple[str, ...]:
        columns = (self._column(name) for name in self._names if name not in self._counted)
        return (*(("text",) if self.rule_set.lines else ()), *columns)

    @property
    def writes(self) -> Mapping[str, pa.DataType]:
        text = {"text": pa.string()} if self.rule_set.lines else {}
        return {**text, **{self._column(name): pa.int64() for name in self._counted}}

    @property
    def reasons(self) -> tuple[str, ...]:
        empty = ["empty"] if CHARS in self._names else []
        missing = (why for name in self._names if (why := self._why_null(name)))
        return tuple(dict.fromkeys([*empty, *missing, *(rule.reason for rule in self.rule_set.rules)]))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """What is decided by: signals of the text and columns of other steps, without the suffix."""
        found = self.rule_set
        names = [name for rule in found.rules for name in rule.columns]
        empty = [found.empty] if found.empty else []
        of_text = [CHARS] if empty or any(name in SIGNALS for name in names) else []
        return tuple(dict.fromkeys([*of_text, *empty, *names]))

    @cached_property
    def _counted(self) -> tuple[str, ...]:
        """What the step counts itself: lines of C4 by limits of one's own, for which there is no signal."""
        return tuple(name for name in self._names if self.rule_set.lines == OWN_LINES and name not in SIGNALS)

    def _column(self, name: str) -> str:
        return name + self.suffix if name in SIGNALS or name in self._counted else name

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        if not (lines := rule_set(self.rules).lines):
            return Verdict({}, *self._judge(_columns(batch)))
        from curate.line_edits import count_lines, edited  # imports numba

        text, by = batch["text"], (lines, self.limits, self.terminal_punctuation)
        counted = count_lines(text, *by) if self._counted else {}
        written = {self._column(name): counted[name] for name in self._counted}
        reason, fired = self._judge({**_columns(batch), **written})
        return Verdict({"text": edited(text, pc.is_null(reason), *by), **written}, reason, fired)

    def decide(self, batch: pa.RecordBatch) -> pa.Array:
        """Return string[n_docs]: the drop_reason, from the columns that the step reads and writes, without the text."""
        return self._judge(_columns(batch))[0]

    def explain(self, reason: str, signals: Mapping[str, Any]) -> str:
        """Return the numbers behind a reason: `n_ellipses / n_words__spacy_en = 0.2 > 0.1 (max_ellipses_per_word)`."""
        limits = self.limits
        for rule in self.rule_set.rules:
            columns = [self._column(name) for name in rule.columns]
            values = [float(signals[name]) for name in columns if signals.get(name) is not None]
            if rule.reason != reason or len(values) < len(columns) or values[1:] == [0]:
                continue
            value, limit = values[0] / math.prod(values[1:]) / rule.scale, limits[rule.limit]
            if (value < limit) if rule.side == "below" else (value > limit):  # a reason may have two rules
                name = " / ".join([*columns, *([str(rule.scale)] if rule.scale != 1 else [])])
                return f"{name} = {value:.4g} {'<' if rule.side == 'below' else '>'} {limit:g} ({rule.limit})"
        return ""

    def checks_columns(self, columns: Mapping[str, pa.DataType | None]) -> None:
        """Raise InputError for a rule over a column that nothing above writes, or that holds no numbers."""
        for name in self._names:
            if name in SIGNALS or name in self._counted:
                continue
            if name not in columns:
                raise InputError(
                    f"quality: no signal and no column {name!r} above{nearest(name, [*SIGNALS, *columns])}"
                )
            kind = columns[name]
            if kind is not None and not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise InputError(f"quality: the column {name!r} is {kind}; a rule needs numbers")

    def _judge(self, columns: Columns) -> tuple[pa.Array, dict[str, tuple[int, int]]]:
        """Return string[n_docs] reasons, and by the name of a limit (docs that break it, those it is the first for)."""
        numbers = {name: _numbers(columns[self._column(name)]) for name in self._names}
        n_docs = len(next(iter(numbers.values())))
        reasons = self.reasons
        none = len(reasons)
        why = np.full(n_docs, none, np.int64)  # index of the first reason of each doc
        for mask, reason in self._unmeasured(numbers):
            why[mask & (why == none)] = reasons.index(reason)
        limits, fired = self.limits, {}
        for rule in self.rule_set.rules:
            if limits[rule.limit] == (-math.inf if rule.side == "below" else math.inf):
                continue  # switched off: that it never fires is no news
            broken = _broken(rule, numbers, limits[rule.limit])
            first = broken & (why == none)
            why[first] = reasons.index(rule.reason)
            fired[rule.limit] = (int(broken.sum()), int(first.sum()))
        return pa.array([*reasons, None], pa.string()).take(pa.array(why, pa.int64())), fired

    def _unmeasured(self, numbers: Numbers) -> Iterator[tuple[Mask, str]]:
        """Yield (bool[n_docs], reason): docs that have nothing written, or lack a number that the rules need."""
        if CHARS in numbers:
            yield np.isnan(numbers[CHARS]) | (numbers[self.rule_set.empty or CHARS] == 0), "empty"
        for name, number in numbers.items():
            if why := self._why_null(name):
                yield np.isnan(number), why

    def _why_null(self, name: str) -> str | None:
        """Return what a doc is that lacks a number, though it has a text."""
        if name in SIGNALS:
            return UNMEASURED.get(SIGNALS[name].family)
        return "too_many_words" if name in self._counted else "not_measured"


def _numbers(column: pa.Array) -> npt.NDArray[np.float64]:
    """Return float64[n_docs], NaN where the column is null."""
    found: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found


def _broken(rule: Rule, numbers: Numbers, limit: float) -> Mask:
    """Return bool[n_docs]; 0 / 0 and what was not measured break nothing."""
    value = numbers[rule.signal]
    with np.errstate(divide="ignore", invalid="ignore"):
        if rule.per is not None:
            value = value / numbers[rule.per]
        if rule.scale != 1:
            value = value / rule.scale
        return value < limit if rule.side == "below" else value > limit


def _columns(batch: pa.RecordBatch) -> Columns:
    return dict(zip(batch.schema.names, batch.columns, strict=True))
