"""From a URL to its host, the host's public suffix, and the site (registrable domain) it belongs to.

The rules are those of the Public Suffix List (publicsuffix.org, MPL-2.0), shipped under `curate/assets/`
and pinned there: a site means the same on every machine and never needs a network. Both sections of the
list count, so `alice.github.io` is a site of its own, as browsers see it.
"""

from __future__ import annotations

import gzip
import ipaddress
import re
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple
from urllib.parse import unquote

PSL_ASSET = "public_suffix_list.dat.gz"
PSL_VERSION = "publicsuffix/list@e8c9a2b2b2"
PSL_DATE = "2026-07-24"  # when the snapshot's newest section, ICANN's new top-level domains, was imported

MAX_HOST_CHARS = 253  # RFC 1035, section 2.3.4
MAX_LABEL_CHARS = 63

# The URL Standard (url.spec.whatwg.org, "special schemes"): any number of slashes of either kind, or none.
_SPECIAL = re.compile(r"(?:https?|ftp|wss?):[/\\]*", re.IGNORECASE)
_OTHER = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_SPECIAL_END = re.compile(r"[/\\?#]")
_OTHER_END = re.compile(r"[/?#]")
_STRIPPED = "".join(map(chr, range(0x21)))
_TABS_AND_BREAKS = str.maketrans("", "", "\t\n\r")
# Its "forbidden domain code points", and white space.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f#/:<>?@\[\\\]^|%\s]")
_PORT = re.compile(r":[0-9]*\Z")
_IPV4_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # other full stops, UTS #46
# A host that needs nothing done: most do not. Its last label is no number, and none is punycode.
_PLAIN = re.compile(r"https?://((?:(?!xn--)[a-z0-9][a-z0-9-]{0,62}\.)+(?!xn--)[a-z][a-z0-9-]{0,62})(?![^/?#])")
_IGNORED = str.maketrans("", "", "\u00ad\u200b\u2060\ufeff")  # "ignored" there
_JOINERS = "\u200c\u200d"  # the only hidden characters a name may have: Persian and Indic spelling need them


class _Rules(NamedTuple):
    exact: frozenset[str]
    wildcard: frozenset[str]  # "ck" of "*.ck"
    exception: frozenset[str]  # "www.ck" of "!www.ck"


@cache
def _rules() -> _Rules:
    found: dict[str, set[str]] = {"": set(), "*.": set(), "!": set()}
    text = gzip.decompress((files("curate") / "assets" / PSL_ASSET).read_bytes()).decode("utf-8")
    for line in text.splitlines():
        rule = line.split(maxsplit=1)[0] if line.strip() else "//"
        if rule.startswith("//"):
            continue
        kind = "!" if rule.startswith("!") else "*." if rule.startswith("*.") else ""
        found[kind].add(rule[len(kind) :])
    return _Rules(frozenset(found[""]), frozenset(found["*."]), frozenset(found["!"]))


def host_of(url: str | None) -> str | None:
    """Return the host of a URL: lower case, Unicode where the name is (IDN decoded), no port, no final dot.

    IPv4 addresses come out dotted, IPv6 addresses compressed in brackets. None for null, for a URL
    without `//` or a scheme of the web (`mailto:`, a relative path), and for a host that cannot be one.
    Follows the parser of the URL Standard, except that underscores pass and IDNA's tables are cut down
    to NFKC, lower case and punycode.
    """
    if url is None:
        return None
    plain = _PLAIN.match(url)
    if plain and len(plain[1]) <= MAX_HOST_CHARS:
        return plain[1]
    url = url.strip(_STRIPPED).translate(_TABS_AND_BREAKS)
    special = _SPECIAL.match(url)
    begin = special or _OTHER.match(url)
    if begin is None:
        return None
    end = (_SPECIAL_END if special else _OTHER_END).search(url, begin.end())
    authority = url[begin.end() : end.start() if end else len(url)]
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        return _ipv6(host)
    if len(host) > 9 * MAX_HOST_CHARS:  # percent-encoded UTF-8 has 9 chars for one at most; keeps the rest linear
        return None
    return _name(unquote(_PORT.sub("", host)))


def _name(host: str) -> str | None:
    host = (
        unicodedata.normalize("NFKC", host.translate(_DOTS))
        .lower()
        .translate(_DOTS)
        .translate(_IGNORED)
        .removesuffix(".")
    )
    labels = [_decoded(label) for label in host.split(".")]
    name = ".".join(labels)
    if len(name) > MAX_HOST_CHARS or _FORBIDDEN.search(name):
        return None
    if any(not 0 < len(label) <= MAX_LABEL_CHARS for label in labels):
        return None
    if not _is_visible(name):
        return None
    return _ipv4(labels) if _IPV4_NUMBER.match(labels[-1]) else name


