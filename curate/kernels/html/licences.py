"""Names licences: one short name for each of the many URLs and spellings by which pages link to a licence."""

from __future__ import annotations

import re

OTHER = "other"  # a licence is declared, and it is none that is known here
# Names without version. Open: may be used, changed and shared by anyone for any purpose (Open Definition 2.1).
OPEN = (
    "cc-by", "cc-by-sa", "cc0", "etalab", "fal", "gfdl", "odbl", "odc-by", "ogl-uk", "pddl", "pdm", "publicdomain",
)  # fmt: skip
FAMILIES = (
    *OPEN, "apache", "cc-by-nc", "cc-by-nc-nd", "cc-by-nc-sa", "cc-by-nd", "cc-nc", "cc-nc-nd", "cc-nc-sa", "cc-nd",
    "cc-sa", "gpl", "mit", OTHER,
)  # fmt: skip
_CC_ORDER = ("by", "nc", "nd", "sa")
_CC_URL = re.compile(
    r"(?://|\A)(?:[a-z0-9-]{1,20}\.)?creativecommons\.org/(licen[sc]es|publicdomain)/+([a-z+-]{2,20})"
    r"(?:/+(\d\.\d))?(?:/+([a-z]{2,10})(?=/|\Z|[?#]))?"
)
_CC_TEXT = re.compile(
    r"\bcc[ -]?(0)\b|\bcc[ -](by(?:[ -](?:nc|nd|sa)){0,2})\b(?:[ -]v?(\d\.\d))?"
    r"|\bcreative commons:? (attribution(?:[ –-]{1,3}(?:noncommercial|non-commercial|noderivs|noderivatives"
    r"|no derivatives|sharealike|share alike|share-alike)){0,2})(?: (?:license |licence )?v?(\d\.\d))?"
)
_CC_WORDS = (
    ("non-commercial", "nc"), ("noncommercial", "nc"), ("noderiv", "nd"), ("no deriv", "nd"), ("share", "sa"),
)  # fmt: skip
_OTHERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bgnu\.org/(?:copyleft|licenses)/(?:old-licenses/)?fdl(?:-(\d\.\d))?"), "gfdl"),
    (re.compile(r"\bnationalarchives\.gov\.uk/doc/open-government-licence(?:/version/(\d))?"), "ogl-uk"),
    (re.compile(r"\bopendatacommons\.org/licenses/odbl(?:/v?(\d[.-]\d))?"), "odbl"),
    (re.compile(r"\bopendatacommons\.org/licenses/by(?:/v?(\d[.-]\d))?"), "odc-by"),
    (re.compile(r"\bopendatacommons\.org/licenses/pddl(?:/v?(\d[.-]\d))?"), "pddl"),
    (re.compile(r"\betalab\.gouv\.fr/\S{0,60}licence-ouverte"), "etalab"),
    (re.compile(r"\bartlibre\.org/licence"), "fal"),
    (re.compile(r"\bopensource\.org/licenses?/mit(?:-license)?\b"), "mit"),
    (re.compile(r"\bapache\.org/licenses/license-(\d\.\d)"), "apache"),
    (re.compile(r"\bgnu\.org/(?:copyleft|licenses)/(?:old-licenses/)?gpl(?:-(\d\.\d))?"), "gpl"),
)  # fmt: skip


def license_of_url(url: str) -> str | None:
    """Return the name of the licence at a URL, such as cc-by-sa-4.0, cc-by-2.0-uk, cc0-1.0, gfdl-1.3; None if unknown.

    pdm-1.0 is the public domain mark. Names follow SPDX in lower case where SPDX has one. Creative Commons ports
    keep their jurisdiction.
    """
    url = url[:512].lower()
    if found := _CC_URL.search(url):
        return _creative_commons(found)
    for pattern, name in _OTHERS:
        if found := pattern.search(url):
            version = found[1].replace("-", ".") if pattern.groups and found[1] else None
            return f"{name}-{version if '.' in version else version + '.0'}" if version else name
    return None


def license_of_text(text: str) -> str | None:
    """Return the name of the Creative Commons licence that a short text names, such as `CC BY-SA 4.0`."""
    text = " ".join(text[:512].lower().split())
    found = _CC_TEXT.search(text)
    if found is None:
        return None
    if found[1]:
        return "cc0-1.0"
    if found[2]:
        parts, version = re.split("[ -]", found[2]), found[3]
    else:
        parts = ["by", *(short for word, short in _CC_WORDS if word in found[4])]
        version = found[5]
    return _named(parts, version, None)


def family_of(license: str) -> str:
    """Return a licence's name without version and jurisdiction: cc-by-sa of cc-by-sa-3.0-de."""
    return re.split(r"-(?=\d)", license, maxsplit=1)[0]


def _creative_commons(found: re.Match[str]) -> str | None:
    room, code, version, place = found.groups()
    if place in ("deed", "legalcode"):
        place = None
    if room == "publicdomain" or code in ("zero", "mark", "publicdomain"):
        if code == "zero":
            return "cc0-1.0"
        return "pdm-1.0" if code == "mark" else "publicdomain"
    parts = code.split("-")
    if not set(parts) <= {*_CC_ORDER} or {"nd", "sa"} <= set(parts):
        return OTHER if version else None  # sampling+, devnations …; without a version an overview page
    return _named(parts, version, place)


def _named(parts: list[str], version: str | None, place: str | None) -> str:
    code = "-".join(part for part in _CC_ORDER if part in parts)
    if place in ("deed", "legalcode"):
        place = None
    return "-".join(part for part in ("cc", code, version, place) if part)
