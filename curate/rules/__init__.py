"""The sets of rules of the `quality` stage, as data: which signal is held against which limit, and why.

Every rule keeps the limit itself. A set is named after the text that describes it and the code that fixes its
definitions (`gopher/dclm`): the papers leave open what a word is, and tools with the same rules drop different docs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from curate.errors import InputError
from curate.registry import nearest
from curate.rules import gopher, web
from curate.rules.own import own_rules
from curate.rules.rule import CHARS, Rule, RuleSet, check_limit

__all__ = ["CHARS", "RULE_SETS", "Rule", "RuleSet", "RuleSetName", "check_limit", "own_rules", "rule_set"]

RuleSetName = Literal[
    "gopher", "gopher/datatrove", "gopher/dclm", "gopher/dolma", "gopher/redpajama2",
    "gopher_repetition", "gopher_repetition/datatrove", "gopher_repetition/dclm", "gopher_repetition/dolma",
    "gopher_repetition/redpajama2", "redpajama2", "c4", "c4/datatrove", "c4/tfds", "fineweb", "refinedweb", "ccnet",
    "bigscience", "bigscience/ar", "bigscience/bn", "bigscience/ca", "bigscience/en", "bigscience/es", "bigscience/eu",
    "bigscience/fr", "bigscience/hi", "bigscience/id", "bigscience/pt",
]  # fmt: skip

# A bare name is short for the variant of datatrove, or for English.
RULE_SETS: Mapping[str, RuleSet] = {
    "gopher": gopher.gopher_datatrove(),
    "gopher/datatrove": gopher.gopher_datatrove(),
    "gopher/dclm": gopher.gopher_dclm(),
    "gopher/dolma": gopher.gopher_dolma(),
    "gopher/redpajama2": gopher.gopher_redpajama2(),
    "gopher_repetition": gopher.repetition_datatrove(),
    "gopher_repetition/datatrove": gopher.repetition_datatrove(),
    "gopher_repetition/dclm": gopher.repetition_dclm(),
    "gopher_repetition/dolma": gopher.repetition_dolma(),
    "gopher_repetition/redpajama2": gopher.repetition_redpajama2(),
    "redpajama2": gopher.redpajama2(),
    "c4": web.c4("c4_datatrove", "datatrove 0.10, C4QualityFilter", 3, 5),
    "c4/datatrove": web.c4("c4_datatrove", "datatrove 0.10, C4QualityFilter", 3, 5),
    "c4/tfds": web.c4_tfds(),
    "fineweb": web.fineweb(),
    "refinedweb": web.refinedweb(),
    "bigscience": web.bigscience("en"),
    **{f"bigscience/{language}": web.bigscience(language) for language in web.BIGSCIENCE},
    "ccnet": web.ccnet(),
}


def rule_set(rules: str | Sequence[Mapping[str, object]]) -> RuleSet:
    """Return the set of that name, or the rules given as a set. Raises InputError."""
    if not isinstance(rules, str):
        return own_rules(rules)
    if rules not in RULE_SETS:
        raise InputError(f"quality: unknown rules {rules!r}{nearest(rules, RULE_SETS)}")
    return RULE_SETS[rules]
