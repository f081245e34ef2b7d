"""Mirrors curate/kernels/html/rights.py; most cases stand in test_head.py, as pages."""

import pytest

from curate.kernels.html.rights import License, copyright_line, declared_license, linked_license, nearby

BASE = "https://example.org/a/"
CC_BY = "https://creativecommons.org/licenses/by/4.0/"


def test_declared_licences_in_their_order() -> None:
    assert declared_license([], [], BASE) is None
    assert declared_license(["terms"], [], BASE) == License("other", "https://example.org/a/terms")
    assert declared_license(["terms", CC_BY], [], BASE) == License("cc-by-4.0", CC_BY)
    assert declared_license(["terms"], ["CC BY-SA 3.0"], BASE) == License("cc-by-sa-3.0", None)
    assert declared_license([CC_BY, CC_BY.replace("by", "by-sa")], [], BASE) == License("other", CC_BY)
    assert declared_license(["#here", "javascript:x"], ["All rights reserved"], BASE) is None


def test_a_wiki_page_on_a_licence_names_it() -> None:
    link = "https://en.wikipedia.org/wiki/Text_of_the_Creative_Commons_Attribution-ShareAlike_4.0_License"
    assert declared_license([link], [], BASE) == License("cc-by-sa-4.0", link)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("All content is licensed under ", "", True),
        ("Die Inhalte stehen unter ", "", True),
        ("このサイトのライセンスは", "", True),
        ("Foto: Jane, Lizenz ", "", False),
        ("licensed: ", " via Wikimedia Commons", False),
        ("and then ", " we went home", False),
    ],
)
def test_words_beside_a_plain_link_decide(before: str, after: str, found: bool) -> None:
    page = f"<p>{before}<a href={CC_BY}>CC</a>{after}</p>{'<p>more</p>' * 200}".encode()
    at = page.index(b"CC</a>")
    assert linked_license(page, [(at, CC_BY)], BASE) == (License("cc-by-4.0", CC_BY) if found else None)


def test_links_that_do_not_resolve_are_no_licence() -> None:
    assert linked_license(b"license", [(3, None), (3, "http://["), (3, "mailto:x")], BASE) is None


def test_text_nearby_has_no_tags() -> None:
    page = b"<p>before</p><a href='x'>" + b"<b>after</b>" * 40
    assert nearby(page, page.index(b"<b>")) == "before " + " ".join(["after"] * 27)[:160].rstrip()


def test_no_sign_no_line() -> None:
    assert copyright_line(b"page", []) is None
    assert copyright_line(b"&copy", [0]) == "©"
    assert copyright_line("<p>x</p>© é".encode(), [8]) == "© é"
