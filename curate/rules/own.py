"""Rules of one's own: read from plain values, checked, and made into a set like the published ones."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from curate.errors import InputError
from curate.registry import nearest
from curate.rules.rule import Rule, RuleSet, check_limit

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
