"""Hostile pages, made to any size: what the scanner and the extractors must survive in linear time.

`bombs(n_bytes)` gives a dict of name to page; every page has about `n_bytes` bytes. The names say what is repeated.
"""

from __future__ import annotations

from itertools import chain

_BLOCKS = (b"div", b"table", b"ul", b"blockquote", b"section", b"li", b"p", b"form", b"button")
_INLINE = (b"b", b"font", b"a", b"span", b"svg", b"math", b"ruby")
_FORMATTING = (b"b", b"i", b"u", b"em", b"strong", b"font", b"tt", b"big", b"small", b"s", b"code", b"nobr", b"a")
_UNCLOSED = (
    b"script",
    b"style",
    b"svg",
    b"textarea",
    b"title",
    b"noscript",
    b"iframe",
    b"template",
    b"select",
    b"object",
)


def bombs(n_bytes: int) -> dict[str, bytes]:
    """Return hostile pages of about `n_bytes` bytes each, by name."""
    return dict(chain(_nesting(n_bytes), _attributes(n_bytes), _flat(n_bytes), _unclosed(n_bytes), _entities(n_bytes)))


def _fill(piece: bytes, n_bytes: int, before: bytes = b"", after: bytes = b"") -> bytes:
    return before + piece * max(1, (n_bytes - len(before) - len(after)) // len(piece)) + after


def _nesting(n: int) -> list[tuple[str, bytes]]:
    """Depth: blocks, tables, inline tags, formatting that block tags split (the adoption agency), closing tags."""
    mixed = b"".join(b"<%s>" % name for name in _FORMATTING)
    distinct = b"".join(b"<font class=c%d>" % k for k in range(max(1, n // 18)))
    pages = [(f"nested {name.decode()}", _fill(b"<%s>" % name, n, after=b"x")) for name in _BLOCKS + _INLINE]
    return [
        *pages,
        ("nested div with text", _fill(b"<div>x ", n)),
        ("nested div, closed", _fill(b"<div>", n // 2, after=b"x") + _fill(b"</div>", n // 2)),
        ("nested tables with cells", _fill(b"<table><tr><td>x", n)),
        ("nested lists with items", _fill(b"<ul><li>x", n)),
        ("nested definition lists", _fill(b"<dl><dd>x", n)),
        ("b then p", _fill(b"<b><p>x", n)),
        ("a then div", _fill(b"<a href=x><div>x</a>", n)),
        ("mixed formatting", _fill(mixed, n, after=b"x")),
        ("mixed formatting split by blocks", _fill(mixed + b"<div>x</b></a>", n)),
        ("distinct formatting", distinct + b"<p>x"),
        ("1000 fonts over paragraphs", _fill(b"<p>x</b>", n, before=b"<font>" * 1000)),
        (
            "500 divs over inline ends",
            _fill(b"x</div></a></li></td>", n, before=b"<div>" * 500 + b"<table><tr><td>" * 100),
        ),
        ("end tags of nothing", _fill(b"</p></b></li></table>", n)),
        ("headings in headings", _fill(b"<h1><h2>x", n)),
        ("nested pre", _fill(b"<pre>\n  x", n)),
    ]


def _attributes(n: int) -> list[tuple[str, bytes]]:
    """Many attributes, large ones, unterminated ones."""
    return [
        ("one attribute", b'<p class="' + b"a" * n + b'">x</p>'),
        ("one attribute of tokens", _fill(b"aB-c ", n, b'<p class="', b'">x</p>')),
        ("one style", _fill(b"display:", n, b'<p style="', b'">x</p>')),
        ("many attributes", _fill(b"a='b' ", n, b"<p ", b">x</p>")),
        ("distinct attributes", b"<p " + b"".join(b"a%d=1 " % k for k in range(max(1, n // 10))) + b">x</p>"),
        ("tags with classes", _fill(b"<i class='abcDef ghi-jkl' id=mno>x</i> ", n)),
        ("tags with styles", _fill(b"<i style='::::display: none'>x</i> ", n)),
        ("unterminated quotes", _fill(b'<a href="', n)),
        ("unterminated mixed quotes", _fill(b"<a href=\"<a title='", n)),
        ("unterminated quote, then tags", _fill(b"<b>x</b>", n, before=b'<a href="')),
        ("unterminated tags", _fill(b"<a b ", n)),
        ("slashes", _fill(b"/", n, b"<p ")),
        ("equal signs", _fill(b"=", n, b"<p ")),
        ("spaces in a tag", _fill(b" ", n, b"<p ")),
    ]


def _flat(n: int) -> list[tuple[str, bytes]]:
    """Lists, breaks, brackets, lines without end."""
    return [
        ("li", _fill(b"<li>x", n)),
        ("li in a list", _fill(b"<li>x</li>", n, b"<ul>", b"</ul>")),
        ("br", _fill(b"<br>", n)),
        ("br with text", _fill(b"x<br>", n)),
        ("br in pre", _fill(b"<br> ", n, b"<pre>x")),
        ("cells", _fill(b"<td>x", n, b"<table><tr>")),
        ("rows", _fill(b"<tr><td>x", n, b"<table>")),
        ("options", _fill(b"<option>x", n, b"<select>")),
        ("paragraphs", _fill(b"<p>x", n)),
        ("links", _fill(b"<a href=x>x</a> ", n)),
        ("brackets", b"<" * n),
        ("bracket and space", _fill(b"< ", n)),
        ("closing brackets", b">" * n),
        ("bracket slash", _fill(b"</", n)),
        ("bracket exclamation", _fill(b"<!", n)),
        ("bracket letter", _fill(b"<a", n)),
        ("one line", _fill(b"word ", n, b"<p>")),
        ("one character", b"a" * n),
        ("no spaces", _fill(b"abcdefghij", n, b"<p>")),
        ("white space", _fill(b" \n\t", n, b"<p>x")),
        ("white space in pre", _fill(b" \n\t", n, b"<pre>x")),
        ("NULs", b"\x00" * n),
        ("continuation-heavy text", _fill("日本語。".encode(), n)),
    ]


def _unclosed(n: int) -> list[tuple[str, bytes]]:
    """Comments, doctypes and elements that never end, once and over and over."""
    once = [(f"unclosed {name.decode()}", _fill(b"x < y ", n, b"<%s>" % name)) for name in _UNCLOSED]
    many = [(f"many unclosed {name.decode()}", _fill(b"<%s>x" % name, n)) for name in _UNCLOSED]
    return [
        *once,
        *many,
        ("almost closed scripts", _fill(b"</scrip ", n, b"<script>")),
        ("unclosed pairs", _fill(b"<script></style><style></script>", n)),
        ("unclosed comment", _fill(b"x -- ", n, b"<!--")),
        ("many unclosed comments", _fill(b"<!--x", n)),
        ("dashes in a comment", b"<!--" + b"-" * n),
        ("comments", _fill(b"<!--x-->", n)),
        ("processing instructions", _fill(b"<?x", n)),
        ("CDATA", _fill(b"<![CDATA[x]]", n)),
        ("plaintext", _fill(b"<p>x</plaintext>", n, b"<plaintext>")),
    ]


def _entities(n: int) -> list[tuple[str, bytes]]:
    """References: named, numeric, cut off, and the expansion that XML parsers fall for."""
    laughs = b'<!DOCTYPE lolz [<!ENTITY lol "lol">' + b"".join(
        b'<!ENTITY lol%d "%s">' % (k, b"&lol%d;" % (k - 1) * 10) for k in range(1, 10)
    )
    return [
        ("&lt;", _fill(b"&lt;", n)),
        ("&a", _fill(b"&a", n)),
        ("&a with spaces", _fill(b"&a ", n)),
        ("&#", _fill(b"&#", n)),
        ("&#x", _fill(b"&#x", n)),
        ("ampersands", b"&" * n),
        ("one long reference", b"&" + b"a" * n),
        ("one long number", b"&#" + b"1" * n),
        ("largest characters", _fill(b"&#x10ffff;", n)),
        ("longest name, cut off", _fill(b"&CounterClockwiseContourIntegra", n)),
        ("named without semicolon", _fill(b"&notit", n)),
        ("entity expansion", _fill(b"&lol9;", n, laughs + b"]>")),
        ("external entity", _fill(b"&xxe;", n, b'<!DOCTYPE x [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>')),
    ]
