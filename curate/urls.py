"""One spelling for each URL: the parts of a web address, and the canonical form that lists are matched with."""

from __future__ import annotations

import re
from typing import NamedTuple

from curate.sites import MAX_HOST_CHARS, has_listed_suffix, host_of

DEFAULT_PORTS = {"http": "80", "https": "443"}

# Parameters that say how a visitor came, never what the page shows: of Google, Meta, Microsoft, Yandex, X, TikTok and
# Instagram, and of mailing services (Mailchimp, HubSpot, Marketo, Vero, Omeda, Drip), as their documentation has them.
_TRACKING = """
    gclid gclsrc dclid gbraid wbraid _ga _gl fbclid msclkid yclid ysclid twclid ttclid igshid igsh mc_cid mc_eid
    _hsenc _hsmi __hssc __hstc __hsfp hsctatracking mkt_tok vero_id vero_conv oly_anon_id oly_enc_id __s
"""
TRACKING = frozenset(_TRACKING.split())
TRACKING_PREFIX = "utm_"

_WHITE = "".join(map(chr, range(0x21)))
_TABS_AND_BREAKS = str.maketrans("", "", "\t\n\r")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_AUTHORITY = re.compile(r"[/\\]*([^/\\?#]*)")
_PORT = re.compile(r":([0-9]*)\Z")
# Most URLs are spelt this way already; what they hold cannot be changed by anything below.
_PLAIN = re.compile(r"(https?)://((?:[a-z0-9][a-z0-9-]{0,62}\.)+[a-z]{2,63})(/[\w.~!$&'()*+,;=:@/-]*)", re.ASCII)
# RFC 3986: unreserved characters are never encoded (section 2.3); sub-delimiters, : and @ may stand in a path, / and ?
# also in a query (sections 3.3, 3.4). All else is encoded, and a % that begins no escape becomes %25.
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_IN_PATH = re.compile(r"%[0-9A-Fa-f]{2}|[^\w.~!$&'()*+,;=:@/-]", re.ASCII)
_IN_QUERY = re.compile(r"%[0-9A-Fa-f]{2}|[^\w.~!$&'()*+,;=:@/?-]", re.ASCII)


class Url(NamedTuple):
    """A web address in parts, each in its canonical spelling; user, password and fragment are left out."""

    scheme: str  # http or https
    host: str  # as `curate.sites.host_of` returns it: Unicode
    port: str  # empty for the scheme's own
    path: str  # begins with /
    query: str  # empty where there is none

    @property
    def rest(self) -> str:
        """The path, and the query behind a ? where there is one."""
        return f"{self.path}?{self.query}" if self.query else self.path


def split_url(url: str | None, *, drop_tracking: bool = False) -> Url | None:
    """Return the parts of a web address; None for null and for all that is not http or https.

    Reads what browsers read (url.spec.whatwg.org): any number of slashes of either kind, white space around,
    tabs and line breaks within. Also angle brackets around it, as wget writes them into WARC files, and no
    scheme at all (`//a.com/x`; `a.com/x` where the Public Suffix List knows the domain's end). Dot segments
    are followed. `drop_tracking` leaves out the parameters of TRACKING. Time is linear in the length.
    """
    if url is None:
        return None
    plain = _PLAIN.fullmatch(url)
    if plain and "xn--" not in plain[2] and "/." not in plain[3] and len(plain[2]) <= MAX_HOST_CHARS:
        return Url(plain[1], plain[2], "", plain[3], "")
    split = _authority_of(url)
    if split is None:
        return None
    scheme, authority, rest = split
    host = host_of(f"http://{authority}")
    if host is None:
        return None
    port = _PORT.search(authority)
    number = port[1].lstrip("0") if port else ""
    path, _, query = rest.partition("#")[0].partition("?")
    parameters = query.split("&") if drop_tracking and query else []
    if parameters:
        query = "&".join(p for p in parameters if not is_tracking(p.partition("=")[0]))
    return Url(
        scheme,
        host,
        "" if number == DEFAULT_PORTS[scheme] else number,
        _without_dots(_IN_PATH.sub(_escaped, path.replace("\\", "/") or "/")),
        _IN_QUERY.sub(_escaped, query),
    )


def canonical_url(url: str | None, *, drop_tracking: bool = True) -> str | None:
    """Return the one spelling of a web address, in ASCII; None for null and for all that is not http or https.

    Scheme and host are in lower case, names in punycode, the scheme's own port, user, password, fragment and
    an empty query are left out, percent escapes are in upper case and only where needed (RFC 3986, section
    6.2.2), dot segments are followed. Parameters keep their order. Applied twice, it changes nothing more.
    Differs from browsers in the two things that make it stable: a % that begins no escape becomes %25, and
    escaped letters are decoded. See `split_url` for what is read.
    """
    parts = split_url(url, drop_tracking=drop_tracking)
    if parts is None:
        return None
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{ascii_host(parts.host)}{port}{parts.rest}"


def is_tracking(name: str) -> bool:
    """Say whether a parameter of this name tells how a visitor came."""
    name = name.lower()
    return name in TRACKING or name.startswith(TRACKING_PREFIX)


def ascii_host(host: str) -> str:
    """Return a host, as `host_of` returns it, with punycode for what is not ASCII (RFC 3492)."""
    if host.isascii():
        return host
    labels = host.split(".")
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)


def _authority_of(url: str) -> tuple[str, str, str] | None:
    """Return (scheme, authority, the rest) of a URL as it was found, or None where it is none of the web."""
    url = url.strip(_WHITE).translate(_TABS_AND_BREAKS)
    if url.startswith("<") and url.endswith(">"):
        url = url[1:-1].strip(_WHITE)
    given = _SCHEME.match(url)
    scheme = given[1].lower() if given else ""
    if scheme and scheme not in DEFAULT_PORTS and "." not in scheme:  # a.com:80/ has no scheme
        return None
    is_bare = scheme not in DEFAULT_PORTS
    found = _AUTHORITY.match(url, 0 if is_bare else len(scheme) + 1)
    assert found is not None  # it matches the empty string
    if is_bare and not url.startswith(("//", "\\\\")) and not has_listed_suffix(host_of(f"http://{found[1]}")):
        return None
    return "http" if is_bare else scheme, found[1], url[found.end() :]


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 3 and found[0] == "%":
        byte = int(found[1:], 16)
        return chr(byte) if byte in _UNRESERVED else found.upper()
    return "".join(f"%{byte:02X}" for byte in found.encode("utf-8", "surrogatepass"))


def _without_dots(path: str) -> str:
    """Follow the segments . and .. of a path (RFC 3986, section 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
