"""Pages written for the examples: those that the rules should drop, with personal data, and files that are no pages.

All of it is ours (Apache-2.0). The people do not exist; card and account numbers are the usual test values.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

MADE_AT = "2025-03-12T09:30:00Z"
HTML = (("Content-Type", "text/html; charset=utf-8"),)

TOPICS = ("astronomy", "bicycles", "cartography", "dovecotes", "espaliers", "ferries", "glassblowing", "horology")

LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore "
    "magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo."
)

COOKIES = (
    "We use cookies so that the site works and so that we can count visits.",
    "By going on you accept our privacy policy and our terms of use.",
    "You can change the use of cookies at any time in the settings of your browser.",
)

STAFF = (
    "The observatory on Cold Hill has been open to visitors for forty years. It is kept by three people who share the "
    "work of the dome, the library and the small shop at the gate. This page says how to reach each of them, and what "
    "they can help you with. Please write before you come, because the dome is closed in bad weather.",
    "Ada Winterbourne looks after the large telescope. If you want to book a night with it, write to "
    "ada.winterbourne@coldhill.example.org or call (555) 010-4477 between nine and noon. She answers within two days.",
    "Tobias Lindqvist keeps the library and the plate archive. Readers may order scans of old plates from "
    "tobias@library.coldhill.example.org, and he can be reached by telephone at +44 20 7946 0958 on weekdays.",
    "The weather station sends its readings every minute from 93.184.216.34, and a second one from "
    "2606:2800:220:1:248:1893:25c8:1946. Both addresses are open to anyone who wants to plot the data.",
    "The shop takes orders by mail. A donation can be paid to the account DE89 3704 0044 0532 0130 00. Never send a "
    "card number by mail, as one visitor did who wrote that hers was 4111 1111 1111 1111. We deleted the message.",
)


@dataclass(frozen=True)
class Page:
    """A response as a crawler would store it; `body` is the payload as it goes over the wire."""

    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = HTML
    date: str = MADE_AT
    status: str = "200 OK"
    origin: str = ""  # what we did to it, for the metadata record; empty for pages as they were


def html_page(title: str, paragraphs: Iterable[str], note: str = "", nav: Iterable[str] = ()) -> bytes:
    """Return a plain page: title, navigation, paragraphs (line breaks kept) and a footer."""
    links = "".join(f'<li><a href="/{n}">{escape(text)}</a></li>' for n, text in enumerate(nav))
    text = "\n".join(f"<p>{escape(paragraph).replace(chr(10), '<br>')}</p>" for paragraph in paragraphs)
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n<body>'
        f"<nav><ul>{links}</ul></nav>\n<main><article><h1>{escape(title)}</h1>\n{text}\n</article></main>\n"
        f"<footer><small>{escape(note)}</small></footer></body></html>\n"
    ).encode()


def made(url: str, body: bytes, headers: tuple[tuple[str, str], ...] = HTML, status: str = "200 OK") -> Page:
    """Return a page that says of itself that it was written for the examples."""
    return Page(url, body, headers, status=status, origin="written for the examples")


def link_pages() -> Iterator[Page]:
    """Yield pages that are mostly links or one-word lines: search results, tag lists, teasers."""
    for topic in TOPICS:
        found = [
            f"{topic.title()} {word}" for word in ("basics", "clubs", "events", "history", "maps", "shops", "tools")
        ]
        yield made(f"https://shop.example.com/search?q={topic}", html_page(f"Results for {topic}", found, nav=TOPICS))
        links = "".join(f'<li><a href="/tag/{topic}-{n}">{topic} {n}</a></li>' for n in range(60))
        yield made(
            f"https://shop.example.com/tag/{topic}",
            html_page(topic, []).replace(b"<h1>", b"<ul>%s</ul><h1>" % links.encode()),
        )
        teasers = [
            f"What every friend of {topic} should know about the {n} most common questions..." for n in range(3, 24)
        ]
        yield made(f"https://news.example.com/{topic}/", html_page(f"News about {topic}", teasers, nav=TOPICS))


def thin_pages() -> Iterator[Page]:
    """Yield pages with nothing to keep: forms, notices, placeholders, repeated phrases."""
    for n, topic in enumerate(TOPICS):
        form = (
            b'<form><label>Name <input name="n"></label><label>Password <input type="password" name="p"></label></form>'
        )
        yield made(
            f"https://forum.example.com/{topic}/login", html_page("Log in", []).replace(b"</h1>", b"</h1>" + form)
        )
        yield made(f"https://shop.example.com/{topic}/soon", html_page("Coming soon", [LOREM] * (2 + n)))
        yield made(f"https://shop.example.com/{topic}/cookies", html_page("Cookies", COOKIES * 3, nav=TOPICS))
        spam = [f"Buy cheap {topic} online, best {topic} deals, {topic} sale today." for _ in range(30)]
        yield made(f"https://deals.example.com/{topic}.html", html_page(f"Cheap {topic}", spam))
    moved = b'<html><head><meta http-equiv="refresh" content="0; url=/new"><title>Moved</title></head></html>'
    yield made("https://forum.example.com/old", moved)
    yield made(
        "https://forum.example.com/app",
        b'<html><body><div id="app"></div><noscript>Please enable JavaScript.</noscript></body></html>',
    )
    yield made("https://forum.example.com/empty", b"")


def contact_pages() -> Iterator[Page]:
    """Yield pages whose text is worth keeping and holds personal data."""
    yield made(
        "https://coldhill.example.org/contact", html_page("How to reach us", STAFF, nav=("Home", "Visit", "Contact"))
    )
    yield made(
        "https://coldhill.example.org/de/contact",
        html_page("How to reach us (English)", STAFF[:3], nav=("Start", "Besuch")),
    )


def files_that_are_no_pages() -> Iterator[Page]:
    """Yield images, styles, scripts, feeds, errors and redirects: a crawl is full of them."""
    for n, topic in enumerate(TOPICS):
        site = f"https://shop.example.com/{topic}"
        yield made(f"{site}/dot.png", png((40 * n % 256, 90, 160)), (("Content-Type", "image/png"),))
        yield made(
            f"{site}/site.css", b"body { margin: %dem; font-family: serif }\n" % n, (("Content-Type", "text/css"),)
        )
        yield made(
            f"{site}/menu.js",
            b"document.title = '%s';\n" % topic.encode(),
            (("Content-Type", "application/javascript"),),
        )
        yield made(f"{site}/gone", html_page("Not found", ["The page is gone."]), HTML, status="404 Not Found")
        yield made(f"{site}", html_page("Moved", []), (*HTML, ("Location", f"{site}/")), status="301 Moved Permanently")
    yield made(
        "https://shop.example.com/robots.txt", b"User-agent: *\nDisallow: /search\n", (("Content-Type", "text/plain"),)
    )
    yield made("https://shop.example.com/api/stock", b'{"stock": 3}\n', (("Content-Type", "application/json"),))
    yield made(
        "https://shop.example.com/crash", html_page("Error", ["Try later."]), HTML, status="500 Internal Server Error"
    )


def png(rgb: tuple[int, int, int]) -> bytes:
    """Return an image of one pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" + bytes(rgb)))
        + chunk(b"IEND", b"")
    )
