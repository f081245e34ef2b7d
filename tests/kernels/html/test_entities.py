"""Character references against the standard library, which follows the HTML standard too."""

from __future__ import annotations

import html
import html.entities

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.kernels.html.entities import MAX_GROWTH, WINDOWS_1252, decode_entities, room_for
from tests.kernels.html.scan_samples import scan_texts

NAMES = sorted(html.entities.html5)
PIECES = st.one_of(
    st.sampled_from(NAMES).map(lambda name: f"&{name}"),
    st.integers(0, 0x110005).map(lambda code: f"&#{code};"),
    st.integers(0, 0x110005).map(lambda code: f"&#x{code:x}"),
    st.text(max_size=4),
    st.sampled_from(["&", ";", "&#", "&#x", "&#X41;", "&am", "not", "&notit;", "&lt", "=", " "]),
)


def decoded(text: str) -> str:
    return decode_entities(text.encode("utf-8", "replace")).decode()


def test_every_name_means_what_the_standard_says() -> None:
    assert [decoded(f"&{name}") for name in NAMES] == [html.entities.html5[name] for name in NAMES]


def test_names_without_semicolon_are_known_in_front_of_anything() -> None:
    for name in NAMES:
        for behind in ("", "x", "Z1;", " ", "é", "&"):
            assert decoded(f"&{name}{behind}") == html.unescape(f"&{name}{behind}"), name + behind


@given(st.lists(PIECES, max_size=12).map("".join))
@example("&notit; &notin; &nosuch; &CounterClockwiseContourIntegral;")
@example("&#x80;&#x9F;&#129;&#1;&#13;&#xD800;&#x110000;&#99999999999999999999;")
def test_the_same_as_the_standard_library(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    # Controls, which the library keeps as they are or drops one by one, never reach a text: the scanner drops them all.
    controls = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
    wanted = html.unescape(text).translate(controls)
    # The library drops characters that are not assigned to any; they are left here, as in the text itself.
    others = dict.fromkeys(range(64976, 65008)) | {p << 16 | e: None for p in range(17) for e in (0xFFFE, 0xFFFF)}
    assert decoded(text).translate(controls).translate(others) == wanted.translate(others)


def test_no_reference_outgrows_the_room() -> None:
    growth = max(len(text.encode()) / len(f"&{name}".encode()) for name, text in html.entities.html5.items())
    assert growth == MAX_GROWTH
    worst = b"&nLt;" * 1000
    assert room_for(len(worst)).size >= len(decode_entities(worst)) == 6000


def test_the_numbers_of_windows_1252() -> None:
    known = [byte for byte in range(0x80, 0xA0) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)]
    assert [chr(WINDOWS_1252[byte - 0x80]) for byte in known] == [bytes([byte]).decode("cp1252") for byte in known]
    assert "".join(scan_texts("".join(f"&#{byte};" for byte in known))) == bytes(known).decode("cp1252")


@pytest.mark.parametrize("piece", ["&a ", "&", "&#", "&amp", "&notit", "&CounterClockwiseContourIntegra", "&#x110000"])
def test_long_runs_are_decoded(piece: str) -> None:
    """In linear time, which benchmarks/scan_hostile.py measures."""
    assert decoded(piece * 20_000) == html.unescape(piece * 20_000)


def test_what_is_decoded_twice_stays_text() -> None:
    assert scan_texts("&amp;lt; &#38;lt; &#x26;amp; &#38;#60;") == ["&lt; &lt; &amp; &#60;"]


def test_text_without_references_is_not_copied() -> None:
    text = b"no reference"
    assert decode_entities(text) is text
    assert np.array_equal(np.frombuffer(decode_entities(b"&"), np.uint8), [38])
