"""From the report's JSON values to one HTML page: no script, no network, every crawled string escaped."""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from curate.folds.report import charts

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_LABEL_CHARS = 60
# Control and format characters (bidi overrides, zero width), separators of lines, unassigned, private, surrogates.
_HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cn", "Co", "Cs"})
_NAMES = {"[ip]": "(IP address)", "": "(none)"}
# English names of common codes; other languages show their code alone.
_LANGUAGE_NAMES = """
ar=Arabic bg=Bulgarian bn=Bengali ca=Catalan cs=Czech da=Danish de=German el=Greek en=English es=Spanish
et=Estonian fa=Persian fi=Finnish fr=French he=Hebrew hi=Hindi hr=Croatian hu=Hungarian id=Indonesian it=Italian
ja=Japanese ko=Korean la=Latin lt=Lithuanian lv=Latvian ms=Malay nl=Dutch no=Norwegian pl=Polish pt=Portuguese
ro=Romanian ru=Russian sk=Slovak sl=Slovene sr=Serbian sv=Swedish ta=Tamil th=Thai tr=Turkish uk=Ukrainian
und=undetermined ur=Urdu vi=Vietnamese zh=Chinese
"""
_LANGUAGES = dict(pair.split("=") for pair in _LANGUAGE_NAMES.split())
_SCALE = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def render(report: Mapping[str, Any]) -> str:
    """Return the page. The same report gives the same bytes."""
    values = {"report": report, "unit": report["unit"], "losing": charts.losing(report)}
    return render_page("curate.folds.report", "report.html.j2", **values)


def render_page(package: str, template: str, **values: Any) -> str:
    """Return a page from a template of a package, with the style of reports and the filters below."""
    style = (files("curate.folds.report") / "page.css").read_text("utf-8").strip()
    style_hash = b64encode(sha256(f"\n{style}\n".encode()).digest()).decode()
    return _environment(package, template).get_template("page").render(style=style, style_hash=style_hash, **values)


@cache
def _environment(package: str, template: str) -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader({"page": (files(package) / template).read_text("utf-8")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )  # autoescape for every template, whatever its name
    environment.filters.update(
        plain=plain, host=host, language=language, number=number, percent=percent, compact=compact
    )
    environment.globals.update(charts=charts)
    return environment


def plain(text: str, max_chars: int = MAX_LABEL_CHARS) -> str:
    """Return text that can do nothing but be read: hidden characters as \\u codes, the middle of a long one cut."""
    text = _NAMES.get(text, text)
    if len(text) > 4 * max_chars:
        text = text[: 2 * max_chars] + text[-2 * max_chars :]
    shown = "".join(_visible(char) for char in text)
    if len(shown) > max_chars:
        tail = max_chars // 3
        shown = f"{shown[: max_chars - tail - 1]}…{shown[-tail:]}"
    return shown


def host(name: str) -> str:
    """Return a host as `plain` does, with its ASCII form after it where letters could look like others."""
    if name.isascii():
        return plain(name)
    labels = [label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in name.split(".")]
    return f"{plain(name)} ({plain('.'.join(labels))})"


def language(code: str) -> str:
    """Return a language code as `plain` does, with its English name where we know it."""
    return f"{_LANGUAGES[code]} ({code})" if code in _LANGUAGES else plain(code, charts.MAX_LABEL_CHARS)


def _visible(char: str) -> str:
    return f"\\u{ord(char):04x}" if unicodedata.category(char) in _HIDDEN else char


def number(value: int | None) -> str:
    """Return 1234567 as 1,234,567; a dash for None."""
    return "–" if value is None else f"{value:,}"


def compact(value: int) -> str:
    """Return 1234567 as 1.23 M: for labels in charts, beside a table with the exact figure."""
    for size, letter in _SCALE:
        if value >= size:
            return f"{value / size:.3g} {letter}" if value < 999.5 * size else f"{value // size:,} {letter}"
    return str(value)


def percent(share: float | None) -> str:
    """Return 0.1234 as 12.3 %; a dash for None, and <0.1 % for what would round to nothing."""
    if share is None:
        return "–"
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %"
