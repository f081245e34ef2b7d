"""What is known of languages: their codes in the schemes that models use, and the scripts they are written in."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from curate.models import asset

# fastText's lid.176 has the codes of Wikipedias, and one of these means another language in ISO 639-3.
_OF_WIKIPEDIA = {"als": "gsw"}
_WITH_SCRIPT = re.compile(r"([a-z]{2,3})[_-]([A-Z][a-z]{3})$")  # eng_Latn, as GlotLID, NLLB and OpenLID write it
_NO_LANGUAGE = frozenset({"und", "zxx", "mul", "mis"})
# Scripts that ISO 15924 has codes of their own for, and the ones their letters have here.
_LETTERS_OF = {"Hans": ("Hani",), "Hant": ("Hani",), "Kore": ("Hang", "Hani"), "Jpan": ("Jpan", "Hani")}


class Language(NamedTuple):
    """One row of the table: empty where it is not known or there is none."""

    alpha_3: str
    group: str  # its macrolanguage
    scripts: frozenset[str]


@functools.cache
def languages() -> Mapping[str, Language]:
    """Return every language of the table by its code."""
    found = {}
    for line in asset("languages.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            code, alpha_3, group, scripts = [*line.split("\t"), "", "", ""][:4]
            found[code] = Language(alpha_3, group, frozenset(scripts.split()))
    return found


@functools.cache
def scripts_of(label: str) -> frozenset[str]:
    """Return the scripts that a model's label can stand for; empty where that is not known."""
    if match := _WITH_SCRIPT.match(label):
        return frozenset(_LETTERS_OF.get(match[2], (match[2],)))
    known = languages().get(label)
    return known.scripts if known else frozenset()


@functools.cache
def code_of(label: str) -> str:
    """Return the code a label of any model means: ISO 639-1 where there is one, else 639-3; eng_Latn is en."""
    match = _WITH_SCRIPT.match(label)
    code = match[1] if match else _OF_WIKIPEDIA.get(label, label)
    return _two_letters().get(code, code)


def is_language(label: str | None) -> bool:
    """Say whether a label names one language: null does not, nor `und_Latn`, `zxx`, `mul` and `mis` of ISO 639-2."""
    return label is not None and code_of(label) not in _NO_LANGUAGE


@functools.cache
def same_language(label: str, other: str) -> bool:
    """Say whether two models' labels agree: the same language, or one the macrolanguage of the other."""
    a, b = code_of(label), code_of(other)
    return a == b or _group(a) == b or _group(b) == a


def _group(code: str) -> str | None:
    known = languages().get(code)
    return known.group if known and known.group else None


@functools.cache
def _two_letters() -> Mapping[str, str]:
    return {language.alpha_3: code for code, language in languages().items() if language.alpha_3}
