"""Turns spans of a page into values: decoded, folded, bounded strings, absolute URLs, calendar dates, language tags."""

from __future__ import annotations

import datetime
import html
import re
from urllib.parse import urljoin

MAX_VALUE_BYTES = 4096  # of an attribute or a text; what is longer is cut before it is decoded
MAX_URL_CHARS = 2048
MIN_YEAR, MAX_YEAR = 1990, 2099  # a page is not older than the web; a clock would make results differ by day

# Controls and lone surrogates, which a character reference or a JSON escape can bring in; soft hyphens.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\xad\ud800-\udfff]")
_TWICE = re.compile(r"&(?:#\d{2,5}|#x[0-9a-f]{2,4}|amp|quot|apos|nbsp);", re.IGNORECASE)
_SCRIPT = re.compile(rb"<script\b[^>]{0,256}>.{0,600}?</script\s{0,9}>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(rb"<[^<>]*+>?")
_BY_WORDS = frozenset((b"by", b"von", b"par", b"por", b"&nbsp;", b"-", b"|"))
_HTTP = re.compile(
    r"https?://(?:\[[0-9a-f:.]{2,45}\](?::\d{1,5})?|[^\s/?#<>\"\\\[\]]{1,255})(?:[/?#][^\s<>\"]*+)?", re.IGNORECASE
)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,4}")

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"), 1)
    for name in names.split()
}  # fmt: skip
_YMD = re.compile(r"(?<!\d)((?:19|20)\d\d)([-/.]?)(\d{1,2})\2(\d{1,2})(?!\d)")
_DMY = re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?((?:19|20)\d\d)(?!\d)")
_DAY_MONTH = re.compile(r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?[ -]([A-Za-z]{3,9})\.?,?[ -]((?:19|20)\d\d)(?!\d)")
_MONTH_DAY = re.compile(r"\b([A-Za-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? ((?:19|20)\d\d)(?!\d)")
_URL_DATE = re.compile(r"/((?:19|20)\d\d)([/-]?)([01]\d|(?<=[/-])\d)\2([0-3]\d|(?<=[/-])\d)(?=[/_.-]|\Z)")


def text_of(value: bytes, max_chars: int) -> str | None:
    """Return a value with character references decoded and white space folded; None where nothing is left.

    A value of more than `max_chars` is cut there.
    """
    text = value[:MAX_VALUE_BYTES].decode("utf-8", "ignore")
    if "&" in text:
        text = html.unescape(text)
        if _TWICE.search(text):  # as many systems write it: O&amp;#039;Donnell
            text = html.unescape(text)
    return folded(text, max_chars)


def folded(text: str, max_chars: int) -> str | None:
    """Return a text on one line, without controls and lone surrogates, cut at `max_chars`; None where it is blank."""
    text = " ".join(text[:MAX_VALUE_BYTES].split())
    if not text.isprintable():
        text = " ".join(_UNWANTED.sub("", text).split())
    return text[:max_chars].rstrip() or None


def without_tags(markup: bytes) -> bytes:
    """Return markup with each tag, and each short script, replaced by a space."""
    return _TAG.sub(b" ", without_scripts(markup))


def without_scripts(markup: bytes) -> bytes:
    """Return markup with each short script replaced by a space."""
    return _SCRIPT.sub(b" ", markup) if b"<script" in markup or b"<SCRIPT" in markup else markup


def first_run(markup: bytes) -> bytes:
    """Return the first text between the tags of some markup that is more than white space and `by`."""
    for run in _TAG.split(markup):
        if run.strip(b" \t\r\n:") and run.strip(b" \t\r\n:").lower() not in _BY_WORDS:
            return run
    return b""


def absolute_url(value: str | None, base: str | None) -> str | None:
    """Return a link resolved against `base`; None unless that is a well-formed http(s) URL of at most 2,048 chars."""
    if value is None or len(value) > MAX_URL_CHARS:
        return None
    value = value.strip()
    if base is not None and not value[:8].lower().startswith(("http://", "https://")):
        try:
            value = urljoin(base, value)
        except ValueError:  # [ ] that are no IPv6 address
            return None
    return value if len(value) <= MAX_URL_CHARS and _HTTP.fullmatch(value) else None


def language_tag(value: str | None) -> str | None:
    """Return a BCP-47 tag as declared, with - for _ and the primary subtag in lower case; None for what is none."""
    if value is None:
        return None
    found = _LANGUAGE.fullmatch(value.strip())
    if found is None:
        return None
    primary, *rest = found[0].replace("_", "-").split("-")
    return "-".join([primary.lower(), *rest])


def date_of(value: str | None) -> str | None:
    """Return the calendar date that a value begins with or holds, as YYYY-MM-DD; the zone it names is not applied.

    Understood: 2013-04-05 (also with / . or nothing between), 5.4.2013, 5 April 2013, April 5, 2013. Not
    understood, because nobody can know the order: 4/5/2013. None for dates before 1990 or after 2099.
    """
    if value is None:
        return None
    value = value[:128]
    if found := _YMD.search(value):
        return _date(found[1], found[3], found[4])
    if found := _DMY.search(value):
        return _date(found[3], found[2], found[1])
    if found := _DAY_MONTH.search(value):
        return _date(found[3], _MONTHS.get(found[2].lower(), 0), found[1])
    if found := _MONTH_DAY.search(value):
        return _date(found[3], _MONTHS.get(found[1].lower(), 0), found[2])
    return None


def url_date(url: str | None) -> str | None:
    """Return the date in the path of a URL, such as /2013/04/05/ or /20130405/."""
    found = _URL_DATE.search(url[:MAX_URL_CHARS]) if url else None
    return _date(found[1], found[3], found[4]) if found else None


def _date(year: str, month: str | int, day: str) -> str | None:
    y, m, d = int(year), int(month), int(day)
    if not (MIN_YEAR <= y <= MAX_YEAR and 1 <= m <= 12 and 1 <= d <= 31):
        return None
    try:
        return datetime.date(y, m, d).isoformat()
    except ValueError:  # the 31st of April
        return None
