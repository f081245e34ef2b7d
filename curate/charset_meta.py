"""Finds the charset that a page declares in its own bytes: the HTML standard's prescan, and its XML declaration."""

from __future__ import annotations

import re

from webencodings import LABELS

PRESCAN_BYTES = 1024  # the standard's limit for what stands in any place
MAX_BYTES = 64 << 10  # browsers honour a meta element further on, as long as it is in the head

_SPACE = rb"\t\n\f\r "
_ATTRIBUTE = re.compile(
    rb"[%b/]*([^>%b/][^=>%b/]*)(?:[%b]*=[%b]*(?:\"([^\"]*)\"|'([^']*)'|(?=>)|([\"'])|([^>%b]+)))?"
    % ((_SPACE,) * 6)  # name; value in either kind of quotes; a quote that does not close; value without
)
_TAG = re.compile(rb"<(?:(!--)|(/?[A-Za-z][^%b/>]*)|([!/?]))" % _SPACE)
_TAG_END = re.compile(rb"[%b/]*>" % _SPACE)
_HEAD_TAGS = frozenset(b"base html link meta noscript object script style title".split())
_RAW_TEXT_END = {name: re.compile(rb"</" + name, re.IGNORECASE) for name in (b"script", b"style")}
_CHARSET_IN_CONTENT = re.compile(
    rb"charset[%b]*=[%b]*(?:\"([^\"]*)\"|'([^']*)'|([\"'])|([^%b;]+))" % ((_SPACE,) * 3), re.IGNORECASE
)
_XML_ENCODING = re.compile(rb"encoding[\x00-\x20]*=[\x00-\x20]*([\"'])([^\x00-\x20]*?)\1")


def name_of(label: bytes | str | None) -> str | None:
    """Return the name of the encoding that browsers take a label for, in lower case; None for labels they do not know.

    The labels are those of the Encoding standard, section 4.2. Labels of encodings that would let a page hide
    code from filters (ISO-2022-KR, HZ …) are called "replacement".
    """
    if not label:
        return None
    if isinstance(label, bytes):
        label = label.decode("latin-1")
    return LABELS.get(label.strip("\t\n\f\r ").lower()) if len(label) < 100 and label.isascii() else None


def declared_in(html: bytes) -> str | None:
    """Return the encoding that a page declares near its start, as the HTML standard, section 13.2.3.2, finds it.

    The first meta element that names one counts, then the XML declaration; comments are passed over.
    UTF-16 stands for UTF-8 there and x-user-defined for windows-1252.
    """
    if html.startswith(b"<\x00?\x00x\x00"):
        return "utf-16le"
    if html.startswith(b"\x00<\x00?\x00x"):
        return "utf-16be"
    head = html[:MAX_BYTES]
    return _in_meta(head) or _in_xml(head)


def _readable(name: str | None) -> str | None:
    """Return what a name stands for in a declaration that could be read byte by byte."""
    if name in ("utf-16le", "utf-16be"):
        return "utf-8"
    return "windows-1252" if name == "x-user-defined" else name


def _in_meta(head: bytes) -> str | None:
    at = raw_end = 0  # raw_end: where the script ends that the prescan, which knows no scripts, is in
    while found := _TAG.search(head, at):
        at = found.end()
        comment, tag, _ = found.groups()
        if found.start() > PRESCAN_BYTES and at < raw_end:
            at = raw_end
        elif comment:
            at = head.find(b"-->", found.start() + 2) + 3  # its dashes may be those of the start
        elif tag:
            name = tag.lower()
            attributes, at = _attributes(head, at)
            if name == b"meta" and at and (charset := _of_meta(attributes)):
                return charset
            if found.start() > PRESCAN_BYTES and name.removeprefix(b"/") not in _HEAD_TAGS:
                return None
            if name in _RAW_TEXT_END and at >= raw_end:
                end = _RAW_TEXT_END[name].search(head, at)
                raw_end = end.start() if end else len(head)
        else:
            at = head.find(b">", at) + 1
        if at < 3:  # what stands here does not end
            return None
    return None


def _attributes(head: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """Return the attributes of the tag before `at`, in lower case, and where they end: 0 if the tag is cut off."""
    attributes: dict[bytes, bytes] = {}
    while found := _ATTRIBUTE.match(head, at):
        at = found.end()
        name, double, single, open_quote, bare = found.groups()
        if open_quote or at == len(head):
            return attributes, 0
        attributes.setdefault(name.lower(), (double or single or bare or b"").lower())
    end = _TAG_END.match(head, at)
    return attributes, end.end() if end else 0


def _of_meta(attributes: dict[bytes, bytes]) -> str | None:
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv") == b"content-type":
        label = _in_content(attributes.get(b"content", b""))
    return _readable(name_of(label))


def _in_content(content: bytes) -> bytes | None:
    found = _CHARSET_IN_CONTENT.search(content)
    return found[1] or found[2] or found[4] if found else None


def _in_xml(head: bytes) -> str | None:
    if not head.startswith(b"<?xml"):
        return None
    found = _XML_ENCODING.search(head, 5, head.find(b">") + 1)
    return _readable(name_of(found[2])) if found else None
