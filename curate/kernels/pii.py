"""Find spans of personal data: cheap patterns pick candidates, presidio's recognisers judge them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

# Between the digits of a number: one blank, or a sign or two and blanks.
_BETWEEN = "(?:[ \xa0]?[.()/\u2010-\u2013-]{1,2}[ \xa0]?|[ \xa0])?"

# Arrow's RE2 finds the texts that can hold a span; the rest is never looked at in Python.
PRESCANS = {
    "email": r"[^\s]@[^\s]",
    "iban": r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]{4}){2}",
    "credit_card": r"[1-6][0-9]{3}(?:[ -]?[0-9]){8}",
    "ip": r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:",
    "us_ssn": r"[0-9]{3}[ .-]?[0-9]{2}[ .-]?[0-9]{4}",
    "phone": rf"[0-9](?:{_BETWEEN}[0-9]){{6}}",
}

MAX_LOCAL_CHARS = 64  # of an e-mail address, RFC 5321 section 4.5.3.1.1
MAX_DOMAIN_CHARS = 255
MAX_NUMBER_CHARS = 64  # a longer run of digits and separators is a table, not a number of somebody
CONTEXT_CHARS = 40  # a context word this far before a span counts
AFTER_CHARS = 10  # ... and a word for a line of an office this far behind a phone number
IP_NAME_CHARS = 16  # how far a word may stand before an IPv4 address that could be a version
CONTEXT_BONUS = 0.35  # presidio's `context_similarity_factor`
MIN_WITH_CONTEXT = 0.4  # presidio's `min_score_with_context_similarity`
WEAK = 0.05  # presidio's score for a pattern that means nothing without context

_LOCAL = re.compile(r"[^\s@]+\Z")
_DOMAIN = re.compile(r"[\w.-]*\.(?:[^\W\d_]{2,}|xn--[\w-]+)(?:[\w-]*)")
_NUMBER = re.compile(
    rf"(?<![\w,=&#%$€£¥@~])(?<![\w][./-])(?:\+ ?|\()?[0-9](?:{_BETWEEN}[0-9]){{6,}}+"
    r"(?: ?(?:x|ext\.?) ?[0-9]{1,6})?(?![\w%€]|[.,][0-9])"
)
_IPV4 = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])")
_HEX_BEFORE = re.compile(r"[0-9A-Fa-f:]{2,40}\Z")  # the head of ::ffff:8.8.8.8
_IPV6 = re.compile(r"(?<![\w:])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{1,40}(?:\.[0-9.]{1,12})?")
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]{4}){2,8}(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"
)
_CARD = re.compile(r"(?<![\w.])[1-6][0-9]{3}(?:[ -]?[0-9]){8,15}(?![\w]|[.-][0-9])")
_SSN = re.compile(r"(?<![\w.-])[0-9]{3}[ .-]?[0-9]{2}[ .-]?[0-9]{4}(?![\w]|[.-][0-9])")

_GROUPED_CARD = re.compile(r"[0-9]{4}([ -])(?:[0-9]{4}\1[0-9]{4}\1[0-9]{4}|[0-9]{6}\1[0-9]{5})")
_DATE = re.compile(
    r"(?<![0-9])(?:(?:19|20)[0-9]{2}([-./])[0-9]{1,2}\1[0-9]{1,2}"
    r"|[0-9]{1,2}([-./ ])[0-9]{1,2}\2(?:19|20)[0-9]{2})(?![0-9])"
    r"|\A(?:(?:1[5-9]|20)[0-9]{2} ?[-–/.] ?)+(?:1[5-9]|20)?[0-9]{2}(?![0-9])"
)
_DOTTED_QUAD = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9.])")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:[. \xa0][0-9]{3})+")
_PLAIN = re.compile(r"[0-9]+|[0-9]{5}-[0-9]{4}")  # bare digits and ZIP codes
_FICTIONAL = re.compile(r"555[ .-]?01[0-9]{2}(?![0-9])")  # 555-0100 to -0199, kept free by the NANP for fiction
# Before an IPv4 address these make it a version or a clause: "v1.12.2.1", "foo-1.2.3.4", "Section 8.6.2.2".
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:v|ver|version|versions|release|released|rev|revision|build|update|firmware|driver|sec|section|sections|art"
    r"|article|chapter|clause|rule|paragraph|para|appendix|table|figure|fig|isbn|oid)\.?:? ?"
    r"|§ ?|[^\W0-9][_-]|[0-9][.,])\Z",
    re.IGNORECASE,
)
_VERSION_AFTER = re.compile(
    r"\.[0-9]|[-_][A-Za-z]|\.(?:jar|tar|t?gz|zip|exe|msi|dmg|deb|rpm|apk|dll|so|war|whl)\b", re.IGNORECASE
)
_RESERVED_DOMAIN = re.compile(r"(?:\A|\.)(?:example(?:\.(?:com|net|org))?|invalid|test|localhost)\Z", re.IGNORECASE)


def _words(latin: str, other: str = "") -> re.Pattern[str]:
    """Compile context words; not inside a mask such as `<PHONE>`, which must never vouch for its neighbour."""
    return re.compile(rf"(?<![<\w])(?:{latin})(?!\w|>){f'|{other}' if other else ''}", re.IGNORECASE)


_CONTEXT = {
    "phone": _words(
        r"(?:tele?|mobile |cell |hand)?phone(?: ?number)?s?|tel|telephone|mobile?|mob|cell|cellular|call(?:ing)?"
        r"|dial|ring|(?:tele)?fax|hotline|helpline|whats ?app|sms|text us|voicemail|desk|office|contact"
        r"|reach (?:me|us|him|her|them)"
        r"|telefone?|telefoni?(?:scher?)?|telefonn(?:ummer|r)|handy|mobil|rufnummer|t[ée]l|t[ée]l[ée]phone|portable"
        r"|tel[ée]fonos?|m[óo]vil|celular|telefono|cellulare|puhelin|telefoon|tlf|telefonszám|тел|телефон|моб|факс"
        r"|τηλ|τηλέφωνο",
        "電話|电话|手机|传真|携帯|전화|휴대폰|팩스",
    ),
    "credit_card": _words(
        r"credit|debit|cards?|visa|mastercard|cc|amex|american express|discover|jcb|diners|maestro"
        r"|kreditkarte|carte|tarjeta|carta|cart[ãa]o|карта"
    ),
    "ip": _words(
        r"ip|ips|ipv4|ipv6|address(?:es)?|addr|hosts?|server|client|client_ip|remote|dns|nameserver|gateway|subnet|ping"
        r"|traceroute|proxy|router|login|logged|connection|connect|blocked|banned|from"
    ),
    "us_ssn": _words(r"social security|ssns?|ssid|ss#|soc sec|taxpayer|tax id"),
}
_IP_NAMED = _words(
    r"ip|ips|ipv4|(?:ip )?address(?:es)?|addr|dns|nameserver|gateway|ping|client_ip|adresse|direcci[óo]n"
)
_LINE_NAMES = _words("office|fax|mobile|cell|desk|tel|phone|home|work")


class Span(NamedTuple):
    """Characters [start, end) of a text, what they are, and how sure the recogniser is (0–1)."""

    start: int
    end: int
    entity: str
    score: float


class Recognizers(NamedTuple):
    """presidio's recognisers, each asked with `.analyze(text, entities)`; built in `curate.models`."""

    email: Any
    phone: Any  # national formats of the regions asked for
    phone_abroad: Any  # numbers that begin with +, of any country
    ip: Any
    iban: Any
    credit_card: Any
    us_ssn: Any


