"""Hostile texts for the tests of text signals: pieces that touch every rule, put together in many ways."""

from hypothesis import strategies as st

# Line ends of all kinds, marks, citations, phrases, wide and combining characters, repetition.
PIECES = [
    "the", "The", "a", "of", "don't", "Mr.", "word", "über", "日本", "カタカナ", "ไทย", "。", ".", "...",
    ". . .", "…", ",", "#",
    "-", "*", "•", "●", "{", "[12]", "[edit]", "[]", "[citation needed]", "[٣]", "lorem Ipsum", "lorem[1] ipsum",
    "JavaScript", "Privacy  policy", "privacy policy", "Terms of Use", "use cookies", "!", "?",
    '"', "'", "’s", ":", "3.14",
    "1,000", "foo_bar", "e\u0301", "\u0301", "\u200d", "\ufeff", "א\"ב", "🇩🇪", "🙂", "👨\u200d👩", "5km", "\x00",
    " ", "  ", "\n", "\n\n", "\n \n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x85",
    "\u2028", "\u2029", "\xa0",
    "\u3000", "\t", "http://a.com/b-c", "x" * 1001,
    "one two three four five six seven eight nine ten eleven. ", "Same line here.\n",
]  # fmt: skip

texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
    st.lists(st.sampled_from(["a", "b", "ab", "c", "\n", "."]), max_size=60).map(" ".join),  # n-grams repeat often
    st.lists(st.sampled_from(["abcdefgh", "abcdefghijklmnop", "abcdefg", "hijklmnop", "h", "ij"]), max_size=60).map(
        " ".join
    ),
    st.text(max_size=80),
)
