"""A rule and a set of rules: which signal is held against which limit, and why a doc beyond it goes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from curate.errors import InputError

CHARS = "n_text_chars"


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


def below(reason: str, signal: str, per: str | None, limit: str, default: float, scale: int = 1) -> Rule:
    return Rule(reason, signal, per, "below", limit, default, scale)


def above(reason: str, signal: str, per: str | None, limit: str, default: float, scale: int = 1) -> Rule:
    return Rule(reason, signal, per, "above", limit, default, scale)


def check_limit(value: object, what: str) -> None:
    """Raise InputError unless a limit is a number; infinity switches a rule off."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise InputError(f"{what} must be a number, not {value!r}")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise InputError(f"{what} is a whole number beyond {sys.float_info.max:.2g}; .inf switches a rule off")