def spans_of(text: str, entities: tuple[str, ...], recognizers: Recognizers, min_score: float) -> list[Span]:
    """Return the spans of a text that reach `min_score`, sorted, none overlapping another.

    Where spans overlap, the entity that stands first in ENTITIES wins, then the longer one.
    """
    found: list[Span] = []
    for entity in ENTITIES:
        if entity in entities:
            found += (span for span in _FINDERS[entity](text, recognizers) if span.score >= min_score)
    found.sort(key=lambda span: (ENTITIES.index(span.entity), span.start - span.end, span.start))
    taken: list[Span] = []
    covered = bytearray(len(text)) if len(found) > 1 else bytearray()
    for span in found:
        if covered and any(covered[span.start : span.end]):
            continue
        if covered:
            covered[span.start : span.end] = b"\x01" * (span.end - span.start)
        taken.append(span)
    return sorted(taken)


def _judged(recognizer: Any, text: str, start: int, end: int, entity: str) -> Iterator[Span]:
    """Yield what a recogniser finds in text[start:end], scored as presidio scores it without context."""
    for result in recognizer.analyze(text[start:end], recognizer.supported_entities):
        yield Span(start + result.start, start + result.end, entity, result.score)


def _in_context(text: str, span: Span, after: re.Pattern[str] | None = None) -> bool:
    before = text[max(0, span.start - CONTEXT_CHARS) : span.start]
    if _CONTEXT[span.entity].search(before):
        return True
    return after is not None and after.search(text[span.end : span.end + AFTER_CHARS]) is not None