def _decoded(label: str) -> str:
    """Return the Unicode form of a punycode label, or the label itself where that is not a clean one."""
    if not label.startswith("xn--") or len(label) > MAX_LABEL_CHARS:
        return label
    try:
        text = label[4:].encode("ascii").decode("punycode")
        clean = text.encode("punycode").decode("ascii") == label[4:]  # lone surrogates fail here
    except (UnicodeError, OverflowError):
        return label
    stable = unicodedata.normalize("NFKC", text).lower() == text and _is_visible(text)
    return text if clean and stable and not text.isascii() and "." not in text else label


def _is_visible(name: str) -> bool:
    return name.isascii() or all(char.isprintable() or char in _JOINERS for char in name)


def _ipv4(labels: list[str]) -> str | None:
    """Return a dotted address for what browsers take as one: `0x7f.1` is 127.0.0.1; None where it overflows."""
    if len(labels) > 4 or not all(_IPV4_NUMBER.match(label) for label in labels):
        return None
    numbers = []
    for label in labels:
        if label.startswith("0x"):
            numbers.append(int(label[2:] or "0", 16))
        elif label.startswith("0") and len(label) > 1:
            if not label.isascii() or set(label) & set("89"):
                return None
            numbers.append(int(label, 8))
        else:
            numbers.append(int(label))
    *high, low = numbers
    if any(number > 255 for number in high) or low >= 256 ** (4 - len(high)):
        return None
    return str(ipaddress.IPv4Address(sum(number << (24 - 8 * i) for i, number in enumerate(high)) + low))


def _ipv6(host: str) -> str | None:
    inside, bracket, port = host[1:].partition("]")
    if not bracket or "%" in inside or (port and not _PORT.fullmatch(port)):
        return None
    try:
        return f"[{ipaddress.IPv6Address(inside).compressed}]"
    except ValueError:
        return None


def is_ip(host: str) -> bool:
    """Say whether a host, as `host_of` returns it, is an IP address."""
    return host.startswith("[") or bool(_IPV4_NUMBER.match(host.rpartition(".")[2]))


@lru_cache(maxsize=1 << 16)
def _n_suffix_labels(host: str) -> int:
    """Return how many labels of `host` its public suffix has; 0 for IP addresses and malformed hosts."""
    labels = host.split(".")
    if is_ip(host) or not all(labels):
        return 0
    labels = [_decoded(label) for label in labels]
    exact, wildcard, exception = _rules()
    for i in range(len(labels)):  # the longest rule wins, and an exception beats its wildcard
        tail = ".".join(labels[i:])
        if tail in exception:
            return len(labels) - i - 1
        if tail in exact or tail.partition(".")[2] in wildcard:
            return len(labels) - i
    return 1  # the list's default rule: an unlisted top-level domain is a suffix


def public_suffix(host: str | None) -> str | None:
    """Return the public suffix of a host (`co.uk`, `github.io`), in the spelling of the host, lower case.

    An unlisted top-level domain is its own suffix. None for null, IP addresses and malformed hosts.
    """
    if not host:
        return None
    host = host.lower()
    n = _n_suffix_labels(host)
    return ".".join(host.split(".")[-n:]) if n else None


def registrable_domain(host: str | None) -> str | None:
    """Return the public suffix of a host and one label more (`bbc.co.uk`), lower case.

    None for null, IP addresses, malformed hosts, and hosts that are public suffixes themselves.
    """
    if not host:
        return None
    host = host.lower()
    n = _n_suffix_labels(host)
    labels = host.split(".")
    return ".".join(labels[-n - 1 :]) if 0 < n < len(labels) else None


def has_listed_suffix(host: str | None) -> bool:
    """Say whether a host ends in a suffix that the list has; `index.html` does not. False for null and addresses."""
    suffix = public_suffix(host)
    if suffix is None or suffix == host:
        return False
    exact, wildcard, _ = _rules()
    decoded = ".".join(map(_decoded, suffix.split(".")))
    return decoded in exact or decoded in wildcard or decoded.partition(".")[2] in wildcard


def site_of(host: str) -> str:
    """Return what a host counts under in reports: its registrable domain, or itself where it has none."""
    return registrable_domain(host) or host
