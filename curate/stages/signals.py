"""Measure numbers of the text in compiled passes, and keep them as columns; what follows from them is decided later."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated

import pyarrow as pa

from curate.errors import InputError
from curate.registry import BY_RECIPE, nearest, stage
from curate.rules import RULE_SETS
from curate.signals import COMPILED_TOGETHER, SETS, SIGNALS, WORDS
from curate.stage import Verdict


@stage(version=1, reads=["text"], reasons=[], uses=["numba"])
class Signals:
    """Measure signals of the text: int64[n_docs] columns, null where a doc was not measured.

    A signal is a whole number: a count, or the numerator or denominator of a fraction, so that a rule may divide as its
    source does. Names, definitions and sources: `curate.signals`. Those that depend on what a word is end in
    `__spacy_en` (spaCy's English words, as in datatrove), `__unicode` (Unicode's word boundaries) or `__whitespace`. A
    null text has null signals; a text of more than 1,048,576 words has null in those that need its words, never a part
    of the number.

    Recipes seldom name this step: one is put above the first step that decides by signals, with all that the steps
    below it need, up to the next step that rewrites the text. Name it to keep more than the rules use (`redpajama2`).
    Raises InputError for a name that is neither a signal nor a set of signals.
    """

    measure: Annotated[tuple[str, ...], "signals, or names of sets of rules: gopher, c4/tfds, redpajama2"]
    suffix: Annotated[str, "behind the names of the columns, where the text was rewritten above", BY_RECIPE] = ""

    def __post_init__(self) -> None:
        if not self.measure:
            raise InputError("signals: `measure` is empty; name signals or sets of signals")
        for name in self.measure:
            if name not in SIGNALS and not _signals_of(name):
                raise InputError(f"signals: unknown signal {name!r}{nearest(name, [*SIGNALS, *SETS, *RULE_SETS])}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The signals asked for, each once, in the order of the table."""
        wanted = {name for entry in self.measure for name in _signals_of(entry)}
        return tuple(name for name in SIGNALS if name in wanted)

    @property
    def assets(self) -> tuple[str, ...]:
        """The tables and lists that what is measured is looked up in."""
        families = {SIGNALS[name].family.partition("_")[0] for name in self.names}
        listed = ("redpajama_tables.npz", "stop_words", "ldnoobw") if families & {"redpajama2", "bigscience"} else ()
        return ("text_tables.npz", *(listed or (("redpajama_tables.npz",) if "refinedweb" in families else ())))

    @property
    def writes(self) -> Mapping[str, pa.DataType]:
        return {name + self.suffix: pa.int64() for name in self.names}

    @property
    def compile_shares(self) -> tuple[str, ...]:
        """What can be compiled by itself, on a machine that has not yet: what takes longest first."""
        found = [SIGNALS[name] for name in self.names]
        words, families = {signal.words for signal in found}, {signal.family for signal in found}
        shares = [f"words {variant}" for variant in WORDS if variant in words]
        return (*shares, *(f"families {name}" for name, of in COMPILED_TOGETHER.items() if families.intersection(of)))

    def compile_share(self, share: str) -> None:
        """Compile one of `compile_shares`."""
        from curate.kernels.text.measure import compile_passes, compile_words  # imports numba

        kind, what = share.split()
        if kind == "words":
            compile_words(what)
        else:
            families = COMPILED_TOGETHER[what]
            compile_passes([name for name, signal in SIGNALS.items() if signal.family in families])

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        from curate.kernels.text.measure import measure  # imports numba

        found = measure(batch["text"], self.names)
        return Verdict({name + self.suffix: found[name] for name in self.names})


def _signals_of(entry: str) -> tuple[str, ...]:
    """Return the signal of that name, or those that a set of rules looks at; nothing for an unknown name."""
    if entry in SIGNALS:
        return (entry,)
    columns = (name for rule in RULE_SETS[entry].rules for name in rule.columns) if entry in RULE_SETS else ()
    return (*SETS.get(entry, ()), *columns)