def _raised(span: Span) -> Span:
    return span._replace(score=max(MIN_WITH_CONTEXT, min(1.0, span.score + CONTEXT_BONUS)))


def _emails(text: str, recognizers: Recognizers) -> Iterator[Span]:
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.search(text, max(0, at - MAX_LOCAL_CHARS), at)
        domain = _DOMAIN.match(text, at + 1, at + 1 + MAX_DOMAIN_CHARS)
        if local and domain:
            for span in _judged(recognizers.email, text, local.start(), domain.end(), "email"):
                if not _RESERVED_DOMAIN.search(text[span.start : span.end].rpartition("@")[2]):
                    yield span
        at = text.find("@", at + 1)


def _ips(text: str, recognizers: Recognizers) -> Iterator[Span]:
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            before, after = text[max(0, match.start() - 40) : match.start()], text[match.end() : match.end() + 8]
            if _VERSION_BEFORE.search(before) or _VERSION_AFTER.match(after):
                continue
            head = _HEX_BEFORE.search(before) if ":" in before else None
            start = match.start() - len(head.group()) if head else match.start()
            for span in _judged(recognizers.ip, text, start, match.end(), "ip"):
                address = ipaddress.ip_interface(text[span.start : span.end].partition("%")[0]).ip
                if not address.is_global or address.is_multicast:
                    continue  # private, loopback, documentation: nobody's address
                if address.version == 4 and max(address.packed) < 100:
                    # All of 1.12.2.1 small: 2 % of addresses, most of the version numbers and clauses of laws.
                    heading = text[: span.start].endswith("\n") or span.start == 0
                    named = not heading and _IP_NAMED.search(text[max(0, span.start - IP_NAME_CHARS) : span.start])
                    yield _raised(span._replace(score=WEAK)) if named else span._replace(score=WEAK)
                else:
                    yield _raised(span) if _in_context(text, span) else span


def _ibans(text: str, recognizers: Recognizers) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        value = match.group()
        if value.isupper() or value.islower():
            for span in _judged(recognizers.iban, value.upper(), 0, len(value), "iban"):
                yield span._replace(start=match.start() + span.start, end=match.start() + span.end)


def _cards(text: str, recognizers: Recognizers) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        for span in _judged(recognizers.credit_card, text, match.start(), match.end(), "credit_card"):
            # One in ten numbers passes Luhn's check, so a bare run of digits needs a word that speaks of cards.
            bare = not _GROUPED_CARD.fullmatch(text[span.start : span.end])
            weak = span._replace(score=WEAK) if bare else span
            yield _raised(weak) if _in_context(text, weak) else weak


def _ssns(text: str, recognizers: Recognizers) -> Iterator[Span]:
    for match in _SSN.finditer(text):
        for span in _judged(recognizers.us_ssn, text, match.start(), match.end(), "us_ssn"):
            weak = span._replace(score=WEAK)  # 89 % of nine-digit numbers pass: context decides
            yield _raised(weak) if _in_context(text, weak) else weak


def _phones(text: str, recognizers: Recognizers) -> Iterator[Span]:
    for match in _NUMBER.finditer(text):
        value, n_digits = match.group(), sum(map(str.isdigit, match.group()))
        if len(value) > MAX_NUMBER_CHARS or _DATE.search(value) or _DOTTED_QUAD.search(value):
            continue
        if _FICTIONAL.search(value):
            continue
        whole = Span(match.start(), match.end(), "phone", WEAK)
        context = _in_context(text, whole, _LINE_NAMES)
        international = value.startswith(("+", "00", "(+"))
        bare = _PLAIN.fullmatch(value) is not None or _THOUSANDS.fullmatch(value) is not None
        if not context and bare and not international:
            continue  # a number like any other
        recognizer = recognizers.phone_abroad if value.startswith("+") else recognizers.phone
        found = list(_judged(recognizer, text, match.start(), match.end(), "phone"))
        if not found and n_digits <= 15:
            found = [whole]  # not a number of these regions: only context can make it a phone's
        yield from map(_raised, found) if context else found


ENTITIES = ("email", "iban", "credit_card", "ip", "us_ssn", "phone")
_FINDERS: dict[str, Callable[[str, Recognizers], Iterator[Span]]] = {
    "email": _emails, "iban": _ibans, "credit_card": _cards, "ip": _ips, "us_ssn": _ssns, "phone": _phones,
}  # fmt: skip
