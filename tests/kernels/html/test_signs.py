"""Mirrors curate/kernels/html/signs.py: the last copyright signs of text, by any number of bytes between them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.html.marks import find_marks
from curate.kernels.html.signs import MAX_SIGNS

SIGNS = ["\xa9", "&copy;", "&#169;", "&#xA9;", "(c)", "(C)", "Copyright"]
OTHER = ["\xaa", "&amp;", "(d)", "Copy", "copyright", "c)", "x", " ", "C", "(", "0123456789abcde", "0123456789abcdef"]


def signs_by_hand(text: bytes, start: int) -> list[int]:
    """Return where signs stand in a run of text, the last first: by Python's own search."""
    words = [sign.encode() for sign in SIGNS]
    starts = [at for at in range(len(text)) if any(text.startswith(word, at) for word in words)]
    return [start + at for at in reversed(starts)]


@given(st.lists(st.sampled_from(SIGNS + OTHER), max_size=30), st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_signs_are_those_of_a_plain_search(words: list[str], n_before: int) -> None:
    text = "".join(words).encode()
    tag = b"<p " + b"(C" * n_before + b">"  # signs in a tag are none, though they are looked at with the text
    expected = signs_by_hand(text, len(tag)) if len(text) > 1 else []
    assert find_marks(tag + text + b"<p>").signs == expected[:MAX_SIGNS]
