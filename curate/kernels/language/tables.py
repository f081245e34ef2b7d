"""The script of every letter and the lower case of every capital, as arrays for the compiled passes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.languages import scripts_of
from curate.models import asset

N_CODES = 0x20000  # planes 0 and 1; the two above hold Han only
N_LOWER = 0x10000
# Scripts that are used together to write one language count as one. Han letters beside Kana do, too: see `identify`.
_MERGED = {"Hira": "Jpan", "Kana": "Jpan", "Bopo": "Hani"}


class Letters(NamedTuple):
    """By code point: the number of a letter's script in `scripts`, 0 of anything else; its lower case, or itself."""

    script_of: npt.NDArray[np.uint8]  # [0x20000]
    lower_of: npt.NDArray[np.uint16]  # [0x10000]


@functools.cache
def scripts() -> tuple[str, ...]:
    """Return the ISO 15924 codes by number; number 0 is no script."""
    return ("", *sorted({script for _, _, script in _runs()}))


@functools.cache
def letters() -> Letters:
    """Return the tables."""
    number = {script: i for i, script in enumerate(scripts())}
    script_of = np.zeros(N_CODES, np.uint8)
    for first, last, script in _runs():
        script_of[first : last + 1] = number[script]
    lower_of = np.arange(N_LOWER, dtype=np.uint16)
    for code in np.flatnonzero(script_of[:N_LOWER]).tolist():
        lower = chr(code).lower()
        if len(lower) == 1 and ord(lower) < N_LOWER:
            lower_of[code] = ord(lower)
    return Letters(script_of, lower_of)


def written_in(labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return bool[n_scripts, n_labels]: whether a label can stand for a text in a script; unknown ones can for any."""
    table = np.zeros((len(scripts()), len(labels)), np.bool_)
    for label, code in enumerate(labels):
        known = scripts_of(code)
        for number, script in enumerate(scripts()):
            table[number, label] = not known or script in known
    return table


@functools.cache
def _runs() -> tuple[tuple[int, int, str], ...]:
    lines = (line.split("\t") for line in asset("scripts.tsv").read_text("utf-8").splitlines() if line[0] != "#")
    return tuple((int(first, 16), int(last, 16), _MERGED.get(script, script)) for first, last, script in lines)
